//! Methods that a path does not support, and requests from browsers on pages of other origins.

use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;

use crate::fixture::{Platform, as_app, is_refusal};

/// Every path with its methods. HEAD is implied where there is GET.
fn routes(platform: &Platform) -> Vec<(String, &'static [&'static str])> {
    let vault = platform.in_vault("");
    let keys = format!("/api/admin/apps/{}/api-keys", platform.app.id);
    vec![
        ("/api/sdk/app".to_owned(), &["GET"]),
        ("/api/sdk/project".to_owned(), &["GET"]),
        ("/api/sdk/app/vault".to_owned(), &["GET", "PUT"]),
        ("/api/sdk/project/vault".to_owned(), &["GET", "PUT"]),
        ("/api/sdk/secret-vaults".to_owned(), &["GET", "POST"]),
        (vault.clone(), &["DELETE", "GET", "PATCH"]),
        (format!("{vault}/secrets"), &["GET"]),
        (format!("{vault}/secrets/first"), &["DELETE", "PUT"]),
        ("/api/sdk/audit-log".to_owned(), &["GET"]),
        ("/api/sdk/audit-log/export".to_owned(), &["GET"]),
        ("/api/sdk/tools".to_owned(), &["GET"]),
        ("/api/sdk/sandbox/execute".to_owned(), &["POST"]),
        ("/api/admin/apps".to_owned(), &["GET", "POST"]),
        (keys.clone(), &["GET", "POST"]),
        (format!("{keys}/{}", platform.app.key_id), &["DELETE"]),
        ("/api/admin/kek".to_owned(), &["GET"]),
        ("/api/admin/kek/rewrap".to_owned(), &["POST"]),
        ("/api/admin/kek/verify".to_owned(), &["POST"]),
        ("/api/admin/kek/walk".to_owned(), &["GET"]),
        (format!("/api/admin/keks/{}", "0".repeat(32)), &["DELETE"]),
        ("/api/admin/tools".to_owned(), &["GET"]),
        ("/healthz".to_owned(), &["GET"]),
        ("/readyz".to_owned(), &["GET"]),
        ("/metrics".to_owned(), &["GET"]),
        ("/openapi.json".to_owned(), &["GET"]),
    ]
}

fn credential(platform: &Platform, request: Request, path: &str) -> Request {
    if path.starts_with("/api/sdk/") {
        request.header("x-api-key", &platform.app.key)
    } else {
        request.header(
            "authorization",
            format!("Bearer {}", platform.serving.admin_token),
        )
    }
}

#[test]
fn a_method_that_a_path_does_not_take_is_refused_with_those_that_it_takes() {
    let platform = Platform::start();
    for (path, taken) in routes(&platform) {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND",
        ] {
            if taken.contains(&method) {
                continue;
            }
            let what = format!("{method} {path}");
            let request = credential(&platform, Request::new(method, &path), &path);
            let before = platform.state();
            let answer = platform.send(&request);
            is_refusal(&what, &answer, 405, "method_not_allowed");
            let allow = answer
                .header("allow")
                .unwrap_or_else(|| panic!("{what}: the header Allow is missing"));
            let mut allowed: Vec<&str> = allow
                .split(',')
                .map(str::trim)
                .filter(|it| *it != "HEAD")
                .collect();
            allowed.sort_unstable();
            assert_eq!(allowed, taken, "{what}");
            assert_eq!(platform.state(), before, "{what}");
        }
        for method in ["get", "delete", "trace", "Post"] {
            let request = credential(&platform, Request::new(method, &path), &path);
            let what = format!("{method} {path}");
            is_refusal(&what, &platform.send(&request), 400, "invalid_head");
        }
    }
}

#[test]
fn the_head_of_an_answer_is_that_of_the_answer() {
    let platform = Platform::start();
    for (path, taken) in routes(&platform) {
        if !taken.contains(&"GET") || path == "/metrics" {
            continue;
        }
        let ask =
            |method| platform.send(&credential(&platform, Request::new(method, &path), &path));
        let (whole, head) = (ask("GET"), ask("HEAD"));
        assert_eq!(head.status, whole.status, "{path}");
        assert!(head.body.is_empty(), "{path}");
        for header in ["content-type", "etag", "cache-control"] {
            assert_eq!(
                head.header(header),
                whole.header(header),
                "{path}: {header}"
            );
        }
    }
    let head = platform.send(&Request::new("HEAD", "/api/sdk/app"));
    assert_eq!((head.status, head.body.len()), (401, 0));
}

#[test]
fn no_other_origin_is_let_in() {
    let platform = Platform::start();
    for (path, _) in routes(&platform) {
        for origin in ["https://evil.example", "null", &platform.serving.url()] {
            let preflight = Request::new("OPTIONS", &path)
                .header("origin", origin)
                .header("access-control-request-method", "PUT")
                .header("access-control-request-headers", "x-api-key,content-type");
            let simple =
                credential(&platform, Request::new("GET", &path), &path).header("origin", origin);
            for request in [preflight, simple] {
                let answer = platform.send(&request);
                let opened: Vec<_> = answer
                    .headers
                    .iter()
                    .filter(|(name, _)| name.starts_with("access-control-"))
                    .collect();
                assert!(opened.is_empty(), "{path} from {origin}: {opened:?}");
            }
        }
    }
}

#[test]
fn an_origin_that_the_operator_lists_may_use_the_routes_of_apps_and_no_others() {
    const LISTED: &str = "https://app.example";
    let serving = Serving::start(&format!("[server]\ncors_allowed_origins = [{LISTED:?}]"));
    let allowed = |path: &str, origin: &str| {
        let preflight = Request::new("OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "x-api-key,if-match");
        let answer = serving.send(&preflight);
        let origin = answer.header("access-control-allow-origin");
        origin.map(|origin| (answer.status, origin.to_owned()))
    };
    assert_eq!(
        allowed("/api/sdk/app/vault", LISTED),
        Some((200, LISTED.to_owned()))
    );
    assert_eq!(allowed("/api/sdk/app/vault", "https://evil.example"), None);
    for path in ["/api/admin/apps", "/admin", "/metrics"] {
        assert_eq!(allowed(path, LISTED), None, "{path}");
    }
    let app = serving.make_app("app");
    let simple = as_app(&app, "GET", "/api/sdk/app").header("origin", LISTED);
    let answer = serving.send(&simple);
    assert_eq!(answer.header("access-control-allow-origin"), Some(LISTED));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let exposed = answer
        .header("access-control-expose-headers")
        .unwrap_or_default();
    assert!(
        exposed.contains("etag") && exposed.contains("x-request-id"),
        "{exposed}"
    );
}

#[test]
fn what_is_no_http_is_refused_and_the_host_goes_on() {
    let platform = Platform::start();
    let key = &platform.app.key;
    for bytes in [
        &b"\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/sdk/app HTTP/1.1\r\nhost: localhost\r\nx-api-key: a\0b\r\nconnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nno colon\r\nconnection: close\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    ] {
        let mut stream = tavora_tests::wire::connect(platform.serving.address).expect("it listens");
        let _ = std::io::Write::write_all(&mut stream, bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{bytes:?}: {answer}"
        );
    }
    let answer = platform.send(&Request::new("GET", "/api/sdk/app").header("x-api-key", key));
    assert_eq!(answer.status, 200);
}

//! Refused credentials: no key, a malformed one, a revoked or expired one, and one of the wrong
//! kind.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tavora_tests::wire::{Request, exchange};

use crate::fixture::{Platform, is_refusal};

/// Requests that would change something if the caller were allowed to.
fn changes(platform: &Platform) -> [Request; 6] {
    let body = json!({ "name": "x", "metadata": { "a": 1 }, "value": "v", "vault_id": null, "code": "return 1" });
    let request = |method, path: &str| Request::new(method, path);
    [
        request("POST", "/api/sdk/secret-vaults").json(&body),
        request("PATCH", &platform.in_vault("")).json(&body),
        request("PUT", &platform.in_vault("/secrets/first")).json(&body),
        request("PUT", "/api/sdk/app/vault").json(&body),
        request("POST", "/api/sdk/sandbox/execute").json(&body),
        request("DELETE", &platform.in_vault("")),
    ]
}

#[test]
fn what_is_no_key_of_an_app_opens_nothing() {
    let platform = Platform::start();
    let key = platform.app.key.as_str();
    let changed = |at: usize| {
        let mut bytes = key.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        bytes
    };
    let (_, other_secret) = platform
        .other
        .key
        .rsplit_once('_')
        .expect("a token has parts");
    let (public, secret) = key.rsplit_once('_').expect("a token has parts");
    let values: Vec<Vec<u8>> = vec![
        b"".into(),
        b"tvr_".into(),
        b"letmein".into(),
        public.into(),
        secret.into(),
        changed(4),
        changed(key.len() / 2),
        changed(key.len() - 1),
        key[..key.len() - 1].into(),
        format!("{key}A").into(),
        format!("{key} {key}").into(),
        format!("{key},{key}").into(),
        format!("{public}_{other_secret}").into(),
        key.to_uppercase().into(),
        format!("\"{key}\"").into(),
        b"\xff\xfe".into(),
        "x".repeat(8_000).into(),
        platform.serving.admin_token.clone().into(),
        platform.app.id.clone().into(),
    ];
    for value in &values {
        let what = String::from_utf8_lossy(value).into_owned();
        for request in changes(&platform) {
            platform.refused(
                &what,
                &request.header("x-api-key", value),
                401,
                "unauthorized",
            );
        }
        let bearer = [b"Bearer ", &value[..]].concat();
        let request = changes(&platform)[0]
            .clone()
            .header("authorization", bearer);
        platform.refused(&format!("Bearer {what}"), &request, 401, "unauthorized");
    }
    let headers = [
        ("authorization", format!("Basic {key}")),
        ("authorization", key.to_owned()),
        ("cookie", format!("x-api-key={key}")),
        ("api-key", key.to_owned()),
    ];
    for (name, value) in headers {
        let request = changes(&platform)[0].clone().header(name, &value);
        platform.refused(&format!("{name}: {value}"), &request, 401, "unauthorized");
    }
    for request in changes(&platform) {
        platform.refused("no credential", &request, 401, "unauthorized");
        let twice = request.header("x-api-key", key).header("x-api-key", key);
        platform.refused("two keys", &twice, 400, "invalid_head");
    }
    let in_query = Request::new("GET", format!("/api/sdk/app?api_key={key}&x-api-key={key}"));
    platform.refused("a key in the query", &in_query, 401, "unauthorized");
    let log = platform.serving.log();
    assert!(!log.contains(secret), "the log has an API key: {log}");
}

#[test]
fn a_revoked_and_an_expired_key_open_nothing() {
    let platform = Platform::start();
    let (id, revoked) = platform
        .serving
        .make_key(&platform.app.id, &json!({ "name": "revoked" }));
    let path = format!("/api/admin/apps/{}/api-keys/{id}", platform.app.id);
    let works = |key: &str| {
        platform
            .send(&Request::new("GET", "/api/sdk/app").header("x-api-key", key))
            .status
            == 200
    };
    assert!(works(&revoked));
    assert_eq!(platform.serving.admin("DELETE", &path, None).status, 200);
    for request in changes(&platform) {
        platform.refused(
            "revoked",
            &request.header("x-api-key", &revoked),
            401,
            "unauthorized",
        );
    }

    let expiry = Timestamp::now() + Duration::from_secs(3);
    let expires_at = json!({ "name": "brief", "expires_at": expiry.to_string() });
    let (_, brief) = platform.serving.make_key(&platform.app.id, &expires_at);
    // On a slow machine the expiry may already be past.
    assert!(
        works(&brief) || Timestamp::now() > expiry,
        "a key works until it expires"
    );
    while Timestamp::now() <= expiry {
        std::thread::sleep(Duration::from_millis(50));
    }
    for request in changes(&platform) {
        platform.refused(
            "expired",
            &request.header("x-api-key", &brief),
            401,
            "unauthorized",
        );
    }
}

#[test]
fn only_the_admin_token_opens_the_operator_api() {
    let platform = Platform::start();
    let token = &platform.serving.admin_token;
    let make = || Request::new("POST", "/api/admin/apps").json(&json!({ "name": "mine" }));
    for (name, value) in [
        ("authorization", format!("Bearer {}", platform.app.key)),
        ("x-api-key", platform.app.key.clone()),
        ("x-api-key", token.clone()),
        ("authorization", token.clone()),
        ("authorization", format!("Basic {token}")),
        ("authorization", "Bearer ".to_owned()),
        (
            "authorization",
            format!("Bearer {}", &token[..token.len() - 1]),
        ),
        ("authorization", format!("Bearer {token}{token}")),
        ("cookie", format!("session={token}")),
    ] {
        platform.refused(
            &format!("{name}: {value}"),
            &make().header(name, &value),
            401,
            "unauthorized",
        );
    }
    platform.refused("no token", &make(), 401, "unauthorized");
    let reading = Request::new("GET", "/api/admin/apps").header("x-api-key", &platform.app.key);
    platform.refused("an API key", &reading, 401, "unauthorized");
}

#[test]
fn nothing_of_a_request_is_looked_at_before_its_credential() {
    let platform = Platform::start();
    let create = || Request::new("POST", "/api/sdk/secret-vaults");
    for (what, request) in [
        (
            "bad JSON",
            create()
                .header("content-type", "application/json")
                .body("{"),
        ),
        (
            "another type",
            create().header("content-type", "text/plain").body("x"),
        ),
        (
            "a long body",
            create()
                .header("content-type", "application/json")
                .body("x".repeat(2 << 20)),
        ),
        (
            "a bad condition",
            Request::new("DELETE", platform.in_vault("")).header("if-match", "x"),
        ),
        (
            "no such vault",
            Request::new("GET", "/api/sdk/secret-vaults/main"),
        ),
        (
            "a bad name",
            Request::new("DELETE", platform.in_vault("/secrets/.x")),
        ),
        (
            "a bad query",
            Request::new("GET", "/api/sdk/audit-log?limit=0"),
        ),
    ] {
        platform.refused(what, &request, 401, "unauthorized");
    }
}

#[test]
fn failed_authentication_is_throttled_and_a_right_key_still_passes() {
    let serving = tavora_tests::serving::Serving::start("[server.auth_failures]\nburst = 3\n");
    let app = serving.make_app("app");
    let ask =
        |key: &str| serving.send(&Request::new("GET", "/api/sdk/app").header("x-api-key", key));
    for _ in 0..3 {
        is_refusal("a wrong key", &ask("tvr_wrong"), 401, "unauthorized");
    }
    let throttled = ask("tvr_wrong");
    is_refusal("one more", &throttled, 429, "too_many_requests");
    let seconds: u64 = throttled
        .header("retry-after")
        .expect("a time")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(ask(&app.key).status, 200, "a valid key always passes");
}

#[test]
fn two_requests_in_one_are_never_two() {
    let platform = Platform::start();
    let before = platform.state();
    let key = &platform.app.key;
    let inner = format!(
        "DELETE {} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n\r\n",
        platform.in_vault("")
    );
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "content-length: 4\r\ncontent-length: 5\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\ncontent-length: 0\r\n",
        "content-length: +4\r\n",
        "content-length : 4\r\n",
    ] {
        let request = format!(
            "PUT /api/sdk/app/vault HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-api-key: wrong\r\n{framing}\r\n0\r\n\r\n{inner}"
        );
        // The answer is a refusal, or the connection ends. There is never a second answer, and the
        // inner request has no effect.
        if let Ok(answer) = exchange(platform.serving.address, request.as_bytes(), false) {
            assert!((400..500).contains(&answer.status), "{framing}: {answer:?}");
        }
        assert_eq!(platform.state(), before, "{framing}");
    }
}

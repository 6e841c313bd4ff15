//! Names of other hosts: a web page whose own name is made to lead here gets nothing.

use tavora_tests::wire::Request;

use super::serve::configured;

const PATHS: [&str; 6] = [
    "/metrics",
    "/healthz",
    "/openapi.json",
    "/admin/sign-in",
    "/api/admin/apps",
    "/v1/models",
];

#[test]
fn on_loopback_a_name_that_leads_here_by_rebinding_gets_nothing() {
    let (_folder, daemon) = configured("[server.auth_failures]\nburst = 3\nper_minute = 1\n");
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
    ] {
        for path in PATHS {
            // More often than the operator may fail to sign in.
            let request = Request::new("GET", path).header("host", host).header(
                "authorization",
                "Bearer a-guess-at-the-admin-token-of-this-host",
            );
            let answer = daemon.send(&request);
            assert_eq!(answer.status, 421, "{host} {path}: {}", answer.text());
            let body = answer.json();
            assert_eq!(body["code"], "misdirected_request", "{host} {path}");
            let message = body["message"].as_str().expect("a sentence");
            assert!(message.contains("[server] hosts"), "{message}");
            assert_eq!(
                body["error"].is_object(),
                path.starts_with("/v1/"),
                "{body}"
            );
            assert!(answer.header("x-request-id").is_some(), "{answer:?}");
        }
    }
    let port = daemon.address.port();
    for host in [
        "localhost".to_owned(),
        format!("LOCALHOST:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        "10.0.0.7".to_owned(),
    ] {
        let answer = daemon.send(&Request::new("GET", "/healthz").header("host", &host));
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    }
    assert!(
        daemon
            .log()
            .contains("a request for a name that is not in [server] hosts"),
        "{}",
        daemon.log()
    );
    let target = Request::new("GET", "http://evil.example/metrics");
    assert_eq!(daemon.send(&target).status, 421);
}

#[test]
fn listed_names_are_answered() {
    let (_folder, daemon) =
        configured("[server]\nhosts = [\"vault.example.com:8443\", \"*.internal.example\"]\n");
    for (host, status) in [
        ("vault.example.com", 200),
        ("vault.example.com:8443", 200),
        ("a.internal.example", 200),
        ("localhost", 200),
        ("internal.example", 421),
        ("shop.example.com", 421),
    ] {
        let answer = daemon.send(&Request::new("GET", "/healthz").header("host", host));
        assert_eq!(answer.status, status, "{host}");
    }
}

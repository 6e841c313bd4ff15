//! Tests of the destinations that a request may have, and of the parts that the host controls.

use std::sync::atomic::Ordering;

use http::{HeaderName, HeaderValue};
use tracing_subscriber::fmt::format::FmtSpan;

use super::upstream::Upstream;
use super::*;
use tavora_telemetry::written::Written;

#[tokio::test]
async fn a_granted_origin_is_reached_with_the_hosts_own_headers() {
    let upstream = Upstream::fine().await;
    let bench = Bench::allowing(&[&upstream.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    let mut request = request("POST", upstream.url("/search?q=1"), "hello");
    let headers = request.headers_mut();
    headers.insert("x-subscription-token", HeaderValue::from_static("key"));
    headers.insert("accept-encoding", HeaderValue::from_static("gzip"));

    let response = send(&mut tool, request).await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await.expect("a body"), "ok");
    let received = &upstream.received()[0];
    assert_eq!(received.path, "/search?q=1");
    assert_eq!(received.body, "hello");
    assert_eq!(received.headers["x-subscription-token"], "key");
    assert_eq!(received.headers["accept-encoding"], "identity");
    assert_eq!(received.headers["host"], upstream.origin.authority());
    assert_eq!(bench.refusals(), []);
}

#[tokio::test]
async fn scheme_host_and_port_all_count() {
    let granted = Upstream::fine().await;
    let other = Upstream::fine().await;
    let bench = Bench::allowing(&[&granted.origin, &other.origin]);
    let mut tool = bench.tool(&[&granted.origin]);
    for url in [
        other.url("/"),
        format!("https://127.0.0.1:{}/", granted.port()),
        format!("http://localhost:{}/", granted.port()),
        format!("http://127.0.0.2:{}/", granted.port()),
        "http://127.0.0.1/".to_owned(),
    ] {
        assert_denied(send(&mut tool, get(&url)).await);
        let denied = bench
            .log
            .lock()
            .expect("not poisoned")
            .pop()
            .expect("logged");
        assert_eq!(denied.reason, DenialReason::OriginNotGranted);
        assert_eq!(
            (denied.app.as_str(), denied.tool.as_str()),
            ("app-1", "brave-search")
        );
        assert!(url.starts_with(&denied.origin.expect("an origin").to_string()));
    }
    assert_eq!(other.connections() + granted.connections(), 0);

    tool.grant(other.origin.clone());
    assert!(send(&mut tool, get(other.url("/"))).await.is_ok());
}

#[tokio::test]
async fn a_span_names_an_origin_that_is_granted_and_no_other() {
    let upstream = Upstream::fine().await;
    let bench = Bench::allowing(&[&upstream.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(written.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    assert!(send(&mut tool, get(upstream.url("/a?b"))).await.is_ok());
    assert_denied(send(&mut tool, get("http://made-up.example/a?b")).await);
    drop(guard);
    let text = written.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains(&format!("origin={}", upstream.origin)),
        "{text}"
    );
    assert!(lines[0].contains("outcome=\"2xx\""), "{text}");
    assert!(lines[1].contains("outcome=\"denied\""), "{text}");
    assert!(!text.contains("made-up") && !text.contains("a?b"), "{text}");
}

#[tokio::test]
async fn a_redirect_goes_back_to_the_tool_and_opens_nothing() {
    let inside = Upstream::fine().await;
    let location = inside.url("/secret");
    let upstream = Upstream::answering(move |_| {
        let response = Response::builder()
            .status(302)
            .header("location", &location);
        response.body(Full::default()).expect("a response")
    })
    .await;
    let bench = Bench::allowing(&[&upstream.origin, &inside.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    let response = send(&mut tool, get(upstream.url("/")))
        .await
        .expect("a response");
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], inside.url("/secret"));
    assert_denied(send(&mut tool, get(inside.url("/secret"))).await);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_private_address_is_refused_however_it_is_written() {
    let upstream = Upstream::fine().await;
    let bench = Bench::new(EgressSettings::default());
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let url = format!("http://{host}:{}", upstream.port());
        let mut tool = bench.tool(&[&origin(&url)]);
        assert_prohibited(send(&mut tool, get(&url)).await);
        let refusals = bench.refusals();
        assert!(
            matches!(refusals.as_slice(), [DenialReason::AddressRefused { .. }]),
            "{host}: {refusals:?}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_even_by_one_address_of_several() {
    let upstream = Upstream::fine().await;
    let public = "1.1.1.1 2606:4700::1111";
    for (answer, range) in [
        ("127.0.0.1".to_owned(), "loopback"),
        (format!("{public} 10.1.2.3"), "private"),
        (format!("169.254.169.254 {public}"), "cloud metadata"),
        (format!("{public} ::ffff:192.168.0.1"), "private"),
    ] {
        let target = origin(&format!("http://inside.example:{}", upstream.port()));
        let names = Names::with("inside.example", &[&answer]);
        let bench = Bench::with_names(EgressSettings::default(), names);
        let mut tool = bench.tool(&[&target]);
        assert_prohibited(send(&mut tool, get(target.to_string())).await);
        let refusals = bench.refusals();
        assert!(
            matches!(&refusals[..], [DenialReason::AddressRefused { range: r, .. }] if *r == range),
            "{answer}: {refusals:?}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn what_is_allowed_by_name_is_allowed_only_under_that_name() {
    let upstream = Upstream::fine().await;
    let by_name = origin(&format!("http://ollama.example:{}", upstream.port()));
    let names = Names::with("ollama.example", &["127.0.0.1"]);
    let bench = Bench::with_names(settings(&[&by_name]), names);
    let mut tool = bench.tool(&[&by_name, &upstream.origin]);
    let response = send(&mut tool, get(by_name.to_string()))
        .await
        .expect("a response");
    assert_eq!(text(response).await.expect("a body"), "ok");
    assert_eq!(upstream.received()[0].headers["host"], by_name.authority());
    assert_prohibited(send(&mut tool, get(upstream.url("/"))).await);
    assert_eq!(upstream.connections(), 1);
}

/// If the name were resolved again after the check, it could lead anywhere.
#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let first = Upstream::answering(|_| Response::new(Full::from("first"))).await;
    let second = Upstream::answering_at(&format!("127.0.0.2:{}", first.port()), |_| {
        Response::new(Full::from("second"))
    })
    .await;
    let target = origin(&format!("http://rebind.example:{}", first.port()));
    let names = Names::with("rebind.example", &["127.0.0.1", "127.0.0.2"]);
    let lookups = names.lookups.clone();
    let bench = Bench::with_names(settings(&[&target]), names);
    let mut tool = bench.tool(&[&target]);
    let response = send(&mut tool, get(target.to_string()))
        .await
        .expect("a response");
    assert_eq!(text(response).await.expect("a body"), "first");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn smuggled_headers_methods_and_targets_are_refused() {
    let upstream = Upstream::fine().await;
    let bench = Bench::allowing(&[&upstream.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    for name in [
        "host",
        "transfer-encoding",
        "connection",
        "te",
        "proxy-authorization",
        "upgrade",
    ] {
        let name: HeaderName = name.parse().expect("a name");
        assert!(tool.is_forbidden_header(&name));
        assert!((tool.forbidden_header_filter())(&name));
        let mut request = get(upstream.url("/"));
        request
            .headers_mut()
            .insert(&name, HeaderValue::from_static("chunked"));
        assert_denied(send(&mut tool, request).await);
        let header = name.to_string();
        assert_eq!(bench.refusals(), [DenialReason::HeaderRefused { header }]);
    }
    for (spelled, method) in [
        ("CONNECT", "CONNECT"),
        ("connect", "CONNECT"),
        ("TRACE", "TRACE"),
        ("trace", "TRACE"),
        ("TrAcE", "TRACE"),
    ] {
        assert_denied(send(&mut tool, request(spelled, upstream.url("/"), "")).await);
        assert_eq!(bench.refusals(), [DenialReason::MethodRefused { method }]);
    }
    let authority = upstream.origin.authority();
    for url in [
        format!("http://user@{authority}/"),
        format!("http://{authority}@inside.example/"),
        format!("ftp://{authority}/"),
    ] {
        assert_denied(send(&mut tool, get(url)).await);
        assert_eq!(bench.refusals(), [DenialReason::TargetInvalid]);
    }
    assert!(!tool.set_host_header());
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_never_leaves() {
    let upstream = Upstream::fine().await;
    let bench = Bench::allowing(&[&upstream.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    for (length, body) in [("5", ""), ("2", "hello"), ("+5", "hello"), ("x", "hello")] {
        let mut request = request("POST", upstream.url("/"), body);
        request
            .headers_mut()
            .insert("content-length", HeaderValue::from_static(length));
        assert!(send(&mut tool, request).await.is_err(), "{length}");
    }
    let mut twice = request("POST", upstream.url("/"), "hello");
    for _ in 0..2 {
        twice
            .headers_mut()
            .append("content-length", HeaderValue::from_static("5"));
    }
    assert!(send(&mut tool, twice).await.is_err());
    assert_eq!(upstream.connections(), 0);

    for length in ["3", "8"] {
        let mut request = get(upstream.url("/")).map(|_| streamed([Bytes::from_static(b"hello")]));
        request
            .headers_mut()
            .insert("content-length", HeaderValue::from_static(length));
        let outcome = send(&mut tool, request).await;
        assert!(
            matches!(outcome, Err(WasiError::HttpRequestBodySize(Some(5)))),
            "{length}"
        );
    }
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test]
async fn headers_for_the_connection_stay_with_the_host() {
    let upstream = Upstream::writing(
        "HTTP/1.1 200 OK\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
         proxy-authenticate: Basic\r\nx-kept: yes\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let bench = Bench::allowing(&[&upstream.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    let response = send(&mut tool, get(upstream.url("/")))
        .await
        .expect("a response");
    for gone in ["connection", "x-hop", "keep-alive", "proxy-authenticate"] {
        assert!(!response.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(response.headers()["x-kept"], "yes");
    assert_eq!(text(response).await.expect("a body"), "ok");
}

/// Runs the next test in a process with proxy variables in its environment.
#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    let proxy = Upstream::answering(|_| Response::new(Full::from("proxied"))).await;
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
    child.args(["tests::policy::without_a_proxy", "--exact", "--ignored"]);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, proxy.origin.to_string());
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = tokio::task::spawn_blocking(move || child.output()).await;
    let output = output.expect("no panic").expect("the test runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
#[ignore = "is run by proxies_of_the_environment_are_ignored"]
async fn without_a_proxy() {
    assert!(std::env::var("http_proxy").is_ok());
    let upstream = Upstream::fine().await;
    let target = origin(&format!("http://direct.example:{}", upstream.port()));
    let names = Names::with("direct.example", &["127.0.0.1"]);
    let bench = Bench::with_names(settings(&[&target]), names);
    let mut tool = bench.tool(&[&target]);
    let response = send(&mut tool, get(target.to_string()))
        .await
        .expect("a response");
    assert_eq!(text(response).await.expect("a body"), "ok");
    assert_eq!(upstream.connections(), 1);
}

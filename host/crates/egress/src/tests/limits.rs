//! Tests of each limit of outbound traffic, and of the error that the tool gets.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use super::upstream::Upstream;
use super::*;

/// Far longer than any test waits.
const LONG: Duration = Duration::from_secs(30);

/// Holds a connection open until the test ends.
async fn silence() {
    std::future::pending::<()>().await;
}

/// A resolver that never answers.
struct Mute;

#[async_trait]
impl Resolve for Mute {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn connecting_takes_no_longer_than_its_limit() {
    let target = origin("http://slow.example");
    let settings = settings_with(&[], "connect_timeout_ms = 100");
    let bench = Bench::with_names(settings, Mute);
    let outcome = send(&mut bench.tool(&[&target]), get(target.to_string())).await;
    assert!(matches!(outcome, Err(WasiError::ConnectionTimeout)));

    // The TLS handshake counts against the limit too.
    let mute = Upstream::serving("127.0.0.1:0", |stream| async move {
        let _stream = stream;
        silence().await;
    })
    .await;
    let target = origin(&format!("https://{}", mute.address));
    let bench = Bench::new(settings_with(&[&target], "connect_timeout_ms = 100"));
    let outcome = send(&mut bench.tool(&[&target]), get(target.to_string())).await;
    assert!(matches!(outcome, Err(WasiError::ConnectionTimeout)));
    assert_eq!(mute.connections(), 1);
}

#[tokio::test]
async fn the_head_of_a_response_comes_within_its_limit() {
    let upstream = Upstream::silent().await;
    let settings = settings_with(&[&upstream.origin], "first_byte_timeout_ms = 100");
    let bench = Bench::new(settings);
    let mut tool = bench.tool(&[&upstream.origin]);
    let outcome = send(&mut tool, get(upstream.url("/"))).await;
    assert!(matches!(outcome, Err(WasiError::HttpResponseTimeout)));
}

#[tokio::test]
async fn a_response_that_falls_silent_is_given_up_and_a_slow_one_is_not() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n";
    let silent = Upstream::scripted(move |mut stream| async move {
        stream.write_all(head).await.expect("written");
        stream.write_all(b"half").await.expect("written");
        silence().await;
    })
    .await;
    let slow = Upstream::scripted(move |mut stream| async move {
        stream.write_all(head).await.expect("written");
        for byte in b"complete" {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stream.write_all(&[*byte]).await.expect("written");
        }
    })
    .await;
    let limits =
        "idle_timeout_ms = 2_000\nfirst_byte_timeout_ms = 2_000\nconnect_timeout_ms = 2_000";
    let bench = Bench::new(settings_with(&[&silent.origin, &slow.origin], limits));
    let mut tool = bench.tool(&[&silent.origin, &slow.origin]);

    let response = send(&mut tool, get(silent.url("/"))).await.expect("a head");
    assert!(matches!(
        text(response).await,
        Err(WasiError::ConnectionReadTimeout)
    ));
    let response = send(&mut tool, get(slow.url("/"))).await.expect("a head");
    assert_eq!(text(response).await.expect("a body"), "complete");
}

#[tokio::test]
async fn a_tool_that_reads_late_is_not_taken_for_a_silent_upstream() {
    let upstream = Upstream::scripted(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        stream.write_all(head).await.expect("written");
        tokio::time::sleep(Duration::from_millis(2_600)).await;
        stream.write_all(b"ok").await.expect("written");
    })
    .await;
    let bench = Bench::new(settings_with(
        &[&upstream.origin],
        "idle_timeout_ms = 2_000",
    ));
    let mut tool = bench.tool(&[&upstream.origin]);
    let response = send(&mut tool, get(upstream.url("/")))
        .await
        .expect("a head");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(text(response).await.expect("a body"), "ok");
}

#[tokio::test]
async fn a_tool_can_ask_for_less_time_and_never_for_more() {
    let upstream = Upstream::silent().await;
    let short = Some(Duration::from_millis(50));
    let begun = Instant::now();
    let long = "first_byte_timeout_ms = 600_000\nconnect_timeout_ms = 600_000";

    let bench = Bench::new(settings_with(&[&upstream.origin], long));
    let mut tool = bench.tool(&[&upstream.origin]);
    let options = RequestOptions {
        first_byte_timeout: short,
        ..RequestOptions::default()
    };
    let outcome = send_with(&mut tool, get(upstream.url("/")), options).await;
    assert!(matches!(outcome, Err(WasiError::HttpResponseTimeout)));

    let target = origin("http://slow.example");
    let bench = Bench::with_names(settings_with(&[], long), Mute);
    let options = RequestOptions {
        connect_timeout: short,
        ..RequestOptions::default()
    };
    let outcome = send_with(
        &mut bench.tool(&[&target]),
        get(target.to_string()),
        options,
    )
    .await;
    assert!(matches!(outcome, Err(WasiError::ConnectionTimeout)));

    let bench = Bench::new(settings_with(
        &[&upstream.origin],
        "first_byte_timeout_ms = 50",
    ));
    let options = RequestOptions {
        connect_timeout: Some(LONG),
        first_byte_timeout: Some(LONG),
        between_bytes_timeout: Some(LONG),
    };
    let mut tool = bench.tool(&[&upstream.origin]);
    let outcome = send_with(&mut tool, get(upstream.url("/")), options).await;
    assert!(matches!(outcome, Err(WasiError::HttpResponseTimeout)));
    assert!(
        begun.elapsed() < Duration::from_secs(120),
        "a default limit was waited for"
    );
}

#[tokio::test]
async fn a_request_body_has_a_limit_declared_or_streamed() {
    let upstream = Upstream::fine().await;
    let bench = Bench::new(settings_with(
        &[&upstream.origin],
        "max_request_body_bytes = 10",
    ));
    let mut tool = bench.tool(&[&upstream.origin]);
    let just = request("POST", upstream.url("/"), "0123456789");
    assert!(send(&mut tool, just).await.is_ok());
    let over = request("POST", upstream.url("/"), "0123456789!");
    let outcome = send(&mut tool, over).await;
    assert!(matches!(
        outcome,
        Err(WasiError::HttpRequestBodySize(Some(11)))
    ));

    let chunks = || std::iter::repeat_n(Bytes::from_static(b"1234"), 3);
    let over = request("POST", upstream.url("/"), "").map(|_| streamed(chunks()));
    let outcome = send(&mut tool, over).await;
    assert!(matches!(
        outcome,
        Err(WasiError::HttpRequestBodySize(Some(12)))
    ));
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn a_response_body_has_a_limit_declared_or_streamed() {
    let declared =
        Upstream::writing("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n0123456789!").await;
    let streamed = Upstream::writing(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n6789!\r\n0\r\n\r\n",
    )
    .await;
    let just = Upstream::writing("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789").await;
    let origins = [&declared.origin, &streamed.origin, &just.origin];
    let bench = Bench::new(settings_with(&origins, "max_response_body_bytes = 10"));
    let mut tool = bench.tool(&origins);

    let outcome = send(&mut tool, get(declared.url("/"))).await;
    assert!(matches!(
        outcome,
        Err(WasiError::HttpResponseBodySize(Some(11)))
    ));
    // A declared length without a body (as for HEAD) has no limit.
    assert!(
        send(&mut tool, request("HEAD", declared.url("/"), ""))
            .await
            .is_ok()
    );
    let response = send(&mut tool, get(streamed.url("/")))
        .await
        .expect("a head");
    let outcome = text(response).await;
    assert!(matches!(
        outcome,
        Err(WasiError::HttpResponseBodySize(Some(11)))
    ));
    let response = send(&mut tool, get(just.url("/"))).await.expect("a head");
    assert_eq!(text(response).await.expect("a body"), "0123456789");
}

#[tokio::test]
async fn the_headers_of_a_response_have_a_limit() {
    for (value_bytes, limit, fits) in [
        (500, 600, true),
        (700, 600, false),
        (20_000, 30_000, true),
        (40_000, 30_000, false),
    ] {
        let value = "x".repeat(value_bytes);
        let upstream = Upstream::writing(format!(
            "HTTP/1.1 200 OK\r\nx-long: {value}\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
        let limits = format!("max_response_header_bytes = {limit}");
        let bench = Bench::new(settings_with(&[&upstream.origin], &limits));
        let mut tool = bench.tool(&[&upstream.origin]);
        match send(&mut tool, get(upstream.url("/"))).await {
            Ok(_) => assert!(fits, "{value_bytes}"),
            Err(WasiError::HttpResponseHeaderSectionSize(_)) => assert!(!fits, "{value_bytes}"),
            Err(error) => panic!("{value_bytes}: {error}"),
        }
    }
}

#[tokio::test]
async fn only_so_many_requests_run_at_a_time() {
    let upstream = Upstream::fine().await;
    let bench = Bench::new(settings_with(
        &[&upstream.origin],
        "max_concurrent_requests = 2",
    ));
    let mut tool = bench.tool(&[&upstream.origin]);
    let first = send(&mut tool, get(upstream.url("/")))
        .await
        .expect("a response");
    let _second = send(&mut tool, get(upstream.url("/")))
        .await
        .expect("a response");
    let outcome = send(&mut tool, get(upstream.url("/"))).await;
    assert!(matches!(outcome, Err(WasiError::ConnectionLimitReached)));
    drop(first);
    assert!(send(&mut tool, get(upstream.url("/"))).await.is_ok());
}

#[tokio::test]
async fn what_goes_wrong_on_the_network_has_its_own_error() {
    let cut = Upstream::writing("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut").await;
    let garbage = Upstream::writing("hello\r\n\r\n").await;
    let switched =
        Upstream::writing("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
            .await;
    let closing = Upstream::writing("").await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        origin(&format!(
            "http://{}",
            listener.local_addr().expect("an address")
        ))
    };
    let nowhere = origin("http://nowhere.example");
    let origins = [
        &cut.origin,
        &garbage.origin,
        &switched.origin,
        &closing.origin,
        &closed,
        &nowhere,
    ];
    let bench = Bench::allowing(&origins);
    let mut tool = bench.tool(&origins);

    let response = send(&mut tool, get(cut.url("/"))).await.expect("a head");
    assert!(matches!(
        text(response).await,
        Err(WasiError::HttpResponseIncomplete)
    ));
    let outcome = send(&mut tool, get(garbage.url("/"))).await;
    assert!(matches!(outcome, Err(WasiError::HttpProtocolError)));
    let outcome = send(&mut tool, get(switched.url("/"))).await;
    assert!(matches!(outcome, Err(WasiError::HttpUpgradeFailed)));
    let outcome = send(&mut tool, get(closing.url("/"))).await;
    assert!(matches!(outcome, Err(WasiError::HttpResponseIncomplete)));
    let outcome = send(&mut tool, get(closed.to_string())).await;
    assert!(matches!(outcome, Err(WasiError::ConnectionRefused)));
    let outcome = send(&mut tool, get(nowhere.to_string())).await;
    assert!(matches!(outcome, Err(WasiError::DnsError { .. })));
    assert_eq!(bench.refusals(), []);
}

#[tokio::test]
async fn empty_chunks_without_end_go_to_nobody_and_leave_others_their_turn() {
    let upstream = Upstream::fine().await;
    let settings = settings_with(&[&upstream.origin], "first_byte_timeout_ms = 100");
    let bench = Bench::new(settings);
    let mut tool = bench.tool(&[&upstream.origin]);
    let endless =
        request("POST", upstream.url("/"), "").map(|_| streamed(std::iter::repeat(Bytes::new())));
    // On this single thread, the timer still gets its turn.
    let outcome = send(&mut tool, endless).await;
    assert!(matches!(outcome, Err(WasiError::HttpResponseTimeout)));

    let some = std::iter::repeat_n(Bytes::new(), 1_000).chain([Bytes::from_static(b"end")]);
    let some = request("POST", upstream.url("/"), "").map(|_| streamed(some));
    assert!(send(&mut tool, some).await.is_ok());
    assert_eq!(upstream.received()[0].body, "end");
}

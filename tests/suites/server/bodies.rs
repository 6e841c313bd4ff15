//! Bodies that are too long, too slow, or of no interest to the handler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, Version};
use axum::routing::{get, post};
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tavora_tests::eventually::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::served::{PATIENCE, Served, rest};

/// A router that refuses every body without reading it.
fn refusing() -> Router {
    Router::new().route("/", post(async || (StatusCode::UNAUTHORIZED, "no")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_readable_though_the_body_was_not_read() {
    let served = Served::start("", refusing()).await;
    // The body is larger than the buffers of two sockets, so the client is still sending when the
    // answer arrives.
    for bytes in [1_000, 1 << 20, 6 << 20] {
        let mut stream = served.connect().await;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let sent = stream.write_all(&vec![b'x'; bytes]).await;
        assert!(sent.is_ok(), "{bytes}: {sent:?}");
        let mut answer = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        assert!(
            read.expect("in time").is_ok(),
            "{bytes}: the connection was reset"
        );
        assert!(answer.starts_with("HTTP/1.1 401"), "{bytes}: {answer}");
        assert!(answer.ends_with("no"), "{bytes}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_readable_over_http2_and_leaves_the_connection() {
    let served = Served::start("", refusing()).await;
    let mut client = http2(served.address).await;
    for bytes in [1_000, 1 << 20, 6 << 20] {
        let request = Request::post("http://x/").body(full(vec![b'x'; bytes]));
        let sent = timeout(PATIENCE, client.send_request(request.expect("valid"))).await;
        let response = sent.expect("in time").expect("it is not reset");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.version(), Version::HTTP_2);
        let body = response
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes();
        assert_eq!(body, "no", "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_of_a_body_is_bounded_in_bytes_and_in_time() {
    let settings = "[server.limits]\nmax_discarded_bytes = 100_000\ndiscard_timeout_ms = 400";
    let served = Served::start(settings, refusing()).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";

    let mut endless = served.connect().await;
    endless.write_all(head.as_bytes()).await.expect("it reads");
    let sending = async {
        let mut sent = 0;
        while endless.write_all(&[b'x'; 65_536]).await.is_ok() {
            sent += 65_536;
        }
        sent
    };
    let sent: usize = timeout(PATIENCE, sending).await.expect("it is cut");
    assert!(sent < 100_000_000, "the server read {sent} bytes");

    let mut silent = served.connect().await;
    silent.write_all(head.as_bytes()).await.expect("it reads");
    assert!(rest(&mut silent).await.starts_with("HTTP/1.1 401"));
    // The answer ends at once. The connection itself ends when the time is over.
    let closed = async {
        while silent.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("it is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_what_was_done_for_it() {
    let under_way = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&under_way);
    let router = Router::new().route(
        "/",
        post(async move |body: Bytes| {
            let _one = Counted::new(&counted);
            sleep(Duration::from_secs(3_600)).await;
            body
        }),
    );
    let served = Served::start("", router).await;
    let mut stream = served.connect().await;
    let request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    are(&under_way, 1).await;
    drop(stream);
    are(&under_way, 0).await;

    // Half a body never reaches the handler.
    let mut stream = served.connect().await;
    let request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nh";
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    stream.shutdown().await.expect("it is open");
    rest(&mut stream).await;
    assert_eq!(under_way.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_nobody_takes_is_cut_and_a_slow_one_is_not() {
    let settings = "[server.limits]\nresponse_stall_timeout_ms = 500\nidle_timeout_ms = 500";
    let under_way = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&under_way);
    let slow = async || {
        let words = futures::stream::iter(["so", "me", "thing"]).then(async |word| {
            sleep(Duration::from_millis(700)).await;
            Ok::<_, std::io::Error>(word)
        });
        Body::from_stream(words)
    };
    let router = Router::new().route("/slow", get(slow)).route(
        "/endless",
        get(async move || {
            let one = Counted::new(&counted);
            let chunk = Bytes::from(vec![b'x'; 65_536]);
            Body::from_stream(futures::stream::repeat_with(move || {
                let _kept = &one;
                Ok::<_, std::io::Error>(chunk.clone())
            }))
        }),
    );
    let served = Served::start(settings, router).await;
    assert!(served.get("/slow").await.contains("thing"));

    let mut stream = served.connect().await;
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it reads");
    are(&under_way, 1).await;
    are(&under_way, 0).await;

    let mut client = http2(served.address).await;
    let request = Request::get("http://x/endless").body(full(Vec::new()));
    let unread = client
        .send_request(request.expect("valid"))
        .await
        .expect("it answers");
    are(&under_way, 1).await;
    are(&under_way, 0).await;
    drop(unread);
}

/// Counts itself as long as it exists.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until `count` requests are under way.
async fn are(under_way: &AtomicUsize, count: usize) {
    until("is so", async || under_way.load(Ordering::SeqCst) == count).await;
}

fn full(bytes: Vec<u8>) -> Full<Bytes> {
    Full::new(Bytes::from(bytes))
}

/// An HTTP/2 client without TLS.
pub async fn http2(address: SocketAddr) -> Http2Client {
    try_http2(address).await.expect("it speaks HTTP/2")
}

/// Like [`http2`], if the connection may end at once.
pub async fn try_http2(address: SocketAddr) -> Option<Http2Client> {
    let stream = TcpStream::connect(address).await.ok()?;
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (client, connection) = handshake.await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// The sender of requests over one HTTP/2 connection.
pub type Http2Client = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

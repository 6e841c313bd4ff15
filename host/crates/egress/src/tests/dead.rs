//! Tests of pooled connections that are dead when they are reused.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::tls::{Authority, bench};
use super::upstream::Upstream;
use super::*;

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Reads one request with a body of `bytes`. Returns whether there was one.
async fn read(stream: &mut TcpStream, bytes: usize) -> bool {
    let mut read = Vec::new();
    loop {
        if let Some(at) = read.windows(4).position(|it| it == b"\r\n\r\n")
            && read.len() - at - 4 >= bytes
        {
            return true;
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return false;
        }
    }
}

/// Answers the first request of a connection, and ends the second one with these bytes.
async fn ending(body: usize, second: &'static [u8], resets: bool) -> (Upstream, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let upstream = Upstream::serving("127.0.0.1:0", move |mut stream| {
        let counter = counter.clone();
        async move {
            for answer in [FINE, second] {
                if !read(&mut stream, body).await {
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(answer).await;
            }
            if resets {
                let _ = stream.set_zero_linger();
            }
        }
    })
    .await;
    (upstream, requests)
}

async fn ask(tool: &mut Egress, request: Request<WasiBody>) -> Result<String, WasiError> {
    let answer = text(send(tool, request).await?).await;
    // Lets the client return the connection to its pool.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    answer
}

#[tokio::test]
async fn a_connection_that_dies_without_a_byte_of_an_answer_is_replaced_once() {
    for resets in [false, true] {
        let (upstream, requests) = ending(4, b"", resets).await;
        let bench = Bench::allowing(&[&upstream.origin]);
        let mut tool = bench.tool(&[&upstream.origin]);
        for number in 1..=3 {
            let post = request("POST", upstream.url("/"), "body");
            assert_eq!(
                ask(&mut tool, post).await.expect("an answer"),
                "ok",
                "{number}"
            );
        }
        // The second request was sent twice, and the third one on a new connection.
        assert_eq!(requests.load(Ordering::SeqCst), 4);
        assert_eq!(upstream.connections(), 3);
    }
}

#[tokio::test]
async fn a_streamed_body_is_sent_again_as_it_was() {
    let (upstream, _) = ending(8, b"", false).await;
    let bench = Bench::allowing(&[&upstream.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    for _ in 0..2 {
        let mut post = request("POST", upstream.url("/"), "");
        post.headers_mut().insert("content-length", 8.into());
        *post.body_mut() =
            streamed([b"pi", b"ec", b"es", b"!!"].map(|piece| Bytes::from_static(piece)));
        assert_eq!(ask(&mut tool, post).await.expect("an answer"), "ok");
    }
}

#[tokio::test]
async fn what_may_have_been_answered_or_is_too_long_is_not_sent_again() {
    // One byte of the answer arrived.
    let (partly, requests) = ending(0, b"H", false).await;
    let bench = Bench::allowing(&[&partly.origin]);
    let mut tool = bench.tool(&[&partly.origin]);
    assert!(ask(&mut tool, get(partly.url("/"))).await.is_ok());
    let outcome = ask(&mut tool, get(partly.url("/"))).await;
    assert!(matches!(outcome, Err(WasiError::HttpResponseIncomplete)));
    assert_eq!(requests.load(Ordering::SeqCst), 2);

    // The body is longer than the part that is kept.
    let (upstream, requests) = ending(4, b"", false).await;
    let bench = Bench::new(settings_with(
        &[&upstream.origin],
        "max_resent_body_bytes = 3",
    ));
    let mut tool = bench.tool(&[&upstream.origin]);
    let post = || request("POST", upstream.url("/"), "body");
    assert!(ask(&mut tool, post()).await.is_ok());
    assert!(ask(&mut tool, post()).await.is_err());
    assert_eq!(requests.load(Ordering::SeqCst), 2);

    // The connection was new, so the upstream did receive the request.
    let closing = Upstream::writing("").await;
    let bench = Bench::allowing(&[&closing.origin]);
    let mut tool = bench.tool(&[&closing.origin]);
    assert!(ask(&mut tool, get(closing.url("/"))).await.is_err());
    assert_eq!(closing.connections(), 1);
}

#[tokio::test]
async fn a_stream_that_http2_refuses_is_sent_again_on_a_new_connection() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("api.example", &["h2"]);
    let upstream = Upstream::serving("127.0.0.1:0", move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            let mut is_first = true;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if std::mem::take(&mut is_first) {
                    let mut body = respond
                        .send_response(Response::new(()), false)
                        .expect("it is open");
                    body.send_data(Bytes::from_static(b"ok"), true)
                        .expect("it is open");
                } else {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                }
            }
        }
    })
    .await;
    let target = origin(&format!("https://api.example:{}", upstream.port()));
    let bench = bench(&target, Some(&authority));
    let mut tool = bench.tool(&[&target]);
    for number in 1..=2 {
        let answer = ask(&mut tool, get(target.to_string())).await;
        assert_eq!(answer.expect("an answer"), "ok", "{number}");
    }
    assert_eq!(upstream.connections(), 2);
}

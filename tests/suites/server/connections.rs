//! Connections that are too many, resets that are too many, and what a connection tells a handler.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::served::{Served, answer, rest};

fn hello() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/panic", get(panics))
        .route(
            "/slow",
            get(async || {
                sleep(Duration::from_millis(800)).await;
                "slow"
            }),
        )
        .route(
            "/peer",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
        )
}

async fn panics() -> &'static str {
    panic!("on purpose")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_takes_the_place_of_the_one_that_waited_longest() {
    let settings = "[server.limits]\nmax_connections = 3\ndisplace_after_ms = 200";
    let served = Served::start(settings, hello()).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = served.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .expect("it reads");
        answer(&mut stream).await;
        held.push(stream);
    }
    let begun = Instant::now();
    assert!(served.get("/").await.ends_with("hello"));
    assert!(
        begun.elapsed() >= Duration::from_millis(100),
        "one that was just heard had to go"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(rest(&mut held[0]).await, "", "the oldest was not closed");
    // The others are as they were.
    held[2]
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it reads");
    assert!(answer(&mut held[2]).await.ends_with("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_waits_where_all_are_busy() {
    let served = Served::start("[server.limits]\nmax_connections = 1", hello()).await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it reads");
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    let (first, second) = tokio::join!(served.get("/"), served.get("/"));
    assert!(first.ends_with("hello") && second.ends_with("hello"));
    let waited = begun.elapsed();
    let expected = Duration::from_millis(500)..Duration::from_secs(5);
    assert!(expected.contains(&waited), "{waited:?}");
    assert!(rest(&mut busy).await.ends_with("slow"), "it was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_takes_nothing_but_its_own_connection() {
    let served = Served::start("", hello()).await;
    assert_eq!(served.get("/panic").await, "");
    assert!(served.get("/").await.ends_with("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peer_is_known_to_the_handler() {
    let served = Served::start("", hello()).await;
    let mut stream = served.connect().await;
    let own = stream.local_addr().expect("it is bound").to_string();
    stream
        .write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .expect("it reads");
    assert!(rest(&mut stream).await.ends_with(&own));
}

/// Requests that are reset as soon as they are made cost the client nothing and the server a handler each.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_its_connection() {
    let settings = "[server.limits]\nhttp2_max_resets = 10";
    let served = Served::start(settings, hello()).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(0x4, 0, 0, &[]));
    for number in 0..1_000 {
        let stream = 2 * number + 1;
        // GET, http, /slow and an authority.
        let head = b"\x82\x86\x04\x05/slow\x41\x01x";
        flood.extend(frame(0x1, 0x5, stream, head));
        flood.extend(frame(0x3, 0, stream, &8_u32.to_be_bytes()));
    }
    let mut stream = served.connect().await;
    // It may be cut before all of it is written.
    let _ = stream.write_all(&flood).await;
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("it is cut");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    // GOAWAY with ENHANCE_YOUR_CALM, unless the reset of the socket was faster.
    let goaway = bytes.windows(4).any(|four| four == 11_u32.to_be_bytes());
    assert!(goaway || bytes.len() < 100, "{bytes:?}");
    assert!(served.get("/").await.ends_with("hello"));
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

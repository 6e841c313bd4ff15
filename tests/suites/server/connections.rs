//! Tests of too many connections, too many resets, and the facts that a connection gives to a
//! handler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body_util::Full;
use tavora_host::server::Claim;
use tavora_tests::eventually::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use super::bodies::{Http2Client, http2};
use super::served::{PATIENCE, Served, answer, rest};
use super::stopping::{Slow, ask};

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
    let settings = "[server.limits]\nmax_connections = 3\ndisplace_after_ms = 60_000";
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
    // These connections were answered and showed no credential, so the new one need not wait for
    // displace_after_ms.
    assert!(served.get("/").await.ends_with("hello"));
    assert_eq!(
        rest(&mut held[0]).await,
        "",
        "the oldest connection was not closed"
    );
    // The other connections still work.
    held[2]
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it reads");
    assert!(answer(&mut held[2]).await.ends_with("hello"));
}

/// A connection from one of the addresses of loopback.
async fn connect_from(served: &Served, number: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = SocketAddr::from(([127, 0, 0, number], 0));
    socket.bind(from).expect("this machine's");
    socket.connect(served.address).await.expect("it listens")
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_with_many_connections_keeps_no_other_out() {
    let settings = "[server.limits]\nmax_connections = 100\nmax_connections_per_peer = 3\n\
                    displace_after_ms = 60_000";
    let served = Served::start(settings, hello()).await;
    // None of these connections sends anything, so none gives way. Those that find no place are
    // turned away, the oldest first.
    let mut crowd = Vec::new();
    for _ in 0..30 {
        crowd.push(connect_from(&served, 2).await);
    }
    for number in [1, 3, 4] {
        let mut other = connect_from(&served, number).await;
        other.write_all(GET).await.expect("it reads");
        assert!(answer(&mut other).await.ends_with("hello"));
    }
    // The first three connections use up the peer's share. When they are answered, the latest one
    // is served.
    for held in &mut crowd[..3] {
        held.write_all(GET).await.expect("it reads");
        assert!(answer(held).await.ends_with("hello"));
    }
    let last = crowd.last_mut().expect("thirty");
    last.write_all(GET).await.expect("it reads");
    assert!(answer(last).await.ends_with("hello"));
    assert_eq!(
        rest(&mut crowd[3]).await,
        "",
        "the connection was not turned away"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_has_all_the_connections_it_makes() {
    let settings = "[server]\ntrusted_proxies = [\"127.0.0.2/31\"]\n[server.limits]\n\
                    max_connections_per_peer = 1\ndisplace_after_ms = 60_000";
    let served = Served::start(settings, hello()).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(connect_from(&served, 3).await);
    }
    for stream in &mut held {
        stream.write_all(GET).await.expect("it reads");
        assert!(answer(stream).await.ends_with("hello"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waits_for_its_body_gives_way() {
    let router = hello().route("/body", post(async |body: Bytes| body));
    let settings = "[server.limits]\nmax_connections = 2\ndisplace_after_ms = 100";
    let served = Served::start(settings, router).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut stream = served.connect().await;
        let head = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nso far";
        stream.write_all(head).await.expect("it reads");
        silent.push(stream);
    }
    assert!(served.get("/").await.ends_with("hello"));
    assert_eq!(
        rest(&mut silent[0]).await,
        "",
        "the oldest connection was not closed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_showed_a_credential_keeps_the_place_before_strangers() {
    let known = async |Extension(claim): Extension<Claim>| {
        claim.prove();
        "known"
    };
    let router = hello().route("/known", get(known));
    let settings = "[server.limits]\nmax_connections = 3\ndisplace_after_ms = 60_000";
    let served = Served::start(settings, router).await;
    let mut held = Vec::new();
    for path in ["/known", "/", "/known"] {
        let mut stream = served.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        answer(&mut stream).await;
        held.push(stream);
    }
    for _ in 0..3 {
        assert!(served.get("/").await.ends_with("hello"));
    }
    assert_eq!(
        rest(&mut held[1]).await,
        "",
        "the stranger's connection was not closed"
    );
    for known in [0, 2] {
        held[known].write_all(GET).await.expect("it reads");
        assert!(answer(&mut held[known]).await.ends_with("hello"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_waits_where_all_are_busy() {
    let slow = Slow::new();
    let settings = "[server.limits]\nmax_connections = 1";
    let served = Arc::new(Served::start(settings, slow.router()).await);
    let mut busy = ask(&served, "/slow").await;
    slow.are_under_way(1).await;
    let waiting = [(); 2].map(|()| {
        let served = Arc::clone(&served);
        tokio::spawn(async move { served.get("/").await })
    });
    // The requests would be answered within this time.
    sleep(Duration::from_millis(200)).await;
    assert!(
        waiting.iter().all(|it| !it.is_finished()),
        "a request did not wait for a place"
    );
    slow.let_go();
    assert!(
        answer(&mut busy).await.ends_with("done"),
        "the busy connection was cut"
    );
    for waiting in waiting {
        assert!(waiting.await.expect("no panic").ends_with("hello"));
    }
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

/// Requests that are reset as soon as they are made cost the client nothing, but cost the server a
/// handler each.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_its_connection() {
    let served = Served::start("[server.limits]\nhttp2_max_resets = 300", hello()).await;
    for (resets, is_cut) in [(150, false), (3_000, true)] {
        let mut flood = PREFACE.to_vec();
        for number in 0..resets {
            flood.extend(head(2 * number + 1));
            flood.extend(frame(0x3, 0, 2 * number + 1, &8_u32.to_be_bytes()));
        }
        // The ping is answered, unless the connection ended before it.
        flood.extend(frame(0x6, 0, 0, b"are you?"));
        let mut stream = served.connect().await;
        // The connection may be cut before everything is written.
        let _ = stream.write_all(&flood).await;
        let seen = frames_until(&mut stream, |(kind, _)| *kind == 0x6).await;
        assert_eq!(seen.is_err(), is_cut, "{resets} resets: {seen:?}");
    }
    assert!(served.get("/").await.ends_with("hello"));
}

/// Frames that request nothing cost the client nothing, but cost the server processor time.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_frames_without_a_request_ends_its_connection_and_keeps_nobody_out() {
    let settings = "[server.limits]\nhttp2_max_control_frames = 300";
    let served = Served::start(settings, hello()).await;
    let ping = || frame(0x6, 0, 0, b"are you?");
    let kinds: [(&str, Vec<u8>); 4] = [
        ("pings", ping()),
        ("settings", frame(0x4, 0, 0, &[])),
        ("windows", frame(0x8, 0, 0, &1_u32.to_be_bytes())),
        ("priorities", frame(0x2, 0, 1, &[0, 0, 0, 0, 1])),
    ];
    for (kind, one) in &kinds {
        for (count, is_cut) in [(250, false), (1_000, true)] {
            let mut stream = served.connect().await;
            let flood = [PREFACE.to_vec(), one.repeat(count)].concat();
            // The connection may be cut before everything is written.
            let _ = stream.write_all(&flood).await;
            // A request is answered, unless the connection ended before it.
            let _ = stream.write_all(&head(1)).await;
            let seen = frames_until(&mut stream, |(kind, _)| *kind == 0x1).await;
            assert_eq!(seen.is_err(), is_cut, "{count} {kind}");
        }
        assert!(served.get("/").await.ends_with("hello"));
    }
    // The count begins again after each request.
    let mut stream = served.connect().await;
    stream.write_all(PREFACE).await.expect("it reads");
    for number in 0..4 {
        let frames = [ping().repeat(200), head(2 * number + 1)].concat();
        stream.write_all(&frames).await.expect("it reads");
        let seen = frames_until(&mut stream, |(kind, _)| *kind == 0x1).await;
        assert!(seen.is_ok(), "{number}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_client_with_a_credential_are_not_counted() {
    let known = async |Extension(claim): Extension<Claim>| {
        claim.prove();
        "known"
    };
    let settings = "[server.limits]\nhttp2_max_control_frames = 300";
    let served = Served::start(settings, Router::new().route("/", get(known))).await;
    let mut stream = served.connect().await;
    let frames = [PREFACE.to_vec(), head(1)].concat();
    stream.write_all(&frames).await.expect("it reads");
    let seen = frames_until(&mut stream, |(kind, _)| *kind == 0x1).await;
    assert!(seen.is_ok(), "{seen:?}");
    let windows = frame(0x8, 0, 0, &1_u32.to_be_bytes()).repeat(1_000);
    let frames = [windows, frame(0x6, 0, 0, b"are you?")].concat();
    stream.write_all(&frames).await.expect("it reads");
    let seen = frames_until(&mut stream, |(kind, _)| *kind == 0x6).await;
    assert!(seen.is_ok(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_of_http2_leaves_its_seat_to_the_next() {
    let answered = async |client: &mut Http2Client| {
        let request = axum::http::Request::get("http://x/").body(Full::default());
        let answer = client.send_request(request.expect("valid")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    for (seats, is_left) in [(1, true), (2, false)] {
        let settings = format!("[server.limits]\nhttp2_max_strangers = {seats}");
        let served = Served::start(&settings, hello()).await;
        let mut first = http2(served.address).await;
        assert!(answered(&mut first).await);
        let mut second = http2(served.address).await;
        assert!(answered(&mut second).await, "with {seats} seats");
        match is_left {
            true => until("leaves", async || first.is_closed()).await,
            false => assert!(answered(&mut first).await, "there is a seat for each"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_limit_are_refused_and_the_others_answered() {
    let served = Served::start("[server.limits]\nhttp2_max_streams = 2", hello()).await;
    let mut requests = PREFACE.to_vec();
    for stream in [1, 3, 5] {
        let path = b"\x82\x86\x04\x05/slow\x41\x01x";
        requests.extend(frame(0x1, 0x5, stream, path));
    }
    let mut stream = served.connect().await;
    stream.write_all(&requests).await.expect("it reads");
    let ends = std::cell::Cell::new(0);
    let both_end = |(kind, flags): &(u8, u8)| {
        ends.set(ends.get() + u32::from(*kind == 0x0 && flags & 1 == 1));
        ends.get() == 2
    };
    let seen = frames_until(&mut stream, both_end)
        .await
        .expect("two answers");
    let reset = seen.iter().filter(|(kind, _)| *kind == 0x3).count();
    assert_eq!(reset, 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_answer_pings_is_cut() {
    let served = Served::start("[server.limits]\nhttp2_ping_ms = 200", hello()).await;
    let mut stream = served.connect().await;
    stream.write_all(PREFACE).await.expect("it reads");
    let begun = Instant::now();
    frames_until(&mut stream, |(kind, flags)| *kind == 0x6 && *flags == 0)
        .await
        .expect("a ping");
    rest(&mut stream).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(400),
        "the connection was cut too soon"
    );
}

/// A client may read the answer only after it has sent everything. It loses the answer if the
/// stream is reset before that.
#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_an_answer_before_the_body_is_not_reset_at_once() {
    let settings = "[server.limits]\ndiscard_timeout_ms = 500";
    let served = Served::start(settings, hello()).await;
    let mut request = PREFACE.to_vec();
    request.extend(head(1));
    request.extend(frame(0x0, 0, 1, b"the beginning of a body"));
    let mut stream = served.connect().await;
    let begun = Instant::now();
    stream.write_all(&request).await.expect("it reads");
    let ends = |(kind, flags): &(u8, u8)| *kind == 0x0 && flags & 1 == 1;
    let answered = frames_until(&mut stream, ends).await.expect("it answers");
    assert!(
        answered.iter().all(|(kind, _)| *kind != 0x3),
        "{answered:?}"
    );
    let reset = frames_until(&mut stream, |(kind, _)| *kind == 0x3).await;
    reset.expect("it is reset in the end");
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
}

/// The first bytes of an HTTP/2 client.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET /` whose body is still to come.
fn head(stream: u32) -> Vec<u8> {
    frame(0x1, 0x4, stream, b"\x82\x86\x84\x41\x01x")
}

/// The kind and flags of the frames up to the wanted one. An error if the connection ends before
/// it.
async fn frames_until(
    stream: &mut TcpStream,
    wanted: impl Fn(&(u8, u8)) -> bool,
) -> std::io::Result<Vec<(u8, u8)>> {
    let mut seen = Vec::new();
    let reading = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await?;
            seen.push((head[3], head[4]));
            if wanted(&(head[3], head[4])) {
                return Ok(());
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.expect("it goes on or ends in time").map(|()| seen)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

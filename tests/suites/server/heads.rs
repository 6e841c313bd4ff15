//! Heads of requests that come slowly or not at all, and heads that are too large.

use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Router, middleware};
use tavora_host::config::Config;
use tavora_host::server::check_head;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::served::{Served, answer, rest};

const SLOW: &str = "[server.limits]\nheader_read_timeout_ms = 400\nidle_timeout_ms = 1_200";

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Sends `text` a byte at a time until it is not read any more; how long that was.
async fn trickle(stream: &mut tokio::net::TcpStream, text: &str) -> Duration {
    let begun = Instant::now();
    for byte in text.as_bytes() {
        if stream.write_all(&[*byte]).await.is_err() {
            return begun.elapsed();
        }
        sleep(Duration::from_millis(40)).await;
    }
    panic!("all of it was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_trickle_are_cut_in_time_while_others_are_served() {
    let served = Served::start(SLOW, hello()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(1_000));
    let tricklers: Vec<_> = (0..20)
        .map(|_| {
            let (address, long) = (served.address, long.clone());
            tokio::spawn(async move {
                let stream = tokio::net::TcpStream::connect(address).await;
                trickle(&mut stream.expect("it listens"), &long).await
            })
        })
        .collect();
    for _ in 0..10 {
        assert!(served.get("/").await.ends_with("hello"));
        sleep(Duration::from_millis(20)).await;
    }
    for trickler in tricklers {
        let took = trickler.await.expect("no panic");
        assert!(took >= Duration::from_millis(400), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_cut() {
    let served = Served::start(SLOW, hello()).await;
    // The second begins as HTTP/2 would, which the library waits for without a limit.
    for said in ["", "PRI * HT"] {
        let begun = Instant::now();
        let mut stream = served.connect().await;
        stream.write_all(said.as_bytes()).await.expect("it reads");
        assert_eq!(rest(&mut stream).await, "");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(400), "{said:?}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_has_a_time_of_its_own_and_its_next_head_too() {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let patient = "[server.limits]\nheader_read_timeout_ms = 400\nidle_timeout_ms = 60_000";
    let served = Served::start(patient, hello()).await;
    let mut stream = served.connect().await;
    for _ in 0..2 {
        stream.write_all(request).await.expect("it reads");
        assert!(answer(&mut stream).await.ends_with("hello"));
        // Longer than a head may take.
        sleep(Duration::from_millis(700)).await;
    }
    let head = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1_000));
    trickle(&mut stream, &head).await;

    let served = Served::start(SLOW, hello()).await;
    let mut stream = served.connect().await;
    stream.write_all(request).await.expect("it reads");
    answer(&mut stream).await;
    let begun = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(
        begun.elapsed() >= Duration::from_millis(600),
        "cut too soon"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_beyond_the_limits_are_refused_in_words() {
    let settings =
        "[server.limits]\nmax_uri_bytes = 100\nmax_headers = 10\nmax_header_bytes = 8_192";
    let limits = Config::parse(settings).expect("valid").server.limits;
    let router = hello().layer(middleware::from_fn_with_state(limits, check_head));
    let served = Served::start(settings, router).await;
    let ask = async |target: String, headers: String| {
        let mut stream = served.connect().await;
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        rest(&mut stream).await
    };
    let header = |count: usize| {
        (0..count)
            .map(|n| format!("X-{n}: y\r\n"))
            .collect::<String>()
    };
    let long = |bytes: usize| format!("X-Long: {}\r\n", "y".repeat(bytes));

    assert!(
        ask(format!("/?{}", "q".repeat(98)), header(8))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let refused = ask(format!("/?{}", "q".repeat(99)), String::new()).await;
    assert!(refused.starts_with("HTTP/1.1 414"), "{refused}");
    assert!(
        refused.contains(r#"{"code":"uri_too_long","message":""#),
        "{refused}"
    );
    let refused = ask("/".to_owned(), header(9)).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    assert!(
        refused.contains("server.limits.max_headers (10)"),
        "{refused}"
    );

    // `Host`, `Connection` and the name itself are 4 + 1 + 10 + 5 + 6 bytes.
    assert!(
        ask("/".to_owned(), long(8_192 - 26))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let refused = ask("/".to_owned(), long(8_192 - 25)).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    assert!(
        refused.contains(r#""code":"headers_too_large""#),
        "{refused}"
    );

    // What would take much memory is refused by the library, and the client reads that too.
    for (target, headers) in [
        ("/".to_owned(), header(1_000)),
        ("/".to_owned(), long(1_000_000)),
        (format!("/{}", "p".repeat(1_000_000)), String::new()),
    ] {
        let refused = ask(target, headers).await;
        assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    }
}

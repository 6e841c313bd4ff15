//! Heads of requests that arrive slowly or not at all, and heads that are too large.

use std::time::{Duration, Instant};

use axum::routing::{get, post};
use axum::{Router, middleware};
use tavora_host::api::head::check_head;
use tavora_host::config::Config;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::served::{Served, answer, rest};

const SLOW: &str = "[server.limits]\nheader_read_timeout_ms = 400\nidle_timeout_ms = 1_200";

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Sends `text` byte by byte until nobody reads it any more. Returns the time.
async fn trickle(stream: &mut tokio::net::TcpStream, text: &str) -> Duration {
    let begun = Instant::now();
    for byte in text.as_bytes() {
        if stream.write_all(&[*byte]).await.is_err() {
            return begun.elapsed();
        }
        sleep(Duration::from_millis(40)).await;
    }
    panic!("the whole head was read");
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
    // The second begins like HTTP/2, for which the library waits without a limit.
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
        "the connection was cut too soon"
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

    // The library refuses heads that would take much memory, and the client can read this answer
    // too.
    for (target, headers) in [
        ("/".to_owned(), header(1_000)),
        ("/".to_owned(), long(1_000_000)),
        (format!("/{}", "p".repeat(1_000_000)), String::new()),
    ] {
        let refused = ask(target, headers).await;
        assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    }
}

/// A server whose router checks heads as the real one does.
async fn strict() -> Served {
    let limits = Config::parse("").expect("valid").server.limits;
    let router = hello()
        .route("/echo", post(async |body: String| body))
        .layer(middleware::from_fn_with_state(limits, check_head));
    Served::start("", router).await
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_can_be_read_in_two_ways_are_refused_in_words() {
    let served = strict().await;
    let ask = async |head: &str| {
        let mut stream = served.connect().await;
        stream.write_all(head.as_bytes()).await.expect("it reads");
        rest(&mut stream).await
    };
    for (head, said) in [
        ("GET / HTTP/1.1\r\n\r\n", "has the header Host"),
        ("GET http://x/ HTTP/1.1\r\n\r\n", "has the header Host"),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "Host is given more than once",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
            "Host is given more than once",
        ),
        (
            "GET http://x/ HTTP/1.1\r\nHost: y\r\n\r\n",
            "not the host of the target",
        ),
        (
            "GET http://x:1/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "not the host of the target",
        ),
        (
            "GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "not the host of the target",
        ),
        ("GET / HTTP/1.1\nHost: x\n\n", "does not end with CR LF"),
        ("GET / HTTP/1.1\r\nHost: x\n\r\n", "does not end with CR LF"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\n", "does not end with CR LF"),
        (
            "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
            "does not end with CR LF",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
            "goes on in the next line",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n",
            "goes on in the next line",
        ),
        (
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "not followed by its colon",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer a\r\n\r\n",
            "Authorization is given more than once",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\nx-api-key: b\r\n\r\n",
            "X-API-Key is given more than once",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\nAuthorization: bearer b\r\n\r\n",
            "hold different credentials",
        ),
        ("get / HTTP/1.1\r\nHost: x\r\n\r\n", "written in capitals"),
        ("trace / HTTP/1.1\r\nHost: x\r\n\r\n", "written in capitals"),
        ("Get / HTTP/1.1\r\nHost: x\r\n\r\n", "written in capitals"),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "there are two of it",
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "can be chunked alone",
        ),
    ] {
        // A well-formed request keeps the connection open, so the client asks to close it.
        let head = head.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nConnection: close\r\n", 1);
        let refused = ask(&head).await;
        assert!(refused.starts_with("HTTP/1.1 400"), "{head:?}: {refused}");
        let code = r#"{"code":"invalid_head","message":""#;
        assert!(
            refused.contains(code) && refused.contains(said),
            "{head:?}: {refused}"
        );
    }
    for head in [
        "GET http://x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET http://X:80/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\nAuthorization: Bearer a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\nAuthorization: Basic b\r\nConnection: close\r\n\r\n",
    ] {
        let answer = ask(head).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{head:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_before_a_malformed_head_is_answered_and_nothing_after_it() {
    let served = strict().await;
    let sound = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let post =
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n";
    let malformed = "GET / HTTP/1.1\nHost: x\n\n";
    let mut stream = served.connect().await;
    let all = format!("{sound}{post}{sound}{malformed}{sound}{sound}");
    stream.write_all(all.as_bytes()).await.expect("it reads");
    let answers = rest(&mut stream).await;
    let statuses: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["200", "200", "200", "400"], "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_beside_another_authority_is_refused_over_http2_too() {
    let served = strict().await;
    let mut client = super::bodies::http2(served.address).await;
    for (method, host, status) in [
        ("GET", "x", 200),
        ("GET", "X", 200),
        ("GET", "y", 400),
        ("get", "x", 400),
    ] {
        let request = hyper::Request::builder().method(method).uri("http://x/");
        let request = request.header("host", host).body(Default::default());
        let response = client.send_request(request.expect("valid")).await;
        assert_eq!(
            response.expect("it answers").status(),
            status,
            "{method} {host}"
        );
    }
}

//! Providers that refuse, fail, lie, flood or hang. Each time the answer is an error to act on, in
//! bounded time.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream;
use serde_json::{Value, json};
use tavora_tests::upstream::{Seen, json as json_answer};

use super::fixture::{CANARY, Chat, assert_refused, completion, hello};

fn with_headers(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).expect("the parts are valid")
}

/// The text of the message, which tells the upstream what to do.
fn asked(seen: &Seen) -> String {
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    body["messages"][0]["content"]
        .as_str()
        .expect("a text")
        .to_owned()
}

fn ask(what: &str) -> Value {
    json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": what }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_refusal_passes_with_its_words_and_without_the_credential() {
    const LIMITED: &str = r#"{"error":{"message":"Rate limit reached for gpt-4o","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    let chat = Chat::start(|seen| {
        let json = ("content-type", "application/json");
        match asked(seen).as_str() {
            "429" => with_headers(
                429,
                &[
                    json,
                    ("retry-after", "90"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                    ("set-cookie", "a=b"),
                    ("server", "x"),
                ],
                LIMITED,
            ),
            "echo" => with_headers(
                400,
                &[json, ("x-ratelimit-limit-requests", CANARY)],
                format!(r#"{{"error":{{"message":"Incorrect key {CANARY}"}}}}"#),
            ),
            status => with_headers(
                status.parse().expect("a status"),
                &[json],
                r#"{"error":{"message":"why"}}"#,
            ),
        }
    })
    .await;
    for status in [400, 404, 409, 422, 500, 503] {
        let answer = chat.ask(&ask(&status.to_string()));
        assert_eq!(assert_refused(&answer, status, "upstream_error"), "why");
        assert_eq!(answer.header("x-should-retry"), None);
    }
    let limited = chat.ask(&ask("429"));
    let sent: Value = serde_json::from_str(LIMITED).expect("JSON");
    assert_eq!(
        (limited.status, &limited.json()["error"]),
        (429, &sent["error"])
    );
    assert_eq!(limited.header("retry-after"), Some("90"));
    assert_eq!(limited.header("retry-after-ms"), Some("90000"));
    assert_eq!(limited.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(limited.header("x-ratelimit-reset-tokens"), Some("6m0s"));
    assert_eq!(
        (limited.header("set-cookie"), limited.header("server")),
        (None, None)
    );

    let echoed = chat.ask(&ask("echo"));
    assert_eq!(echoed.status, 400);
    assert_eq!(
        echoed.json()["error"]["message"],
        "Incorrect key [redacted:openai_api_key]"
    );
    assert_eq!(
        echoed.header("x-ratelimit-limit-requests"),
        Some("[redacted:openai_api_key]")
    );
    assert_eq!(chat.audit("leak.blocked").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_told_by_the_name_of_its_secret() {
    let chat = Chat::start(|seen| match seen.uri.path() {
        "/gemini/chat/completions" => json_answer(
            400,
            &format!(r#"[{{"error":{{"code":400,"message":"API key not valid: {CANARY}","status":"INVALID_ARGUMENT"}}}}]"#),
        ),
        _ => json_answer(asked(seen).parse().expect("a status"), &format!(r#"{{"error":{{"message":"bad key {CANARY}"}}}}"#)),
    })
    .await;
    chat.put("gemini_api_key", CANARY);
    for (body, secret) in [
        (ask("401"), "openai_api_key"),
        (hello("gemini-2.5-flash"), "gemini_api_key"),
    ] {
        let answer = chat.ask(&body);
        let message = assert_refused(&answer, 502, "upstream_auth");
        assert!(message.contains(&format!("\"{secret}\"")), "{message}");
        assert!(
            message.contains(&format!("[redacted:{secret}]")),
            "{message}"
        );
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    let forbidden = chat.ask(&ask("403"));
    let message = assert_refused(&forbidden, 403, "upstream_error");
    assert_eq!(message, "bad key [redacted:openai_api_key]");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_completion_is_told_and_not_passed_on() {
    const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
    let chat = Chat::start(|seen| match asked(seen).as_str() {
        "html" => with_headers(
            200,
            &[("content-type", "text/html")],
            "<html>welcome</html>",
        ),
        "html 502" => with_headers(
            502,
            &[
                ("content-type", "text/html; charset=utf-8"),
                ("retry-after", "60"),
            ],
            "<html>bad gateway</html>",
        ),
        "nothing" => with_headers(200, &[], ""),
        "no events" => with_headers(200, &[EVENTS], "{\"error\": \"overloaded\"}"),
        "no stream" => with_headers(200, &[EVENTS], ""),
        "redirect" => with_headers(302, &[("location", "http://127.0.0.1:1/elsewhere")], ""),
        "lz4" => with_headers(
            200,
            &[
                ("content-type", "application/json"),
                ("content-encoding", "lz4"),
            ],
            Bytes::from_static(b"\x04\x22\x4d\x18\x00\x00"),
        ),
        "no JSON" => json_answer(200, "welcome"),
        other => panic!("{other}"),
    })
    .await;
    for (what, status, said) in [
        (
            "html",
            502,
            "OpenAI answered HTTP 200 with text/html instead of JSON",
        ),
        (
            "html 502",
            502,
            "OpenAI answered HTTP 502 with text/html instead of JSON",
        ),
        ("nothing", 502, "with an empty body, which says nothing"),
        ("no events", 502, "overloaded"),
        (
            "no stream",
            502,
            "OpenAI ended its stream before the first event",
        ),
        ("redirect", 502, "redirects are not followed"),
        ("lz4", 502, "is compressed with \"lz4\""),
        ("no JSON", 502, "no completion (\"welcome\")"),
    ] {
        let answer = chat.ask(&ask(what));
        let message = assert_refused(&answer, status, "upstream_error");
        assert!(message.contains(said), "{what}: {message}");
        assert!(
            !message.contains("HTTP 200 with application/json"),
            "{message}"
        );
        assert_eq!(answer.header("location"), None);
    }
    assert_eq!(chat.ask(&ask("html 502")).header("retry-after"), Some("60"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_when_to_come_back_is_tried_again_within_a_bound() {
    let asks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asks);
    let chat = Chat::start(move |seen| {
        let before = counter.fetch_add(1, Ordering::SeqCst);
        let json = ("content-type", "application/json");
        let come_back = |status, secs| with_headers(status, &[json, ("retry-after", secs)], "{}");
        match (asked(seen).as_str(), before) {
            ("429 then 503 then well", 0) => come_back(429, "0"),
            ("429 then 503 then well", 1) => come_back(503, "1"),
            ("429 then 503 then well", _) => json_answer(200, &completion("hi").to_string()),
            ("429 for ever", _) => come_back(429, "0"),
            ("429 for long", _) => come_back(429, "6"),
            ("500", _) => come_back(500, "0"),
            other => panic!("{other:?}"),
        }
    })
    .await;
    for (what, status, times, at_least) in [
        ("429 then 503 then well", 200, 3, Duration::from_secs(1)),
        ("429 for ever", 429, 3, Duration::ZERO),
        ("429 for long", 429, 1, Duration::ZERO),
        ("500", 500, 1, Duration::ZERO),
    ] {
        asks.store(0, Ordering::SeqCst);
        let started = Instant::now();
        let answer = chat.ask(&ask(what));
        assert_eq!(
            (answer.status, asks.load(Ordering::SeqCst)),
            (status, times),
            "{what}"
        );
        assert!(started.elapsed() >= at_least, "{what}");
    }
    assert_eq!(
        chat.audit("secret.released").len(),
        4,
        "one release for a request, however often it is tried"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_hangs_up_or_talks_no_http_is_told() {
    /// Plays the upstream on a plain socket. Returns its URL and the number of connections.
    fn plain(answer: &'static [u8]) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("it is accepted");
                counter.fetch_add(1, Ordering::SeqCst);
                let mut some = [0; 4096];
                let _ = stream.read(&mut some);
                let _ = stream.write_all(answer);
            }
        });
        (url, connections)
    }
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        format!("http://{}", listener.local_addr().expect("it is bound"))
    };
    let (silent, silent_connections) = plain(b"");
    let (nonsense, _) = plain(b"SSH-2.0-OpenSSH_9.2\r\n");
    let (short, _) = plain(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"choices\":");
    for (url, code, said) in [
        (&refused, "upstream_unreachable", "cannot be reached"),
        (&silent, "", ""),
        (&nonsense, "upstream_error", "no proper HTTP"),
    ] {
        let bare = Chat::at(url, "", "", url);
        bare.put("openai_api_key", CANARY);
        let answer = bare.ask(&hello("gpt-4o"));
        if code.is_empty() {
            // The request may have been processed, so it is not sent twice.
            let message = assert_refused(&answer, 502, "upstream_error");
            assert!(message.contains("closed the connection"), "{message}");
            assert_eq!(silent_connections.load(Ordering::SeqCst), 1);
            continue;
        }
        let message = assert_refused(&answer, 502, code);
        assert!(message.contains(said), "{message}");
        assert_eq!(answer.header("x-should-retry"), None);
    }
    // The answer had begun, so nobody may take the received part for whole.
    let bare = Chat::at(&short, "", "", &short);
    bare.put("openai_api_key", CANARY);
    let message = assert_refused(&bare.ask(&hello("gpt-4o")), 502, "upstream_error");
    assert!(message.contains("broke off its answer"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_in_time_is_given_up() {
    let chat = Chat::configured("", "first_byte_timeout_ms = \"300\"", |_| {
        std::thread::sleep(Duration::from_secs(3));
        json_answer(200, "{}")
    })
    .await;
    let message = assert_refused(&chat.ask(&hello("gpt-4o")), 504, "upstream_unreachable");
    assert!(message.contains("did not answer in time"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_ends_at_the_limit_of_answers() {
    let chat = Chat::configured(
        "[egress.limits]\nmax_response_body_bytes = 1_048_576",
        "",
        |seen| {
            let json = ("content-type", "application/json");
            let piece = Bytes::from(vec![b' '; 64 << 10]);
            let flood = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
            match asked(seen).as_str() {
                "declared" => with_headers(
                    200,
                    &[json, ("content-length", "104857600")],
                    Body::from_stream(flood),
                ),
                _ => with_headers(200, &[json], Body::from_stream(flood)),
            }
        },
    )
    .await;
    let message = assert_refused(&chat.ask(&ask("declared")), 502, "upstream_error");
    assert!(
        message.contains("egress.limits.max_response_body_bytes"),
        "{message}"
    );
    let message = assert_refused(&chat.ask(&ask("streamed")), 502, "upstream_error");
    assert!(
        message.contains("went beyond a limit of the host"),
        "{message}"
    );
}

//! The wait that a provider asks for, in every form that providers use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};
use tavora_tests::upstream::{Seen, json as json_answer};

use super::fixture::{Chat, assert_refused, completion, hello};

/// An upstream that answers its first `times` requests with 429, in the form that the model's name
/// chooses. Returns the count of requests too.
async fn limited(times: usize) -> (Chat, Arc<AtomicUsize>) {
    let asks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asks);
    let chat = Chat::start(move |seen: &Seen| {
        if counter.fetch_add(1, Ordering::SeqCst) >= times {
            return json_answer(200, &completion("well").to_string());
        }
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        let model = body["model"].as_str().expect("a name");
        let (headers, body): (&[(&str, &str)], &str) = match model {
            "decimals" => (&[("retry-after", "0.5")], r#"{"error":{"message":"slow down"}}"#),
            "date" => (
                &[
                    ("date", "Wed, 21 Oct 2026 07:28:00 GMT"),
                    ("retry-after", "Wed, 21 Oct 2026 07:28:01 GMT"),
                ],
                "{}",
            ),
            "reset" => (
                &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "600ms")],
                "{}",
            ),
            "details" => (
                &[],
                r#"[{"error":{"code":429,"message":"quota","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.7s"}]}}]"#,
            ),
            "words" => (&[], r#"{"error":{"message":"Rate limit reached. Please try again in 550ms."}}"#),
            "minutes" => (&[], r#"{"error":{"message":"Rate limit reached. Please try again in 1m30s."}}"#),
            "no credit" => (
                &[("retry-after", "1")],
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
            ),
            other => panic!("{other}"),
        };
        let mut response = Response::builder()
            .status(429)
            .header("content-type", "application/json");
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Body::from(body)).expect("valid")
    })
    .await;
    (chat, asks)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_wait_is_waited_however_it_is_said() {
    let (chat, asks) = limited(1).await;
    for (model, ms) in [
        ("decimals", 500),
        ("date", 1_000),
        ("reset", 600),
        ("details", 700),
        ("words", 550),
    ] {
        asks.store(0, Ordering::SeqCst);
        let started = Instant::now();
        let code = format!("return ai('x', {{model: 'openai/{model}'}})");
        let request = chat.request("POST", "/api/sdk/sandbox/execute");
        let ended = chat.send(&request.json(&json!({ "code": code }))).json();
        assert_eq!(ended["result"], "well", "{model}: {ended}");
        assert!(started.elapsed() >= Duration::from_millis(ms), "{model}");
        assert_eq!(asks.load(Ordering::SeqCst), 2, "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_is_told_in_words_and_in_headers_and_none_is_made_up() {
    let (chat, asks) = limited(usize::MAX).await;
    let run = |model: &str| {
        let code = format!("return ai('x', {{model: 'openai/{model}'}})");
        let request = chat.request("POST", "/api/sdk/sandbox/execute");
        let ended = chat.send(&request.json(&json!({ "code": code }))).json();
        ended["error"]["message"]
            .as_str()
            .expect("a sentence")
            .to_owned()
    };
    let message = run("minutes");
    assert!(message.ends_with("try again in 90 s"), "{message}");
    let answer = chat.ask(&hello("openai/minutes"));
    assert_refused(&answer, 429, "upstream_error");
    assert_eq!(answer.header("retry-after"), Some("90"));
    assert_eq!(answer.header("retry-after-ms"), Some("90000"));
    asks.store(0, Ordering::SeqCst);
    let message = run("no credit");
    assert!(
        message.contains("quota is used up") && !message.contains("try again"),
        "{message}"
    );
    assert_eq!(asks.load(Ordering::SeqCst), 1);
    // A fraction of a second is not rounded down to zero.
    let answer = chat.ask(&hello("openai/decimals"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("retry-after-ms"), Some("500"));
}

//! The host stops while a model answers. The reader of the stream learns that it is incomplete, and
//! nothing ends in the middle of HTTP.

use std::time::{Duration, Instant};

use axum::body::Body;
use futures::channel::mpsc::unbounded;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::fixture::{CANARY, Chat, assert_refused, event, events, hello, hello_streamed};

/// Longer than any wait in these tests.
const PATIENCE: Duration = Duration::from_secs(60);

const SHORT: &str = "[server]\nshutdown_grace_ms = 300\n";

fn terminate(chat: &Chat) {
    let id = i32::try_from(chat.serving.process_id()).expect("process ids are small");
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("it runs");
}

/// A host whose provider sends these pieces of a stream and then nothing more, without an end.
async fn unending(config: &str, pieces: Vec<String>) -> Chat {
    Chat::configured(config, "", move |_| {
        let (feed, body) = unbounded();
        for piece in &pieces {
            let piece = Ok::<_, std::io::Error>(piece.clone());
            feed.unbounded_send(piece).expect("it is read");
        }
        // The sender is never dropped, so the stream is never closed.
        std::mem::forget(feed);
        events(Body::from_stream(body))
    })
    .await
}

/// Parses a text that is exactly one event.
#[track_caller]
fn only_event(text: &str) -> Value {
    let event = text
        .strip_prefix("data: ")
        .and_then(|it| it.strip_suffix("\n\n"));
    serde_json::from_str(event.unwrap_or_else(|| panic!("this is not one event: {text:?}")))
        .expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outlasts_the_host_ends_with_an_error_and_properly() {
    for ended in ["\n\n", "\r\n\r\n"] {
        let first = event("Hel").replace("\n\n", ended);
        let chat = unending(SHORT, vec![first.clone()]).await;
        let mut stream = chat.stream(&hello_streamed("gpt-4o"));
        assert_eq!(stream.chunk().expect("it comes"), Some(first));
        terminate(&chat);
        let (last, is_whole) = stream.rest();
        assert!(is_whole, "{last:?}");
        let said = only_event(&last);
        assert_eq!(said["code"], "stopping", "{said}");
        assert_eq!(said["error"]["code"], "stopping", "{said}");
        assert_eq!(said["error"]["type"], "server_error", "{said}");
        let message = said["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains("the host stopped"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_whole_is_closed_before_the_last_one() {
    let chat = unending(SHORT, vec!["data: {\"half\":".to_owned()]).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    assert!(stream.chunk().expect("it comes").is_some());
    terminate(&chat);
    let (last, is_whole) = stream.rest();
    assert!(is_whole, "{last:?}");
    let last = last.strip_prefix("\n\n").expect("the half one is closed");
    assert_eq!(only_event(last)["code"], "stopping");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_stream_did_is_in_the_audit() {
    let key = format!("data: your key is {CANARY}, thanks\n\n");
    let mut chat = unending(SHORT, vec![key]).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    let mut came = String::new();
    while !came.ends_with("thanks\n\n") {
        came += &stream.chunk().expect("it comes").expect("not the end");
    }
    terminate(&chat);
    assert!(stream.rest().1);
    chat.serving.halt();
    chat.serving.start_again();
    assert_eq!(chat.audit("secret.released").len(), 1);
    let blocked = chat.audit("leak.blocked");
    assert_eq!(blocked.len(), 1, "{blocked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_answer_yet_is_told_to_ask_again() {
    let chat = Chat::configured(SHORT, "", |_| {
        std::thread::sleep(Duration::from_secs(5));
        events(Body::empty())
    })
    .await;
    let refused = std::thread::scope(|scope| {
        let asked = scope.spawn(|| chat.ask(&hello("gpt-4o")));
        let begun = Instant::now();
        while chat.upstream.seen().is_empty() {
            assert!(
                begun.elapsed() < PATIENCE,
                "no request reached the upstream"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        terminate(&chat);
        asked.join().expect("no panic")
    });
    let message = assert_refused(&refused, 503, "stopping");
    assert!(message.contains("the host stopped"), "{message}");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_cuts_a_stream_at_once() {
    let config = "[server]\nshutdown_grace_ms = 600_000\n";
    let chat = unending(config, vec![event("Hel")]).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    assert!(stream.chunk().expect("it comes").is_some());
    terminate(&chat);
    let begun = Instant::now();
    while std::net::TcpStream::connect(chat.serving.address).is_ok() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the host still listens"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    terminate(&chat);
    assert_eq!(stream.rest(), (String::new(), false));
}

//! Streamed answers: they arrive as they are sent, scrubbed and bounded, and they end when nobody
//! reads them.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{StreamExt as _, stream};
use serde_json::Value;
use tavora_tests::eventually::wait_until;
use tavora_tests::serving::AppWithKey;
use tavora_tests::upstream::json as json_answer;
use tavora_tests::wire::{self, Request};

use super::fixture::{CANARY, Chat, DONE, assert_refused, event, events, hello, hello_streamed};

type Piece = Result<String, std::io::Error>;

/// A stream that the test feeds, once.
fn fed() -> (
    UnboundedSender<Piece>,
    impl Fn() -> Body + Send + Sync + 'static,
) {
    let (feed, pieces) = unbounded();
    let pieces: std::sync::Mutex<Option<UnboundedReceiver<Piece>>> = Some(pieces).into();
    let body = move || {
        let pieces = pieces.lock().expect("no holder panics").take();
        Body::from_stream(pieces.expect("it is asked once"))
    };
    (feed, body)
}

fn broken() -> Piece {
    Err(std::io::Error::other("broken on purpose"))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_one_by_one_and_byte_for_byte() {
    let (feed, body) = fed();
    let chat = Chat::start(move |_| events(body())).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    let pieces = [
        ": OPENROUTER PROCESSING\n\n".to_owned(),
        event("Hel"),
        event("lo \u{1f642}"),
        "event: message\r\nid: 7\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n".to_owned(),
        // Nothing here parses events, so text that is no event passes too.
        "no event at all \u{0}\n".to_owned(),
        format!("\n{DONE}"),
    ];
    for piece in &pieces {
        feed.unbounded_send(Ok(piece.clone())).expect("it is read");
        assert_eq!(stream.chunk().expect("it comes").as_ref(), Some(piece));
    }
    drop(feed);
    assert_eq!(stream.rest(), (String::new(), true));
    let head = stream.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains("content-type: text/event-stream; charset=utf-8"),
        "{head}"
    );
    let seen = chat.upstream.seen().pop().expect("it was asked");
    assert_eq!(seen.headers["accept"], "text/event-stream");
    let sent: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(sent["stream"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_in_a_stream_is_taken_out_wherever_it_is_split() {
    for at in [1, CANARY.len() / 2, CANARY.len() - 1] {
        let (feed, body) = fed();
        let chat = Chat::start(move |_| events(body())).await;
        let mut stream = chat.stream(&hello_streamed("gpt-4o"));
        let whole = format!("{}data: your key is {CANARY}, thanks\n\n{DONE}", event("x"));
        let (first, second) = whole.split_at(whole.find(CANARY).expect("it is there") + at);
        feed.unbounded_send(Ok(first.to_owned()))
            .expect("it is read");
        let mut came = stream.chunk().expect("it comes").expect("not the end");
        // Only text that could become the credential is held back.
        assert!(came.ends_with("your key is "), "{came}");
        feed.unbounded_send(Ok(second.to_owned()))
            .expect("it is read");
        drop(feed);
        let (rest, is_whole) = stream.rest();
        came.push_str(&rest);
        assert!(is_whole);
        assert_eq!(came, whole.replace(CANARY, "[redacted:openai_api_key]"));
        let blocked = chat.audit("leak.blocked");
        assert_eq!(blocked.len(), 1, "{blocked:?}");
        assert_eq!(blocked[0]["subject_id"], "openai_api_key");
        let log = chat.serving.log();
        assert!(!log.contains(CANARY), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_ends_with_an_error_and_never_as_if_it_were_whole() {
    let (feed, body) = fed();
    let chat = Chat::start(move |_| events(body())).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    feed.unbounded_send(Ok(event("Hel"))).expect("it is read");
    assert_eq!(stream.chunk().expect("it comes"), Some(event("Hel")));
    feed.unbounded_send(broken()).expect("it is read");
    let (last, is_whole) = stream.rest();
    assert!(is_whole, "{last}");
    let error = last
        .strip_prefix("data: ")
        .and_then(|it| it.strip_suffix("\n\n"));
    let error: Value = serde_json::from_str(error.expect("an event")).expect("JSON");
    assert_eq!(error["error"]["code"], "upstream_error");
    assert!(
        error["message"]
            .as_str()
            .expect("a sentence")
            .contains("OpenAI broke off its answer")
    );

    let (feed, body) = fed();
    let chat = Chat::start(move |_| events(body())).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    feed.unbounded_send(Ok("data: {\"half\":".to_owned()))
        .expect("it is read");
    assert!(stream.chunk().expect("it comes").is_some());
    feed.unbounded_send(broken()).expect("it is read");
    assert_eq!(stream.rest(), (String::new(), false));
}

/// Sets a flag when it is dropped.
struct Told(Arc<AtomicBool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_client_leaves_the_provider_is_left_too() {
    let left = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&left);
    // This upstream writes only at intervals, so writing alone does not reveal a client that left.
    let limits = "[limits.stream]\nmax_concurrent = 2\nmax_per_app = 1";
    let chat = Chat::configured(limits, "", move |_| {
        let told = Told(Arc::clone(&told));
        let first = stream::iter([Ok::<_, std::io::Error>(event("Hel"))]);
        let never = stream::pending();
        events(Body::from_stream(first.chain(never).inspect(move |_| {
            let _ = &told;
        })))
    })
    .await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    assert_eq!(stream.chunk().expect("it comes"), Some(event("Hel")));
    let refused = chat.ask(&hello("gpt-4o"));
    let message = assert_refused(&refused, 429, "too_many_requests");
    assert!(
        message.contains("limits.stream.max_per_app (1)"),
        "{message}"
    );
    // Requests of two other apps compete for one place.
    let [second, third] = ["second", "third"].map(|name| chat.serving.make_app(name));
    let models = |app: &AppWithKey| {
        let request = Request::new("GET", "/v1/models").header("x-api-key", &app.key);
        chat.send(&request)
    };
    let slow = Request::new("POST", "/v1/chat/completions")
        .header("x-api-key", &second.key)
        .header("content-type", "application/json")
        .header("content-length", "100")
        .header("expect", "100-continue")
        .raw_body("");
    let mut unfinished = wire::connect(chat.serving.address).expect("it listens");
    unfinished.write_all(&slow.bytes()).expect("it reads");
    // The tool asks for the body, so it has its place by then.
    let mut asked = [0; 12];
    unfinished.read_exact(&mut asked).expect("it answers");
    assert_eq!(&asked, b"HTTP/1.1 100");
    let refused = models(&third);
    let message = assert_refused(&refused, 503, "busy");
    assert!(
        message.contains("limits.stream.max_concurrent"),
        "{message}"
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(unfinished);
    wait_until("gives the other turn back", || models(&third).status == 200);
    drop(stream);
    wait_until("ends the provider's stream", || left.load(Ordering::SeqCst));
    wait_until("gives the turn back", || {
        chat.send(&chat.request("GET", "/v1/models")).status == 200
    });
    let metrics = chat.send(&chat.request("GET", "/metrics")).text();
    let cancelled = r#"tavora_tool_calls_total{tool="llm-router",outcome="cancelled"} 2"#;
    assert!(metrics.contains(cancelled), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_ended() {
    let silent = |_: &tavora_tests::upstream::Seen| {
        let first = stream::iter([Ok::<_, std::io::Error>(event("Hel"))]);
        events(Body::from_stream(first.chain(stream::pending())))
    };
    // The tool waits no longer than its setting, and reports the end of the wait in the stream.
    let chat = Chat::configured("", "between_bytes_timeout_ms = \"300\"", silent).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    let (said, is_whole) = stream.rest();
    assert!(is_whole && said.contains("fell silent"), "{said}");
    // The host waits for the tool no longer than its limit.
    let chat = Chat::configured("[limits.stream]\nidle_ms = 300", "", silent).await;
    let mut stream = chat.stream(&hello_streamed("gpt-4o"));
    assert_eq!(stream.rest(), (event("Hel"), false));
    let metrics = chat.send(&chat.request("GET", "/metrics")).text();
    assert!(
        metrics.contains(r#"limit="limits.stream.idle_ms"} 1"#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_at_its_wall_clock_however_busy_it_is() {
    let busy = |_: &tavora_tests::upstream::Seen| {
        let ticks = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, std::io::Error>(event("tick")), ()))
        });
        events(Body::from_stream(ticks))
    };
    let chat = Chat::configured("[limits.stream]\nwall_clock_ms = 1_000", "", busy).await;
    let (said, is_whole) = chat.stream(&hello_streamed("gpt-4o")).rest();
    assert!(!is_whole && said.starts_with(&event("tick")), "{said}");
    let metrics = chat.send(&chat.request("GET", "/metrics")).text();
    assert!(
        metrics.contains(r#"limit="limits.stream.wall_clock_ms"} 1"#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_first_byte_is_waited_for() {
    let chat = Chat::start(|_| {
        std::thread::sleep(Duration::from_secs(2));
        json_answer(200, &super::fixture::completion("slow").to_string())
    })
    .await;
    assert_eq!(
        chat.ask(&hello("gpt-4o")).json()["choices"][0]["message"]["content"],
        "slow"
    );
}

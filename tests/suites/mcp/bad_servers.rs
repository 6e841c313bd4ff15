//! Servers that break the protocol. Each leads to an error that a person and a model can act on, in
//! bounded time and memory.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde_json::json;

use crate::fixture::WithAgents;
use crate::scripted::{
    Asked, Scripted, event, initialized, json as json_answer, legacy, reply_to, result, status,
    stream, text, tool_list, with_body,
};

const CALL: &str = "return tools.call('mcp:bad', 'call_tool', {name: 'a', arguments: {}})";

/// A platform with an agent whose only server is `server`.
async fn with(server: &Scripted) -> WithAgents {
    WithAgents::start(&server.declared("bad", ""), &[&server.url]).await
}

/// The error of a tool call that the server answers in this way.
async fn error_of(
    answer: impl Fn(&Asked) -> axum::response::Response + Send + Sync + 'static,
) -> (String, String) {
    let server = Scripted::start(move |asked| legacy(asked, &["a"], &answer)).await;
    with(&server).await.tool_error(CALL).await
}

/// Like [`error_of`], with a time limit for the server.
async fn error_within(
    timeout_ms: u64,
    answer: impl Fn(&Asked) -> axum::response::Response + Send + Sync + 'static,
) -> (String, String) {
    let server = Scripted::start(move |asked| legacy(asked, &["a"], &answer)).await;
    let bounds = format!(
        "[tools.mcp-client.config]\nfirst_byte_timeout_ms = \"{timeout_ms}\"\nbetween_bytes_timeout_ms = \"{timeout_ms}\"\n"
    );
    let declared = server.declared("bad", "");
    let agents = WithAgents::start_with(&bounds, &declared, &[&server.url]).await;
    agents.tool_error(CALL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_to_the_call_is_an_error_that_says_so() {
    let other = |asked: &Asked| {
        let mut reply = reply_to(asked, &json!({ "content": [] }));
        reply["id"] = json!(4711);
        reply
    };
    let text_of = |body: &'static str| move |_: &Asked| with_body(200, "application/json", body);
    let said = error_of(move |asked| json_answer(200, &other(asked))).await;
    assert_eq!(said.0, "upstream_error");
    assert!(
        said.1.contains("something that it was not asked"),
        "{said:?}"
    );
    let said = error_of(move |asked| stream(vec![(0, event(&other(asked)))])).await;
    assert!(
        said.1.contains("ended its answer without a reply"),
        "{said:?}"
    );
    let said = error_of(text_of("{}")).await;
    assert!(said.1.contains("no message of the protocol"), "{said:?}");
    let said = error_of(|_| with_body(200, "text/html", "<html>")).await;
    assert!(said.1.contains("is its url the endpoint"), "{said:?}");
    let said = error_of(|_| stream(vec![(0, "data: <html>\n\n".to_owned())])).await;
    assert!(
        said.1.contains("ended its answer without a reply"),
        "{said:?}"
    );
    let said = error_of(|_| status(202)).await;
    assert!(said.1.contains("neither JSON nor events"), "{said:?}");
    let said = error_of(|asked| result(asked, &json!({ "contents": [] }))).await;
    assert!(said.1.contains("without content"), "{said:?}");
    for (code, words) in [
        (500, "problem of its own"),
        (429, "try again later"),
        (400, "HTTP 400"),
    ] {
        let said = error_of(move |_| status(code)).await;
        assert_eq!(said.0, "upstream_error");
        assert!(said.1.contains(words), "{code}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up() {
    let said = error_within(1_000, |_| {
        std::thread::sleep(Duration::from_secs(10));
        status(200)
    })
    .await;
    assert_eq!(said.0, "upstream_unreachable");
    assert!(
        said.1.contains("\"bad\"") && said.1.contains("in time"),
        "{said:?}"
    );
    // The answer begins, and then nothing more follows.
    let said = error_within(1_000, |_| {
        stream(vec![(0, ": wait\n\n".to_owned()), (60_000, String::new())])
    })
    .await;
    assert_eq!(said.0, "upstream_error");
    assert!(said.1.contains("broke off"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_is_cut_off_at_its_limit() {
    // The answer has 50 MiB, once in chunks and once with a declared length.
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let long = piece.clone();
    let said = error_of(move |_| {
        let pieces = vec![Ok::<_, Infallible>(long.clone()); 50];
        let body = Body::from_stream(futures::stream::iter(pieces));
        with_body(200, "application/json", body)
    })
    .await;
    assert_eq!(said.0, "upstream_error");
    assert!(said.1.contains("max_response_bytes"), "{said:?}");
    let said = error_of(|_| with_body(200, "application/json", vec![b' '; 50 << 20])).await;
    assert_eq!(said.0, "upstream_error", "{said:?}");
    // Notifications arrive for ever.
    let notification = event(
        &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "x": "x".repeat(100_000) } }),
    );
    let said = error_of(move |_| stream(vec![(0, notification.clone()); 1_000])).await;
    assert!(said.1.contains("max_response_bytes"), "{said:?}");
    // One event never ends.
    let said = error_of(move |_| {
        let pieces = vec![Ok::<_, Infallible>(piece.clone()); 50];
        let body = Body::from_stream(futures::stream::iter(pieces));
        with_body(200, "text/event-stream", body)
    })
    .await;
    assert!(said.1.contains("max_response_bytes"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_an_end_is_cut_off_at_its_limit() {
    let server = Scripted::start(|asked| match asked.rpc() {
        "tools/list" => result(asked, &tool_list(&["a", "b", "c"])),
        _ => legacy(asked, &[], |_| status(500)),
    })
    .await;
    let bound = "[tools.mcp-client.config]\nmax_tools = \"2\"\n";
    let declared = server.declared("bad", "");
    let agents = WithAgents::start_with(bound, &declared, &[&server.url]).await;
    let said = agents.tool_error("require('bad')").await;
    assert!(said.1.contains("max_tools (2)"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_about_its_session_is_found_out() {
    // No header can return this id unchanged.
    let server = Scripted::start(|asked| match asked.rpc() {
        "initialize" => {
            let mut answer = initialized(asked, "2025-11-25");
            let id = "two words".parse().expect("a header's value");
            answer.headers_mut().insert("mcp-session-id", id);
            answer
        }
        _ => status(404),
    })
    .await;
    let said = with(&server).await.tool_error(CALL).await;
    assert!(said.1.contains("an id that is none"), "{said:?}");

    // The server gives a session but does not know it later.
    let server = Scripted::start(|asked| match asked.rpc() {
        "initialize" => with_session(asked, "a"),
        "notifications/initialized" => status(202),
        _ => status(404),
    })
    .await;
    let said = with(&server).await.tool_error(CALL).await;
    assert!(said.1.contains("forgets each session"), "{said:?}");
    let begun = server
        .methods()
        .iter()
        .filter(|it| *it == "initialize")
        .count();
    assert_eq!(begun, 2, "{:?}", server.methods());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_expired_is_begun_anew_once() {
    let sessions = AtomicUsize::new(0);
    let server = Scripted::start(move |asked| match asked.rpc() {
        "initialize" => {
            let session = sessions.fetch_add(1, Ordering::SeqCst);
            with_session(asked, &format!("session-{session}"))
        }
        "notifications/initialized" => status(202),
        "tools/call" => match asked.header("mcp-session-id") {
            Some("session-0") if asked.message["params"]["name"] == "old" => {
                text(asked, "in the first")
            }
            Some("session-1") => text(asked, "in the second"),
            _ => status(404),
        },
        _ => status(404),
    })
    .await;
    let agents = with(&server).await;
    let result = agents
        .result(
            "const call = (name) => tools.call('mcp:bad', 'call_tool', {name}).content[0].text;
             return [call('old'), call('new'), call('new')]",
        )
        .await;
    assert_eq!(
        result,
        r#"["in the first","in the second","in the second"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_changes_its_tools_gives_errors_and_no_confusion() {
    let calls = AtomicUsize::new(0);
    let server = Scripted::start(move |asked| {
        legacy(asked, &["a", "b"], |asked| {
            let name = asked.message["params"]["name"].as_str().expect("a name");
            match (name, calls.fetch_add(1, Ordering::SeqCst)) {
                ("a", 0) | ("c", _) => text(asked, name),
                _ => crate::scripted::error(asked, 200, -32602, &format!("Unknown tool: {name}")),
            }
        })
    })
    .await;
    let agents = with(&server).await;
    let result = agents
        .result(
            "const bad = require('bad');
             const first = bad.a();
             try { bad.a() } catch (e) {
               return [first, e.code, e.message, 'c' in bad, tools.call('mcp:bad', 'call_tool', {name: 'c'}).content[0].text];
             }",
        )
        .await;
    assert_eq!(
        result,
        r#"["a","invalid_input","the MCP server \"bad\" does not accept this call (-32602): Unknown tool: a",false,"c"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_elsewhere_is_not_followed() {
    let other = Scripted::start(|asked| text(asked, "gotten")).await;
    let to = other.url.clone();
    for code in [301, 302, 303, 307, 308] {
        let to = to.clone();
        let server = Scripted::start(move |_| {
            let mut answer = status(code);
            let location = to.parse().expect("a header's value");
            answer.headers_mut().insert("location", location);
            answer
        })
        .await;
        let declared = server.declared("bad", "");
        let agents = WithAgents::start(&declared, &[&server.url, &other.url]).await;
        let said = agents.tool_error(CALL).await;
        assert_eq!(said.0, "upstream_error", "{code}");
        assert!(said.1.contains("not followed"), "{code}: {said:?}");
    }
    assert!(other.asked().is_empty());
}

fn with_session(asked: &Asked, id: &str) -> axum::response::Response {
    let mut answer = initialized(asked, "2025-11-25");
    let id = id.parse().expect("a header's value");
    answer.headers_mut().insert("mcp-session-id", id);
    answer
}

//! The revisions of the protocol, with servers that keep to one: what they are sent, and what they
//! may answer.

use std::sync::Mutex;

use axum::http::Method;
use serde_json::json;

use crate::fixture::WithAgents;
use crate::scripted::{
    Asked, Scripted, error, event, initialized, json as json_answer, legacy, reply_to, result,
    status, stream, text, with_body,
};

const CALL: &str = "return tools.call('mcp:it', 'call_tool', {name: 'é', arguments: {region: 'a b '}}).content[0].text";

async fn with(server: &Scripted) -> WithAgents {
    WithAgents::start(&server.declared("it", ""), &[&server.url]).await
}

/// A server that knows only 2026-07-28, and whose one tool also wants `region` in a header.
fn modern(asked: &Asked) -> axum::response::Response {
    let meta = &asked.message["params"]["_meta"];
    assert_eq!(
        meta["io.modelcontextprotocol/protocolVersion"],
        "2026-07-28"
    );
    assert_eq!(asked.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(asked.header("mcp-method"), Some(asked.rpc()));
    assert_eq!(asked.header("mcp-session-id"), None);
    match asked.rpc() {
        "server/discover" => result(
            asked,
            &json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {} }),
        ),
        "tools/list" => result(
            asked,
            &json!({ "resultType": "complete", "tools": [
                { "name": "é", "inputSchema": { "type": "object", "properties": {
                    "region": { "type": "string", "x-mcp-header": "Region" } } } },
                { "name": "wrong", "inputSchema": { "type": "object", "x-mcp-header": "A" } },
            ]}),
        ),
        "tools/call" => {
            assert_eq!(asked.header("mcp-name"), Some("=?base64?w6k=?="));
            match asked.header("mcp-param-region") {
                Some("=?base64?YSBiIA==?=") => {
                    let content = json!([{ "type": "text", "text": "called" }]);
                    result(
                        asked,
                        &json!({ "resultType": "complete", "content": content }),
                    )
                }
                _ => error(asked, 400, -32020, "Mcp-Param-Region is missing"),
            }
        }
        other => panic!("{other} is no request of this revision"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stateless_revision_has_no_session_and_mirrors_what_a_tool_asks_for() {
    let server = Scripted::start(modern).await;
    let agents = with(&server).await;
    // The client does not know the headers before it lists the tools, and the server's error tells
    // it.
    assert_eq!(agents.result(CALL).await, r#""called""#);
    let expected = ["server/discover", "tools/call", "tools/list", "tools/call"];
    assert_eq!(server.methods(), expected);
    let listed = agents
        .result("const it = require('it'); return [Object.keys(it), it['é']({region: 'a b '})]")
        .await;
    assert_eq!(listed, r#"[["é"],"called"]"#);
    // The next run uses the findings of the first.
    assert_eq!(server.methods()[4..], ["tools/list", "tools/call"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_could_give_is_an_error() {
    let server = Scripted::start(|asked| match asked.rpc() {
        "tools/call" => result(
            asked,
            &json!({ "resultType": "input_required", "inputRequests": { "q": { "method": "elicitation/create" } } }),
        ),
        _ => modern(asked),
    })
    .await;
    let said = with(&server).await.tool_error(CALL).await;
    assert_eq!(said.0, "upstream_error");
    assert!(said.1.contains("input of a person"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_revision_is_named() {
    let server = Scripted::start(|asked| {
        json_answer(
            400,
            &json!({ "jsonrpc": "2.0", "id": asked.message["id"], "error": {
                "code": -32022, "message": "no", "data": { "supported": ["2031-01-01"] } } }),
        )
    })
    .await;
    let said = with(&server).await.tool_error(CALL).await;
    assert!(said.1.contains("2031-01-01"), "{said:?}");
    assert_eq!(server.methods(), ["server/discover"]);

    let server = Scripted::start(|asked| match asked.rpc() {
        "initialize" => initialized(asked, "2019-01-01"),
        _ => status(400),
    })
    .await;
    let said = with(&server).await.tool_error(CALL).await;
    assert!(said.1.contains("2019-01-01"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_legacy_revision_gets_the_headers_that_it_has() {
    for (version, header) in [
        ("2025-11-25", Some("2025-11-25")),
        ("2025-06-18", Some("2025-06-18")),
        ("2025-03-26", None),
    ] {
        let server = Scripted::start(move |asked| match asked.rpc() {
            "initialize" => initialized(asked, version),
            // The answer is a list of messages, which only one of these revisions has.
            "tools/call" => json_answer(
                200,
                &json!([
                    { "jsonrpc": "2.0", "method": "notifications/message" },
                    reply_to(asked, &json!({ "content": [{ "type": "text", "text": "called" }] })),
                ]),
            ),
            "notifications/initialized" => status(202),
            _ => error(asked, 404, -32601, "Method not found"),
        })
        .await;
        let agents = with(&server).await;
        assert_eq!(agents.result(CALL).await, r#""called""#, "{version}");
        let asked = server.asked();
        assert_eq!(asked[1].rpc(), "initialize");
        assert_eq!(asked[1].header("mcp-protocol-version"), None, "{version}");
        assert_eq!(asked[1].message["params"]["capabilities"], json!({}));
        for later in &asked[2..] {
            assert_eq!(later.header("mcp-protocol-version"), header, "{version}");
            let accepted = later.header("accept").expect("it is sent");
            assert!(
                accepted.contains("application/json") && accepted.contains("text/event-stream")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_negotiated_is_remembered_within_a_run() {
    let server = Scripted::start(|asked| legacy(asked, &["a"], |asked| text(asked, "x"))).await;
    let agents = with(&server).await;
    agents
        .result("const it = require('it'); it.a(); it.a(); return it.a()")
        .await;
    let expected = [
        "server/discover",
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/call",
        "tools/call",
        "tools/call",
    ];
    assert_eq!(server.methods(), expected);
    agents.result("return require('it').a()").await;
    assert_eq!(
        server.methods()[7..9],
        expected[1..3],
        "another run has a session of its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_is_taken_up_after_its_last_event() {
    let last = Mutex::new(json!(null));
    let server = Scripted::start(move |asked| {
        let mut last = last.lock().expect("no holder panics");
        if asked.method == Method::GET {
            return match asked.header("last-event-id") {
                Some("first") => stream(vec![(0, "id: second\nretry: 1\ndata:\n\n".to_owned())]),
                Some("second") => {
                    let content = json!({ "content": [{ "type": "text", "text": "late" }] });
                    let reply = json!({ "jsonrpc": "2.0", "id": *last, "result": content });
                    stream(vec![(0, event(&reply))])
                }
                _ => status(405),
            };
        }
        legacy(asked, &[], |asked| {
            *last = asked.message["id"].clone();
            stream(vec![(0, "id: first\nretry: 1\ndata:\n\n".to_owned())])
        })
    })
    .await;
    assert_eq!(with(&server).await.result(CALL).await, r#""late""#);

    // The client gives up a stream that never ends.
    let server = Scripted::start(|asked| match asked.method {
        Method::GET => stream(vec![(0, "id: again\nretry: 1\ndata:\n\n".to_owned())]),
        _ => legacy(asked, &[], |_| {
            stream(vec![(0, "id: again\nretry: 1\ndata:\n\n".to_owned())])
        }),
    })
    .await;
    let said = with(&server).await.tool_error(CALL).await;
    assert!(said.1.contains("max_resumptions"), "{said:?}");
    let taken_up = server
        .asked()
        .iter()
        .filter(|asked| asked.method == Method::GET)
        .count();
    assert_eq!(taken_up, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_own_requests_are_answered_on_the_way() {
    let server = Scripted::start(|asked| {
        if asked.rpc().is_empty() && asked.method == Method::POST {
            return status(202);
        }
        legacy(asked, &[], |asked| {
            let ask = |id: &str, method: &str| {
                event(&json!({ "jsonrpc": "2.0", "id": id, "method": method }))
            };
            let content = json!({ "content": [{ "type": "text", "text": "called" }] });
            stream(vec![
                (0, ask("p", "ping")),
                (0, ask("s", "sampling/createMessage")),
                (
                    0,
                    event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress" })),
                ),
                (50, event(&reply_to(asked, &content))),
            ])
        })
    })
    .await;
    assert_eq!(with(&server).await.result(CALL).await, r#""called""#);
    let answers: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.rpc().is_empty())
        .map(|asked| asked.message)
        .collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(
        answers[0],
        json!({ "jsonrpc": "2.0", "id": "p", "result": {} })
    );
    assert_eq!(answers[1]["id"], "s");
    assert_eq!(answers[1]["error"]["code"], -32601);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_other_transport_says_which_to_declare() {
    let server = Scripted::start(|asked| match asked.method {
        Method::GET => with_body(200, "text/event-stream", "event: endpoint\ndata: /post\n\n"),
        _ => status(405),
    })
    .await;
    let said = with(&server).await.tool_error(CALL).await;
    assert!(said.1.contains("correct url or transport"), "{said:?}");
}

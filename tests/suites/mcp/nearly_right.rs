//! Servers whose answers nearly follow the protocol. Whatever is readable is used, and the server's
//! own words reach the caller.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use crate::fixture::{AGENT, WithAgents};
use crate::scripted::{
    Asked, Scripted, error, event, initialized, json as json_answer, reply_to, result, status,
    stream, text, tool_list, with_body, with_session,
};

const CALL: &str = "return require('s').a({})";
/// A short time, so that a server that never answers the probe is soon recognised.
const SETTINGS: &str = "[tools.mcp-client.config]\nprobe_timeout_ms = \"300\"\n";

async fn with(server: &Scripted, besides: &str) -> WithAgents {
    let declared = server.declared("s", besides);
    WithAgents::start_with(SETTINGS, &declared, &[&server.url]).await
}

/// The result of a program whose server answers calls in this way.
async fn called(answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static) -> String {
    let server = Scripted::start(move |asked| with_session(asked, &answer)).await;
    with(&server, "").await.result(CALL).await
}

/// The error that a program gets from a server that answers calls in this way.
async fn said(answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static) -> String {
    let server = Scripted::start(move |asked| with_session(asked, &answer)).await;
    with(&server, "").await.tool_error(CALL).await.1
}

fn fine() -> Value {
    json!({ "content": [{ "type": "text", "text": "fine" }] })
}

/// A correct server, except for its answer to one method.
async fn but(
    method: &'static str,
    answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |asked| match asked.rpc() == method {
        true => answer(asked),
        false => with_session(asked, |asked| text(asked, "fine")),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_modern_answer_to_the_probe_leads_to_initialize() {
    type Answer = fn(&Asked) -> Response<Body>;
    let answers: [(&str, Answer); 16] = [
        ("never", |_| stream_for_ever("")),
        ("no head", |_| {
            std::thread::sleep(std::time::Duration::from_secs(2));
            status(200)
        }),
        ("no end of comments", |_| stream_for_ever(": wait\n\n")),
        ("502", |_| {
            with_body(502, "text/html", "<html>Bad gateway</html>")
        }),
        ("html", |_| with_body(200, "text/html", "<html>hello")),
        ("nothing", |_| status(200)),
        ("202", |_| status(202)),
        ("401", |_| status(401)),
        ("403", |_| with_body(403, "text/plain", "unknown method")),
        ("429", |_| status(429)),
        ("a foreign id", |_| {
            let error = json!({ "code": -32600, "message": "Bad Request: Missing session ID" });
            json_answer(
                400,
                &json!({ "jsonrpc": "2.0", "id": "server-error", "error": error }),
            )
        }),
        ("a foreign id under 200", |_| {
            json_answer(200, &json!({ "jsonrpc": "2.0", "id": 4711, "result": {} }))
        }),
        ("-32000", |asked| {
            error(asked, 400, -32000, "Server not initialized")
        }),
        ("-32602", |asked| {
            error(asked, 200, -32602, "Invalid request parameters")
        }),
        ("an empty result", |asked| result(asked, &json!({}))),
        ("a word", |_| with_body(500, "application/json", "\"oh\"")),
    ];
    for (what, answer) in answers {
        let server = but("server/discover", answer).await;
        let result = with(&server, "").await.result(CALL).await;
        assert_eq!(result, r#""fine""#, "{what}: {:?}", server.methods());
        assert_eq!(
            server.methods()[..2],
            ["server/discover", "initialize"],
            "{what}"
        );
    }
}

/// A stream that repeats a text, or is silent, for two seconds.
fn stream_for_ever(text: &'static str) -> Response<Body> {
    stream(vec![(100, text.to_owned()); 20])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_asked_once() {
    let agents = {
        let server = Scripted::start(|_| status(200)).await;
        let url = server.url.replace("127.0.0.1", "127.0.0.2");
        let declared = format!("{{ \"name\": \"s\", \"url\": \"{url}/mcp\" }}");
        WithAgents::start(&declared, &[&url]).await
    };
    let said = agents.tool_error(CALL).await;
    assert_eq!(said.0, "upstream_unreachable", "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_name_the_revision_without_sessions() {
    let server = but("initialize", |asked| initialized(asked, "2026-07-28")).await;
    assert_eq!(with(&server, "").await.result(CALL).await, r#""fine""#);
    let asked = server.asked();
    let call = asked.iter().find(|it| it.rpc() == "tools/call");
    let call = call.expect("it was called");
    assert_eq!(call.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(call.header("mcp-method"), Some("tools/call"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lists_the_revision_it_refused_is_asked_once_again() {
    let refused = |asked: &Asked, supported: Value| {
        let error = json!({ "code": -32022, "message": "no", "data": { "supported": supported } });
        json_answer(
            400,
            &json!({ "jsonrpc": "2.0", "id": asked.message["id"], "error": error }),
        )
    };
    let asked_before = AtomicUsize::new(0);
    let server = Scripted::start(move |asked| match asked.rpc() {
        "server/discover" if asked_before.fetch_add(1, Ordering::SeqCst) == 0 => {
            refused(asked, json!(["2026-07-28"]))
        }
        "server/discover" => result(asked, &json!({ "supportedVersions": ["2026-07-28"] })),
        "tools/list" => result(asked, &tool_list(&["a"])),
        _ => text(asked, "fine"),
    })
    .await;
    assert_eq!(with(&server, "").await.result(CALL).await, r#""fine""#);
    let server = but("server/discover", move |asked| {
        refused(asked, json!(["2026-07-28"]))
    })
    .await;
    let said = with(&server, "").await.tool_error(CALL).await;
    assert_eq!(
        server.methods(),
        ["server/discover", "server/discover"],
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_out_about_a_server_is_known_to_the_next_run() {
    let server = but("server/discover", |asked| error(asked, 200, -32601, "no")).await;
    let agents = with(&server, "").await;
    agents.result(CALL).await;
    agents.result(CALL).await;
    let probes = |server: &Scripted| {
        let methods = server.methods();
        methods.iter().filter(|it| *it == "server/discover").count()
    };
    assert_eq!(probes(&server), 1, "{:?}", server.methods());

    // The client notices that a server has changed, and finds out its era again.
    let is_modern = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let now = std::sync::Arc::clone(&is_modern);
    let server = Scripted::start(
        move |asked| match (asked.rpc(), now.load(Ordering::SeqCst)) {
            ("server/discover", true) => {
                result(asked, &json!({ "supportedVersions": ["2026-07-28"] }))
            }
            ("initialize", true) => error(asked, 400, -32601, "no"),
            ("tools/list" | "tools/call", false) if asked.header("mcp-session-id").is_none() => {
                with_body(400, "text/plain", "no session")
            }
            _ => with_session(asked, |asked| text(asked, "fine")),
        },
    )
    .await;
    let agents = with(&server, "").await;
    for (modern, probed) in [
        (true, 1),
        (true, 1),
        (false, 2),
        (false, 2),
        (true, 3),
        (true, 3),
    ] {
        is_modern.store(modern, Ordering::SeqCst);
        assert_eq!(agents.result(CALL).await, r#""fine""#);
        assert_eq!(probes(&server), probed, "{:?}", server.methods());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_reply_may_be_refused() {
    for code in [400, 401, 404, 405, 500] {
        let server = but("notifications/initialized", move |_| status(code)).await;
        assert_eq!(
            with(&server, "").await.result(CALL).await,
            r#""fine""#,
            "{code}"
        );
    }
    // Here the server refuses the client's answer to a ping.
    for code in [400, 404, 500] {
        let ping = json!({ "jsonrpc": "2.0", "id": "0f3b", "method": "ping" });
        let server = Scripted::start(move |asked| match asked.rpc() {
            "" => status(code),
            _ => with_session(asked, |asked| {
                stream(vec![
                    (0, event(&ping)),
                    (0, event(&reply_to(asked, &fine()))),
                ])
            }),
        })
        .await;
        assert_eq!(
            with(&server, "").await.result(CALL).await,
            r#""fine""#,
            "{code}"
        );
        assert!(
            server.methods().iter().any(String::is_empty),
            "the ping was answered"
        );

        let server = over_sse(code).await;
        let agents = with(&server, r#", "transport": "sse""#).await;
        assert_eq!(agents.result(CALL).await, r#""fine""#, "{code}");
        assert!(
            server.methods().iter().any(String::is_empty),
            "the ping was answered"
        );
    }
}

/// A server of the older transport. It pings before each reply, sends text that is no message, and
/// answers the pong with this status.
async fn over_sse(pong: u16) -> Scripted {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<String>();
    let receiver = Mutex::new(Some(receiver));
    Scripted::start(move |asked| {
        if asked.method == Method::GET {
            let mut receiver = receiver
                .lock()
                .expect("no holder panics")
                .take()
                .expect("one stream");
            let _ = sender.send("event: endpoint\ndata: /post\n\n".to_owned());
            let pieces = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
            let pieces = futures::StreamExt::map(pieces, Ok::<_, std::convert::Infallible>);
            return with_body(200, "text/event-stream", Body::from_stream(pieces));
        }
        let reply = match asked.rpc() {
            "" => return status(pong),
            "initialize" => json!({ "protocolVersion": "2024-11-05", "capabilities": {} }),
            "tools/list" => tool_list(&["a"]),
            "tools/call" => fine(),
            _ => return status(202),
        };
        for said in [
            json!({ "jsonrpc": "2.0", "id": "0f3b", "method": "ping" }),
            json!({ "type": "heartbeat" }),
            reply_to(asked, &reply),
        ] {
            let _ = sender.send(event(&said));
        }
        status(202)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_no_messages_are_passed_over() {
    for noise in [
        "data: {\"type\":\"heartbeat\",\"timestamp\":\"2026-01-01T00:00:00Z\"}\n\n",
        "data: <html>\n\n",
        "data: [1, 2]\n\n",
        "data: \"keep-alive\"\n\n",
        "event: ping\ndata: 2026-01-01\n\n",
        "data: {\"jsonrpc\":\"2.0\"}\n\n",
        "data: \u{fffd}{\n\n",
    ] {
        let result = called(move |asked| {
            stream(vec![
                (0, noise.to_owned()),
                (0, event(&reply_to(asked, &fine()))),
            ])
        })
        .await;
        assert_eq!(result, r#""fine""#, "{noise}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_words_are_in_the_error() {
    let quota = "quota of the project is used up";
    for (status, code) in [
        (400, -32000),
        (400, -32001),
        (402, -32000),
        (500, -32603),
        (200, 7),
        (422, -32602),
    ] {
        let said = said(move |asked| error(asked, status, code, quota)).await;
        assert!(said.contains(quota), "{status} {code}: {said}");
    }
    for (status, kind, body) in [
        (400, "text/plain", quota.to_owned()),
        (
            418,
            "application/json",
            format!("{{\"detail\":\"{quota}\"}}"),
        ),
        (
            502,
            "text/html",
            format!("<html><head><title>Oh</title></head><p>{quota}</p></html>"),
        ),
        (
            503,
            "application/problem+json",
            format!("{{\"title\":\"{quota}\"}}"),
        ),
        (403, "text/html", format!("<html>{quota}</html>")),
        (
            401,
            "application/json",
            format!("{{\"error_description\":\"{quota}\"}}"),
        ),
        (
            405,
            "application/json",
            format!("[{{\"error\":\"{quota}\"}}]"),
        ),
        (200, "text/html", format!("<html>{quota}</html>")),
        (
            200,
            "application/json",
            format!("{{\"message\":\"{quota}\"}}"),
        ),
    ] {
        let shown = body.clone();
        let said = said(move |_| with_body(status, kind, body.clone())).await;
        assert!(said.contains(quota), "{status} {shown}: {said}");
    }
    let said_in_events =
        said(move |_| stream(vec![(0, format!("event: error\ndata: {quota}\n\n"))])).await;
    assert!(said_in_events.contains(quota), "{said_in_events}");
    for error in [
        json!({ "code": -32000, "message": "", "data": { "detail": quota } }),
        json!({ "code": -32603, "message": "Internal error", "data": quota }),
    ] {
        let said = said(move |asked| {
            let reply = json!({ "jsonrpc": "2.0", "id": asked.message["id"], "error": error });
            json_answer(200, &reply)
        })
        .await;
        assert!(said.contains(quota), "{said}");
    }
    let resource = json!({ "type": "resource", "resource": { "uri": "a:b", "text": quota } });
    for is_error in [json!(true), json!("true")] {
        let failed = json!({ "isError": is_error, "content": [resource.clone()] });
        let said = said(move |asked| result(asked, &failed)).await;
        assert!(said.contains(quota), "{said}");
    }
    let with_header = |status: u16, name: &'static str, value: &'static str| {
        move |_: &Asked| {
            let mut answer = crate::scripted::status(status);
            answer
                .headers_mut()
                .insert(name, value.parse().expect("a header's value"));
            answer
        }
    };
    for (status, name, value, expected) in [
        (
            401,
            "www-authenticate",
            "Bearer error=\"invalid_token\", scope=\"a\"",
            "error=\"invalid_token\", scope=\"a\"",
        ),
        (
            403,
            "www-authenticate",
            "Bearer error=\"insufficient_scope\"",
            "insufficient_scope",
        ),
        (429, "retry-after", "120", "try again in 120 s"),
        (
            503,
            "retry-after",
            "Fri, 27 Nov 2026 14:00:00 GMT",
            "try again after Fri, 27 Nov",
        ),
        (
            307,
            "location",
            "https://elsewhere.example/mcp",
            "https://elsewhere.example/mcp",
        ),
    ] {
        let said = said(with_header(status, name, value)).await;
        assert!(said.contains(expected), "{status}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_not_about_the_credential_does_not_blame_it() {
    let server = Scripted::start(|asked| match asked.header("user-agent") {
        None => with_body(403, "text/html", "<html>error code: 1010</html>"),
        Some(_) => with_session(asked, |_| {
            with_body(403, "text/plain", "not from your country")
        }),
    })
    .await;
    let said = with(&server, "").await.tool_error(CALL).await;
    assert_eq!(said.0, "upstream_error", "{said:?}");
    assert!(said.1.contains("not from your country"), "{said:?}");
    assert!(!said.1.contains("credential"), "{said:?}");
    let agents = server.asked();
    let agent = agents[0].header("user-agent").expect("it is sent");
    assert!(agent.starts_with("tavora-host/"), "{agent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_forgotten_is_begun_anew_once() {
    type Answer = fn(&Asked) -> Response<Body>;
    let forgotten: [(&str, Answer); 5] = [
        ("400 with no id", |_| {
            let error =
                json!({ "code": -32000, "message": "Bad Request: No valid session ID provided" });
            json_answer(
                400,
                &json!({ "jsonrpc": "2.0", "id": null, "error": error }),
            )
        }),
        ("400 with words", |_| {
            with_body(400, "text/plain", "Invalid session")
        }),
        ("400 with nothing", |_| status(400)),
        ("404 with a reply", |asked| {
            error(asked, 404, -32600, "Session not found")
        }),
        ("404 with another reply", |asked| {
            error(asked, 404, -32001, "Session not found")
        }),
    ];
    for (what, answer) in forgotten {
        let (sessions, calls) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let server = Scripted::start(move |asked| match asked.rpc() {
            "initialize" => {
                let mut answer = initialized(asked, "2025-06-18");
                let id = format!("s{}", sessions.fetch_add(1, Ordering::SeqCst));
                answer
                    .headers_mut()
                    .insert("mcp-session-id", id.parse().expect("valid"));
                answer
            }
            "tools/call" if asked.header("mcp-session-id") == Some("s0") => {
                match calls.fetch_add(1, Ordering::SeqCst) {
                    0 => text(asked, "first"),
                    _ => answer(asked),
                }
            }
            _ => with_session(asked, |asked| text(asked, "second")),
        })
        .await;
        let code = "const s = require('s'); const a = s.a({}); return [a, s.a({})]";
        let result = with(&server, "").await.result(code).await;
        assert_eq!(result, r#"["first","second"]"#, "{what}");
        let methods = server.methods();
        let begun = methods.iter().filter(|it| *it == "initialize").count();
        let probed = methods.iter().filter(|it| *it == "server/discover").count();
        assert_eq!((begun, probed), (2, 1), "{what}: {methods:?}");
    }
    // A server that always answers this gets another error than a server that does not work.
    let server = but("tools/call", |_| {
        with_body(400, "text/plain", "Invalid session")
    })
    .await;
    let said = with(&server, "").await.tool_error(CALL).await;
    assert!(said.1.contains("forgets each session"), "{said:?}");
    assert!(said.1.contains("Invalid session"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_refused_for_itself_is_sent_once() {
    type Answer = fn(&Asked) -> Response<Body>;
    let answers: [(&str, Answer); 9] = [
        ("quota of the project is used up", |_| {
            let error = json!({ "code": -32000, "message": "quota of the project is used up" });
            json_answer(400, &json!({ "id": null, "error": error }))
        }),
        ("amount must be positive", |_| {
            json_answer(400, &json!({ "error": "amount must be positive" }))
        }),
        ("amount must be positive", |_| {
            with_body(400, "text/plain", "amount must be positive")
        }),
        ("WAF blocked", |_| {
            with_body(400, "text/html", "<h1>Bad Request</h1>WAF blocked")
        }),
        ("no such record", |_| {
            json_answer(404, &json!({ "error": "no such record" }))
        }),
        ("record 7 not found", |asked| {
            error(asked, 404, -32602, "record 7 not found")
        }),
        ("record 7 is locked", |asked| {
            let error = json!({ "code": -32000, "message": "record 7 is locked" });
            let reply = json!({ "jsonrpc": "2.0", "id": asked.message["id"], "error": error });
            with_body(400, "text/event-stream", event(&reply))
        }),
        ("too long", |asked| {
            error(asked, 400, -32000, &"too long ".repeat(8_000))
        }),
        ("fine", |asked| json_answer(400, &reply_to(asked, &fine()))),
    ];
    for (expected, answer) in answers {
        let server = but("tools/call", answer).await;
        let said = with(&server, "").await.tool_error(CALL).await.1;
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("session"), "{expected}: {said}");
        let methods = server.methods();
        let calls = methods.iter().filter(|it| *it == "tools/call").count();
        assert_eq!(calls, 1, "{expected}: {methods:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_that_lead_nowhere_keep_what_was_listed() {
    let cursors: [fn(usize) -> Value; 6] = [
        |_| json!(""),
        |_| json!("again"),
        |page| json!(format!("page-{page}")),
        |_| json!(false),
        |_| json!({}),
        |page| json!(page),
    ];
    for cursor in cursors {
        let pages = AtomicUsize::new(0);
        let server = but("tools/list", move |asked| {
            let mut list = tool_list(&["a"]);
            list["nextCursor"] = cursor(pages.fetch_add(1, Ordering::SeqCst));
            result(asked, &list)
        })
        .await;
        let settings = "[tools.mcp-client.config]\nmax_tools = \"10\"\n";
        let declared = server.declared("s", "");
        let agents = WithAgents::start_with(settings, &declared, &[&server.url]).await;
        assert_eq!(agents.result(CALL).await, r#""fine""#, "{}", cursor(0));
        assert!(server.methods().len() < 20, "{}", cursor(0));
    }
    // The server refuses this page.
    let server = but("tools/list", |asked| {
        match asked.message["params"].get("cursor") {
            None => {
                let mut list = tool_list(&["a"]);
                list["nextCursor"] = json!("two");
                result(asked, &list)
            }
            Some(_) => error(asked, 200, -32602, "Invalid cursor"),
        }
    })
    .await;
    let agents = with(&server, "").await;
    assert_eq!(agents.result(CALL).await, r#""fine""#);
    let listed = agents
        .result("return tools.call('mcp:s', 'list_tools').notes")
        .await;
    assert!(listed.contains("Invalid cursor"), "{listed}");
    // The further page fails, or is no page.
    type Answer = fn(&Asked) -> Response<Body>;
    let failures: [Answer; 4] = [
        |_| status(500),
        |_| with_body(200, "application/json", "{\"jsonrpc\":"),
        |_| stream(Vec::new()),
        |asked| result(asked, &json!({ "tools": 7 })),
    ];
    for failure in failures {
        let server = but("tools/list", move |asked| {
            match asked.message["params"].get("cursor") {
                None => {
                    let mut list = tool_list(&["a"]);
                    list["nextCursor"] = json!("two");
                    result(asked, &list)
                }
                Some(_) => failure(asked),
            }
        })
        .await;
        let agents = with(&server, "").await;
        assert_eq!(agents.result(CALL).await, r#""fine""#);
        let lines = agents.logs_of(AGENT, "require('s')").await;
        assert!(lines.contains("broke off"), "{lines}");
    }
    // Each further page is empty and names another one.
    let pages = AtomicUsize::new(0);
    let server = but("tools/list", move |asked| {
        let page = pages.fetch_add(1, Ordering::SeqCst);
        let names: &[&str] = if page == 0 { &["a"] } else { &[] };
        let mut list = tool_list(names);
        list["nextCursor"] = json!(format!("page-{page}"));
        result(asked, &list)
    })
    .await;
    assert_eq!(with(&server, "").await.result(CALL).await, r#""fine""#);
    let methods = server.methods();
    let lists = methods.iter().filter(|it| *it == "tools/list").count();
    assert_eq!(lists, 4, "{methods:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_is_left_out_with_a_word_and_not_for_its_schema() {
    let server = but("tools/list", |asked| {
        result(
            asked,
            &json!({ "tools": [
                { "name": "good", "inputSchema": { "type": "object" } },
                { "name": "nos", "description": "no arguments" },
                { "name": "null", "inputSchema": null, "outputSchema": null },
                { "name": "true", "inputSchema": true },
                { "name": "text", "inputSchema": "object" },
                { "name": "task", "inputSchema": { "type": "object" }, "execution": { "taskSupport": "required" } },
                { "name": "maybe", "execution": { "taskSupport": "optional" } },
                { "inputSchema": { "type": "object" } },
                { "name": "good", "description": "another" },
                { "name": "" }, { "name": 7 }, "tool", null,
            ]}),
        )
    })
    .await;
    let agents = with(&server, "").await;
    let result = agents.result("return Object.keys(require('s'))").await;
    assert_eq!(result, r#"["good","nos","null","true","text","maybe"]"#);
    let called = agents.result("return require('s').nos()").await;
    assert_eq!(called, r#""fine""#);
    let lines = agents.logs_of(AGENT, "require('s')").await;
    assert!(lines.contains("the tool \"task\" is left out"), "{lines}");
    assert!(lines.contains("without a name"), "{lines}");
    assert!(lines.contains("a second tool \"good\""), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_known_in_any_form() {
    let forms: [fn(u64) -> Value; 4] = [
        |id| json!(id.to_string()),
        |id| json!(id as f64),
        |id| json!(format!(" {id} ")),
        |_| Value::Null,
    ];
    for form in forms {
        let result = called(move |asked| {
            let mut reply = reply_to(asked, &fine());
            reply["id"] = form(asked.message["id"].as_u64().expect("a number"));
            json_answer(200, &reply)
        })
        .await;
        assert_eq!(result, r#""fine""#, "{}", form(7));
    }
    for rest in [
        r#""jsonrpc":"2.0","error":null"#,
        r#""jsonrpc":"2.0","error":{}"#,
        r#""jsonrpc":"2.0","method":null"#,
        r#""jsonrpc":"1.0""#,
        r#""unknown":1"#,
    ] {
        let result = called(move |asked| {
            let reply = format!(
                "{{\"id\":{},\"result\":{},{rest}}}",
                asked.message["id"],
                fine()
            );
            with_body(200, "application/json", reply)
        })
        .await;
        assert_eq!(result, r#""fine""#, "{rest}");
    }
    for error in [
        r#"{"code":"-32000","message":"no room"}"#,
        r#"{"message":"no room"}"#,
        r#""no room""#,
        r#"{"code":1,"message":{"text":"no room"}}"#,
        r#"{"code":1.0,"data":"no room"}"#,
    ] {
        let said = said(move |asked| {
            let reply = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":null,\"error\":{error}}}",
                asked.message["id"]
            );
            with_body(200, "application/json", reply)
        })
        .await;
        assert!(said.contains("no room"), "{error}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_an_unusual_wrapping_is_taken() {
    for kind in [
        "",
        "text/plain",
        "text/json",
        "application/vnd.api+json; charset=utf-8",
        "text/event-stream",
        "nonsense",
    ] {
        let result = called(move |asked| {
            let reply = format!("\u{feff} \n{}", reply_to(asked, &fine()));
            let mut answer = with_body(200, "text/plain", reply);
            match kind {
                "" => answer.headers_mut().remove("content-type"),
                kind => answer
                    .headers_mut()
                    .insert("content-type", kind.parse().expect("valid")),
            };
            answer
        })
        .await;
        assert_eq!(result, r#""fine""#, "{kind}");
    }
    for kind in ["application/json", "text/plain", "application/octet-stream"] {
        let result = called(move |asked| {
            with_body(
                200,
                kind,
                format!(": hello\n{}", event(&reply_to(asked, &fine()))),
            )
        })
        .await;
        assert_eq!(result, r#""fine""#, "events under the type {kind}");
    }
    // The last event has no blank line, or only its first line begins with `data:`.
    let forms: [fn(Value) -> String; 4] = [
        |reply| format!("data: {reply}\n"),
        |reply| format!("data: {reply}\r\n"),
        |reply| format!("data: {reply}"),
        |reply| format!("data: {reply:#}\n\n"),
    ];
    for form in forms {
        let result = called(move |asked| {
            let events = form(reply_to(asked, &fine()));
            with_body(200, "text/event-stream", events)
        })
        .await;
        assert_eq!(result, r#""fine""#, "{}", form(json!(7)));
    }
    for content in [json!("fine"), json!({ "type": "text", "text": "fine" })] {
        let shown = content.clone();
        let result = called(move |asked| result(asked, &json!({ "content": content }))).await;
        assert_eq!(result, r#""fine""#, "{shown}");
    }
    let nothing = called(|asked| {
        let mut result = fine();
        result["structuredContent"] = Value::Null;
        result["isError"] = Value::Null;
        crate::scripted::result(asked, &result)
    })
    .await;
    assert_eq!(nothing, r#""fine""#);
    for empty in [json!(""), json!([]), json!({}), json!(false), json!(0)] {
        let shown = empty.clone();
        let result = called(move |asked| {
            let mut result = fine();
            result["structuredContent"] = empty.clone();
            crate::scripted::result(asked, &result)
        })
        .await;
        assert_eq!(result, r#""fine""#, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_odd_character_or_number_does_not_cost_the_whole_answer() {
    for (text, expected) in [
        (r"cut \ud83d", "\"cut \u{fffd}\""),
        (r"\udc00 cut", "\"\u{fffd} cut\""),
        (r"\ud83d\ud83d\ude00", "\"\u{fffd}\u{1f600}\""),
        ("a\tb\u{1}", "\"a\\tb\\u0001\""),
    ] {
        for is_stream in [false, true] {
            let result = called(move |asked| {
                let id = &asked.message["id"];
                let reply = format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}}}"
                );
                match is_stream {
                    true => with_body(200, "text/event-stream", format!("data: {reply}\n\n")),
                    false => with_body(200, "application/json", reply),
                }
            })
            .await;
            assert_eq!(result, expected, "{text}");
        }
    }
    for number in [
        "1e400",
        "-1e400",
        "NaN",
        "Infinity",
        "123456789012345678901234567890",
    ] {
        let server = Scripted::start(move |asked| {
            with_session(asked, |asked| {
                let id = &asked.message["id"];
                with_body(200, "application/json", format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[],\"structuredContent\":{{\"z\":1,\"e\":{number}}}}}}}"
                ))
            })
        })
        .await;
        let code = "return require('s').a({}).z";
        assert_eq!(with(&server, "").await.result(code).await, "1", "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_within_the_origin_is_followed() {
    for code in [307, 308] {
        let server = Scripted::start(move |asked| match asked.path.as_str() {
            "/mcp" => {
                let mut answer = status(code);
                answer
                    .headers_mut()
                    .insert("location", "/mcp/".parse().expect("valid"));
                answer
            }
            _ => with_session(asked, |asked| text(asked, "fine")),
        })
        .await;
        assert_eq!(
            with(&server, "").await.result(CALL).await,
            r#""fine""#,
            "{code}"
        );
    }
    // A circle of redirects ends.
    let server = Scripted::start(|_| {
        let mut answer = status(307);
        answer
            .headers_mut()
            .insert("location", "/mcp".parse().expect("valid"));
        answer
    })
    .await;
    let said = with(&server, "").await.tool_error(CALL).await;
    assert!(said.1.contains("redirect"), "{said:?}");
    assert_eq!(
        server.asked().len(),
        8,
        "two messages, each with max_redirects"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_input_is_declined_and_gets_its_state_back() {
    let server = Scripted::start(|asked| {
        let params = &asked.message["params"];
        match asked.rpc() {
            "server/discover" => result(asked, &json!({ "supportedVersions": ["2026-07-28"] })),
            "tools/list" => result(asked, &tool_list(&["a"])),
            _ => match params["requestState"].as_str() {
                None => result(asked, &json!({ "resultType": "input_required", "requestState": "one" })),
                Some("one") => {
                    assert_eq!(params.get("inputResponses"), None);
                    let ask = json!({ "method": "elicitation/create", "params": { "message": "Sure?" } });
                    let asked_for = json!({ "resultType": "input_required", "requestState": "two", "inputRequests": { "q": ask } });
                    result(asked, &asked_for)
                }
                _ => {
                    assert_eq!(params["inputResponses"], json!({ "q": { "action": "decline" } }));
                    assert_eq!(params["name"], "a");
                    text(asked, "fine")
                }
            },
        }
    })
    .await;
    assert_eq!(with(&server, "").await.result(CALL).await, r#""fine""#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_lives_as_long_as_something_comes() {
    let limits = "[limits.mcp]\nidle_ms = 400\nwall_clock_ms = 3_000\n[limits.tool]\nwall_clock_ms = 1_000\n[egress.limits]\nfirst_byte_timeout_ms = 50\nidle_timeout_ms = 50\n";
    let progress = |asked: &Asked| {
        let token = &asked.message["params"]["_meta"]["progressToken"];
        assert!(token.is_number(), "{}", asked.message);
        event(
            &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": 1 } }),
        )
    };
    // The call takes longer than a tool may take and longer than the idle limit, but it is never
    // silent for that long.
    let server = Scripted::start(move |asked| {
        with_session(asked, |asked| {
            let mut pieces = vec![(100, progress(asked)); 15];
            pieces.push((100, event(&reply_to(asked, &fine()))));
            stream(pieces)
        })
    })
    .await;
    let declared = server.declared("s", "");
    let agents = WithAgents::start_with(limits, &declared, &[&server.url]).await;
    assert_eq!(agents.result(CALL).await, r#""fine""#);

    // The call is silent for longer.
    let server = Scripted::start(move |asked| {
        with_session(asked, |asked| {
            stream(vec![(0, progress(asked)), (60_000, String::new())])
        })
    })
    .await;
    let declared = server.declared("s", "");
    let agents = WithAgents::start_with(limits, &declared, &[&server.url]).await;
    let said = agents.tool_error(CALL).await;
    assert!(said.1.contains("fell silent"), "{said:?}");

    // The call is never silent and never ends.
    let server = Scripted::start(move |asked| {
        with_session(asked, |asked| stream(vec![(100, progress(asked)); 600]))
    })
    .await;
    let declared = server.declared("s", "");
    let agents = WithAgents::start_with(limits, &declared, &[&server.url]).await;
    let said = agents.tool_error(CALL).await;
    assert_eq!(said.0, "limit_exceeded", "{said:?}");
    assert!(said.1.contains("limits.mcp.wall_clock_ms"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_with_its_run() {
    let server = but("", |_| status(200)).await;
    let agents = with(&server, "").await;
    agents.result(CALL).await;
    let ended = || {
        server
            .asked()
            .into_iter()
            .find(|asked| asked.method == Method::DELETE)
    };
    tavora_tests::eventually::until("ends its session", async || ended().is_some()).await;
    let ended = ended().expect("it was found");
    assert_eq!(ended.header("mcp-session-id"), Some("the-session"));
    assert_eq!(ended.header("mcp-protocol-version"), Some("2025-06-18"));

    // A server that hangs or refuses holds up nobody. The error names the limit.
    let server = Scripted::start(|asked| match asked.method {
        Method::DELETE => status(405),
        _ => with_session(asked, |asked| text(asked, "fine")),
    })
    .await;
    let agents = with(&server, "").await;
    assert_eq!(agents.result(CALL).await, r#""fine""#);
    let said = agents.tool_error("tools.call('mcp:s', 'end', {})").await;
    assert_eq!(said.0, "unknown_operation", "no program can end a session");
}

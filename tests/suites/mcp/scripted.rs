//! A real HTTP server on loopback. It answers each message as a test tells it to, and remembers its
//! requests. It follows the protocol only as far as the test wants.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A request to the server.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The message in the body; null without one.
    pub(crate) message: Value,
}

impl Asked {
    /// The method of the message. Empty for a message that is neither a request nor a notification.
    pub(crate) fn rpc(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    /// A header, when it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

type Answer = Arc<dyn Fn(&Asked) -> Response<Body> + Send + Sync>;
type Memory = Arc<Mutex<Vec<Asked>>>;

/// The running server. It ends with the test's runtime.
pub(crate) struct Scripted {
    pub(crate) url: String,
    asked: Memory,
}

impl Scripted {
    /// Starts a server whose answers come from `answer`.
    pub(crate) async fn start(
        answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let asked = Memory::default();
        let state: (Answer, Memory) = (Arc::new(answer), Arc::clone(&asked));
        let router = Router::new().fallback(reply).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    /// The declaration of this server under a name, with further fields.
    pub(crate) fn declared(&self, name: &str, besides: &str) -> String {
        format!(
            "{{ \"name\": {name:?}, \"url\": \"{}/mcp\"{besides} }}",
            self.url
        )
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// The methods of all messages so far.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.asked()
            .iter()
            .map(|asked| asked.rpc().to_owned())
            .collect()
    }
}

async fn reply(
    State((answer, memory)): State<(Answer, Memory)>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20)
        .await
        .unwrap_or_default();
    let asked = Asked {
        method: head.method,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        message: serde_json::from_slice(&body).unwrap_or_default(),
    };
    memory
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked.clone());
    // An answer may sleep, to imitate a slow server.
    tokio::task::spawn_blocking(move || answer(&asked))
        .await
        .expect("the test's answer does not panic")
}

/// A server of 2025-06-18 with a session. It lists the tool `a`, and `call` answers calls.
pub(crate) fn with_session(
    asked: &Asked,
    call: impl FnOnce(&Asked) -> Response<Body>,
) -> Response<Body> {
    match asked.rpc() {
        "server/discover" => error(asked, 200, -32601, "Method not found"),
        "initialize" => {
            let mut answer = initialized(asked, "2025-06-18");
            let id = "the-session".parse().expect("a header's value");
            answer.headers_mut().insert("mcp-session-id", id);
            answer
        }
        "notifications/initialized" => status(202),
        "tools/list" => result(asked, &tool_list(&["a"])),
        "tools/call" => call(asked),
        _ => status(200),
    }
}

/// A server of the legacy era without sessions. `call` gives the results of calls, and `tools`
/// lists the tools.
pub(crate) fn legacy(
    asked: &Asked,
    tools: &[&str],
    call: impl FnOnce(&Asked) -> Response<Body>,
) -> Response<Body> {
    match asked.rpc() {
        "initialize" => initialized(asked, "2025-11-25"),
        "notifications/initialized" => status(202),
        "tools/list" => result(asked, &tool_list(tools)),
        "tools/call" => call(asked),
        _ => status(404),
    }
}

/// The answer to `initialize`.
pub(crate) fn initialized(asked: &Asked, version: &str) -> Response<Body> {
    let info = json!({ "name": "scripted", "version": "1" });
    result(
        asked,
        &json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": info }),
    )
}

/// A list of tools with these names.
pub(crate) fn tool_list(names: &[&str]) -> Value {
    let tool = |name: &&str| json!({ "name": name, "inputSchema": { "type": "object" } });
    json!({ "tools": names.iter().map(tool).collect::<Vec<_>>() })
}

/// A result with this text.
pub(crate) fn text(asked: &Asked, text: &str) -> Response<Body> {
    result(
        asked,
        &json!({ "content": [{ "type": "text", "text": text }] }),
    )
}

/// A result, as JSON.
pub(crate) fn result(asked: &Asked, result: &Value) -> Response<Body> {
    json(200, &reply_to(asked, result))
}

/// An error of the protocol, as JSON.
pub(crate) fn error(asked: &Asked, status: u16, code: i64, message: &str) -> Response<Body> {
    let error = json!({ "code": code, "message": message });
    json(
        status,
        &json!({ "jsonrpc": "2.0", "id": asked.message["id"], "error": error }),
    )
}

/// The message that carries a result.
pub(crate) fn reply_to(asked: &Asked, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": asked.message["id"], "result": result })
}

/// An answer with a JSON body.
pub(crate) fn json(status: u16, body: &Value) -> Response<Body> {
    with_body(status, "application/json", body.to_string())
}

/// An answer with a body.
pub(crate) fn with_body(status: u16, kind: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(body.into())
        .expect("the parts are valid")
}

/// An answer without a body.
pub(crate) fn status(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status.try_into().expect("valid");
    response
}

/// A stream of these texts. Each follows a pause in milliseconds.
pub(crate) fn stream(pieces: Vec<(u64, String)>) -> Response<Body> {
    let pieces = futures::stream::iter(pieces).then(|(pause_ms, piece)| async move {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        Ok::<_, Infallible>(Bytes::from(piece))
    });
    with_body(200, "text/event-stream", Body::from_stream(pieces))
}

/// A message as an event.
pub(crate) fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

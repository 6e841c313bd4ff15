//! An MCP server with one tool, `create_task_list`, over Streamable HTTP without sessions.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::echo::ECHO;

/// JSON-RPC's error code for a method that a server does not have.
const METHOD_NOT_FOUND: i64 = -32601;

pub(super) fn api(credential: &str) -> Router {
    Router::new()
        .route("/mcp", post(answer))
        .with_state(Arc::from(credential))
}

async fn answer(State(credential): State<Arc<str>>, Json(message): Json<Value>) -> Response {
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "tasklist", "version": "1" },
        }),
        "tools/list" => json!({ "tools": [{
            "name": "create_task_list",
            "description": "Makes a list of tasks.",
            "inputSchema": {
                "type": "object",
                "properties": { "name": { "type": "string" } },
                "required": ["name"],
            },
        }] }),
        "tools/call" => called(&message["params"]["arguments"]["name"], &credential),
        // A notification has no id, and gets no answer.
        _ if message.get("id").is_none() => return StatusCode::ACCEPTED.into_response(),
        _ => {
            let error = json!({ "code": METHOD_NOT_FOUND, "message": "there is no such method" });
            let reply = json!({ "jsonrpc": "2.0", "id": message["id"], "error": error });
            return Json(reply).into_response();
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })).into_response()
}

fn called(name: &Value, credential: &str) -> Value {
    let note = match name == ECHO {
        true => format!("your key is {credential}"),
        false => "made".to_owned(),
    };
    let list = json!({ "id": 1, "name": name, "note": note });
    json!({ "content": [{ "type": "text", "text": list.to_string() }], "structuredContent": list })
}

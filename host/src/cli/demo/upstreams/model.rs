//! An upstream in the role of a provider of models. It speaks OpenAI's chat completions, with fixed
//! answers.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::echo::ECHO;

/// The answer to every other prompt.
const ANSWER: &str = "Europe by night train";

pub(super) fn api(credential: &str) -> Router {
    Router::new()
        .route("/chat/completions", post(complete))
        .with_state(Arc::from(credential))
}

async fn complete(State(credential): State<Arc<str>>, Json(request): Json<Value>) -> Json<Value> {
    let last = request["messages"].as_array().and_then(|all| all.last());
    let is_echo = last.is_some_and(|message| message["content"] == ECHO);
    let text = match is_echo {
        true => format!("your key is {credential}"),
        false => ANSWER.to_owned(),
    };
    let message = json!({ "role": "assistant", "content": text });
    Json(json!({
        "id": "demo",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
    }))
}

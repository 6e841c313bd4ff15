//! An upstream in the role of an issue tracker with a REST API. It also has a page for its
//! administrator.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::echo::ECHO;

/// The text of the administrator's page. An agent never reads it.
const OF_THE_ADMINISTRATOR: &str = "the administrator's page";

pub(super) fn api(credential: &str) -> Router {
    Router::new()
        .route("/api/issues", post(create))
        .route("/api/issues/{number}", get(issue))
        .route("/admin", any(async || OF_THE_ADMINISTRATOR))
        .with_state(Arc::from(credential))
}

async fn create(
    State(credential): State<Arc<str>>,
    Json(issue): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let note = match issue["title"] == ECHO {
        true => format!("your key is {credential}"),
        false => "made".to_owned(),
    };
    let issue = json!({ "number": 1, "title": issue["title"], "note": note });
    (StatusCode::CREATED, Json(issue))
}

async fn issue(Path(number): Path<String>) -> Json<Value> {
    Json(json!({ "number": number }))
}

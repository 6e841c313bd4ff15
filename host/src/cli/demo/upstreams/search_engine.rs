//! An upstream in the role of Brave's search API. Its results are made from the query.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use super::echo::ECHO;

pub(super) fn api(credential: &str) -> Router {
    Router::new()
        .route("/res/v1/web/search", get(search))
        .with_state(Arc::from(credential))
}

#[derive(Deserialize)]
struct SearchQuery {
    q: String,
    count: Option<usize>,
}

async fn search(State(credential): State<Arc<str>>, Query(query): Query<SearchQuery>) -> Response {
    let credential = &*credential;
    match query.q.as_str() {
        "error please" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({ "error": { "detail": format!("{credential} may not do this") } })),
        )
            .into_response(),
        ECHO => {
            let percent: String = credential
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect();
            let forms = [
                credential.to_owned(),
                BASE64_STANDARD.encode(credential),
                BASE64_STANDARD.encode(format!("user:{credential}")),
                BASE64_URL_SAFE_NO_PAD.encode(credential),
                hex::encode(credential),
                percent,
            ];
            results(forms.iter().map(|form| format!("your key is {form}")))
        }
        q => results((1..=query.count.unwrap_or(3)).map(|n| format!("{q}: result {n}"))),
    }
}

fn results(titles: impl Iterator<Item = String>) -> Response {
    let results: Vec<_> = titles
        .enumerate()
        .map(|(n, title)| {
            json!({ "title": title, "url": format!("https://example.com/{n}"), "description": title })
        })
        .collect();
    Json(json!({ "query": { "more_results_available": false }, "web": { "results": results } }))
        .into_response()
}

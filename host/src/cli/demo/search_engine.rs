//! The search engine of the demo: a real HTTP server on loopback that speaks Brave's search API, checks the
//! credential, and, for some queries, gives the credential back in its answer, as a careless or hostile one would.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

/// The header that carries the credential.
const CREDENTIAL_HEADER: &str = "x-subscription-token";

/// A request that the engine saw.
#[derive(Clone)]
pub(crate) struct Seen {
    pub authorised: bool,
    pub query: String,
    pub header_names: Vec<String>,
}

/// The running server. It ends with the process.
pub(crate) struct SearchEngine {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Shared {
    credential: Arc<str>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl SearchEngine {
    pub(crate) async fn start(credential: &str) -> std::io::Result<Self> {
        let shared = Shared {
            credential: Arc::from(credential),
            seen: Arc::default(),
        };
        let router = Router::new()
            .route("/res/v1/web/search", get(search))
            .layer(middleware::from_fn_with_state(shared.clone(), note))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            url,
            seen: shared.seen,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn note(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let credential = request.headers().get(CREDENTIAL_HEADER);
    let authorised = credential.is_some_and(|sent| sent.as_bytes() == shared.credential.as_bytes());
    let seen = Seen {
        authorised,
        query: request.uri().query().unwrap_or_default().to_owned(),
        header_names: request.headers().keys().map(ToString::to_string).collect(),
    };
    shared
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen);
    match authorised {
        true => next.run(request).await,
        false => (StatusCode::UNAUTHORIZED, "no valid credential").into_response(),
    }
}

#[derive(Deserialize)]
struct SearchQuery {
    q: String,
    count: Option<usize>,
}

async fn search(State(shared): State<Shared>, Query(query): Query<SearchQuery>) -> Response {
    let credential = &*shared.credential;
    match query.q.as_str() {
        "error please" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({ "error": { "detail": format!("{credential} may not do this") } })),
        )
            .into_response(),
        "echo please" => {
            let percent: String = credential.bytes().map(|byte| format!("%{byte:02X}")).collect();
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
    Json(json!({ "query": { "more_results_available": false }, "web": { "results": results } })).into_response()
}

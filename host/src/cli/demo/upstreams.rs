//! The upstreams of the demo: real HTTP servers on loopback, one for each tool. They check the
//! credential like real ones, and return it on request, like careless or hostile ones.

mod echo;
mod model;
mod search_engine;
mod task_list;
mod tracker;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

/// A secret with a random value, so that its value cannot occur anywhere by accident.
pub(crate) struct Credential {
    pub name: &'static str,
    pub value: String,
}

/// The three upstreams.
pub(crate) struct Upstreams {
    pub search_engine: Upstream,
    pub model: Upstream,
    pub task_list: Upstream,
    pub tracker: Upstream,
}

impl Upstreams {
    pub(crate) async fn start(
        [search, model, tasks, tracker]: &[Credential; 4],
    ) -> io::Result<Self> {
        let bearer = |credential: &Credential| format!("Bearer {}", credential.value);
        Ok(Self {
            search_engine: Upstream::start(
                "x-subscription-token",
                search.value.clone(),
                search_engine::api(&search.value),
            )
            .await?,
            model: Upstream::start("authorization", bearer(model), model::api(&model.value))
                .await?,
            task_list: Upstream::start(
                "authorization",
                bearer(tasks),
                task_list::api(&tasks.value),
            )
            .await?,
            tracker: Upstream::start(
                "x-tracker-token",
                tracker.value.clone(),
                tracker::api(&tracker.value),
            )
            .await?,
        })
    }

    pub(crate) fn all(&self) -> [&Upstream; 4] {
        [
            &self.search_engine,
            &self.model,
            &self.task_list,
            &self.tracker,
        ]
    }
}

/// A request that an upstream received.
#[derive(Clone)]
pub(crate) struct Seen {
    pub authorised: bool,
    pub path: String,
    pub query: String,
    pub header_names: Vec<String>,
}

/// A running server. It ends with the process.
pub(crate) struct Upstream {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The expected credential, and the requests so far.
#[derive(Clone)]
struct Guard {
    header: &'static str,
    expected: Arc<str>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Serves `api` to clients that send `expected` in `header`.
    async fn start(header: &'static str, expected: String, api: Router) -> io::Result<Self> {
        let guard = Guard {
            header,
            expected: expected.into(),
            seen: Arc::default(),
        };
        let seen = Arc::clone(&guard.seen);
        let api = api.layer(middleware::from_fn_with_state(guard, note));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, api).await });
        Ok(Self { url, seen })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the requests so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn note(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let credential = request.headers().get(guard.header);
    let authorised = credential.is_some_and(|sent| sent.as_bytes() == guard.expected.as_bytes());
    let seen = Seen {
        authorised,
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        header_names: request.headers().keys().map(ToString::to_string).collect(),
    };
    guard
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen);
    match authorised {
        true => next.run(request).await,
        false => (StatusCode::UNAUTHORIZED, "no valid credential").into_response(),
    }
}

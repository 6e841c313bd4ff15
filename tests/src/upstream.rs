//! A real HTTP server on loopback. It answers as a test tells it to, and remembers its requests.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio::net::TcpListener;

/// A request to the upstream.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The target of the request.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

type Answer = Arc<dyn Fn(&Seen) -> Response<Body> + Send + Sync>;

/// The running server. It ends with the test's runtime.
pub struct Upstream {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Starts a server whose answers come from `answer`.
    pub async fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let state: (Answer, _) = (Arc::new(answer), Arc::clone(&seen));
        let router = Router::new().fallback(reply).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of the URL.
    pub fn port(&self) -> &str {
        self.url.rsplit(':').next().expect("the URL has a port")
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn reply(
    State((answer, seen)): State<(Answer, Arc<Mutex<Vec<Seen>>>)>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let request = Seen {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.unwrap_or_default(),
    };
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request.clone());
    // An answer may sleep, to imitate a slow upstream.
    tokio::task::spawn_blocking(move || answer(&request))
        .await
        .expect("the test's answer does not panic")
}

/// An answer of Brave's search API with these titles.
pub fn search_results(titles: &[&str]) -> Response<Body> {
    let results: Vec<_> = titles
        .iter()
        .map(|title| serde_json::json!({ "title": title, "url": "https://example.com/", "description": title }))
        .collect();
    json(
        200,
        &serde_json::json!({ "web": { "results": results } }).to_string(),
    )
}

/// An answer with a JSON body.
pub fn json(status: u16, body: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .expect("the parts are valid")
}

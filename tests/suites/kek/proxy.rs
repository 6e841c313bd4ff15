//! A proxy between the host and a provider. It passes requests on, or answers them in another way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use tavora_tests::upstream::{Seen, Upstream};
use tavora_tests::wire::{Answer, Request};

type Fault = Arc<dyn Fn(&Seen, &dyn Fn() -> Answer) -> Answer + Send + Sync>;

pub struct Proxy {
    upstream: Upstream,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Proxy {
    /// A proxy in front of a server.
    pub async fn start(to: SocketAddr) -> Self {
        let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
        let known = Arc::clone(&fault);
        let upstream = Upstream::start(move |seen| {
            let pass = || pass_on(to, seen);
            let fault = known.lock().unwrap().clone();
            let answer = match fault {
                Some(fault) => fault(seen, &pass),
                None => pass(),
            };
            let mut response = Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                if name.eq_ignore_ascii_case("content-encoding") {
                    response = response.header(name, value);
                }
            }
            response.body(Body::from(answer.body)).unwrap()
        })
        .await;
        Self { upstream, fault }
    }

    /// From now on, `fault` makes the answers, from a request and the function that passes it on.
    pub fn answer(
        &self,
        fault: impl Fn(&Seen, &dyn Fn() -> Answer) -> Answer + Send + Sync + 'static,
    ) {
        *self.fault.lock().unwrap() = Some(Arc::new(fault));
    }

    /// From now on, everything is passed on.
    pub fn behave(&self) {
        *self.fault.lock().unwrap() = None;
    }

    pub fn url(&self) -> &str {
        self.upstream.url()
    }

    /// The number of requests whose path contains `part`.
    pub fn requests(&self, part: &str) -> usize {
        let seen = self.upstream.seen();
        seen.iter()
            .filter(|seen| seen.uri.path().contains(part))
            .count()
    }
}

/// An answer with this status and body.
pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

fn pass_on(to: SocketAddr, seen: &Seen) -> Answer {
    let mut request = Request::new("POST", seen.uri.path());
    for (name, value) in &seen.headers {
        if !["host", "connection", "content-length"].contains(&name.as_str()) {
            request = request.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = request.body(seen.body.to_vec()).send(to);
    answer.unwrap_or_else(|error| self::answer(502, error.to_string()))
}

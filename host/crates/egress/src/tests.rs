//! Tests of the egress policy against real servers on loopback. The tests call the hooks as the
//! runtime does for a tool.

mod codings;
mod dead;
mod lent;
mod limits;
mod policy;
mod pools;
mod secrets;
mod tls;
mod upstream;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use super::*;

/// A host with one tool, and a record of its refusals.
struct Bench {
    pool: EgressPool,
    released: Arc<ReleasedSecrets>,
    log: Arc<Mutex<Vec<EgressDenied>>>,
    /// The secrets that were removed from answers.
    echoed: Arc<Mutex<Vec<String>>>,
}

/// Records refusals and removed secrets.
struct Log {
    denied: Arc<Mutex<Vec<EgressDenied>>>,
    echoed: Arc<Mutex<Vec<String>>>,
}

impl EgressLog for Log {
    fn denied(&self, denied: &EgressDenied) {
        let mut log = self.denied.lock().expect("not poisoned");
        log.push(denied.clone());
    }

    fn echoed(&self, _tool: &str, secret: &str) {
        let mut echoed = self.echoed.lock().expect("not poisoned");
        echoed.push(secret.to_owned());
    }
}

impl Bench {
    fn new(settings: EgressSettings) -> Self {
        Self::with_names(settings, Names::default())
    }

    fn with_names(settings: EgressSettings, names: impl Resolve) -> Self {
        Self {
            pool: EgressPool::with_resolver(settings, Arc::new(names)).expect("valid settings"),
            released: Arc::default(),
            log: Arc::default(),
            echoed: Arc::default(),
        }
    }

    /// Returns a host that allows these origins, although they are on loopback.
    fn allowing(origins: &[&Origin]) -> Self {
        Self::new(settings(origins))
    }

    fn tool(&self, granted: &[&Origin]) -> Egress {
        self.tool_of("app-1", granted)
    }

    fn tool_of(&self, app: &str, granted: &[&Origin]) -> Egress {
        let scope = EgressScope {
            app: app.to_owned(),
            tool: "brave-search".to_owned(),
        };
        let log = Log {
            denied: self.log.clone(),
            echoed: self.echoed.clone(),
        };
        self.pool.open(
            scope,
            granted.iter().map(|&origin| origin.clone()),
            self.released.clone(),
            Arc::new(log),
        )
    }

    /// Takes the reasons of the refusals so far.
    fn refusals(&self) -> Vec<DenialReason> {
        let mut log = self.log.lock().expect("not poisoned");
        log.drain(..).map(|denied| denied.reason).collect()
    }
}

fn settings(allow_private: &[&Origin]) -> EgressSettings {
    EgressSettings {
        allow_private_origins: allow_private.iter().map(|&origin| origin.clone()).collect(),
        ..EgressSettings::default()
    }
}

fn settings_with(allow_private: &[&Origin], limits: &str) -> EgressSettings {
    EgressSettings {
        limits: toml::from_str(limits).expect("limits"),
        ..settings(allow_private)
    }
}

fn origin(text: &str) -> Origin {
    text.parse().expect("an origin")
}

/// Names with their answers in sequence. The last answer repeats.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    lookups: Arc<std::sync::atomic::AtomicUsize>,
}

impl Names {
    fn with(name: &str, answers: &[&str]) -> Self {
        let answers = answers
            .iter()
            .map(|answer| {
                answer
                    .split_whitespace()
                    .map(|ip| ip.parse().expect("ip"))
                    .collect()
            })
            .rev()
            .collect();
        Self {
            answers: Mutex::new(HashMap::from([(name.to_owned(), answers)])),
            lookups: Arc::default(),
        }
    }
}

#[async_trait]
impl Resolve for Names {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.lookups
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut names = self.answers.lock().expect("not poisoned");
        let answers = names
            .get_mut(name)
            .ok_or_else(|| io::Error::other("no such name"))?;
        let answer = if answers.len() > 1 {
            answers.pop()
        } else {
            answers.last().cloned()
        };
        Ok(answer.unwrap_or_default())
    }
}

fn get(url: impl AsRef<str>) -> Request<WasiBody> {
    request("GET", url, "")
}

fn request(method: &str, url: impl AsRef<str>, body: &'static str) -> Request<WasiBody> {
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    Request::builder()
        .method(method)
        .uri(url.as_ref())
        .body(body.map_err(|never| match never {}).boxed_unsync())
        .expect("a request")
}

/// Returns a body of unknown length, like a tool's stream.
fn streamed(chunks: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> WasiBody {
    let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)));
    StreamBody::new(futures::stream::iter(frames)).boxed_unsync()
}

async fn send(
    egress: &mut Egress,
    request: Request<WasiBody>,
) -> Result<Response<WasiBody>, WasiError> {
    send_with(egress, request, RequestOptions::default()).await
}

async fn send_with(
    egress: &mut Egress,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, WasiError> {
    let sending = egress.send_request(request, Some(options), Box::new(async { Ok(()) }));
    Box::into_pin(sending).await.map(|(response, _)| response)
}

async fn text(response: Response<WasiBody>) -> Result<String, WasiError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

#[track_caller]
fn assert_denied<T>(outcome: Result<T, WasiError>) {
    assert!(matches!(outcome, Err(WasiError::HttpRequestDenied)));
}

#[track_caller]
fn assert_prohibited<T>(outcome: Result<T, WasiError>) {
    assert!(matches!(outcome, Err(WasiError::DestinationIpProhibited)));
}

//! A provider on loopback that answers at once, always the same.
//!
//! Each stream has one event. While streams are held, each gets another event at intervals.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use futures::stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::client::Target;
use crate::completion::{COMPLETION, DONE, EVENT};

/// The only accepted credential.
pub const CREDENTIAL: &str = "sk-bench-0123456789abcdef";

/// The interval between the events of a held stream.
const EVENT_INTERVAL: Duration = Duration::from_millis(500);

/// The running server.
pub struct Upstream {
    address: SocketAddr,
    held: watch::Sender<bool>,
}

/// Keeps all streams from ending as long as it exists.
pub struct Hold(watch::Sender<bool>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Upstream {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let held = watch::Sender::new(false);
        let of_streams = held.subscribe();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, of_streams.clone()));
            }
        });
        Ok(Self { address, held })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The upstream itself as a target.
    pub fn target(&self) -> Target {
        Target::new(self.address, CREDENTIAL)
    }

    /// Keeps all streams from ending until the result is dropped.
    pub fn hold(&self) -> Hold {
        self.held.send_replace(true);
        Hold(self.held.clone())
    }
}

async fn serve(connection: TcpStream, held: watch::Receiver<bool>) {
    // Otherwise the delay of small packets would be measured.
    let _ = connection.set_nodelay(true);
    let service = service_fn(move |request| answer(request, held.clone()));
    // A client may leave at any time.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    held: watch::Receiver<bool>,
) -> Result<Response<Body>, Infallible> {
    let expected = format!("Bearer {CREDENTIAL}");
    let is_allowed = request
        .headers()
        .get("authorization")
        .map(|it| it.as_bytes())
        == Some(expected.as_bytes());
    let asked = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let (status, kind, body) = if !is_allowed {
        (401, "application/json", Body::from("{}"))
    } else if is_streamed(&asked) {
        (200, "text/event-stream", Body::from_stream(events(held)))
    } else {
        let completion = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"{COMPLETION}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}}}"#
        );
        (200, "application/json", Body::from(completion))
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(body);
    Ok(response.expect("the parts are valid"))
}

fn is_streamed(body: &[u8]) -> bool {
    [&b"\"stream\":true"[..], b"\"stream\": true"]
        .iter()
        .any(|field| body.windows(field.len()).any(|part| part == *field))
}

fn events(held: watch::Receiver<bool>) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((held, 0_u64), |(mut held, events)| async move {
        if events == u64::MAX {
            return None;
        }
        let is_first = events == 0;
        if !is_first {
            let released = held.wait_for(|is_held| !is_held);
            if tokio::time::timeout(EVENT_INTERVAL, released).await.is_ok() {
                return Some((Ok(Bytes::from_static(DONE.as_bytes())), (held, u64::MAX)));
            }
        }
        Some((Ok(Bytes::from_static(EVENT.as_bytes())), (held, events + 1)))
    })
}

//! A client of chat completions on one kept connection.
//!
//! The client checks that each answer is the upstream's. It measures only the time to a stream's
//! first byte.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::completion::{COMPLETION, DONE, EVENT};

/// The model, under a name that every target knows.
const MODEL: &str = "openai/gpt-4o";

/// The server to ask, and the credential for it.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    key: String,
}

impl Target {
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self {
            address,
            key: key.to_owned(),
        }
    }
}

/// An open connection.
pub struct Client {
    target: Target,
    requests: SendRequest<Full<Bytes>>,
}

/// A stream whose first event has arrived.
pub struct Stream {
    /// Kept because closing the client would end the stream.
    _client: Client,
    answer: Response<Incoming>,
    text: Vec<u8>,
}

impl Client {
    pub async fn open(target: Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { target, requests })
    }

    /// A whole completion.
    pub async fn complete(&mut self) -> Result<()> {
        let answer = self.send(false).await?.into_body().collect().await?;
        let text = answer.to_bytes();
        let is_it = text
            .windows(COMPLETION.len())
            .any(|part| part == COMPLETION.as_bytes());
        ensure!(is_it, "it answered {}", String::from_utf8_lossy(&text));
        Ok(())
    }

    /// Reads a stream to its end and returns the time to its first byte.
    pub async fn stream(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        let mut answer = self.send(true).await?;
        let mut text = first(&mut answer).await?;
        let took = begun.elapsed();
        text.extend(answer.into_body().collect().await?.to_bytes());
        count(&text)?;
        Ok(took)
    }

    /// Reads a stream up to its first event.
    pub async fn begin_stream(mut self) -> Result<Stream> {
        let mut answer = self.send(true).await?;
        let text = first(&mut answer).await?;
        Ok(Stream {
            _client: self,
            answer,
            text,
        })
    }

    async fn send(&mut self, is_streamed: bool) -> Result<Response<Incoming>> {
        let body = format!(
            r#"{{"model":"{MODEL}","stream":{is_streamed},"messages":[{{"role":"user","content":"Hello"}}]}}"#
        );
        let request = Request::post("/v1/chat/completions")
            .header(HOST, self.target.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {}", self.target.key))
            .body(Full::from(body))?;
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        if answer.status() != 200 {
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::bail!("it answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(answer)
    }
}

impl Stream {
    /// Reads the rest and returns the number of events. The stream must end properly.
    pub async fn rest(self) -> Result<u32> {
        let mut text = self.text;
        text.extend(self.answer.into_body().collect().await?.to_bytes());
        count(&text)
    }
}

async fn first(answer: &mut Response<Incoming>) -> Result<Vec<u8>> {
    let frame = answer
        .body_mut()
        .frame()
        .await
        .context("it ended at once")??;
    let data = frame.into_data().ok().context("it begins with trailers")?;
    Ok(data.into())
}

/// Counts the events of a whole stream. Each must be as the upstream sent it.
fn count(text: &[u8]) -> Result<u32> {
    let text = std::str::from_utf8(text)?;
    let events = text.strip_suffix(DONE).context("the stream broke off")?;
    ensure!(
        !events.is_empty() && events.replace(EVENT, "").is_empty(),
        "it streamed {text}"
    );
    Ok(u32::try_from(events.len() / EVENT.len())?)
}

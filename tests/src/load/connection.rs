//! One kept HTTP/1.1 connection, and the time of every request on it.
//!
//! It never reconnects: a connection that ends under load is a finding. The caller decides what an
//! answer should be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, IF_MATCH};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest time for one answer before the run gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A method and a path's template, as in the OpenAPI document.
pub type Endpoint = (Method, &'static str);

/// The times of all requests, by endpoint.
#[derive(Default)]
pub struct Laps(BTreeMap<(String, &'static str), Vec<Duration>>);

/// A request to be sent.
pub struct Call {
    endpoint: Endpoint,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An answer with its whole body.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An open connection.
pub struct Connection {
    requests: SendRequest<Full<Bytes>>,
    host: String,
    laps: Laps,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        // The end of the connection shows in the request that it interrupts.
        tokio::spawn(connection);
        Ok(Self {
            requests,
            host: to.to_string(),
            laps: Laps::default(),
        })
    }

    /// Sends a request and reads its answer, which must have this status.
    pub async fn expect(&mut self, status: u16, call: Call) -> Result<Answer> {
        self.expect_any(&[status], call).await
    }

    /// Sends a request and reads its answer, which must have one of these statuses.
    pub async fn expect_any(&mut self, statuses: &[u16], call: Call) -> Result<Answer> {
        let what = || format!("{} {}", call.endpoint.0, call.target);
        let answer = timeout(PATIENCE, self.send(&call))
            .await
            .with_context(|| format!("{} was not answered in {PATIENCE:?}", what()))?
            .with_context(what)?;
        if !statuses.contains(&answer.status) {
            let body = String::from_utf8_lossy(&answer.body);
            bail!(
                "{} answered {} and not {statuses:?}: {body}",
                what(),
                answer.status
            );
        }
        ensure!(
            answer.headers.contains_key("x-request-id"),
            "{} answered without a request id",
            what()
        );
        Ok(answer)
    }

    /// The times since the last call of this function.
    pub fn take_laps(&mut self) -> Laps {
        std::mem::take(&mut self.laps)
    }

    async fn send(&mut self, call: &Call) -> Result<Answer> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.endpoint.0.clone();
        *request.uri_mut() = call.target.parse()?;
        *request.headers_mut() = call.headers.clone();
        request.headers_mut().insert(HOST, self.host.parse()?);
        let begun = Instant::now();
        self.requests.ready().await?;
        let (head, body) = self.requests.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.laps.push(&call.endpoint, begun.elapsed());
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}

impl Call {
    /// A request to `template`, whose parameters in braces are filled in their order.
    pub fn new(method: Method, template: &'static str, places: &[&str]) -> Self {
        let mut target = String::new();
        let mut places = places.iter();
        for (index, segment) in template.split('/').enumerate() {
            if index > 0 {
                target.push('/');
            }
            let is_place = segment.starts_with('{');
            target.push_str(match is_place {
                true => places.next().expect("each place is given"),
                false => segment,
            });
        }
        Self {
            endpoint: (method, template),
            target,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a query.
    pub fn query(mut self, query: &str) -> Self {
        self.target.push('?');
        self.target.push_str(query);
        self
    }

    /// Sends the request as the app of this API key.
    pub fn api_key(mut self, key: &str) -> Self {
        let key = key.parse().expect("an API key is plain");
        self.headers.insert("x-api-key", key);
        self
    }

    /// Sends the request as the operator.
    pub fn admin(mut self, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        let bearer = bearer.parse().expect("an admin token is plain");
        self.headers.insert(AUTHORIZATION, bearer);
        self
    }

    /// Sends the request on the condition that the current state has this tag.
    pub fn if_match(mut self, etag: &str) -> Self {
        let etag = etag.parse().expect("it came as a header");
        self.headers.insert(IF_MATCH, etag);
        self
    }

    /// Adds a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sends the request as the browser that holds this cookie.
    pub fn cookie(mut self, cookie: &str) -> Self {
        let cookie = cookie.parse().expect("it came as a header");
        self.headers.insert(COOKIE, cookie);
        self
    }

    /// Adds the fields of a form, as a page of the same host sends them. The values need no
    /// encoding.
    pub fn form(mut self, fields: &[(&str, String)]) -> Self {
        let same_origin = "same-origin".parse().expect("valid");
        self.headers.insert("sec-fetch-site", same_origin);
        let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
        let fields: Vec<_> = fields.collect();
        self.body("application/x-www-form-urlencoded", fields.join("&"))
    }

    fn body(mut self, content_type: &str, body: String) -> Self {
        let content_type = content_type.parse().expect("valid");
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the body is not JSON")
    }

    /// The entity tag of the answer.
    pub fn etag(&self) -> Result<String> {
        let tag = self.headers.get("etag").context("there is no ETag")?;
        Ok(tag.to_str()?.to_owned())
    }
}

impl Laps {
    /// Adds the times of another connection.
    pub fn merge(&mut self, others: Self) {
        for (endpoint, laps) in others.0 {
            self.0.entry(endpoint).or_default().extend(laps);
        }
    }

    /// The number of requests.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether there is a request with this method and template.
    pub fn has(&self, method: &str, template: &str) -> bool {
        let mut known = self.0.keys();
        known.any(|(known, path)| known.eq_ignore_ascii_case(method) && *path == template)
    }

    /// The endpoints by name, each with its times in ascending order.
    pub fn sorted(self) -> Vec<(String, Vec<Duration>)> {
        let sorted = |(endpoint, mut laps): ((String, &str), Vec<Duration>)| {
            laps.sort_unstable();
            (format!("{} {}", endpoint.0, endpoint.1), laps)
        };
        self.0.into_iter().map(sorted).collect()
    }

    fn push(&mut self, (method, template): &Endpoint, lap: Duration) {
        let laps = self.0.entry((method.to_string(), template));
        laps.or_default().push(lap);
    }
}

//! Sends requests to a Vault or OpenBao server, and interprets its answers.
//!
//! The text of a refusal is only compared with known sentences and never shown, because it may
//! repeat the request, and with it the DEK. Redirects are not followed, because they would send the
//! token elsewhere.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tavora_trust::credential::CredentialSource;
use vault_core::{KekTrouble, token_oddity};
use zeroize::Zeroizing;

use crate::config::{KekLimits, TransitConfig};

/// The longest answer that is accepted, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The byte order mark that some servers and proxies write before JSON.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The first bytes of gzip data.
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

/// Why a request failed.
pub(super) enum Failed {
    /// The ciphertext, the associated data or the key differs from those of the wrap.
    NotAuthentic,
    /// Any other failure.
    Trouble(KekTrouble, Option<Box<dyn std::error::Error + Send + Sync>>),
}

impl From<KekTrouble> for Failed {
    fn from(trouble: KekTrouble) -> Self {
        Self::Trouble(trouble, None)
    }
}

/// Sends requests to one server.
pub(super) struct Server {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `https://host:port/v1/`
    base: String,
    namespace: Option<HeaderValue>,
}

#[derive(Deserialize)]
pub(super) struct Answer<T> {
    pub(super) data: T,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

impl Server {
    pub(super) fn new(config: &TransitConfig, limits: &KekLimits, tls: ClientConfig) -> Self {
        let namespace = config.namespace.as_ref().map(|name| {
            HeaderValue::from_str(name.as_str()).expect("a path's characters may be in a header")
        });
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(limits.connect_timeout()));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            base: format!("{}/v1/", config.address.origin()),
            namespace,
        }
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&Zeroizing<String>>,
        body: &impl Serialize,
    ) -> Result<T, Failed> {
        let body = json(body);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            // Some firewalls refuse requests without one.
            .header(USER_AGENT, tavora_trust::USER_AGENT)
            .header("x-vault-request", "true")
            .body(Full::new(Bytes::from_owner(body)))
            .expect("paths are made of characters that a URL may have");
        let headers = request.headers_mut();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token)
                .map_err(|_| odd(token).unwrap_or_else(|| KekTrouble::NoCredential.into()))?;
            value.set_sensitive(true);
            headers.insert("x-vault-token", value);
        }
        if let Some(namespace) = &self.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        let unreachable = |error: hyper_util::client::legacy::Error| {
            Failed::Trouble(KekTrouble::Unreachable, Some(error.into()))
        };
        let answer = self.http.request(request).await.map_err(unreachable)?;
        let (head, body) = answer.into_parts();
        let body = collect(body).await?;
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body);
        match head.status {
            StatusCode::OK => {
                serde_json::from_slice(body).map_err(|_| unreadable(&head.headers, body))
            }
            // Only the body tells what a 400 means.
            StatusCode::BAD_REQUEST if !body.is_empty() && refusal_in(body).is_none() => {
                match unreadable(&head.headers, body) {
                    Failed::Trouble(KekTrouble::Garbled, _) => Err(KekTrouble::Refused.into()),
                    compressed => Err(compressed),
                }
            }
            status => Err(refusal(status, body)),
        }
    }
}

pub(super) fn read(source: &CredentialSource) -> Result<Zeroizing<String>, Failed> {
    source
        .read()
        .map_err(|error| Failed::Trouble(KekTrouble::NoCredential, Some(error.into())))
}

/// Returns a hint about an odd credential that the server refused. A valid one may look as odd.
pub(super) fn odd(credential: &str) -> Option<Failed> {
    token_oddity(credential).map(|oddity| KekTrouble::OddCredential(oddity).into())
}

/// Returns the error for an answer that is not JSON. A coding that the headers name does no harm if
/// the body is readable.
fn unreadable(headers: &HeaderMap, body: &[u8]) -> Failed {
    let is_coding = |value: &HeaderValue| !matches!(value.as_bytes(), b"" | b"identity");
    let is_coded = headers.get_all(CONTENT_ENCODING).iter().any(is_coding);
    match is_coded || body.starts_with(GZIP_MAGIC) {
        true => KekTrouble::Compressed.into(),
        false => KekTrouble::Garbled.into(),
    }
}

/// Returns the request as JSON, in one buffer that is cleared after sending.
fn json(body: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // More than any request here needs: growing would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_ANSWER_BYTES));
    serde_json::to_writer(&mut *bytes, body).expect("texts and numbers are JSON");
    bytes
}

/// Reads the whole answer into one buffer that is cleared after reading.
async fn collect(mut body: hyper::body::Incoming) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES));
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Failed::Trouble(KekTrouble::Unreachable, Some(error.into())))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > MAX_ANSWER_BYTES {
                return Err(KekTrouble::Garbled.into());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn refusal_in(body: &[u8]) -> Option<Refusal> {
    serde_json::from_slice(body).ok()
}

/// Maps a refusal. The server's sentences are known from its source code. An unknown sentence
/// counts as a plain refusal.
fn refusal(status: StatusCode, body: &[u8]) -> Failed {
    let errors = refusal_in(body)
        .map(|it| it.errors)
        .unwrap_or_default()
        .join("\n");
    let says = |known: &[&str]| known.iter().any(|sentence| errors.contains(sentence));
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => KekTrouble::Denied.into(),
        StatusCode::NOT_FOUND => KekTrouble::Missing.into(),
        StatusCode::BAD_REQUEST
            if says(&["message authentication failed", "invalid ciphertext"]) =>
        {
            Failed::NotAuthentic
        }
        StatusCode::BAD_REQUEST if says(&["disallowed by policy", "soft deleted", "minimum"]) => {
            KekTrouble::Disabled.into()
        }
        StatusCode::BAD_REQUEST
            if says(&[
                "key not found",
                "higher than the latest key version",
                "version is too new",
                "no handler for route",
            ]) =>
        {
            KekTrouble::Missing.into()
        }
        StatusCode::TOO_MANY_REQUESTS => KekTrouble::Busy.into(),
        // A standby server that does not forward requests sends a redirect.
        status if status.is_server_error() || status.is_redirection() => KekTrouble::Busy.into(),
        // Standby and recovering servers have special statuses.
        status if [472, 473].contains(&status.as_u16()) => KekTrouble::Busy.into(),
        _ => KekTrouble::Refused.into(),
    }
}

//! Requests to a Vault or OpenBao server, with a token or as an AppRole that renews its token, and logs in again where that
//! does not go.
//!
//! What a server writes into a refusal is only ever compared with known sentences and never shown: it may repeat the
//! request, and with that the DEK. No redirect is followed: it would take the token elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use vault_core::KekTrouble;
use zeroize::Zeroizing;

use crate::config::{KekLimits, TransitConfig};
use tavora_trust::credential::CredentialSource;

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A token is used for so much of its lifetime, in tenths.
const USED_TENTHS: u32 = 9;

/// Why a request did not work.
pub(super) enum Failed {
    /// The ciphertext, the associated data or the key differ from when it was wrapped.
    NotAuthentic,
    /// Anything else.
    Trouble(KekTrouble, Option<Box<dyn std::error::Error + Send + Sync>>),
}

impl From<KekTrouble> for Failed {
    fn from(trouble: KekTrouble) -> Self {
        Self::Trouble(trouble, None)
    }
}

pub(super) struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `https://host:port/v1/`
    base: String,
    namespace: Option<HeaderValue>,
    login: Login,
}

enum Login {
    Token(CredentialSource),
    AppRole {
        path: String,
        role_id: String,
        secret_id: CredentialSource,
        session: Mutex<Option<Session>>,
        /// How soon after a login there may be another.
        pause: Duration,
    },
}

/// An AppRole's token.
struct Session {
    token: Arc<Zeroizing<String>>,
    began: Instant,
    lifetime: Lifetime,
    /// What the login gave; a renewal that gives much less has come to the longest that there is.
    first: Duration,
    is_renewable: bool,
    /// How often it may still be used, where the role has a limit of that.
    uses_left: Option<u64>,
}

/// How long a token lives; without an end for ever.
struct Lifetime {
    /// When it is time for another.
    due: Option<Instant>,
    ends: Option<Instant>,
}

impl Lifetime {
    fn of(lease: Duration) -> Self {
        let now = Instant::now();
        let has_end = !lease.is_zero();
        Self {
            due: has_end.then(|| now + lease / 10 * USED_TENTHS),
            ends: has_end.then(|| now + lease),
        }
    }
}

impl Session {
    fn of(auth: Auth) -> Self {
        let lease = Duration::from_secs(auth.lease_duration);
        Self {
            token: Arc::new(auth.client_token),
            began: Instant::now(),
            lifetime: Lifetime::of(lease),
            first: lease,
            is_renewable: auth.renewable,
            uses_left: (auth.num_uses > 0).then_some(auth.num_uses),
        }
    }

    fn is_due(&self) -> bool {
        self.lifetime.due.is_some_and(|due| Instant::now() >= due)
    }

    /// Whether the server takes it still, as far as is known here.
    fn is_alive(&self) -> bool {
        self.uses_left != Some(0) && self.lifetime.ends.is_none_or(|end| Instant::now() < end)
    }

    /// The token, for one request.
    fn take(&mut self) -> Arc<Zeroizing<String>> {
        self.uses_left = self.uses_left.map(|left| left.saturating_sub(1));
        Arc::clone(&self.token)
    }

    fn renewed(&mut self, auth: &Auth) {
        let lease = Duration::from_secs(auth.lease_duration);
        self.lifetime = Lifetime::of(lease);
        self.is_renewable = auth.renewable && lease * 2 >= self.first;
    }
}

/// What a request says that has nothing to say.
#[derive(Serialize)]
struct Nothing {}

/// Why an AppRole gets no token.
#[derive(Debug, thiserror::Error)]
#[error(
    "the AppRole's login was refused: the role id or the secret id is wrong, or the secret id is over or used up (the role's secret_id_ttl and secret_id_num_uses)"
)]
struct LoginRefused;

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Zeroizing<String>,
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    /// Zero for a token without a limit.
    #[serde(default)]
    num_uses: u64,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

impl Client {
    pub(super) fn new(
        config: &TransitConfig,
        limits: &KekLimits,
        tls: ClientConfig,
    ) -> Result<Self, &'static str> {
        let login = match (&config.token, &config.role_id, &config.secret_id) {
            (Some(token), None, None) => Login::Token(token.clone()),
            (None, Some(role_id), Some(secret_id)) => Login::AppRole {
                path: format!("auth/{}/login", config.approle_mount.as_str()),
                role_id: role_id.clone(),
                secret_id: secret_id.clone(),
                session: Mutex::default(),
                pause: limits.pause_after_failure(),
            },
            _ => return Err("give either `token`, or `role_id` and `secret_id`"),
        };
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
        Ok(Self {
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            base: format!("{}/v1/", config.address.origin()),
            namespace,
            login,
        })
    }

    /// Posts a request with the token of the moment; if that is refused, once more with a new one.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failed> {
        let token = self.token(None).await?;
        let answer: Result<Answer<T>, _> = self.send(path, Some(&token), body).await;
        let answer = match answer {
            Err(Failed::Trouble(KekTrouble::Denied, _)) => {
                let new = self.token(Some(&token)).await?;
                if Arc::ptr_eq(&new, &token) {
                    return Err(KekTrouble::Denied.into());
                }
                self.send(path, Some(&new), body).await?
            }
            answer => answer?,
        };
        Ok(answer.data)
    }

    /// A token; not the `refused` one, unless that is all there is.
    async fn token(
        &self,
        refused: Option<&Arc<Zeroizing<String>>>,
    ) -> Result<Arc<Zeroizing<String>>, Failed> {
        let (path, role_id, secret_id, session, pause) = match &self.login {
            Login::Token(source) => match refused {
                Some(refused) => return Ok(Arc::clone(refused)),
                None => return Ok(Arc::new(read(source)?)),
            },
            Login::AppRole {
                path,
                role_id,
                secret_id,
                session,
                pause,
            } => (path, role_id, secret_id, session, pause),
        };
        let mut session = session.lock().await;
        let mut is_refused = false;
        if let Some(known) = &mut *session {
            is_refused = refused.is_some_and(|refused| Arc::ptr_eq(refused, &known.token));
            // A role whose policy lacks something would log in with each request.
            if is_refused && known.is_alive() && known.began.elapsed() < *pause {
                return Ok(Arc::clone(&known.token));
            }
            if !is_refused && known.is_alive() {
                if known.is_due() && known.is_renewable {
                    self.renew(known).await;
                }
                if !known.is_due() {
                    return Ok(known.take());
                }
            }
        }
        let secret_id = read(secret_id)?;
        let login = AppRoleLogin {
            role_id,
            secret_id: &secret_id,
        };
        match (self.send(path, None, &login).await, &mut *session) {
            (Ok(LoggedIn { auth }), _) => Ok(session.insert(Session::of(auth)).take()),
            // It is not the last moment yet.
            (Err(_), Some(known)) if !is_refused && known.is_alive() => Ok(known.take()),
            // A login that is wrong is answered 400.
            (Err(Failed::Trouble(KekTrouble::Refused | KekTrouble::Denied, _)), _) => Err(
                Failed::Trouble(KekTrouble::Denied, Some(LoginRefused.into())),
            ),
            (Err(failed), _) => Err(failed),
        }
    }

    /// Lengthens a session's life, where the server has it so. What a policy forbids is no failure: there is the login.
    async fn renew(&self, session: &mut Session) {
        let token = session.take();
        let renewed = self
            .send("auth/token/renew-self", Some(&token), &Nothing {})
            .await;
        match renewed {
            Ok(LoggedIn { auth }) => session.renewed(&auth),
            Err(_) => session.is_renewable = false,
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&Zeroizing<String>>,
        body: &impl Serialize,
    ) -> Result<T, Failed> {
        let body = json(body);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("x-vault-request", "true")
            .body(Full::new(Bytes::from_owner(body)))
            .expect("paths are made of characters that a URL may have");
        let headers = request.headers_mut();
        if let Some(token) = token {
            let mut token = HeaderValue::from_str(token).map_err(|_| KekTrouble::NoCredential)?;
            token.set_sensitive(true);
            headers.insert("x-vault-token", token);
        }
        if let Some(namespace) = &self.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        let unreachable = |error: hyper_util::client::legacy::Error| {
            Failed::Trouble(KekTrouble::Unreachable, Some(error.into()))
        };
        let answer = self.http.request(request).await.map_err(unreachable)?;
        let status = answer.status();
        let body = collect(answer.into_body()).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|_| KekTrouble::Garbled.into()),
            _ => Err(refusal(status, &body)),
        }
    }
}

fn read(source: &CredentialSource) -> Result<Zeroizing<String>, Failed> {
    source
        .read()
        .map_err(|error| Failed::Trouble(KekTrouble::NoCredential, Some(error.into())))
}

/// The request as JSON, in one buffer that is cleared when it was sent.
fn json(body: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // More than any request here needs: a buffer that grew would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_ANSWER_BYTES));
    serde_json::to_writer(&mut *bytes, body).expect("texts and numbers are JSON");
    bytes
}

/// The whole answer, in one buffer that is cleared when it was read.
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

/// What a refusal means. The server's sentences are known from its sources; a new one is a refusal like others.
fn refusal(status: StatusCode, body: &[u8]) -> Failed {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let errors = refusal.map(|it| it.errors).unwrap_or_default().join("\n");
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
        // A standby that does not forward says where to go.
        status if status.is_server_error() || status.is_redirection() => KekTrouble::Busy.into(),
        // Standby and recovering servers have statuses of their own.
        status if [472, 473].contains(&status.as_u16()) => KekTrouble::Busy.into(),
        _ => KekTrouble::Refused.into(),
    }
}

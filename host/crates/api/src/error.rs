//! Errors of requests, as clients see them: a status, `code`, `message`, and details beside them.
//!
//! Every unsuccessful answer of the API is made here, including those that the framework would
//! make. If the host is at fault, the cause goes to the log and not to the client.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use vault_core::{StoreError, VaultError};

/// Tells OpenAI's clients whether to retry on their own.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A request that was refused or failed.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Boxed, so that a `Result` stays small.
    details: Box<Map<String, Value>>,
    retry_after_secs: Option<u64>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    is_permanent: bool,
    is_for_openai: bool,
}

/// The body of every refusal.
#[derive(Serialize)]
struct Body {
    code: &'static str,
    message: String,
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl From<ApiError> for Body {
    fn from(error: ApiError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            details: *error.details,
        }
    }
}

impl ApiError {
    /// Returns an error with a code and one sentence that tells a person what to do.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Box::default(),
            retry_after_secs: None,
            header: None,
            is_permanent: status.is_client_error()
                && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status),
            is_for_openai: false,
        }
    }

    /// 400: the request is wrong.
    pub fn bad_request(code: &'static str, message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message.to_string())
    }

    /// 400: one field of the body or the query is wrong.
    pub fn invalid_field(field: &str, message: impl ToString) -> Self {
        Self::bad_request("invalid_field", message).detail("field", field)
    }

    /// 404: the thing does not exist, or belongs to another app.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 401: no credential that gives access.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 429: too many requests; `Retry-After` has the seconds to wait.
    pub fn too_many_requests(message: impl Into<String>, retry_after_secs: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
            .retry_after(retry_after_secs)
    }

    /// 500: the cause was logged where it occurred.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the host failed; give its operator the request id",
        )
    }

    /// Adds a detail as a top-level field of the body.
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Adds the time after which a retry makes sense.
    pub fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// Adds a header that belongs to the status.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// Marks the error as permanent: a retry does not help, whatever the status.
    pub fn permanent(self) -> Self {
        Self {
            is_permanent: true,
            ..self
        }
    }

    /// Adds the fields for OpenAI's clients: the object `error`, and whether a retry can help.
    pub fn for_openai(self) -> Self {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        let error = serde_json::json!({
            "message": self.message,
            "type": kind,
            "param": self.details.get("field"),
            "code": self.code,
        });
        Self {
            is_for_openai: true,
            ..self.detail("error", error)
        }
    }

    /// Adapts the error to the clients of a path. Those of `/v1` and of chat completions are
    /// OpenAI's.
    pub fn for_path(self, uri: &Uri) -> Self {
        let path = uri.path();
        match path.starts_with("/v1/") || path.ends_with("/chat/completions") {
            true => self.for_openai(),
            false => self,
        }
    }

    /// The body as it is sent.
    pub(crate) fn into_json(self) -> String {
        serde_json::to_string(&Body::from(self)).expect("a refusal is JSON")
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The code, for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The headers of the error, for answers in another format.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        if let Some((name, value)) = self.header.as_deref() {
            headers.insert(name, value.clone());
        }
        headers
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let headers = self.headers();
        let (status, is_permanent) = (self.status, self.is_permanent && self.is_for_openai);
        let mut response = (status, headers, Json(Body::from(self))).into_response();
        let headers = response.headers_mut();
        if is_permanent {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Maps the vault's errors to HTTP. This is the only place that does.
impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        let message = error.to_string();
        match error {
            VaultError::NotFound { .. } => Self::not_found(message),
            VaultError::VaultNameTaken { .. } => {
                Self::new(StatusCode::CONFLICT, "vault_name_taken", message)
            }
            VaultError::AppSlugTaken { .. } => {
                Self::new(StatusCode::CONFLICT, "app_slug_taken", message)
            }
            VaultError::Slug(_) => Self::invalid_field("slug", message),
            VaultError::ApiKeyRefused => Self::unauthorized(message),
            VaultError::KekUnset => unavailable("secret_vaults_disabled", message).permanent(),
            VaultError::KekMismatch { wanted, rows } => unavailable("kek_mismatch", message)
                .detail("kek_id", wanted.to_string())
                .detail("rows", rows),
            VaultError::KekCanary { kek_id } => {
                unavailable("kek_unusable", message).detail("kek_id", kek_id.to_string())
            }
            VaultError::KekUnavailable {
                kek_id, trouble, ..
            } => {
                let refusal =
                    unavailable("kek_unavailable", message).detail("kek_id", kek_id.to_string());
                match trouble.is_passing() {
                    true => refusal.retry_after(1),
                    false => refusal,
                }
            }
            VaultError::Wrap(cause) => {
                tracing::error!(error = %cause, "the KEK provider did not wrap");
                unavailable("kek_unavailable", message).retry_after(1)
            }
            VaultError::KekNotHeld { kek_id, rows } => {
                Self::new(StatusCode::CONFLICT, "kek_not_in_keyring", message)
                    .detail("kek_id", kek_id.to_string())
                    .detail("rows", rows)
            }
            VaultError::KekUnknown { .. } => Self::not_found(message),
            VaultError::KekInUse { kek_id, rows } => {
                Self::new(StatusCode::CONFLICT, "kek_in_use", message)
                    .detail("kek_id", kek_id.to_string())
                    .detail("rows", rows)
            }
            VaultError::KekPrimary { kek_id } => {
                Self::new(StatusCode::CONFLICT, "kek_primary", message)
                    .detail("kek_id", kek_id.to_string())
            }
            VaultError::KekUntrue { kek_id } => {
                tracing::error!(%kek_id, "a KEK does not give back what it wraps");
                unavailable("kek_unusable", message).detail("kek_id", kek_id.to_string())
            }
            VaultError::Contended => {
                Self::new(StatusCode::CONFLICT, "contended", message).retry_after(1)
            }
            VaultError::PreconditionFailed => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                message,
            ),
            VaultError::ExpiryPast { .. } => Self::invalid_field("expires_at", message),
            VaultError::ReservedAction { action } => {
                tracing::error!(
                    action,
                    "a defect: the host recorded one of the vault's actions"
                );
                Self::internal()
            }
            VaultError::Store(cause) => cause.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store does not work");
        match error {
            // The outcome of the request is unknown.
            StoreError::TimedOut { .. } | StoreError::Disconnected => unavailable(
                "vault_unavailable",
                "the vault's store did not answer; if this was a change, look whether it was made, and try again later",
            )
            .retry_after(1),
            StoreError::Busy
            | StoreError::Full
            | StoreError::ReadOnly
            | StoreError::Overloaded { .. }
            | StoreError::Closed
            | StoreError::Open { .. }
            | StoreError::Unreachable { .. }
            | StoreError::OutOfConnections
            | StoreError::Conflict
            | StoreError::AccessDenied
            | StoreError::NoDatabase
            | StoreError::TlsMissing
            | StoreError::TlsRefused { .. }
            | StoreError::Standby
            | StoreError::Backend(_) => unavailable(
                "vault_unavailable",
                "the vault's store does not work at the moment, and nothing was changed; try again later",
            )
            .retry_after(1),
            StoreError::NotFound
            | StoreError::Taken
            | StoreError::KekMismatch { .. }
            | StoreError::UnknownKek { .. }
            | StoreError::KekInUse { .. }
            | StoreError::PreconditionFailed
            | StoreError::Damaged { .. }
            | StoreError::Unrecordable
            | StoreError::Panicked
            | StoreError::NewerSchema { .. }
            | StoreError::OlderSchema { .. }
            | StoreError::NotOurs
            | StoreError::Unmigrated { .. }
            | StoreError::Unkeepable { .. }
            | StoreError::NotAVault { .. }
            | StoreError::LogWithoutDatabase { .. }
            | StoreError::Corrupt => Self::internal(),
        }
    }
}

fn unavailable(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
}

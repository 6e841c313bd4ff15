//! One request to a provider: the choice of the provider, the credential, and the head of the
//! answer. The caller decides what the answer means.

use crate::chat_request::ChatRequest;
use crate::models;
use crate::provider::{Provider, route};
use crate::provider_error::{NoCompletion, ProviderError, check, is_json, shortened, unreadable};
use serde_json::Value;
use trusted_tool::answer::Incoming;
use trusted_tool::credential::Credential;
use trusted_tool::request::{self, Ask, Bounds};
use trusted_tool::retry::Retries;
use trusted_tool::{ToolError, tool_error, words};

const PATH: &str = "/chat/completions";
/// The bounds of [`Retries`] without settings.
pub const MAX_RETRIES: u64 = 2;
pub const MAX_RETRY_WAIT_MS: u64 = 5_000;

/// A provider's answer with a status of success.
pub struct Exchange {
    /// The provider that answered.
    pub provider: &'static Provider,
    /// The credential of the request.
    pub credential: Credential,
    /// The answer.
    pub response: Incoming,
    /// Whether the request asked for events.
    pub is_streamed: bool,
}

/// Why there is no such answer.
pub enum Unanswered {
    /// The provider was not asked, or cannot be.
    Failed(ToolError),
    /// The provider answered with an error.
    Error(Box<ProviderError>),
}

impl From<ToolError> for Unanswered {
    fn from(error: ToolError) -> Self {
        Self::Failed(error)
    }
}

impl From<ProviderError> for Unanswered {
    fn from(error: ProviderError) -> Self {
        Self::Error(Box::new(error))
    }
}

impl Exchange {
    /// Sends the request to the provider of its model, and again within the bounds of [`Retries`].
    ///
    /// # Errors
    /// `unknown_model`; the errors of [`Credential::resolve`] and of [`request::open`]; the
    /// provider's answer, if it is no success.
    pub fn begin(chat: &ChatRequest<'_>, bounds: &Bounds) -> Result<Self, Unanswered> {
        let default = models::default_model()?;
        let asked = chat.model().unwrap_or(&default);
        let Some((provider, model)) = route(asked) else {
            return Err(models::unknown_model(asked)?.into());
        };
        let mut retries = Retries::from_settings(MAX_RETRIES, MAX_RETRY_WAIT_MS)?;
        let credential = match Credential::resolve(provider.secret) {
            Ok(credential) => credential,
            Err(error) if chat.model().is_none() && error.code == "secret_not_found" => {
                return Err(models::default_is_out_of_reach(&default, &error)?.into());
            }
            Err(error) => return Err(error.into()),
        };
        let base = provider.base_url(&credential)?;
        let body = chat.for_model(model);
        let plain = |text: &str| text.as_bytes().to_vec().into();
        let accept = if chat.is_streamed() {
            "text/event-stream"
        } else {
            "application/json"
        };
        let mut headers = vec![
            ("accept", plain(accept)),
            ("accept-encoding", plain("identity")),
            ("content-type", plain("application/json")),
        ];
        if provider.has_key() {
            headers.push(("authorization", credential.header_value("Bearer ")?));
        }
        let response = loop {
            let ask = Ask::Post(&body);
            match request::open(provider.shown, &base, PATH, ask, &headers, bounds) {
                Ok(response) if (200..=299).contains(&response.status) => break response,
                Ok(response) => {
                    let error = ProviderError::read(provider, &credential, response);
                    if !retries.after_answer(error.status(), error.wait_ms()) {
                        return Err(error.into());
                    }
                }
                Err(failure) if retries.after_failure(failure.stage) => {}
                Err(failure) => return Err(failure.error.into()),
            }
        };
        Ok(Self {
            provider,
            credential,
            response,
            is_streamed: chat.is_streamed(),
        })
    }

    /// The error in a body whose status is a success.
    pub fn error_in(&self, body: &[u8]) -> ProviderError {
        let Incoming { status, .. } = self.response;
        ProviderError::new(
            self.provider,
            &self.credential,
            status,
            self.response.headers(),
            body,
        )
    }

    /// The completion in a whole body.
    ///
    /// # Errors
    /// The provider's error in the body, or `upstream_error` with the words that it has instead.
    pub fn completion(&self, body: &[u8]) -> Result<Value, Unanswered> {
        let content_type = self.response.header("content-type").unwrap_or_default();
        let words::Words { message, json } = words::read(content_type, body);
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if json.is_null() && !is_json(essence) && !body.is_empty() {
            let Incoming { status, .. } = self.response;
            let message = unreadable(self.provider, status, content_type, message.as_deref());
            return Err(tool_error("upstream_error", message).into());
        }
        let what = match check(&json) {
            Ok(()) => return Ok(json),
            Err(NoCompletion::Error(error)) => {
                return Err(self.error_in(error.to_string().as_bytes()).into());
            }
            Err(NoCompletion::Lacks(_)) if matches!(body.trim_ascii(), b"" | b"null") => {
                let body = match body.trim_ascii() {
                    b"" => "an empty body",
                    _ => "null",
                };
                format!("answered with {body}, which says nothing")
            }
            Err(NoCompletion::Lacks(what)) => {
                let said = message.filter(|_| json.is_null());
                let said = said.map_or(String::new(), |it| format!(" ({:?})", shortened(&it)));
                let what = Some(what).filter(|what| !what.is_empty());
                let what = what.map_or(String::new(), |what| format!(": {what}"));
                format!("answered with something that is no completion{said}{what}")
            }
        };
        Err(self.unreadable(format!("{what}; try again later")).into())
    }

    /// The error for an answer that nobody can read.
    pub fn unreadable(&self, what: impl AsRef<str>) -> ToolError {
        let shown = self.provider.shown;
        tool_error("upstream_error", format!("{shown} {}", what.as_ref()))
    }
}

//! One request to a provider: whose it is, with which credential, and the head of
//! the answer. What the answer means to whom is up to the caller.

use crate::chat_request::ChatRequest;
use crate::models;
use crate::provider::{Provider, route};
use crate::retry::Retries;
use trusted_tool::answer::Incoming;
use trusted_tool::credential::Credential;
use trusted_tool::request::{self, Ask, Bounds};
use trusted_tool::{ToolError, tool_error};

const PATH: &str = "/chat/completions";
/// How much of an error's body is looked at, in bytes.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// A provider's answer that is no refusal of the credential.
pub struct Exchange {
    /// Who answered.
    pub provider: &'static Provider,
    /// What.
    pub response: Incoming,
}

impl Exchange {
    /// Sends the request to the provider that its model means, and again within
    /// the bounds of [`Retries`].
    ///
    /// # Errors
    /// `unknown_model`; the errors of [`Credential::resolve`] and of
    /// [`request::open`]; `upstream_auth` when the provider refuses the credential.
    pub fn begin(chat: &ChatRequest<'_>, bounds: &Bounds) -> Result<Self, ToolError> {
        let default = models::default_model()?;
        let asked = chat.model().unwrap_or(&default);
        let Some((provider, model)) = route(asked) else {
            return Err(models::unknown_model(asked)?);
        };
        let mut retries = Retries::from_settings()?;
        let credential = Credential::resolve(provider.secret)?;
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
            let response = match request::open(
                provider.shown,
                &base,
                PATH,
                Ask::Post(&body),
                &headers,
                bounds,
            ) {
                Ok(response) => response,
                Err(failure) if retries.after_failure(failure.stage) => continue,
                Err(failure) => return Err(failure.error),
            };
            let retry_after = response.header("retry-after");
            if !retries.after_answer(response.status, retry_after) {
                break response;
            }
        };
        match response.status {
            401 | 403 => Err(refused(provider, response.status)),
            _ => Ok(Self { provider, response }),
        }
    }
}

/// The error of a provider that does not take the credential.
pub fn refused(provider: &Provider, status: u16) -> ToolError {
    let Provider { shown, secret, .. } = provider;
    tool_error(
        "upstream_auth",
        format!(
            "{shown} refused the credential in secret \"{secret}\" (HTTP {status}); \
             the app's owner must store a valid one"
        ),
    )
}

/// The body of an answer that is no success; cut off where it is very long.
pub fn error_body(mut response: Incoming) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.next_piece() {
        let room = MAX_ERROR_BYTES as usize - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() >= room {
            break;
        }
    }
    body
}

/// Whether an error says that the key is not valid, though its status does not:
/// Gemini answers 400 then.
pub fn says_key_is_invalid(provider: &Provider, status: u16, body: &[u8]) -> bool {
    const REASON: &[u8] = b"API_KEY_INVALID";
    const SENTENCE: &[u8] = b"API key not valid";
    let says = |words: &[u8]| body.windows(words.len()).any(|window| window == words);
    provider.name == "gemini" && status == 400 && (says(REASON) || says(SENTENCE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::PROVIDERS;

    #[test]
    fn a_refused_credential_is_told_by_the_name_of_the_secret() {
        let error = refused(&PROVIDERS[0], 403);
        assert_eq!(error.code, "upstream_auth");
        assert!(
            error.message.contains("\"gemini_api_key\""),
            "{}",
            error.message
        );
    }

    #[test]
    fn geminis_400_for_a_key_is_told_from_its_others() {
        let [gemini, openai, ..] = &PROVIDERS;
        let body = br#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]"#;
        assert!(says_key_is_invalid(gemini, 400, body));
        assert!(!says_key_is_invalid(gemini, 500, body));
        assert!(!says_key_is_invalid(openai, 400, body));
        assert!(!says_key_is_invalid(
            gemini,
            400,
            br#"[{"error":{"message":"bad schema"}}]"#
        ));
    }
}

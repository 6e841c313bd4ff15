//! An error as it was read, and its content.

use crate::provider::Provider;
use serde_json::{Map, Value};
use trusted_tool::ToolError;
use trusted_tool::words::{self, Words};

/// The answer of a provider that is not a completion.
#[derive(Debug)]
pub struct ProviderError {
    pub(super) provider: &'static Provider,
    /// The status of the answer, or the one that an error under a success names.
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) words: Words,
    pub(super) is_long: bool,
    pub(super) wait_ms: Option<u64>,
    /// The headers that a client may see.
    pub(super) passed: Vec<(String, Vec<u8>)>,
    /// The host's hint about an odd credential.
    pub(super) oddity: Option<String>,
    /// Set when the credential is refused.
    pub(super) auth: Option<ToolError>,
}

impl ProviderError {
    /// The wait that the provider asks for, if it is credible.
    pub fn wait_ms(&self) -> Option<u64> {
        self.wait_ms
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The object that is the error, if the body is JSON.
    pub(super) fn object(&self) -> Option<&Map<String, Value>> {
        words::error_object(&self.words.json)
    }

    /// Whether the provider has no API at the requested path. A provider that only does not know
    /// the model answers in the usual form of its errors.
    pub(super) fn is_no_path(&self) -> bool {
        const FORMS: [&str; 4] = ["error", "object", "code", "type"];
        let has_form = FORMS.iter().any(|name| self.words.json.get(name).is_some());
        matches!(self.status, 404 | 405) && !has_form
    }

    /// Whether the same request can succeed later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 409 | 425 | 429 | 500..=599) && !self.is_used_up()
    }

    /// Whether waiting does not help, or not for as long as the answer says. The account has no
    /// credit, or the day's quota is gone; Gemini then still names a wait of seconds.
    pub(super) fn is_used_up(&self) -> bool {
        const SIGNS: [&str; 4] = [
            "insufficient_quota",
            "billing_hard_limit",
            "PerDay",
            "credit_balance",
        ];
        let Some(error) = self.object().filter(|_| !self.is_long) else {
            return false;
        };
        let text = Value::from(error.clone()).to_string();
        SIGNS.iter().any(|sign| text.contains(sign))
    }
}

//! Sentences for both clients and agents.

use super::answer::ProviderError;
use trusted_tool::{ToolError, tool_error};

/// The number of characters of a provider's words that an agent's error repeats.
const MAX_SAID_CHARS: usize = 300;

impl ProviderError {
    /// The provider's own words, as far as a sentence repeats them.
    pub(super) fn said(&self) -> Option<String> {
        let message = self.words.message.as_ref()?;
        Some(message.chars().take(MAX_SAID_CHARS).collect())
    }

    /// The error for an answer that redirects.
    pub(super) fn redirected(&self) -> ToolError {
        let Self {
            provider, status, ..
        } = self;
        let place = match provider.has_key() {
            true => format!("the operator must correct {}_base_url", provider.name),
            false => format!(
                "the app's owner must correct secret \"{}\"",
                provider.secret
            ),
        };
        tool_error(
            "upstream_error",
            format!(
                "{} answered HTTP {status}; redirects are not followed, {place}",
                provider.shown
            ),
        )
    }
}

/// The sentence about an answer that is not JSON.
pub fn unreadable(shown: &str, status: u16, content_type: &str, said: Option<&str>) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/+.-".contains(&b);
    let what = match essence {
        "" => "something without a type".to_owned(),
        essence if essence.len() <= 64 && essence.bytes().all(is_plain) => essence.to_owned(),
        _ => "something of no known type".to_owned(),
    };
    let said = said.map_or(String::new(), |said| format!(" ({said:?})"));
    format!(
        "{shown} answered HTTP {status} with {what} instead of JSON{said}; try again later, or tell the operator"
    )
}

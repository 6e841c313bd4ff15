//! Sentences for both clients and agents.

use super::answer::ProviderError;
use crate::provider::Provider;
use serde_json::Value;
use trusted_tool::{ToolError, tool_error};

/// The number of characters of a provider's words that an agent's error repeats.
const MAX_SAID_CHARS: usize = 300;

impl ProviderError {
    /// The provider's own words, as far as a sentence repeats them.
    pub(super) fn said(&self) -> Option<String> {
        let message = self.words.message.as_deref().map(shortened);
        message.or_else(|| self.own_json())
    }

    /// The body as it came, for JSON in which no words are known.
    pub(super) fn own_json(&self) -> Option<String> {
        let has_content = match &self.words.json {
            Value::Object(object) => !object.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Null => false,
            _ => true,
        };
        has_content.then(|| shortened(&self.words.json.to_string()))
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

/// An upstream's words, as far as a sentence repeats them.
pub fn shortened(said: &str) -> String {
    said.chars().take(MAX_SAID_CHARS).collect()
}

/// The sentence about an answer that is not JSON.
pub fn unreadable(
    provider: &Provider,
    status: u16,
    content_type: &str,
    said: Option<&str>,
) -> String {
    let shown = provider.shown;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/+.-".contains(&b);
    let what = match essence {
        "" => "something without a type instead of JSON".to_owned(),
        json if is_json(json) => "text that is no JSON".to_owned(),
        essence if essence.len() <= 64 && essence.bytes().all(is_plain) => {
            format!("{essence} instead of JSON")
        }
        _ => "something of no known type instead of JSON".to_owned(),
    };
    let said = said.map_or(String::new(), |said| format!(" ({:?})", shortened(said)));
    let is_page = essence.to_ascii_lowercase().contains("html");
    let advice = match status {
        200..=299 if is_page && !provider.has_key() => address(provider),
        400..=407 | 409..=424 | 426..=428 => "tell the operator".to_owned(),
        _ => "try again later, or tell the operator".to_owned(),
    };
    format!("{shown} answered HTTP {status} with {what}{said}; {advice}")
}

/// Advice for a provider's address whose path is wrong.
pub(super) fn address(provider: &Provider) -> String {
    let Provider { shown, secret, .. } = provider;
    match provider.has_key() {
        true => "tell the operator".to_owned(),
        false => format!(
            "look at the address in secret {secret:?}: {shown} answers at /v1/chat/completions below it"
        ),
    }
}

/// Whether a media type is one of JSON.
pub fn is_json(essence: &str) -> bool {
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::PROVIDERS;

    #[test]
    fn what_came_instead_of_json_is_named_with_its_words() {
        let openai = &PROVIDERS[1];
        for (status, content_type, said, sentence) in [
            (
                200,
                "text/html; charset=x",
                Some("welcome"),
                "OpenAI answered HTTP 200 with text/html instead of JSON (\"welcome\"); \
                 try again later, or tell the operator",
            ),
            (
                200,
                "application/json",
                Some("upstream timeout"),
                "OpenAI answered HTTP 200 with text that is no JSON (\"upstream timeout\"); \
                 try again later, or tell the operator",
            ),
            (
                404,
                "text/<b>",
                None,
                "OpenAI answered HTTP 404 with something of no known type instead of JSON; \
                 tell the operator",
            ),
        ] {
            assert_eq!(unreadable(openai, status, content_type, said), sentence);
        }
        let page = unreadable(&PROVIDERS[4], 200, "text/html", Some("welcome"));
        assert!(
            page.contains("address in secret \"ollama_base_url\""),
            "{page}"
        );
        let text = unreadable(&PROVIDERS[4], 200, "text/plain", Some("upstream timeout"));
        assert!(!text.contains("ollama_base_url"), "{text}");
    }
}

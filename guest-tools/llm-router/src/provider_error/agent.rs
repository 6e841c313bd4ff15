//! An error for an agent: one sentence with the provider's words and what to do.

use super::answer::ProviderError;
use super::sentence::address;
use trusted_tool::{ToolError, tool_error, wait};

impl ProviderError {
    /// The error that the agent gets.
    pub fn tool_error(&self) -> ToolError {
        if let Some(refused) = &self.auth {
            return refused.clone();
        }
        let Self {
            provider, status, ..
        } = self;
        let said = match self.said() {
            Some(said) => format!(", {said:?}"),
            None => String::new(),
        };
        let advice = match (status, self.wait_ms) {
            (300..=399, _) => return self.redirected(),
            (_, Some(ms)) if self.is_passing() => format!("try again in {}", wait::shown(ms)),
            (429, _) if self.is_used_up() => {
                "its quota is used up; the app's owner can raise it at the provider".to_owned()
            }
            _ if self.is_no_path() => address(provider),
            _ if self.is_passing() => "try again later".to_owned(),
            (400 | 404 | 413 | 422, _) => "change the input".to_owned(),
            _ => "the provider's words say why".to_owned(),
        };
        let shown = provider.shown;
        tool_error(
            "upstream_error",
            format!("{shown} answered with an error (HTTP {status}{said}): {advice}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::provider_error::reading::{sample, sample_of_ollama};

    #[test]
    fn a_path_that_is_not_ollamas_is_told_by_the_secret_that_has_it() {
        for (status, body) in [
            (404, "404 page not found"),
            (405, ""),
            (405, "<html>Method Not Allowed"),
            (404, r#"{"detail":"Not Found"}"#),
        ] {
            let error = sample_of_ollama(status, body);
            let (refusal, _) = error.refusal();
            for message in [error.tool_error().message, refusal.message] {
                assert!(
                    message.contains("address in secret \"ollama_base_url\""),
                    "{message}"
                );
                assert!(!message.contains("change the input"), "{message}");
            }
            let other = sample(status, &[], body).tool_error().message;
            assert!(other.ends_with(": tell the operator"), "{other}");
        }
        for body in [
            r#"{"error":{"message":"model \"x\" not found"}}"#,
            r#"{"object":"error","message":"the model x does not exist"}"#,
        ] {
            let message = sample_of_ollama(404, body).tool_error().message;
            assert!(message.ends_with("change the input"), "{message}");
        }
    }

    #[test]
    fn an_agent_is_told_the_words_and_what_to_do() {
        for (status, headers, body, parts) in [
            (
                429,
                &[("retry-after", "7")][..],
                r#"{"error":{"message":"Rate limit"}}"#,
                &["HTTP 429, \"Rate limit\"", "try again in 7 s"][..],
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","code":"insufficient_quota"}}"#,
                &["quota is used up"],
            ),
            (
                400,
                &[],
                r#"[{"error":{"message":"bad schema"}}]"#,
                &["\"bad schema\"", "change the input"],
            ),
            (
                403,
                &[],
                r#"{"error":{"message":"flagged"}}"#,
                &["(HTTP 403, \"flagged\")", "words say why"],
            ),
            (500, &[], "<html>", &["(HTTP 500)", "try again later"]),
            (
                302,
                &[],
                "",
                &["redirects are not followed", "openai_base_url"],
            ),
        ] {
            let error = sample(status, headers, body).tool_error();
            assert_eq!(error.code, "upstream_error");
            for part in parts {
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(10_000));
        assert!(sample(400, &[], &long).tool_error().message.len() < 500);
    }
}

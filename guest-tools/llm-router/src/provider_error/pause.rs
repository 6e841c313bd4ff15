//! The wait that a provider asks for, from every place where an answer can name it.

use super::answer::ProviderError;
use serde_json::{Map, Value};
use trusted_tool::wait;

impl ProviderError {
    /// The wait that the answer names, unless waiting does not help.
    pub(super) fn wait_of(&self, headers: &[(String, Vec<u8>)]) -> Option<u64> {
        let is_told = matches!(self.status, 429 | 500..=599);
        if !is_told || self.is_used_up() {
            return None;
        }
        let in_words = || wait::in_words(self.words.message.as_ref()?);
        // The limits in an answer that is no 429 concern other requests.
        let of_limits = || wait::from_headers(headers).filter(|_| self.status == 429);
        wait::retry_after(headers)
            .or_else(|| self.wait_in_fields(headers))
            .or_else(in_words)
            .or_else(of_limits)
    }

    /// The wait in the error's own fields: Gemini's `RetryInfo`, OpenRouter's headers of the
    /// provider behind it, and the names that others use.
    fn wait_in_fields(&self, of_answer: &[(String, Vec<u8>)]) -> Option<u64> {
        let error = self.object()?;
        let details = error.get("details").and_then(Value::as_array);
        let of_details = details
            .into_iter()
            .flatten()
            .find_map(|detail| wait::duration(detail.get("retryDelay")?.as_str()?));
        let metadata = error.get("metadata").and_then(Value::as_object);
        let named = |object: &Map<String, Value>| {
            let number = |name: &str| {
                let value = object.get(name)?;
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                wait::moment(&text, None)
            };
            let ms = ["retry_after_ms", "retryAfterMs"]
                .into_iter()
                .find_map(number);
            let secs = [
                "retry_after",
                "retryAfter",
                "retry_after_seconds",
                "retry-after",
            ];
            ms.map(|ms| ms / 1_000)
                .or_else(|| secs.into_iter().find_map(number))
        };
        let headers = metadata
            .and_then(|it| it.get("headers")?.as_object())
            .map(|headers| {
                let text = |value: &Value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                };
                let mut headers: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), text(value).into_bytes()))
                    .collect();
                headers.extend(of_answer.iter().filter(|(name, _)| name == "date").cloned());
                headers
            });
        of_details
            .or_else(|| named(error))
            .or_else(|| metadata.and_then(named))
            .or_else(|| named(self.words.json.as_object()?))
            .or_else(|| wait::from_headers(&headers?))
    }
}

#[cfg(test)]
mod tests {
    use crate::provider_error::reading::sample;

    #[test]
    fn the_wait_is_found_wherever_it_stands_and_never_made_up() {
        const DATE: (&str, &str) = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        for (status, headers, body, wait_ms) in [
            (429, &[("retry-after", "0.5")][..], "{}", Some(500)),
            (429, &[("x-ratelimit-reset-requests", "6ms")], "{}", Some(6)),
            (
                429,
                &[],
                r#"{"error":{"message":"x","details":[{"@type":"x"},{"@type":"RetryInfo","retryDelay":"17s"}]}}"#,
                Some(17_000),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"Please try again in 1m30s."}}"#,
                Some(90_000),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","retry_after":1.5}}"#,
                Some(1_500),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","metadata":{"retry_after_ms":250}}}"#,
                Some(250),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x"},"retry_after":1.5}"#,
                Some(1_500),
            ),
            (
                429,
                &[],
                r#"{"message":"x","retry_after":1.5}"#,
                Some(1_500),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"Please wait 2 minutes before trying again"}}"#,
                Some(120_000),
            ),
            (
                429,
                &[
                    ("anthropic-ratelimit-requests-reset", "2026-10-21T07:28:40Z"),
                    DATE,
                ],
                "{}",
                Some(40_000),
            ),
            (429, &[("retry-after", "1000000000"), DATE], "{}", None),
            (
                429,
                &[DATE],
                r#"{"error":{"message":"x","metadata":{"headers":{"X-RateLimit-Reset":"1792567681000"}}}}"#,
                Some(1_000),
            ),
            (
                429,
                &[],
                "Rate limited, retry after 26 seconds",
                Some(26_000),
            ),
            (503, &[("retry-after", "2")], "", Some(2_000)),
            (503, &[("x-ratelimit-reset-requests", "6ms")], "", None),
            (400, &[("retry-after", "2")], "{}", None),
            (
                429,
                &[("retry-after", "1")],
                r#"{"error":{"message":"x","code":"insufficient_quota"}}"#,
                None,
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"x","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]},{"retryDelay":"17s"}]}}"#,
                None,
            ),
            (429, &[], r#"{"error":{"message":"slow down"}}"#, None),
        ] {
            let error = sample(status, headers, body);
            assert_eq!(error.wait_ms(), wait_ms, "{body} {headers:?}");
            let (_, headers) = error.refusal();
            let said = headers.iter().find(|(name, _)| name == "retry-after-ms");
            let said = said.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            assert_eq!(said, wait_ms.map(|ms| ms.to_string()), "{body}");
        }
    }
}

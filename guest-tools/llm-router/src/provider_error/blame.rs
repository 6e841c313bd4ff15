//! Whether the provider refuses the credential, and the error for that.

use super::answer::ProviderError;
use crate::provider::Provider;
use serde_json::Value;
use trusted_tool::credential::{Credential, oddity};
use trusted_tool::{ToolError, tool_error};

impl ProviderError {
    /// Whether the provider refuses the credential. A 401 says so; with 400 and 403 a code does, or
    /// a sentence that a provider is known to begin with. Other words may quote the client's own
    /// input, and a 403 alone can also mean moderation, a region, a model or a scope.
    pub(super) fn blames_the_key(&self) -> bool {
        const CODES: [&str; 9] = [
            "invalid_api_key",
            "api_key_invalid",
            "api_key_expired",
            "incorrect_api_key",
            "authentication_error",
            "invalid_authentication",
            "invalid_auth",
            "unauthenticated",
            "no_auth_credentials",
        ];
        const BEGINNINGS: [&str; 4] = [
            "api key not valid",
            "api key expired",
            "your api key was reported as leaked",
            "incorrect api key provided",
        ];
        match self.status {
            401 => return true,
            400 | 403 => {}
            _ => return false,
        }
        let is_code = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str).unwrap_or_default();
            CODES.contains(&text.to_ascii_lowercase().as_str())
        };
        let object = self.object();
        let details = object.and_then(|it| it.get("details")?.as_array());
        let mut details = details.into_iter().flatten();
        let mut names = ["code", "type", "status", "reason"].into_iter();
        let message = self.words.message.as_deref().unwrap_or_default();
        let message = message.trim_start().to_ascii_lowercase();
        names.any(|name| is_code(object.and_then(|it| it.get(name))))
            || details.any(|detail| is_code(detail.get("reason")))
            || BEGINNINGS.iter().any(|begin| message.starts_with(begin))
    }

    /// The error for a refused credential. Whatever repeats the credential is hidden.
    pub(super) fn refused(&self, credential: &Credential) -> ToolError {
        let Self {
            provider, status, ..
        } = self;
        let said = match self.said() {
            Some(said) => format!(", {:?}", credential.hidden_in(&said)),
            None => String::new(),
        };
        let Provider { shown, secret, .. } = provider;
        if !provider.has_key() {
            return tool_error(
                "upstream_auth",
                format!(
                    "{shown} wants a credential (HTTP {status}{said}), and has none: secret \"{secret}\" is its address alone"
                ),
            );
        }
        tool_error(
            "upstream_auth",
            format!(
                "{shown} refused the credential in secret \"{secret}\" (HTTP {status}{said}); \
                 the app's owner must store a valid one{}",
                oddity(self.oddity.as_deref())
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::provider_error::reading::sample;

    #[test]
    fn the_key_is_blamed_only_where_the_answer_does() {
        let says = |status, body: &str| sample(status, &[], body).blames_the_key();
        for (status, body) in [
            (401, r#"{"error":"x"}"#),
            (401, ""),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
            ),
            (
                400,
                r#"{"error":{"message":"x","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"API key expired. Please renew the API key."}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Your API key was reported as leaked. Please use another API key."}}"#,
            ),
            (403, r#"{"error":{"message":"x","code":"invalid_api_key"}}"#),
            (400, r#"{"error":{"message":"x","code":"invalid_api_key"}}"#),
            (
                400,
                r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***Zz."}"#,
            ),
            (
                403,
                r#"{"type":"error","error":{"type":"authentication_error","message":"x"}}"#,
            ),
        ] {
            assert!(says(status, body), "{status} {body}");
        }
        for (status, body) in [
            (
                403,
                r#"{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Project does not have access to model gpt-x","code":"model_not_found"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"You have insufficient permissions. Missing scopes: model.request, if your API key is restricted"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Generative Language API has not been used in project 1 or it is disabled","status":"PERMISSION_DENIED"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"Invalid schema for function 'login': In context=('properties', 'api_key'), 'type' is required","type":"invalid_request_error","param":"tools[0].function.parameters","code":"invalid_function_parameters"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"Invalid key 'api_key' in tools[0].parameters"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"The message \"invalid api key\" cannot be part of a system prompt"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"Missing authentication field in response_format","code":"invalid_api_key_name"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"Input was flagged: my invalid api key"}}"#,
            ),
            (403, "<html>error code: 1010</html>"),
            (403, ""),
            (
                400,
                r#"{"error":{"message":"Invalid value for max_tokens"}}"#,
            ),
            (429, r#"{"error":{"message":"the API key is invalid"}}"#),
            (500, r#"{"error":{"message":"authentication failed"}}"#),
        ] {
            assert!(!says(status, body), "{status} {body}");
        }
    }
}

//! The router's own errors as HTTP: a status, the platform's `code` and `message`,
//! and beside them the `error` object that OpenAI's clients read.
//!
//! What a provider answers is not made here; it passes.

use crate::chat_request::Invalid;
use serde_json::{Value, json};
use trusted_tool::ToolError;

/// An error that a client gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// For programs.
    pub code: String,
    /// For people and models.
    pub message: String,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// Whether the same request can go well a moment later.
    pub can_retry: bool,
}

impl Refusal {
    /// A path or a method that there is not.
    pub fn not_found() -> Self {
        Self {
            status: 404,
            code: "not_found".to_owned(),
            message: "there is nothing at this path".to_owned(),
            field: None,
            can_retry: false,
        }
    }

    /// The request's body did not come whole. The host knows more, and says it instead.
    pub fn incomplete_body() -> Self {
        Self {
            status: 400,
            code: "incomplete_body".to_owned(),
            message: "the body ended before it was whole; send it again".to_owned(),
            field: None,
            can_retry: true,
        }
    }

    /// The same error under another status.
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// What stands in the body, and in an event of a stream that broke.
    pub fn body(&self) -> Value {
        let Self {
            code,
            message,
            field,
            ..
        } = self;
        let kind = match self.status {
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        let mut body = json!({
            "code": code,
            "message": message,
            "error": { "message": message, "type": kind, "param": field, "code": code },
        });
        if let Some(field) = field {
            body["field"] = (*field).into();
        }
        body
    }
}

impl From<Invalid> for Refusal {
    fn from(Invalid { field, message }: Invalid) -> Self {
        Self {
            status: 400,
            code: if field.is_some() {
                "invalid_field"
            } else {
                "invalid_json"
            }
            .to_owned(),
            message,
            field,
            can_retry: false,
        }
    }
}

impl From<ToolError> for Refusal {
    fn from(ToolError { code, message }: ToolError) -> Self {
        let (status, can_retry) = match code.as_str() {
            "unknown_model" | "no_vault_designated" | "secret_not_found" | "unusable_secret" => {
                (400, false)
            }
            "vault_unavailable" => (503, true),
            "upstream_unreachable" if message.contains("in time") => (504, true),
            "upstream_unreachable" | "upstream_error" => (502, true),
            "upstream_auth" | "egress_denied" => (502, false),
            _ => (500, false),
        };
        let field = (code == "unknown_model").then_some("model");
        Self {
            status,
            code,
            message,
            field,
            can_retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trusted_tool::tool_error;

    #[test]
    fn each_cause_has_its_status_and_says_whether_another_try_can_help() {
        for (code, status, can_retry) in [
            ("unknown_model", 400, false),
            ("no_vault_designated", 400, false),
            ("secret_not_found", 400, false),
            ("secret_not_granted", 500, false),
            ("vault_unavailable", 503, true),
            ("upstream_auth", 502, false),
            ("upstream_error", 502, true),
            ("egress_denied", 502, false),
            ("tool_failed", 500, false),
        ] {
            let refusal = Refusal::from(tool_error(code, "what happened"));
            assert_eq!(
                (refusal.status, refusal.can_retry),
                (status, can_retry),
                "{code}"
            );
        }
        let late = tool_error(
            "upstream_unreachable",
            "X did not answer in time; try again later",
        );
        assert_eq!(Refusal::from(late).status, 504);
    }

    #[test]
    fn both_shapes_are_in_the_body() {
        let refusal = Refusal::from(Invalid {
            field: Some("messages"),
            message: "give one".to_owned(),
        });
        assert_eq!(
            refusal.body(),
            json!({
                "code": "invalid_field", "message": "give one", "field": "messages",
                "error": { "message": "give one", "type": "invalid_request_error", "param": "messages", "code": "invalid_field" },
            })
        );
    }
}

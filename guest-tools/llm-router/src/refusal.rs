//! The router's own errors as HTTP: a status, the platform's `code` and `message`, and the `error`
//! object that OpenAI's clients read.
//!
//! A provider's errors take the same form.

use crate::chat_request::Invalid;
use serde_json::{Map, Value, json};
use trusted_tool::ToolError;

/// An error that a client gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people and models.
    pub message: String,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// Whether the same request can succeed a moment later.
    pub can_retry: bool,
    /// The provider's word for the kind of error.
    pub kind: Option<String>,
    /// The provider's name for the parameter at fault.
    pub param: Option<String>,
    /// The other members of a provider's body.
    pub beside: Map<String, Value>,
    /// The other members of its `error`.
    pub within: Map<String, Value>,
}

impl Refusal {
    fn new(status: u16, code: &str, message: impl Into<String>, can_retry: bool) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            field: None,
            can_retry,
            kind: None,
            param: None,
            beside: Map::new(),
            within: Map::new(),
        }
    }

    /// The path or the method does not exist.
    pub fn not_found() -> Self {
        Self::new(404, "not_found", "there is nothing at this path", false)
    }

    /// The model is not in the list.
    pub fn unlisted(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        let message =
            format!("the model {id:?} is not in the list; GET /v1/models has those that are");
        Self {
            field: Some("model"),
            ..Self::new(404, "model_not_found", message, false)
        }
    }

    /// The request's body is incomplete. The host knows the reason and reports it instead.
    pub fn incomplete_body() -> Self {
        let message = "the body ended before it was whole; send it again";
        Self::new(400, "incomplete_body", message, true)
    }

    /// The JSON of the body, or of the event that ends a broken stream.
    pub fn body(&self) -> Value {
        let kind = match self.status {
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        let Self { code, message, .. } = self;
        let mut error = json!({
            "message": message,
            "type": self.kind.as_deref().unwrap_or(kind),
            "param": self.param.as_deref().or(self.field),
            "code": code,
        });
        add(&mut error, &self.within);
        let mut body = json!({ "code": code, "message": message, "error": error });
        if let Some(field) = self.field {
            body["field"] = field.into();
        }
        add(&mut body, &self.beside);
        body
    }
}

/// Adds the members that are missing.
fn add(object: &mut Value, others: &Map<String, Value>) {
    if let Value::Object(object) = object {
        for (name, value) in others {
            object.entry(name).or_insert_with(|| value.clone());
        }
    }
}

impl From<Invalid> for Refusal {
    fn from(Invalid { field, message }: Invalid) -> Self {
        let code = match field {
            Some(_) => "invalid_field",
            None => "invalid_json",
        };
        Self {
            field,
            ..Self::new(400, code, message, false)
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
            field,
            ..Self::new(status, &code, message, can_retry)
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

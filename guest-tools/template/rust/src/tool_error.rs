//! The error that ends a call without an answer.

use crate::bindings::exports::tavora::platform::tool::ToolError;

/// An error with a stable word for programs and a sentence for people.
pub fn tool_error(code: &str, message: impl Into<String>) -> ToolError {
    ToolError {
        code: code.to_owned(),
        message: message.into(),
    }
}

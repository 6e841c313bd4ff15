//! The error that a call ends with when it gives no answer.

use crate::bindings::exports::tavora::platform::tool::ToolError;

/// An error from a stable word for programs and a sentence for people.
pub fn tool_error(code: &str, message: impl Into<String>) -> ToolError {
    ToolError {
        code: code.to_owned(),
        message: message.into(),
    }
}

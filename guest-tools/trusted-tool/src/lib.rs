//! The common parts of every trusted tool component: the bindings of the world `trusted-tool`, a
//! credential by name, settings, a reader of JSON, and one bounded HTTP request. Each fails with
//! the `tool-error` that the user sees.
//!
//! The crate knows no upstream and no operation, and keeps no credential. The host decides what a
//! tool may reach.
//!
//! A tool implements [`Guest`] and exports it:
//!
//! ```
//! use trusted_tool::credential::Credential;
//! use trusted_tool::{Guest, Operation, ToolError, tool_error};
//!
//! struct Weather;
//!
//! impl Guest for Weather {
//!     fn describe() -> Vec<Operation> {
//!         vec![Operation {
//!             name: "today".to_owned(),
//!             description: "Today's weather.".to_owned(),
//!             input_schema: r#"{"type":"object"}"#.to_owned(),
//!         }]
//!     }
//!
//!     fn call(operation: String, _input: String) -> Result<String, ToolError> {
//!         let _credential = Credential::resolve("weather_api_key")?;
//!         Err(tool_error("unknown_operation", format!("there is no \"{operation}\"")))
//!     }
//! }
//!
//! trusted_tool::export!(Weather with_types_in trusted_tool::bindings);
//! # fn main() {}
//! ```

pub mod answer;
pub mod credential;
mod failure;
pub mod json;
#[cfg(feature = "testing")]
pub mod manifest;
pub mod page;
pub mod request;
pub mod retry;
pub mod setting;
pub mod wait;
pub mod words;

/// The bindings of the world `trusted-tool`, generated from `wit/`.
#[allow(missing_docs, unsafe_code, unused_qualifications, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "trusted-tool",
        pub_export_macro: true,
        default_bindings_module: "trusted_tool::bindings",
        generate_all,
    });
}

pub use bindings::export;
pub use bindings::exports::tavora::platform::tool::{Guest, Operation, ToolError};

/// A [`ToolError`] with a stable word and a sentence.
pub fn tool_error(code: &str, message: impl Into<String>) -> ToolError {
    ToolError {
        code: code.to_owned(),
        message: message.into(),
    }
}

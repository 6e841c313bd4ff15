//! Trusted tool `http-api`: one HTTP API, as `[tools.NAME.http]` in `tavora.toml` or `http` in an
//! `agent.jsonc` declares it.
//!
//! The host makes an instance for each declared API. The settings say where the API is, which
//! secret goes into which slot, what is allowed, and which operations there are. An agent gives
//! only the fields of an operation. It cannot name a host, leave the path of `base_url`, set a
//! header that is not declared, or reach the slot of the credential.
//!
//! The component puts the text that `secrets.resolve` returns into the slot, and never looks at it.

mod body;
mod entry;
mod exchange;
mod header;
mod input;
mod meta;
mod operation;
mod outcome;
mod path;
mod pattern;
mod plain_request;
mod plan;
mod query;

use entry::Entry;
use operation::Operation as Declared;
use trusted_tool::{Guest, Operation, ToolError, tool_error};

struct HttpApi;

impl Guest for HttpApi {
    /// Returns the operations in the settings. Without an API in the settings there are none. A
    /// faulty setting is reported by the first call.
    fn describe() -> Vec<Operation> {
        let names = operation::names().unwrap_or_default();
        let described = names.into_iter().filter_map(|name| {
            let (description, input_schema) = operation::described(&name).ok()?;
            Some(Operation {
                name,
                description,
                input_schema,
            })
        });
        described.collect()
    }

    fn call(operation: String, input: String) -> Result<String, ToolError> {
        let Some(declared) = operation::find(&operation)? else {
            return Err(tool_error(
                "unknown_operation",
                format!("this API has no operation {operation:?}"),
            ));
        };
        let entry = Entry::from_settings()?;
        let plan = match &declared {
            Declared::Plain => plain_request::plan(&entry, &input)?,
            Declared::OfDocument(declared) => declared.plan(&operation, &entry, &input)?,
        };
        entry.admit(&plan)?;
        exchange::send(&entry, &plan)
    }
}

#[allow(missing_docs, unsafe_code)]
mod component {
    trusted_tool::export!(HttpApi with_types_in trusted_tool::bindings);
    use super::HttpApi;
}

//! Trusted tool `mcp-client`: the tools of one MCP server that an agent's owner declared in
//! `agent.jsonc`.
//!
//! The host makes an instance for each server of each run. Its settings hold the server's URL and
//! the name of its credential. An agent gives only the name of a tool and its arguments. The client
//! speaks the protocol's revisions 2025-03-26 to 2026-07-28 over Streamable HTTP, and the transport
//! of 2024-11-05. It offers servers no sampling, no elicitation and no roots. It follows redirects
//! only within the server's origin.
//!
//! The revision 2026-07-28 and those before it were read in the public specification. The crate
//! `rmcp` has a client, but it needs an asynchronous runtime and its own sockets, and a component
//! has neither.

mod body;
mod event_stream;
mod exchange;
mod forgotten;
mod listing;
mod message;
mod mirror;
mod pause;
mod refusal;
mod server;
mod session;
mod sse;
mod streamable;
mod tools;
mod value;
mod words;

use std::cell::RefCell;

use server::Server;
use session::Session;
use tools::{Call, Tools};
use trusted_tool::{Guest, Operation, ToolError, tool_error};

thread_local! {
    /// The session of this instance, which lives for one run of one app.
    static TOOLS: RefCell<Option<Tools>> = const { RefCell::new(None) };
}

struct McpClient;

impl Guest for McpClient {
    fn describe() -> Vec<Operation> {
        vec![
            Operation {
                name: "list_tools".to_owned(),
                description: "Lists the tools of the MCP server: name, description and the JSON \
                              Schema of the arguments."
                    .to_owned(),
                input_schema: r#"{"type":"object","properties":{},"additionalProperties":false}"#
                    .to_owned(),
            },
            Operation {
                name: "call_tool".to_owned(),
                description: "Calls a tool of the MCP server. Gives its content and, where there \
                              is some, its structured content."
                    .to_owned(),
                input_schema: r#"{"type":"object","properties":{"name":{"type":"string","description":"The tool."},"arguments":{"type":"object","description":"As the tool's input schema asks for."}},"required":["name"],"additionalProperties":false}"#
                    .to_owned(),
            },
        ]
    }

    fn call(operation: String, input: String) -> Result<String, ToolError> {
        match operation.as_str() {
            "list_tools" => {
                check_empty(&input)?;
                with_tools(Tools::list)
            }
            "call_tool" => {
                let call = Call::parse(&input)?;
                with_tools(|tools| tools.call(&call))
            }
            // These operations are not described, so that no agent can ask for them. The host calls
            // them when a run ends.
            "found" => Ok(TOOLS.with_borrow(|tools| match tools {
                Some(tools) => tools.found(),
                None => "null".to_owned(),
            })),
            "end" => {
                TOOLS.with_borrow_mut(|tools| tools.iter_mut().for_each(Tools::end));
                Ok("{}".to_owned())
            }
            other => Err(tool_error(
                "unknown_operation",
                format!(
                    "mcp-client has no operation \"{other}\"; it has \"list_tools\" and \"call_tool\""
                ),
            )),
        }
    }
}

fn with_tools(
    work: impl FnOnce(&mut Tools) -> Result<String, ToolError>,
) -> Result<String, ToolError> {
    TOOLS.with_borrow_mut(|slot| {
        let tools = match slot {
            Some(tools) => tools,
            None => slot.insert(Tools::new(Session::new(Server::from_settings()?))),
        };
        work(tools)
    })
}

fn check_empty(input: &str) -> Result<(), ToolError> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(input) {
        Ok(input) if input.is_empty() => Ok(()),
        _ => Err(tool_error(
            "invalid_input",
            "list_tools takes no input: give it {}",
        )),
    }
}

#[allow(missing_docs, unsafe_code)]
mod component {
    trusted_tool::export!(McpClient with_types_in trusted_tool::bindings);
    use super::McpClient;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_describes_the_operations_that_it_has() {
        for operation in McpClient::describe() {
            let schema: serde_json::Value =
                serde_json::from_str(&operation.input_schema).expect("JSON");
            assert_eq!(schema["type"], "object");
            let answer = McpClient::call(operation.name.clone(), "7".to_owned());
            let error = answer.expect_err("the input is no object");
            assert_eq!(error.code, "invalid_input", "{}", operation.name);
        }
    }

    #[test]
    fn an_operation_that_is_not_there_is_named() {
        let error = McpClient::call("lst".to_owned(), "{}".to_owned()).expect_err("unknown");
        assert_eq!(error.code, "unknown_operation");
        assert!(error.message.contains("\"lst\""), "{}", error.message);
    }
}

//! Trusted tool `llm-router`: chat completions of five providers behind OpenAI's interface, each
//! asked with the app's own credential.
//!
//! The host serves its `wasi:http/incoming-handler`, so that an answer streams from the provider to
//! the client. The interface `tool` has the operation `chat`, for agents. The router authenticates
//! nobody and knows no app, because the host does both. It does not look into a model's answers and
//! keeps nothing between requests.
//!
//! Settings, all optional: `default_model`, `<provider>_base_url` and `<provider>_models`,
//! `max_retries`, `max_retry_wait_ms`, and the bounds of [`trusted_tool::request::Bounds`].

mod chat_request;
mod completion;
mod endpoint;
mod events;
mod exchange;
mod models;
mod provider;
mod provider_error;
mod refusal;
mod relay;
mod reply;

use bindings::exports::wasi::http::incoming_handler;
use trusted_tool::bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};
use trusted_tool::{Guest, Operation, ToolError, tool_error};

#[allow(missing_docs, unsafe_code, unused_qualifications, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "llm-router",
        with: {
            "tavora:platform/types@0.1.0": trusted_tool::bindings::tavora::platform::types,
            "tavora:platform/secrets@0.1.0": trusted_tool::bindings::tavora::platform::secrets,
            "tavora:platform/tool@0.1.0": generate,
            "wasi:clocks/monotonic-clock@0.2.12": trusted_tool::bindings::wasi::clocks::monotonic_clock,
            "wasi:config/store@0.2.0-rc.1": trusted_tool::bindings::wasi::config::store,
            "wasi:http/types@0.2.12": trusted_tool::bindings::wasi::http::types,
            "wasi:http/outgoing-handler@0.2.12": trusted_tool::bindings::wasi::http::outgoing_handler,
            "wasi:http/incoming-handler@0.2.12": generate,
            "wasi:io/error@0.2.12": trusted_tool::bindings::wasi::io::error,
            "wasi:io/poll@0.2.12": trusted_tool::bindings::wasi::io::poll,
            "wasi:io/streams@0.2.12": trusted_tool::bindings::wasi::io::streams,
        },
    });
    export!(LlmRouter);
    use super::LlmRouter;
}

/// The one operation of the tool.
const CHAT: &str = "chat";

struct LlmRouter;

impl incoming_handler::Guest for LlmRouter {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        endpoint::answer(request, response);
    }
}

impl Guest for LlmRouter {
    fn describe() -> Vec<Operation> {
        vec![Operation {
            name: CHAT.to_owned(),
            description: "Asks a language model: a chat completion as OpenAI's API has it, whole, \
                          not streamed. `model` is `provider/model` or a name such as gemini-2.5-flash."
                .to_owned(),
            input_schema: completion::schema().to_string(),
        }]
    }

    fn call(operation: String, input: String) -> Result<String, ToolError> {
        match operation.as_str() {
            CHAT => completion::complete(&input),
            other => Err(tool_error(
                "unknown_operation",
                format!("llm-router has no operation \"{other}\"; it has \"{CHAT}\""),
            )),
        }
    }
}

impl bindings::exports::tavora::platform::tool::Guest for LlmRouter {
    fn describe() -> Vec<Operation> {
        <Self as Guest>::describe()
    }

    fn call(operation: String, input: String) -> Result<String, ToolError> {
        <Self as Guest>::call(operation, input)
    }
}

//! Trusted tool `llm-router`: chat completions of five providers behind OpenAI's interface, each
//! asked with the app's own credential.
//!
//! The host serves its `wasi:http/incoming-handler`, so that an answer streams from the provider to
//! the client. The interface `tool` has the operation `chat`, for agents. The router authenticates
//! nobody and knows no app, because the host does both. It does not look into a model's answers and
//! keeps nothing between requests.
//!
//! `tool.toml` has its settings, all optional.

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use trusted_tool::manifest::{Manifest, of_bounds};
    use trusted_tool::request::BaseUrl;

    use super::*;
    use provider::PROVIDERS;

    const MANIFEST: &str = include_str!("../tool.toml");

    #[test]
    fn providers_are_the_upstreams_of_tool_toml() {
        let manifest = Manifest::parse(MANIFEST);
        let mut upstreams = Vec::new();
        let mut opens = Vec::new();
        for provider in &PROVIDERS {
            match provider.default_base_url.map(BaseUrl::parse) {
                Some(base) => upstreams.push((
                    provider.secret.to_owned(),
                    base.expect("valid").origin(),
                    format!("{}_base_url", provider.name),
                )),
                None => opens.push(provider.secret),
            }
        }
        let found: Vec<_> = manifest
            .upstreams()
            .into_iter()
            .map(|(secret, origin, key)| (secret.to_owned(), origin.to_owned(), key.to_owned()))
            .collect();
        assert_eq!(found, upstreams);
        assert_eq!(manifest.opens(), opens);
    }

    #[test]
    fn defaults_are_those_of_tool_toml() {
        let manifest = Manifest::parse(MANIFEST);
        let retries = [
            ("max_retries", exchange::MAX_RETRIES),
            ("max_retry_wait_ms", exchange::MAX_RETRY_WAIT_MS),
        ];
        let mut expected: BTreeMap<String, Option<String>> = of_bounds(&endpoint::BOUNDS)
            .into_iter()
            .chain(retries)
            .map(|(key, number)| (key.to_owned(), Some(number.to_string())))
            .collect();
        let model = models::DEFAULT_MODEL.to_owned();
        expected.insert("default_model".to_owned(), Some(model));
        for provider in &PROVIDERS {
            expected.insert(format!("{}_models", provider.name), None);
            if let Some(url) = provider.default_base_url {
                expected.insert(format!("{}_base_url", provider.name), Some(url.to_owned()));
            }
        }
        let found: BTreeMap<String, Option<String>> = manifest
            .settings()
            .into_iter()
            .map(|(key, default)| (key.to_owned(), default.map(str::to_owned)))
            .collect();
        assert_eq!(found, expected);
    }
}

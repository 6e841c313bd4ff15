//! Trusted tool `weather`: one operation, `today`, which asks a weather service with the app's own
//! credential. Copy it, and put your upstream in its place.
//!
//! The tool keeps nothing between calls, and no text of the upstream goes into an error. The host
//! decides where the tool may connect to.

mod bindings;
mod http;
mod tool_error;

use bindings::exports::tavora::platform::tool::{Guest, Operation, ToolError};
use bindings::tavora::platform::secrets::{self, ResolveError};
use bindings::wasi::config::store;
use serde::{Deserialize, Serialize};
use tool_error::tool_error;

/// The name of the secret that this tool resolves.
const SECRET: &str = "weather_api_key";

/// The input of `today`. [`Today::parse`] checks the same.
const TODAY_SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "city": { "type": "string", "minLength": 1, "maxLength": 100, "description": "For example: Lima" }
    },
    "required": ["city"],
    "additionalProperties": false
}"#;

struct Weather;

impl Guest for Weather {
    fn describe() -> Vec<Operation> {
        vec![Operation {
            name: "today".to_owned(),
            description: "Today's weather in a city.".to_owned(),
            input_schema: TODAY_SCHEMA.to_owned(),
        }]
    }

    fn call(operation: String, input: String) -> Result<String, ToolError> {
        match operation.as_str() {
            "today" => today(&Today::parse(&input)?),
            other => Err(tool_error(
                "unknown_operation",
                format!("weather has no operation \"{other}\"; it has \"today\""),
            )),
        }
    }
}

/// The input of `today`, parsed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Today {
    city: String,
}

/// The weather service's answer, and the agent's share of it.
#[derive(Deserialize, Serialize)]
struct Weathered {
    temperature_c: f64,
    sky: String,
}

impl Today {
    fn parse(input: &str) -> Result<Self, ToolError> {
        let today: Self = serde_json::from_str(input)
            .map_err(|error| tool_error("invalid_input", format!("the input of today: {error}")))?;
        match today.city.chars().count() {
            1..=100 => Ok(today),
            _ => Err(tool_error(
                "invalid_input",
                "the input of today: city has 1 to 100 characters",
            )),
        }
    }
}

fn today(asked: &Today) -> Result<String, ToolError> {
    let base_url = store::get("base_url").ok().flatten().ok_or_else(|| {
        tool_error(
            "tool_failed",
            "the setting base_url is missing; the operator must add it to the tool's config",
        )
    })?;
    let city: String = form_urlencoded::byte_serialize(asked.city.as_bytes()).collect();
    // Resolve the secret at each call and never keep it: a secret that was replaced or deleted a
    // moment ago must not be used again.
    let credential = secrets::resolve(SECRET).map_err(refusal)?;
    let answer = http::get(
        &format!("{}/today?city={city}", base_url.trim_end_matches('/')),
        &[("authorization", &format!("Bearer {credential}"))],
    )?;
    match answer.status {
        200 => {}
        status @ (401 | 403) => {
            return Err(tool_error(
                "upstream_auth",
                format!(
                    "the weather service refused the credential in secret \"{SECRET}\" \
                     (HTTP {status}); the app's owner must store a valid one"
                ),
            ));
        }
        status => {
            return Err(tool_error(
                "upstream_error",
                format!("the weather service answered HTTP {status}; try again later"),
            ));
        }
    }
    let weather: Weathered = serde_json::from_slice(&answer.body).map_err(|_| {
        tool_error(
            "upstream_error",
            "the weather service answered something else than weather; try again later",
        )
    })?;
    Ok(serde_json::to_string(&weather).expect("a number and a text are JSON"))
}

/// The contract's words for each cause, so that people see the same ones for every tool.
fn refusal(cause: ResolveError) -> ToolError {
    match cause {
        ResolveError::NoVaultDesignated => {
            tool_error("no_vault_designated", "app has no vault designated")
        }
        ResolveError::NotFound => tool_error(
            "secret_not_found",
            format!("secret \"{SECRET}\" is not in the app's vault"),
        ),
        ResolveError::NotGranted => tool_error(
            "secret_not_granted",
            format!("secret \"{SECRET}\" is not granted to this tool"),
        ),
        ResolveError::Unavailable => tool_error("vault_unavailable", "the vault is unavailable"),
    }
}

bindings::export!(Weather with_types_in bindings);

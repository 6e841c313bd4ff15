//! The models that the operator lists, for the providers that the app has a credential for. No
//! provider is asked, and no credential is resolved.

use crate::provider::{PROVIDERS, Provider, route};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use trusted_tool::{ToolError, setting, tool_error};

/// The setting with what the host knows of the vault without a release: the names that this tool is
/// granted and that the app's vault holds, separated by commas.
const HELD_SECRETS: &str = "tavora:held-secrets";
/// The model of a request that names none, without a setting.
pub const DEFAULT_MODEL: &str = "gemini-2.5-flash";

/// The model of a request that names none.
///
/// # Errors
/// `tool_failed` when the configuration cannot be read.
pub fn default_model() -> Result<String, ToolError> {
    Ok(setting::text("default_model")?.unwrap_or_else(|| DEFAULT_MODEL.to_owned()))
}

/// The list of models in the form of OpenAI's API. It has the operator's models for each provider
/// that the app has a credential for. Each name leads to its provider.
///
/// # Errors
/// `vault_unavailable` when the host does not know what the vault holds.
pub fn list() -> Result<Value, ToolError> {
    Ok(json!({ "object": "list", "data": models()? }))
}

/// The listed model that a path names, however the name is encoded; otherwise the id in the path.
///
/// # Errors
/// As [`list`].
pub fn find(path: &str) -> Result<Result<Value, String>, ToolError> {
    let models = models()?;
    let mut id = path.trim_matches('/').to_owned();
    let known = |id: &str| {
        let bare = match route(id) {
            Some((provider, model)) => format!("{}/{}", provider.name, short(provider, model)),
            None => String::new(),
        };
        let mut models = models.iter();
        models
            .find(|model| model["id"] == id || model["id"] == bare)
            .cloned()
    };
    // Some clients encode the id twice.
    for _ in 0..2 {
        if let Some(model) = known(&id) {
            return Ok(Ok(model));
        }
        id = percent_decode_str(&id).decode_utf8_lossy().into_owned();
    }
    Ok(known(&id).ok_or(id))
}

fn models() -> Result<Vec<Value>, ToolError> {
    let default = default_model()?;
    let mut models = Vec::new();
    for provider in with_credentials()? {
        let listed = setting::text(&format!("{}_models", provider.name))?.unwrap_or_default();
        models.extend(ids(provider, &listed, &default).into_iter().map(
            |id| json!({ "id": id, "object": "model", "created": 0, "owned_by": provider.name }),
        ));
    }
    Ok(models)
}

/// The error for a model that no provider has.
///
/// # Errors
/// `vault_unavailable` when the host does not know what the vault holds.
pub fn unknown_model(model: &str) -> Result<ToolError, ToolError> {
    let providers: Vec<_> = with_credentials()?.map(|provider| provider.name).collect();
    Ok(unknown(model, &providers))
}

/// The error for a request without a model, when the default model has no credential.
///
/// # Errors
/// `vault_unavailable` when the host does not know what the vault holds.
pub fn default_is_out_of_reach(model: &str, error: &ToolError) -> Result<ToolError, ToolError> {
    let providers: Vec<_> = with_credentials()?.map(|provider| provider.name).collect();
    let others = match providers.as_slice() {
        [] => "store it".to_owned(),
        some => format!(
            "store it, name a model of a provider that the app has a credential for ({}), or let the operator change default_model",
            some.join(", ")
        ),
    };
    Ok(tool_error(
        &error.code,
        format!(
            "{}, and the request names no model, so that the default_model {model:?} was taken: {others}",
            error.message
        ),
    ))
}

fn unknown(model: &str, providers: &[&str]) -> ToolError {
    let model: String = model.chars().take(64).collect();
    let advice = match providers {
        [] => {
            let all: Vec<_> = PROVIDERS
                .iter()
                .map(|provider| format!("{} ({})", provider.name, provider.secret))
                .collect();
            format!(
                "write provider/model, and let the app's owner store the provider's secret; there are: {}",
                all.join(", ")
            )
        }
        some => format!(
            "write provider/model; the app has credentials for: {}",
            some.join(", ")
        ),
    };
    tool_error(
        "unknown_model",
        format!("the model {model:?} means no provider; {advice}"),
    )
}

fn with_credentials() -> Result<impl Iterator<Item = &'static Provider>, ToolError> {
    let held = setting::text(HELD_SECRETS)
        .map_err(|_| tool_error("vault_unavailable", "the vault is unavailable"))?;
    Ok(PROVIDERS.iter().filter(move |provider| match &held {
        Some(held) => held.split(',').any(|name| name == provider.secret),
        // Another host than this platform's does not say what the vault holds, so no provider is
        // left out.
        None => true,
    }))
}

/// The model's name without the prefix that leads to its provider.
fn short<'m>(provider: &Provider, model: &'m str) -> &'m str {
    let own = model
        .strip_prefix(provider.name)
        .and_then(|rest| rest.strip_prefix('/'));
    own.filter(|rest| provider.is_own(rest)).unwrap_or(model)
}

/// The names of a provider's models, including the default one. Each stands once, with the prefix
/// that leads to the provider.
fn ids(provider: &Provider, listed: &str, default: &str) -> Vec<String> {
    let is_own = |default: &&str| route(default).is_some_and(|(its, _)| its == provider);
    let default = Some(default).filter(is_own).map(|default| {
        let (_, model) = route(default).expect("it has a provider");
        short(provider, model).to_owned()
    });
    let mut ids: Vec<String> = Vec::new();
    let listed = listed
        .split(',')
        .map(str::trim)
        .filter(|model| !model.is_empty());
    for model in default.as_deref().into_iter().chain(listed) {
        let id = format!("{}/{model}", provider.name);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_leads_to_its_provider_and_the_default_is_among_them() {
        let provider = |name: &str| PROVIDERS.iter().find(|it| it.name == name).expect("known");
        let gemini = ids(
            provider("gemini"),
            " gemini-2.5-pro ,, gemini-2.5-flash",
            DEFAULT_MODEL,
        );
        assert_eq!(gemini, ["gemini/gemini-2.5-flash", "gemini/gemini-2.5-pro"]);
        let openrouter = ids(
            provider("openrouter"),
            "anthropic/claude-sonnet-4",
            DEFAULT_MODEL,
        );
        assert_eq!(openrouter, ["openrouter/anthropic/claude-sonnet-4"]);
        for id in gemini.iter().chain(&openrouter) {
            assert!(route(id).is_some(), "{id}");
        }
        assert_eq!(
            ids(provider("openrouter"), "auto", "openrouter/auto"),
            ["openrouter/auto"]
        );
        assert!(ids(provider("ollama"), "", DEFAULT_MODEL).is_empty());
        assert_eq!(
            ids(provider("ollama"), "", "ollama/llama3.2"),
            ["ollama/llama3.2"]
        );
    }

    #[test]
    fn who_names_no_provider_reads_which_there_are() {
        let error = unknown("llama", &["gemini", "ollama"]);
        assert_eq!(error.code, "unknown_model");
        assert!(
            error
                .message
                .ends_with("the app has credentials for: gemini, ollama"),
            "{}",
            error.message
        );
        let message = unknown(&"x".repeat(1000), &[]).message;
        assert!(message.len() < 500, "{message}");
        for provider in &PROVIDERS {
            assert!(message.contains(provider.secret), "{message}");
        }
    }
}

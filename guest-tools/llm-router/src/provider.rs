//! The providers: their names, secrets and addresses, and the provider that a model's name means.
//!
//! All speak OpenAI's chat completions. Nothing here is secret, and nothing asks a provider.

use trusted_tool::ToolError;
use trusted_tool::credential::Credential;
use trusted_tool::request::BaseUrl;
use trusted_tool::{setting, tool_error};

/// One provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// The name before the slash in `provider/model`, and in settings.
    pub name: &'static str,
    /// The name for people.
    pub shown: &'static str,
    /// The name of the secret that the provider needs.
    pub secret: &'static str,
    /// The base URL without a setting: everything before `/chat/completions`. `None` where the
    /// secret is the base URL and no key.
    pub default_base_url: Option<&'static str>,
    /// The starts of model names that mean this provider without a prefix.
    bare: &'static [&'static str],
    /// Whether the names of the provider's own models begin with the provider's name, as those of
    /// other models begin with their makers' names.
    has_own_models: bool,
}

/// All providers, in the order of the list of models.
pub const PROVIDERS: [Provider; 5] = [
    Provider {
        name: "gemini",
        shown: "Gemini",
        secret: "gemini_api_key",
        default_base_url: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        bare: &["gemini-"],
        has_own_models: false,
    },
    Provider {
        name: "openai",
        shown: "OpenAI",
        secret: "openai_api_key",
        default_base_url: Some("https://api.openai.com/v1"),
        bare: &["gpt-", "chatgpt-", "o1", "o3", "o4"],
        has_own_models: false,
    },
    Provider {
        name: "openrouter",
        shown: "OpenRouter",
        secret: "openrouter_api_key",
        default_base_url: Some("https://openrouter.ai/api/v1"),
        bare: &[],
        has_own_models: true,
    },
    Provider {
        name: "edenai",
        shown: "Eden AI",
        secret: "edenai_api_key",
        default_base_url: Some("https://api.edenai.run/v3/llm"),
        bare: &[],
        has_own_models: false,
    },
    Provider {
        name: "ollama",
        shown: "Ollama",
        secret: "ollama_base_url",
        default_base_url: None,
        bare: &[],
        has_own_models: false,
    },
];

/// The provider that a model's name means, and the name that this provider knows the model by.
pub fn route(model: &str) -> Option<(&'static Provider, &str)> {
    if let Some((first, rest)) = model.split_once('/') {
        let named = PROVIDERS.iter().find(|provider| provider.name == first)?;
        let name = if named.is_own(rest) { model } else { rest };
        return (!rest.is_empty()).then_some((named, name));
    }
    let is_bare = |provider: &&Provider| provider.bare.iter().any(|start| model.starts_with(start));
    PROVIDERS
        .iter()
        .find(is_bare)
        .map(|provider| (provider, model))
}

impl Provider {
    /// Whether a name behind the provider's is one of its own models, as `auto@preset/mine`. The
    /// part after `@` is a preset, and a slash in it does not belong to a maker's name. A preset
    /// alone is no model.
    pub fn is_own(&self, name: &str) -> bool {
        let model = name.split('@').next().unwrap_or_default();
        self.has_own_models && !model.is_empty() && !model.contains('/')
    }

    /// Whether the secret is a key that the request carries.
    pub fn has_key(&self) -> bool {
        self.default_base_url.is_some()
    }

    /// The base URL of the provider.
    ///
    /// # Errors
    /// `tool_failed` when the setting is no base URL, `unusable_secret` when the secret should be
    /// one and is not.
    pub fn base_url(&self, credential: &Credential) -> Result<BaseUrl, ToolError> {
        const EXPECTED: &str = "an http or https URL without user, query and fragment";
        let Some(default) = self.default_base_url else {
            let address = address(credential.place());
            return BaseUrl::parse(&format!("{address}/v1")).ok_or_else(|| {
                tool_error(
                    "unusable_secret",
                    format!(
                        "secret \"{}\" is not {EXPECTED}, such as http://host:11434; store it again",
                        self.secret
                    ),
                )
            });
        };
        let key = format!("{}_base_url", self.name);
        let text = setting::text(&key)?;
        BaseUrl::parse(text.as_deref().unwrap_or(default))
            .ok_or_else(|| setting::invalid(&key, EXPECTED))
    }
}

/// An address without the ending that other programs' settings have: `/v1`, `/api` or the path of a
/// request. Upper and lower case are treated alike.
fn address(place: &str) -> &str {
    const PATHS: [&str; 11] = [
        "/chat/completions",
        "/responses",
        "/messages",
        "/completions",
        "/embeddings",
        "/models",
        "/chat",
        "/generate",
        "/tags",
        "/v1",
        "/api",
    ];
    let mut address = place.trim_end_matches('/');
    for path in PATHS {
        let at = address.len().checked_sub(path.len());
        let parts = at.and_then(|at| address.split_at_checked(at));
        let parts = parts.filter(|(_, end)| end.eq_ignore_ascii_case(path));
        let shorter = parts.map(|(it, _)| it).filter(|it| !it.ends_with('/'));
        address = shorter.unwrap_or(address).trim_end_matches('/');
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_picks_the_provider_and_is_stripped() {
        for (model, provider, stripped) in [
            ("gemini/gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
            ("openai/gpt-4o", "openai", "gpt-4o"),
            (
                "openrouter/anthropic/claude-sonnet-4",
                "openrouter",
                "anthropic/claude-sonnet-4",
            ),
            ("openrouter/auto", "openrouter", "openrouter/auto"),
            (
                "openrouter/auto:online",
                "openrouter",
                "openrouter/auto:online",
            ),
            (
                "openrouter/openrouter/auto",
                "openrouter",
                "openrouter/auto",
            ),
            ("openrouter/@preset/mine", "openrouter", "@preset/mine"),
            (
                "openrouter/auto@preset/x",
                "openrouter",
                "openrouter/auto@preset/x",
            ),
            (
                "openrouter/openrouter/auto@preset/x",
                "openrouter",
                "openrouter/auto@preset/x",
            ),
            (
                "openrouter/openai/gpt-4@preset/x",
                "openrouter",
                "openai/gpt-4@preset/x",
            ),
            ("edenai/openai/gpt-4o", "edenai", "openai/gpt-4o"),
            ("ollama/llama3.2:1b", "ollama", "llama3.2:1b"),
            ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
            ("gpt-4o-mini", "openai", "gpt-4o-mini"),
            ("chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
            ("o1", "openai", "o1"),
            ("o3-mini", "openai", "o3-mini"),
            ("o4-mini", "openai", "o4-mini"),
        ] {
            let (found, name) = route(model).expect(model);
            assert_eq!((found.name, name), (provider, stripped), "{model}");
        }
    }

    #[test]
    fn an_address_is_taken_with_any_path_that_a_program_wants() {
        for place in [
            "http://h:1",
            "http://h:1/",
            "http://h:1//",
            "http://h:1/v1",
            "http://h:1/v1/",
            "http://h:1/api",
            "http://h:1/api/",
            "http://h:1/api/chat",
            "http://h:1/api/generate",
            "http://h:1/v1/chat/completions",
            "http://h:1/v1/models",
            "http://h:1/V1",
            "http://h:1/API/",
            "http://h:1/v1/responses",
        ] {
            assert_eq!(address(place), "http://h:1", "{place}");
        }
        assert_eq!(address("http://h/ollama/v1/"), "http://h/ollama");
        assert_eq!(address("http://h/myapi"), "http://h/myapi");
        // A name of a host is not cut.
        assert_eq!(address("http://api"), "http://api");
        for wrong in ["127.0.0.1:11434", "localhost:11434/v1", "h", "", "ftp://h"] {
            assert!(
                BaseUrl::parse(&format!("{}/v1", address(wrong))).is_none(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn any_other_name_means_no_provider() {
        for model in [
            "",
            "/",
            "llama3.2",
            "claude-sonnet-4",
            "anthropic/claude-sonnet-4",
            "openai/",
            "OpenAI/gpt-4o",
            "o",
            "gemini",
            "google/gemini-2.5-flash",
            " gpt-4o",
        ] {
            assert_eq!(route(model), None, "{model}");
        }
    }

    #[test]
    fn each_default_is_a_base_url_and_each_secret_has_a_name_of_its_own() {
        for provider in &PROVIDERS {
            if let Some(url) = provider.default_base_url {
                assert!(BaseUrl::parse(url).is_some(), "{url}");
            }
            let same = PROVIDERS
                .iter()
                .filter(|other| other.secret == provider.secret);
            assert_eq!(same.count(), 1, "{}", provider.secret);
        }
    }
}

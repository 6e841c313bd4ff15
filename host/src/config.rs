//! `tavora.toml`: the operator's configuration. Every key has a default. An unknown key is refused,
//! with a suggestion.
//!
//! The file holds no credential: secrets come from vaults, and the KEK from the environment or from
//! a file of its own.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use crate::storage::config::{PostgresConfig, StorageConfig, StorageUrl};
pub use tavora_agents::AgentsConfig;
pub use tavora_egress::EgressConfig;
use tavora_keks::config::KekConfig;
use tavora_platform::PlatformConfig;
pub use tavora_platform::ToolConfig;
pub use tavora_server::{ServerConfig, ServerLimits};
pub use tavora_telemetry::TelemetryConfig;
pub use tavora_trust::ConfigError;
use tavora_trust::nearest;
use tavora_ui::AdminConfig;
use tavora_wasm::limits::Limits;
pub use tavora_wasm::tool::ToolName;
use tavora_wasm::worker::WorkerConfig;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the host listens, and what its clients may use.
    pub server: ServerConfig,
    /// The page at `/admin`.
    pub admin: AdminConfig,
    /// The database.
    pub storage: StorageConfig,
    /// KEKs: the primary one, and those of providers.
    pub kek: KekConfig,
    /// The agents' files.
    pub agents: AgentsConfig,
    /// Outbound traffic of tools.
    pub egress: EgressConfig,
    /// Limits of runs and calls.
    pub limits: Limits,
    /// The worker that inspects and compiles components from others.
    pub worker: WorkerConfig,
    /// Traces.
    pub telemetry: TelemetryConfig,
    /// A tool of your own, or a built-in one. Every grant of your own tool is empty by default: it
    /// resolves nothing and reaches nothing. What is said here of a built-in tool adds to its own
    /// grants; docs/configuration.md has the settings of each.
    #[schemars(example = json!({
        "weather": {
            "component": "weather.wasm",
            "digest": format!("sha256:{}", "0".repeat(64)),
            "secrets": ["weather_api_key"],
            "reveal": ["webhook_secret"],
            "credentials": {
                "weather_api_key": { "slot": { "header": "X-Api-Key" } },
            },
            "origins": ["https://api.example.com"],
            "bind": { "weather_api_key": ["https://api.example.com"] },
            "config": { "units": "metric" },
        },
        "github": {
            "http": {
                "base_url": "https://api.github.com",
                "credential": { "secret": "github_token", "slot": "bearer" },
                "openapi": "github.json",
                "allow": ["GET /repos/*/*/issues", "POST /repos/*/*/issues"],
                "headers": { "accept": "application/vnd.github+json" },
                "agent_headers": ["if-none-match"],
            },
        },
        "llm-router": {
            "config": { "default_model": "gpt-4o", "openai_models": "gpt-4o,gpt-4o-mini" },
        },
    }))]
    pub tools: BTreeMap<ToolName, ToolConfig>,
}

impl<'a> From<&'a Config> for PlatformConfig<'a> {
    fn from(config: &'a Config) -> Self {
        Self {
            agents: &config.agents,
            egress: &config.egress,
            limits: &config.limits,
            worker: &config.worker,
            tools: &config.tools,
        }
    }
}

impl Config {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let mut config = Self::parse(&text).map_err(|message| ConfigError::Invalid {
            path: path.to_owned(),
            message,
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.server.relative_to(folder);
        config.storage.relative_to(folder);
        config.kek.relative_to(folder);
        config.agents.relative_to(folder);
        config.egress.relative_to(folder);
        config.worker.relative_to(folder);
        for tool in config.tools.values_mut() {
            tool.relative_to(folder);
        }
        Ok(config)
    }

    /// Returns the file of certificate authorities that every client of the host trusts besides the
    /// platform's.
    pub fn extra_ca_file(&self) -> Option<&Path> {
        self.egress.extra_ca_file.as_deref()
    }

    /// Parses the text of a file. An error is one line with its position.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Some editors write a byte order mark first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let place = error.span().map_or(String::new(), |span| {
                let before = &text[..span.start];
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                format!("line {line}, column {column}: ")
            });
            let message = error.message().replace('\n', " ");
            let suggestion = suggest(&message)
                .map_or(String::new(), |known| format!("; did you mean `{known}`?"));
            format!("{place}{message}{suggestion}")
        })
    }
}

/// Returns the known key that is most like the unknown one in serde's `unknown field` message.
fn suggest(message: &str) -> Option<&str> {
    let mut quoted = message
        .strip_prefix("unknown field ")?
        .split('`')
        .skip(1)
        .step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let config = Config::parse("\u{feff}[limits.agent]\r\ncpu_ms = 7\r\n").expect("valid");
        assert_eq!(config.limits.agent.cpu_ms, 7);
        let error = Config::parse("\u{feff}listn = 1").expect_err("unknown");
        assert!(error.starts_with("line 1, column 1: "), "{error}");
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = Config::parse("").expect("valid");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert!(config.tools.is_empty());
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = Config::parse(
            r#"
            [server]
            listen = "127.0.0.1:9000"
            [storage]
            url = "sqlite:///var/lib/tavora/tavora.db"
            [egress]
            allow_private_origins = ["http://127.0.0.1:4000"]
            [limits.agent]
            cpu_ms = 100
            [tools.weather]
            component = "weather.wasm"
            secrets = ["weather_key"]
            origins = ["https://api.example.com"]
            bind = { weather_key = ["https://api.example.com"] }
            config = { units = "metric" }
            "#,
        )
        .expect("valid");
        assert_eq!(config.limits.agent.cpu_ms, 100);
        assert_eq!(config.limits.agent.max_tool_calls, 200);
        assert_eq!(config.tools.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, message) in [
            (
                "[server]\nlistn = \"127.0.0.1:1\"",
                "line 2, column 1: unknown field `listn`, expected one of `listen`, `hosts`, `drain_delay_ms`, `shutdown_grace_ms`, `tls_cert_file`, `tls_key_file`, `cors_allowed_origins`, `trusted_proxies`, `limits`, `auth_failures`, `rate_limit`; did you mean `listen`?",
            ),
            ("[tools.a]\nsecrets = [\"a/b\"]", "line 2, column 11: "),
            ("[tools.a]\n[tools.a]", "duplicate key"),
            ("[tools.A]", "is not a tool's name"),
            (
                "[storage]\nurl = \"mysql://x\"",
                "must read sqlite://PATH or postgres://",
            ),
            ("[tools.a]\norigins = [\"https://a/b\"]", "line 2, column 1"),
            ("[server]\nlisten = 3", "line 2, column 10: "),
            (
                "[server]\ntrusted_proxies = [\"nginx\"]",
                "line 2, column 19: \"nginx\" is no address and no network of trusted_proxies; write 192.0.2.1",
            ),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_in_every_section() {
        for section in [
            "",
            "[server]",
            "[admin]",
            "[server.limits]",
            "[server.auth_failures]",
            "[server.rate_limit]",
            "[storage]",
            "[storage.postgres]",
            "[agents]",
            "[kek]",
            "[kek.limits]",
            "[kek.aws_kms.a]",
            "[kek.transit.a]",
            "[kek.pkcs11.a]",
            "[egress]",
            "[egress.limits]",
            "[limits]",
            "[limits.component]",
            "[limits.agent]",
            "[limits.tool]",
            "[limits.stream]",
            "[telemetry]",
            "[worker]",
            "[tools.a]",
        ] {
            let error = Config::parse(&format!("{section}\nnonsense = 1")).expect_err(section);
            assert!(
                error.contains("line 2, column 1: unknown field `nonsense`"),
                "{section}: {error}"
            );
        }
    }
}

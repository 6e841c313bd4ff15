//! A declared HTTP API, compiled. The entry and its document, if it has one, become the operations
//! of a tool and the settings of the component `http-api`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tavora_trust::origin::Origin;

use crate::base_url::BaseUrl;
use crate::budget::DocumentError;
use crate::compile::compile;
use crate::config::{Beside, CredentialConfig, HttpConfig};
use crate::header::{HeaderError, check_together};
use crate::pattern::Pattern;
use crate::table::{LeftOut, Operation, Table};
use crate::{DocumentLimits, plain_request};

/// The reason why an entry cannot become a tool.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The entry's `allow` is empty.
    #[error(
        "allow is empty, so no request could be made; name what may be asked, as \"GET /repos/*\""
    )]
    NothingAllowed,
    /// The entry names a header that cannot be declared.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The entry's document cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The document has no operation that `allow` admits and that can be called.
    #[error("the document has no operation that allow admits{0}")]
    NoOperation(String),
}

/// An API that can be called, with all that its tool needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpApi {
    base_url: BaseUrl,
    credential: Option<CredentialConfig>,
    allow: Vec<Pattern>,
    operations: Arc<[Operation]>,
    left_out: Arc<[LeftOut]>,
    settings: Arc<[(String, String)]>,
}

impl HttpApi {
    /// Compiles the API `name` of an entry, with the bytes of its document if it has one.
    ///
    /// # Errors
    /// Fails if the entry allows nothing, if two of its headers do not go together, or if its
    /// document cannot be used.
    pub fn new(
        name: &str,
        config: &HttpConfig,
        document: Option<&[u8]>,
        limits: &DocumentLimits,
    ) -> Result<Self, ApiError> {
        if config.allow.is_empty() {
            return Err(ApiError::NothingAllowed);
        }
        let slot = config.credential.as_ref().map(CredentialConfig::slot);
        check_together(&config.headers, &config.agent_headers, slot)?;
        let table = match document {
            None => plain_request::table(name, config),
            Some(document) => compile(document, config, limits)?,
        };
        if table.operations.is_empty() {
            let first = table.left_out.iter().take(3).map(ToString::to_string);
            let first: Vec<String> = first.collect();
            return Err(ApiError::NoOperation(match first.is_empty() {
                true => String::new(),
                false => format!("; left out: {}", first.join("; ")),
            }));
        }
        Ok(Self {
            settings: settings(name, config, &table).into(),
            base_url: config.base_url.clone(),
            credential: config.credential.clone(),
            allow: config.allow.clone(),
            operations: table.operations.into(),
            left_out: table.left_out.into(),
        })
    }

    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Returns the only origin that the API's tool may reach.
    pub fn origin(&self) -> &Origin {
        self.base_url.origin()
    }

    /// Returns the API's credential, or `None` for a public API.
    pub fn credential(&self) -> Option<&CredentialConfig> {
        self.credential.as_ref()
    }

    /// Returns the lines of `allow`.
    pub fn allow(&self) -> &[Pattern] {
        &self.allow
    }

    /// Returns the operations that the tool offers.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the operations that `allow` admits but that cannot be called.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Returns the settings that tell the component `http-api` about this API.
    pub fn settings(&self) -> &Arc<[(String, String)]> {
        &self.settings
    }

    /// Adds the operator's settings. The entry's own settings are kept: the operator's cannot
    /// replace them.
    #[must_use]
    pub fn with_settings(mut self, of_operator: BTreeMap<String, String>) -> Self {
        let of_operator = of_operator.into_iter();
        let of_operator = of_operator.filter(|(key, _)| !Self::is_own_setting(key));
        self.settings = self.settings.iter().cloned().chain(of_operator).collect();
        self
    }

    /// Whether a setting is the entry's own, so that the operator's `config` cannot set it.
    pub fn is_own_setting(key: &str) -> bool {
        OWN_SETTINGS.contains(&key)
            || ["operation:", "description:", "schema:"]
                .iter()
                .any(|start| key.starts_with(start))
    }
}

/// The settings that come from the entry.
const OWN_SETTINGS: [&str; 10] = [
    "name",
    "base_url",
    "allow",
    "headers",
    "agent_headers",
    "secret",
    "slot",
    "user",
    "password",
    "operations",
];

fn settings(name: &str, config: &HttpConfig, table: &Table) -> Vec<(String, String)> {
    let lines = |texts: Vec<String>| texts.join("\n");
    let agent_headers = config.agent_headers.iter();
    let names: Vec<&str> = table.operations.iter().map(|it| it.name.as_str()).collect();
    let mut settings: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
    set("name", name.to_owned());
    set("base_url", config.base_url.to_string());
    set(
        "allow",
        lines(config.allow.iter().map(ToString::to_string).collect()),
    );
    set("headers", json!(config.headers.as_map()).to_string());
    set(
        "agent_headers",
        lines(agent_headers.map(|it| it.as_str().to_owned()).collect()),
    );
    if let Some(credential) = &config.credential {
        set("secret", credential.secret.to_string());
        set("slot", json!(credential.slot).to_string());
        match &credential.beside {
            Beside::Nothing => {}
            Beside::User(user) => set("user", user.clone()),
            Beside::Password(password) => set("password", password.clone()),
        }
    }
    set("operations", json!(names).to_string());
    for operation in &table.operations {
        set(
            &format!("operation:{}", operation.name),
            operation.request.clone(),
        );
        set(
            &format!("description:{}", operation.name),
            operation.description.clone(),
        );
        set(
            &format!("schema:{}", operation.name),
            operation.input_schema.clone(),
        );
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<HttpConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    const WHOLE: &str = r#"
        base_url = "https://api.github.com/"
        credential = { secret = "github_token", slot = "bearer" }
        allow = ["GET /repos/*/*/issues", "POST /repos/*/*/issues"]
        headers = { Accept = "application/vnd.github+json" }
        agent_headers = ["If-None-Match"]
    "#;

    #[test]
    fn an_entry_without_a_document_has_one_operation() {
        let config = config(WHOLE).expect("valid");
        let api = HttpApi::new("github", &config, None, &DocumentLimits::default());
        let api = api.expect("a tool");
        assert_eq!(api.origin().to_string(), "https://api.github.com");
        let [operation] = api.operations() else {
            panic!("{:?}", api.operations())
        };
        assert_eq!(operation.name, "request");
        let schema: serde_json::Value =
            serde_json::from_str(&operation.input_schema).expect("JSON");
        assert_eq!(
            schema["properties"]["method"]["enum"],
            json!(["GET", "POST"])
        );
        let setting = |key: &str| {
            let found = api.settings().iter().find(|(known, _)| known == key);
            found.map(|(_, value)| value.as_str())
        };
        for (key, expected) in [
            ("name", Some("github")),
            ("base_url", Some("https://api.github.com")),
            (
                "allow",
                Some("GET /repos/*/*/issues\nPOST /repos/*/*/issues"),
            ),
            (
                "headers",
                Some(r#"{"accept":"application/vnd.github+json"}"#),
            ),
            ("agent_headers", Some("if-none-match")),
            ("secret", Some("github_token")),
            ("slot", Some("\"bearer\"")),
            ("user", None),
            ("operations", Some(r#"["request"]"#)),
            ("operation:request", Some("request")),
        ] {
            assert_eq!(setting(key), expected, "{key}");
        }
        for (key, _) in api.settings().iter() {
            assert!(HttpApi::is_own_setting(key), "{key}");
        }
        assert!(!HttpApi::is_own_setting("max_response_bytes"));
    }

    #[test]
    fn an_entry_that_is_wrong_is_told_what_is() {
        for (from, to, message) in [
            (
                "https://api.github.com/",
                "http://api.github.com/",
                "http:// is for loopback",
            ),
            ("\"bearer\"", "\"cookie\"", "a slot is one of"),
            (
                "\"bearer\"",
                "\"bearer\", user = \"me\"",
                "the slot \"basic\" alone",
            ),
            (
                "\"bearer\"",
                "\"basic\", user = \"me\", password = \"x\"",
                "and not both",
            ),
            (
                "\"bearer\"",
                "\"basic\", user = \"a:b\"",
                "`user` has no colon",
            ),
            (
                "\"bearer\"",
                "\"basic\", usr = \"a\"",
                "unknown field `usr`",
            ),
            ("GET /repos/*/*/issues", "get /repos", "in capitals"),
            ("Accept", "Cookie", "cannot be declared"),
            ("If-None-Match", "Host", "cannot be declared"),
            ("base_url", "base_uri", "unknown field `base_uri`"),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            let error = config(&text).expect_err(&text);
            assert!(error.contains(message), "{error}");
        }
        for (from, to, message) in [
            (
                "[\"GET /repos/*/*/issues\", \"POST /repos/*/*/issues\"]",
                "[]",
                "allow is empty",
            ),
            ("If-None-Match", "Accept", "in headers and in agent_headers"),
            (
                "\"bearer\"",
                "{ header = \"If-None-Match\" }",
                "carries the credential",
            ),
        ] {
            let config = config(&WHOLE.replacen(from, to, 1)).expect("well formed");
            let error = HttpApi::new("github", &config, None, &DocumentLimits::default());
            let error = error.expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}

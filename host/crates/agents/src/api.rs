//! Reads `http` of an `agent.jsonc`: HTTP APIs, each with the name of its credential and the
//! requests that are allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tavora_openapi::{
    AgentHeader, ApiError, BaseUrl, CredentialConfig, FixedHeaders, HttpApi, HttpConfig, Pattern,
};
use tavora_trust::slot::Slot;

use super::agent::{ApiName, DeclaredApi, McpServer, SecretRef};
use super::document::{Document, Fields, Node};
use super::rules::{AgentRules, ReadDocument, endpoint, secret};

/// Reads the APIs of an agent. No API may have the name of a server, because `require` finds both.
pub(super) fn all(
    document: &mut Document<'_>,
    node: Node<'_>,
    rules: &AgentRules,
    servers: &[McpServer],
    read: ReadDocument<'_>,
) -> Vec<DeclaredApi> {
    let mut apis = Vec::new();
    let mut names: BTreeSet<ApiName> = BTreeSet::new();
    for node in document.elements(node, "http") {
        let Some(mut fields) = document.fields(node, "an HTTP API") else {
            continue;
        };
        let name = document.required(&mut fields, "name");
        let name = name.and_then(|node| {
            let name = document.parsed(node, "name", ApiName::try_from)?;
            let is_server = servers.iter().any(|it| it.name.as_str() == name.as_str());
            if is_server || !names.insert(name.clone()) {
                let what = match is_server {
                    true => "an MCP server and an API",
                    false => "two APIs",
                };
                document.wrong(node, format!("there are {what} {:?}", name.as_str()));
            }
            Some(name)
        });
        let declared = one(document, node, &mut fields, name, rules, read);
        apis.extend(declared);
        document.end(fields);
    }
    apis
}

fn one(
    document: &mut Document<'_>,
    node: Node<'_>,
    fields: &mut Fields<'_>,
    name: Option<ApiName>,
    rules: &AgentRules,
    read: ReadDocument<'_>,
) -> Option<DeclaredApi> {
    let base_url = document.required(fields, "base_url");
    let base_url = base_url.and_then(|node| {
        document.parsed(node, "base_url", |text| {
            let base_url = BaseUrl::try_from(text.clone()).map_err(|error| error.to_string())?;
            endpoint(&text, rules).map(|_| base_url)
        })
    });
    let auth = document.optional(fields, "auth");
    let auth = auth.map(|node| self::auth(document, node));
    let allow = document.required(fields, "allow");
    let allow = allow.map(|node| texts(document, node, "allow", "a pattern", Pattern::try_from));
    let headers = document.optional(fields, "headers");
    let headers = match headers {
        None => Some(FixedHeaders::default()),
        Some(node) => self::headers(document, node),
    };
    let of_agents = document.optional(fields, "agent_headers");
    let of_agents = of_agents.map(|node| {
        texts(
            document,
            node,
            "agent_headers",
            "a header",
            AgentHeader::try_from,
        )
    });
    let openapi = document.optional(fields, "openapi");
    let path = openapi.map(|node| document.parsed(node, "openapi", beside));
    let path = match path {
        None => None,
        Some(path) => Some(path?),
    };
    let bytes = match (&path, openapi) {
        (Some(path), Some(node)) => match read(path) {
            Ok(bytes) => Some(bytes),
            Err(message) => {
                document.wrong(node, format!("the document cannot be read: {message}"));
                return None;
            }
        },
        _ => None,
    };
    let (credential, secret) = match auth {
        None => (None, None),
        Some(auth) => {
            let (credential, secret) = auth?;
            (Some(credential), Some(secret))
        }
    };
    let name = name?;
    let config = HttpConfig {
        base_url: base_url?,
        credential,
        openapi: path.clone(),
        allow: allow?,
        headers: headers?,
        agent_headers: of_agents.unwrap_or_default(),
    };
    let limits = &rules.http.limits;
    match HttpApi::new(name.as_str(), &config, bytes.as_deref(), limits) {
        Ok(api) => {
            for left_out in api.left_out() {
                tracing::debug!(api = name.as_str(), operation = %left_out, "an operation of the document is left out");
            }
            let api = api.with_settings(rules.http.settings.clone());
            Some(DeclaredApi {
                name,
                secret,
                document: path,
                api: Arc::new(api),
            })
        }
        Err(error) => {
            let place = match error {
                ApiError::Document(_) | ApiError::NoOperation(_) => openapi.unwrap_or(node),
                ApiError::NothingAllowed | ApiError::Header(_) => node,
            };
            document.wrong(place, error.to_string());
            None
        }
    }
}

/// Parses the path of a file in the agent's folder or below it.
fn beside(text: String) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    match is_plain && path != Path::new("") {
        true => Ok(path),
        false => Err("openapi must be a file beside agent.jsonc, as \"github.json\"".to_owned()),
    }
}

fn texts<T, E: std::fmt::Display>(
    document: &mut Document<'_>,
    node: Node<'_>,
    what: &str,
    each: &str,
    parse: impl Fn(String) -> Result<T, E>,
) -> Vec<T> {
    let elements = document.elements(node, what);
    let parsed = elements
        .into_iter()
        .map(|node| document.parsed(node, each, &parse));
    parsed.flatten().collect()
}

fn headers(document: &mut Document<'_>, node: Node<'_>) -> Option<FixedHeaders> {
    let mut headers = BTreeMap::new();
    for (name, value) in document.entries(node, "headers") {
        headers.insert(name, document.text(value, "a header")?);
    }
    match FixedHeaders::new(headers) {
        Ok(headers) => Some(headers),
        Err(error) => {
            document.wrong(node, error.to_string());
            None
        }
    }
}

fn auth(document: &mut Document<'_>, node: Node<'_>) -> Option<(CredentialConfig, SecretRef)> {
    let mut fields = document.fields(node, "auth")?;
    let kind = document.required(&mut fields, "type")?;
    let secret = secret(document, &mut fields, "tokenRef");
    let mut text = |document: &mut Document<'_>, key: &'static str| {
        let node = document.optional(&mut fields, key)?;
        document.text(node, key)
    };
    let slot = match document.text(kind, "type")?.as_str() {
        "bearer" => Ok(Slot::Bearer),
        "basic" => Ok(Slot::Basic),
        "header" => {
            let name = text(document, "name").unwrap_or_default();
            Slot::header(&name, text(document, "prefix"))
        }
        "query" => Slot::query(&text(document, "name").unwrap_or_default()),
        _ => {
            document.wrong(
                kind,
                "type must be \"bearer\", \"basic\", \"header\" or \"query\"",
            );
            return None;
        }
    };
    let (user, password) = match &slot {
        Ok(Slot::Basic) => (text(document, "user"), text(document, "password")),
        _ => (None, None),
    };
    document.end(fields);
    let slot = match slot {
        Ok(slot) => slot,
        Err(error) => {
            document.wrong(node, error.to_string());
            return None;
        }
    };
    let secret = secret?;
    match CredentialConfig::new(secret.name.clone(), slot, user, password) {
        Ok(credential) => Some((credential, secret)),
        Err(error) => {
            document.wrong(node, error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Agent, AgentId};
    use crate::document::Fault;

    const WHOLE: &str = r#"{
  "id": "one", "name": "One",
  "mcp": [{ "name": "maps", "url": "https://maps.example.com/mcp" }],
  "http": [
    { "name": "github", "base_url": "https://api.github.com",
      "auth": { "type": "bearer", "tokenRef": "GITHUB_TOKEN" },
      "allow": ["GET /repos/*/*/issues"],
      "headers": { "accept": "application/json" }, "agent_headers": ["if-none-match"] },
    { "name": "stripe", "base_url": "https://api.stripe.com/v1",
      "auth": { "type": "basic", "tokenRef": "STRIPE_KEY", "password": "x" },
      "allow": ["POST /customers"], "openapi": "stripe.yaml" },
    { "name": "open", "base_url": "https://example.com", "allow": ["GET /**"] },
  ],
}"#;

    fn parse(text: &str) -> Result<Agent, Vec<Fault>> {
        let id = AgentId::try_from("one".to_owned()).expect("valid");
        let read = |path: &Path| {
            match path.to_str() {
            Some("stripe.yaml") => Ok(b"openapi: 3.0.0\npaths:\n  /customers:\n    post:\n      operationId: PostCustomers\n  /x:\n    get: {}\n".to_vec()),
            Some("old.json") => Ok(br#"{"swagger": "2.0"}"#.to_vec()),
            _ => Err("it is not there".to_owned()),
        }
        };
        Agent::parse(&id, text, &AgentRules::default(), &read)
    }

    #[test]
    fn an_api_is_read_with_its_document() {
        let agent = parse(WHOLE).expect("valid");
        let [github, stripe, open] = &agent.apis[..] else {
            panic!("{:?}", agent.apis)
        };
        assert_eq!(github.name.tool_name(), "http:github");
        assert_eq!(github.api.origin().to_string(), "https://api.github.com");
        assert_eq!(github.api.operations()[0].name, "request");
        assert_eq!(stripe.api.operations()[0].name, "post_customers");
        assert_eq!(stripe.document.as_deref(), Some(Path::new("stripe.yaml")));
        assert!(open.secret.is_none() && open.api.credential().is_none());
        let secrets: Vec<_> = agent.secrets().map(|it| it.name.as_str()).collect();
        assert_eq!(secrets, ["GITHUB_TOKEN", "STRIPE_KEY"]);
    }

    #[test]
    fn every_fault_of_an_api_is_told() {
        for (from, to, message) in [
            (
                "\"github\"",
                "\"maps\"",
                "there are an MCP server and an API \"maps\"",
            ),
            ("\"github\"", "\"stripe\"", "there are two APIs \"stripe\""),
            ("\"github\"", "\"a b\"", "\"a b\" is not an API's name"),
            (
                "https://api.github.com",
                "http://api.github.com",
                "http:// is for loopback",
            ),
            (
                "https://api.github.com",
                "https://127.0.0.1",
                "its address is loopback",
            ),
            (
                "https://api.github.com",
                "https://a:b@c.example",
                "no user name and no password",
            ),
            (
                "https://api.github.com",
                "https://c.example/?a=b",
                "no query (?)",
            ),
            (
                "\"type\": \"bearer\"",
                "\"type\": \"oauth\"",
                "type must be \"bearer\"",
            ),
            (
                "\"type\": \"bearer\"",
                "\"type\": \"header\"",
                "the header of a slot",
            ),
            (
                "\"type\": \"bearer\"",
                "\"type\": \"query\"",
                "the query of a slot",
            ),
            (
                "\"tokenRef\": \"GITHUB_TOKEN\"",
                "\"valueRef\": \"A\"",
                "auth has no \"tokenRef\"",
            ),
            (
                "\"password\": \"x\"",
                "\"password\": \"a b\"",
                "visible ASCII",
            ),
            (
                "\"password\": \"x\"",
                "\"passwrd\": \"x\"",
                "did you mean \"password\"?",
            ),
            ("GET /repos/*/*/issues", "get /repos", "in capitals"),
            ("[\"GET /repos/*/*/issues\"]", "[]", "allow is empty"),
            (
                "\"allow\": [\"GET /**\"]",
                "\"alow\": []",
                "did you mean \"allow\"?",
            ),
            ("\"accept\"", "\"cookie\"", "cannot be declared"),
            ("if-none-match", "host", "cannot be declared"),
            ("stripe.yaml", "../stripe.yaml", "a file beside agent.jsonc"),
            (
                "stripe.yaml",
                "/etc/stripe.yaml",
                "a file beside agent.jsonc",
            ),
            (
                "stripe.yaml",
                "other.yaml",
                "the document cannot be read: it is not there",
            ),
            ("stripe.yaml", "old.json", "Swagger 2.0"),
            (
                "POST /customers",
                "POST /refunds",
                "has no operation that allow admits",
            ),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            assert_ne!(text, WHOLE, "{from}");
            let faults = parse(&text).expect_err(message);
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert!(
                told.iter().any(|it| it.contains(message)),
                "{message}: {told:?}"
            );
            assert!(faults.iter().all(|it| it.line > 3), "{told:?}");
        }
    }
}

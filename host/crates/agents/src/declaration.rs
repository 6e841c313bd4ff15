//! Reads `agent.jsonc` into the agent that it declares. The module `api` reads the part `http`.
//!
//! No name is resolved and no server is asked. Every fault that the text and the documents beside
//! it show is reported here, with its position.

use std::collections::BTreeSet;

use http::HeaderName;

use super::agent::{Agent, AgentId, McpServer, ServerAuth, ServerName, Transport, shortened};
use super::api;
use super::document::{Document, Fault, Fields, Node};
use super::rules::{AgentRules, ReadDocument, endpoint, secret};
use tavora_egress::is_forbidden_header;
use tavora_wasm::tool::ToolName;

/// Limits `name` and `model`, in characters.
const MAX_TEXT_CHARS: usize = 128;

impl Agent {
    /// Reads the text of the `agent.jsonc` in the folder of the agent `id`.
    ///
    /// # Errors
    /// All faults of the file, in the order of the text. A syntax error is reported alone.
    pub(super) fn parse(
        id: &AgentId,
        text: &str,
        rules: &AgentRules,
        read: ReadDocument<'_>,
    ) -> Result<Self, Vec<Fault>> {
        Document::read(text, |document, node| {
            let mut fields = document.fields(node, "an agent")?;
            let known = document.required(&mut fields, "id");
            if let Some(node) = known {
                let is_folder = |found: String| match found == id.as_str() {
                    true => Ok(()),
                    false => Err(format!("the id must be the folder's name, \"{id}\"")),
                };
                document.parsed(node, "id", is_folder);
            }
            let name = document.required(&mut fields, "name");
            let name = name.and_then(|node| label(document, node, "name"));
            let model = document.optional(&mut fields, "model");
            let model = model.and_then(|node| label(document, node, "model"));
            let tools = document.optional(&mut fields, "tools");
            let tools = tools.map(|node| granted(document, node, rules));
            let servers = document.optional(&mut fields, "mcp");
            let servers = servers.map(|node| self::servers(document, node, rules));
            let servers = servers.unwrap_or_default();
            let apis = document.optional(&mut fields, "http");
            let apis = apis.map(|node| api::all(document, node, rules, &servers, read));
            document.end(fields);
            Some(Self {
                id: id.clone(),
                name: name?,
                model,
                tools: tools.unwrap_or_default(),
                servers,
                apis: apis.unwrap_or_default(),
            })
        })
    }
}

fn label(document: &mut Document<'_>, node: Node<'_>, what: &str) -> Option<String> {
    document.parsed(node, what, |text| {
        let length = text.chars().count();
        match (1..=MAX_TEXT_CHARS).contains(&length) && !text.chars().any(char::is_control) {
            true => Ok(text),
            false => Err(format!(
                "{what} must have 1 to {MAX_TEXT_CHARS} characters and no control characters"
            )),
        }
    })
}

fn granted(document: &mut Document<'_>, node: Node<'_>, rules: &AgentRules) -> BTreeSet<ToolName> {
    let mut tools = BTreeSet::new();
    for node in document.elements(node, "tools") {
        let known = |name: String| match rules.tools.contains(&name) {
            true => ToolName::try_from(name),
            false => Err(format!(
                "this host has no tool {:?}; it has: {}",
                shortened(&name),
                rules.tools.iter().cloned().collect::<Vec<_>>().join(", ")
            )),
        };
        if let Some(tool) = document.parsed(node, "a tool", known)
            && !tools.insert(tool)
        {
            document.wrong(node, "this tool is here twice");
        }
    }
    tools
}

fn servers(document: &mut Document<'_>, node: Node<'_>, rules: &AgentRules) -> Vec<McpServer> {
    let mut servers: Vec<McpServer> = Vec::new();
    let mut names = BTreeSet::new();
    for node in document.elements(node, "mcp") {
        let Some(mut fields) = document.fields(node, "an MCP server") else {
            continue;
        };
        servers.extend(server(document, &mut fields, rules, &mut names));
        document.end(fields);
    }
    servers
}

fn server(
    document: &mut Document<'_>,
    fields: &mut Fields<'_>,
    rules: &AgentRules,
    names: &mut BTreeSet<ServerName>,
) -> Option<McpServer> {
    let name = document.required(fields, "name");
    let name = name.and_then(|node| {
        let name = document.parsed(node, "name", ServerName::try_from)?;
        if !names.insert(name.clone()) {
            document.wrong(node, format!("there are two servers \"{}\"", name.as_str()));
        }
        Some(name)
    });
    let url = document.required(fields, "url");
    let url = url.and_then(|node| document.parsed(node, "url", |text| endpoint(&text, rules)));
    let transport = document.optional(fields, "transport");
    let transport = transport.map_or(Some(Transport::StreamableHttp), |node| {
        document.parsed(node, "transport", |text| match text.as_str() {
            "streamable_http" => Ok(Transport::StreamableHttp),
            "sse" => Ok(Transport::Sse),
            _ => Err("transport must be \"streamable_http\" or \"sse\""),
        })
    });
    let auth = document.optional(fields, "auth");
    let auth = auth.map(|node| self::auth(document, node));
    let (url, origin) = url?;
    Some(McpServer {
        name: name?,
        url,
        origin,
        transport: transport?,
        auth: match auth {
            None => None,
            Some(auth) => Some(auth?),
        },
    })
}

fn auth(document: &mut Document<'_>, node: Node<'_>) -> Option<ServerAuth> {
    let mut fields = document.fields(node, "auth")?;
    let kind = document.required(&mut fields, "type")?;
    let auth = match document.text(kind, "type")?.as_str() {
        "bearer" => {
            let token = secret(document, &mut fields, "tokenRef");
            token.map(|token| ServerAuth::Bearer { token })
        }
        "header" => {
            let name = document.required(&mut fields, "name");
            let name = name.and_then(|node| document.parsed(node, "name", header));
            let value = secret(document, &mut fields, "valueRef");
            name.zip(value)
                .map(|(name, value)| ServerAuth::Header { name, value })
        }
        _ => {
            document.wrong(kind, "type must be \"bearer\" or \"header\"");
            return None;
        }
    };
    document.end(fields);
    auth
}

/// Parses the name of a header that can carry a credential. Headers of the host and of the protocol
/// are refused.
fn header(name: String) -> Result<HeaderName, String> {
    let header: HeaderName = name
        .parse()
        .map_err(|_| format!("{:?} is not the name of a header", shortened(&name)))?;
    let text = header.as_str();
    let of_protocol = [
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
    ];
    if of_protocol.contains(&text)
        || text.starts_with("mcp-")
        || text == "last-event-id"
        || is_forbidden_header(&header)
    {
        return Err(format!(
            "the header {text} belongs to the protocol; a credential cannot be sent in it"
        ));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rules::HttpRules;

    const WHOLE: &str = r#"{
  // An agent with all there is.
  "id": "trip-planner", "name": "Trip planner", "model": "gemini-2.5-flash",
  "tools": ["brave-search"],
  "mcp": [
    { "name": "tasklist", "url": "https://example.com/mcp", "transport": "streamable_http",
      "auth": { "type": "bearer", "tokenRef": "TASKLIST_BEARER" } },
    { "name": "maps", "url": "https://maps.example.com:8443/sse?v=2", "transport": "sse",
      "auth": { "type": "header", "name": "X-Foo", "valueRef": "MAPS_KEY" } },
    { "name": "open", "url": "http://127.0.0.1:3000/mcp", },
  ],
}"#;

    fn rules() -> AgentRules {
        AgentRules {
            allow_private_origins: vec!["http://127.0.0.1:3000".parse().expect("valid")],
            tools: BTreeSet::from(["brave-search".to_owned()]),
            http: HttpRules::default(),
        }
    }

    fn parse(text: &str) -> Result<Agent, Vec<Fault>> {
        let read = |path: &Path| Err(format!("{} is not there", path.display()));
        Agent::parse(&id(), text, &rules(), &read)
    }

    fn id() -> AgentId {
        AgentId::try_from("trip-planner".to_owned()).expect("valid")
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = parse(text).expect_err(text);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_file_is_read() {
        let agent = parse(WHOLE).expect("valid");
        assert_eq!(agent.model.as_deref(), Some("gemini-2.5-flash"));
        assert_eq!(agent.tools.len(), 1);
        let [tasklist, maps, open] = &agent.servers[..] else {
            panic!("{:?}", agent.servers)
        };
        assert_eq!(tasklist.origin.to_string(), "https://example.com");
        assert_eq!(tasklist.name.tool_name(), "mcp:tasklist");
        assert!(matches!(tasklist.auth, Some(ServerAuth::Bearer { .. })));
        assert_eq!(maps.transport, Transport::Sse);
        assert_eq!(maps.url.as_str(), "https://maps.example.com:8443/sse?v=2");
        assert_eq!(open.transport, Transport::StreamableHttp);
        assert_eq!(open.auth, None);
        let secrets: Vec<_> = agent
            .secrets()
            .map(|it| (it.name.as_str(), it.line, it.column))
            .collect();
        assert_eq!(secrets, [("TASKLIST_BEARER", 7, 47), ("MAPS_KEY", 9, 64)]);
    }

    #[test]
    fn what_a_file_does_not_name_is_not_granted() {
        let text = r#"{"id": "trip-planner", "name": "Trip planner"}"#;
        let agent = parse(text).expect("valid");
        assert!(agent.tools.is_empty() && agent.servers.is_empty() && agent.model.is_none());
    }

    #[test]
    fn every_fault_has_its_place() {
        const URL: &str = "\"https://example.com/mcp\"";
        // Each case: the replaced text, its replacement, the position of the fault, and its
        // message.
        for (from, to, place, message) in [
            (
                "\"id\": \"trip-planner\"",
                "\"id\": \"trip\"",
                "\"trip\"",
                "the id must be the folder's name, \"trip-planner\"",
            ),
            (
                "\"name\": \"Trip planner\",",
                "",
                "{",
                "an agent has no \"name\"",
            ),
            (
                "\"Trip planner\"",
                "7",
                "7",
                "name must be a string, and is a number",
            ),
            (
                "\"Trip planner\"",
                "\"\"",
                "\"\"",
                "name must have 1 to 128 characters",
            ),
            (
                "\"model\"",
                "\"modle\"",
                "\"modle\"",
                "an agent has no key \"modle\"; did you mean \"model\"?",
            ),
            (
                "\"model\"",
                "\"id\"",
                "\"id\": \"gemini",
                "the key \"id\" is here twice",
            ),
            (
                "[\"brave-search\"]",
                "{}",
                "{},",
                "tools must be an array, and is an object",
            ),
            (
                "[\"brave-search\"]",
                "[\"brave-search\", \"brave-search\"]",
                "\"brave-search\"]",
                "this tool is here twice",
            ),
            (
                "\"brave-search\"",
                "\"mcp-client\"",
                "\"mcp-client\"",
                "this host has no tool \"mcp-client\"; it has: brave-search",
            ),
            (
                "\"maps\"",
                "\"tasklist\"",
                "\"tasklist\", \"url\": \"https://maps",
                "there are two servers \"tasklist\"",
            ),
            (
                "\"maps\"",
                "\"a b\"",
                "\"a b\"",
                "\"a b\" is not a server's name",
            ),
            (
                URL,
                "\"ftp://example.com\"",
                "\"ftp",
                "the egress policy refuses this URL: an origin begins",
            ),
            (
                URL,
                "\"https://me:pw@example.com\"",
                "\"https://me",
                "the egress policy refuses this URL: an origin has no user",
            ),
            (
                URL,
                "\"https://example.com/#a\"",
                "\"https://example",
                "a server's URL has no fragment",
            ),
            (
                URL,
                "\"http://10.1.2.3/mcp\"",
                "\"http://10",
                "the egress policy refuses http://10.1.2.3: its address is private",
            ),
            (
                URL,
                "\"http://0x7f.1/mcp\"",
                "\"http://0x",
                "the egress policy refuses http://127.0.0.1: its address is loopback",
            ),
            (
                URL,
                "\"http://localhost:1/\"",
                "\"http://local",
                "the egress policy refuses http://localhost:1: its address is loopback",
            ),
            (
                URL,
                "\"http://127.0.0.1:3001/mcp\"",
                "\"http://127.0.0.1:3001",
                "the egress policy refuses http://127.0.0.1:3001",
            ),
            ("\"sse\"", "\"stdio\"", "\"stdio\"", "transport must be"),
            (
                "\"bearer\"",
                "\"basic\"",
                "\"basic\"",
                "type must be \"bearer\" or \"header\"",
            ),
            (
                "\"tokenRef\"",
                "\"token\"",
                "{ \"type\": \"bearer\"",
                "auth has no \"tokenRef\"",
            ),
            (
                "\"tokenRef\"",
                "\"token\"",
                "\"token\"",
                "auth has no key \"token\"",
            ),
            ("\"TASKLIST_BEARER\"", "\"a/b\"", "\"a/b\"", ""),
            (
                URL,
                "\"https://example.com/mcp\u{200b}\"",
                "\"https://example.com/mcp\u{200b}\"",
                "this URL cannot be right; it has an invisible character (U+200B) at position 24; delete that",
            ),
            (
                URL,
                "\"\u{feff}https://example.com/mcp\"",
                "\"\u{feff}https",
                "this URL cannot be right; it has an invisible character (U+FEFF) at position 1",
            ),
            (
                "\"id\": \"trip-planner\"",
                "\"id\": \"trip\u{ad}-planner\"",
                "\"trip\u{ad}",
                "the id must be the folder's name, \"trip-planner\"; it has an invisible character (U+00AD) at position 5",
            ),
            (
                "\"TASKLIST_BEARER\"",
                "null",
                "null",
                "tokenRef must be a string, and is null",
            ),
            (
                "\"X-Foo\"",
                "\"X Foo\"",
                "\"X Foo\"",
                "\"X Foo\" is not the name of a header",
            ),
            (
                "\"X-Foo\"",
                "\"Mcp-Session-Id\"",
                "\"Mcp-",
                "the header mcp-session-id belongs to the protocol",
            ),
            (
                "\"X-Foo\"",
                "\"Host\"",
                "\"Host\"",
                "the header host belongs to the protocol",
            ),
        ] {
            assert_eq!(WHOLE.matches(from).count(), 1, "{from}");
            let text = WHOLE.replace(from, to);
            let before = &text[..text.find(place).expect(place)];
            let line = before.lines().count().max(1);
            let column = before.rsplit('\n').next().map_or(0, str::len) + 1;
            let fault = format!("{line}:{column}: {message}");
            let found = faults(&text);
            assert!(
                found.iter().any(|it| it.starts_with(&fault)),
                "{fault}: {found:#?}"
            );
        }
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        for (text, fault) in [
            ("", "1:1: the file is empty"),
            ("// nothing", "1:1: the file is empty"),
            ("{\n  \"id\": trip\n}", "2:9: "),
            ("{\n\"a\": 1\n\"b\": 2}", "2:7: Expected comma"),
            ("{'id': 1}", "1:2: "),
            ("{\"é\": \"é\", id: 1}", "1:12: "),
            (
                "\u{feff}{}",
                "1:1: the invisible character U+FEFF stands here; delete it",
            ),
            (
                "{\"id\":\u{200b} 1}",
                "1:7: the invisible character U+200B stands here",
            ),
            (
                "{\"id\": 1,\n\u{feff}\"name\": 2}",
                "2:1: the invisible character U+FEFF stands here",
            ),
            (
                "{\u{201c}id\u{201d}: 1}",
                "1:2: the character \u{201c} (U+201C) is no part of JSON",
            ),
            ("{} {}", "1:4: "),
            ("[1]", "1:1: an agent must be an object, and is an array"),
        ] {
            let found = faults(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with(fault), "{text}: {found:?}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(faults(&deep).len(), 1);
    }

    #[test]
    fn all_faults_are_told_at_once_in_the_order_of_the_text() {
        let text = "{\n \"nmae\": 1,\n \"model\": 2,\n \"mcp\": [{}, 3]\n}";
        let found = faults(text);
        let lines: Vec<&str> = found.iter().map(|it| &it[..2]).collect();
        assert_eq!(
            lines,
            ["1:", "1:", "2:", "3:", "4:", "4:", "4:"],
            "{found:#?}"
        );
    }
}

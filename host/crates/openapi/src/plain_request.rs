//! The one operation of an API without a document: `request`.

use serde_json::{Value, json};

use crate::config::HttpConfig;
use crate::table::{Operation, Table};

/// Limits the lines of `allow` that a description lists.
const MAX_DESCRIBED: usize = 24;

/// Returns the table with the one operation `request`.
pub(crate) fn table(name: &str, config: &HttpConfig) -> Table {
    let allowed: Vec<String> = config.allow.iter().map(ToString::to_string).collect();
    let mut methods: Vec<&str> = config.allow.iter().map(|it| it.method()).collect();
    methods.sort_unstable();
    methods.dedup();
    let shown = &allowed[..allowed.len().min(MAX_DESCRIBED)];
    let more = match allowed.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut properties = json!({
        "method": { "type": "string", "enum": methods },
        "path": {
            "type": "string", "pattern": "^/",
            "description": "The path below the API's base URL, without a query.",
        },
        "query": {
            "type": "object",
            "description": "Parameters of the query: texts, numbers, booleans, or lists of them.",
        },
    });
    let mut add = |name: &str, schema: Value| properties[name] = schema;
    if !config.agent_headers.is_empty() {
        let headers = config.agent_headers.iter();
        let headers = headers.map(|it| (it.as_str().to_owned(), json!({"type": "string"})));
        add(
            "headers",
            json!({
                "type": "object", "additionalProperties": false,
                "properties": headers.collect::<serde_json::Map<_, _>>(),
            }),
        );
    }
    if methods.iter().any(|it| !["GET", "HEAD"].contains(it)) {
        add("body", json!({ "description": "Sent as JSON." }));
        add(
            "form",
            json!({ "type": "object", "description": "Sent as a form, in place of body." }),
        );
    }
    add(
        "meta",
        json!({
            "type": "boolean",
            "description": "Gives {status, body, meta} with links to other pages and rate limits.",
        }),
    );
    let schema = json!({
        "type": "object", "properties": properties, "required": ["method", "path"],
        "additionalProperties": false,
    });
    Table {
        operations: vec![Operation {
            name: "request".to_owned(),
            method: None,
            path: None,
            description: format!(
                "Sends a request to the API {name:?} at {}. It allows {}{more}.",
                config.base_url,
                shown.join(", ")
            ),
            input_schema: schema.to_string(),
            request: "request".to_owned(),
        }],
        ..Table::default()
    }
}

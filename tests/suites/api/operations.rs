//! All operations of the OpenAPI document, ready to be asked. Their paths lead to existing things.

use serde_json::Value;
use tavora_tests::wire::Request;

use crate::fixture::Platform;

pub struct Operation {
    pub method: String,
    /// The path, with ids and names in place of its parameters.
    pub path: String,
    /// The names of the operation's query parameters.
    pub query: Vec<String>,
    /// The schema of the operation's JSON body.
    pub body: Option<Value>,
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether another protocol defines the body and the query.
    pub fn is_foreign(&self) -> bool {
        self.path.ends_with("/chat/completions") || self.path.starts_with("/v1/")
    }

    /// A request with the credential that the operation needs.
    pub fn request(&self, platform: &Platform, query: &str) -> Request {
        let request = self.bare_request(query);
        match self.path.starts_with("/api/admin/") {
            true => {
                let token = format!("Bearer {}", platform.serving.admin_token);
                request.header("authorization", token)
            }
            false => request.header("x-api-key", &platform.app.key),
        }
    }

    /// A request without a credential.
    pub fn bare_request(&self, query: &str) -> Request {
        Request::new(&self.method, format!("{}{query}", self.path))
    }
}

/// The operations that need a credential.
pub fn operations(platform: &Platform) -> Vec<Operation> {
    let document = platform.send(&Request::new("GET", "/openapi.json")).json();
    let paths = document["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (template, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            if operation["security"].is_null() {
                continue;
            }
            let parameters = operation["parameters"].as_array();
            let query = parameters
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
                .collect();
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            found.push(Operation {
                method: method.to_uppercase(),
                path: filled_in(template, platform),
                query,
                body: (!schema.is_null()).then(|| resolved(&document, schema)),
            });
        }
    }
    assert!(found.len() > 25, "only {} operations", found.len());
    found
}

fn filled_in(template: &str, platform: &Platform) -> String {
    let id = match template.starts_with("/api/admin/") {
        true => &platform.app.id,
        false => &platform.vault,
    };
    let path = template
        .replace("{id}", id)
        .replace("{name}", "first")
        .replace("{key_id}", &platform.app.key_id)
        .replace("{kek_id}", &"0".repeat(32));
    assert!(!path.contains('{'), "{path}: another parameter");
    path
}

fn resolved(document: &Value, schema: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference
                .strip_prefix('#')
                .expect("a place in the document");
            document.pointer(pointer).expect("it is there").clone()
        }
        None => schema.clone(),
    }
}

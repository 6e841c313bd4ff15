//! Tests that compile whole documents, good and bad ones.

use serde_json::json;

use super::*;

fn config(allow: &[&str]) -> HttpConfig {
    toml::from_str(&format!(
        "base_url = \"https://api.example.com\"\nallow = {allow:?}"
    ))
    .expect("valid")
}

fn table(document: &Value, allow: &[&str]) -> Table {
    let limits = DocumentLimits::default();
    compile(document.to_string().as_bytes(), &config(allow), &limits).expect("a table")
}

fn document(paths: Value) -> Value {
    json!({"openapi": "3.0.3", "paths": paths, "components": {
        "parameters": {"owner": {"name": "owner", "in": "path", "required": true,
            "schema": {"type": "string"}, "description": "Whose."}},
        "schemas": {"Tree": {"type": "object", "properties": {
            "name": {"type": "string"}, "left": {"$ref": "#/components/schemas/Tree"},
            "right": {"$ref": "#/components/schemas/Tree"},
        }}},
    }})
}

fn left_out(table: &Table) -> Vec<String> {
    table.left_out.iter().map(ToString::to_string).collect()
}

#[test]
fn an_operation_has_its_fields_schema_and_description() {
    let document = document(json!({"/repos/{owner}/issues": {
        "parameters": [{"$ref": "#/components/parameters/owner"}],
        "get": {"operationId": "issues/list"},
        "post": {
            "operationId": "issues/create", "summary": "Create an issue",
            "description": "Anyone may.\n\nMuch more.",
            "requestBody": {"required": true, "content": {"application/json": {"schema": {
                "type": "object", "required": ["title"],
                "properties": {"title": {"type": "string"}, "meta": {}},
            }}}},
        },
        "delete": {},
    }}));
    let table = table(&document, &["POST /repos/*/issues"]);
    assert_eq!(table.not_allowed, 2);
    let [operation] = &table.operations[..] else {
        panic!("{table:?}")
    };
    assert_eq!(operation.name, "issues_create");
    assert_eq!(
        operation.description,
        "Create an issue. Anyone may. (POST /repos/{owner}/issues)"
    );
    let schema: Value = serde_json::from_str(&operation.input_schema).expect("JSON");
    assert_eq!(schema["required"], json!(["owner", "title"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        schema["properties"]["owner"],
        json!({"type": "string", "description": "Whose."})
    );
    let request: Value = serde_json::from_str(&operation.request).expect("JSON");
    assert_eq!(
        request,
        json!({
            "method": "POST", "path": "/repos/{owner}/issues",
            "parameters": [{"field": "owner", "name": "owner", "in": "path", "required": true,
                "style": "comma"}],
            "body": {"kind": "json", "content_type": "application/json", "required": true,
                "fields": [{"name": "title", "required": true}, {"name": "meta", "required": false}]},
            "meta": "response_meta",
        })
    );
}

#[test]
fn names_that_are_missing_are_made_and_names_that_collide_are_told() {
    let document = document(json!({
        "/a": {"get": {"operationId": "same"}, "post": {"operationId": "same"}},
        "/b": {"get": {"operationId": "Same"}, "post": {}},
        "/c": {"get": {"operationId": "post_b"}},
    }));
    let table = table(&document, &["GET /**", "POST /**"]);
    let names: Vec<&str> = table.operations.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["same", "post_b"]);
    assert_eq!(
        left_out(&table),
        [
            "POST /a: its name same is that of GET /a; operations have names of their own",
            "GET /b: its name same is that of GET /a; operations have names of their own",
            "GET /c: its name post_b is that of POST /b; operations have names of their own",
        ]
    );
}

#[test]
fn what_cannot_be_called_is_left_out_with_its_reason() {
    let remote = json!({"$ref": "https://example.com/other.yaml#/x"});
    let body = |content: Value| json!({"requestBody": {"required": true, "content": content}});
    let json_of = |schema: &Value| json!({"application/json": {"schema": schema}});
    let document = document(json!({
        "/path": remote,
        "/parameter": {"get": {"parameters": [remote]}},
        "/schema": {"post": body(json_of(&json!({"properties": {"a": {"items": remote}}})))},
        "/body": {"post": {"requestBody": remote}},
        "/missing": {"post": body(json_of(&json!({"$ref": "#/components/nowhere"})))},
        "/cookie": {"get": {"parameters": [{"name": "s", "in": "cookie", "required": true}]}},
        "/form": {"post": body(json!({"multipart/form-data": {}}))},
        "/{id}": {"get": {}},
        "/../admin": {"get": {}},
        "/fine": {"get": {}},
        "x-note": {"get": {}},
    }));
    let table = table(&document, &["GET /**", "POST /**"]);
    let names: Vec<&str> = table.operations.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["get_fine"]);
    let reasons = left_out(&table);
    for (request, why) in [
        ("GET /path", "another document"),
        ("GET /parameter", "another document"),
        ("POST /schema", "another document"),
        ("POST /body", "another document"),
        ("POST /missing", "is not in the document"),
        ("GET /cookie", "which is a cookie"),
        ("POST /form", "neither JSON nor a form nor text"),
        ("GET /{id}", "{id}, which it does not describe"),
        ("GET /../admin", "empty, . or .."),
    ] {
        let found = reasons.iter().find(|it| it.starts_with(request));
        let found = found.unwrap_or_else(|| panic!("{request}: {reasons:?}"));
        assert!(found.contains(why), "{found}");
    }
    assert_eq!(reasons.len(), 9, "{reasons:?}");
}

#[test]
fn a_recursive_schema_becomes_a_finite_one() {
    let tree = json!({"$ref": "#/components/schemas/Tree"});
    let document = document(json!({"/trees": {"post": {
        "requestBody": {"content": {"application/json": {"schema": tree}}},
    }}}));
    let table = table(&document, &["POST /trees"]);
    let schema = &table.operations[0].input_schema;
    assert!(!schema.contains("$ref"), "{schema}");
    assert!(schema.len() < 2_000, "{schema}");
}

#[test]
fn a_schema_that_is_too_long_is_shortened_and_then_left_out() {
    let wide = |count: usize| {
        let properties: serde_json::Map<_, _> = (0..count)
            .map(|at| {
                let schema = json!({"type": "string", "description": "x".repeat(200)});
                (format!("field_{at:04}"), schema)
            })
            .collect();
        json!({"requestBody": {"content": {"application/json": {"schema": {
            "type": "object", "properties": properties,
        }}}}})
    };
    let document = document(json!({"/wide": {"post": wide(500)}, "/wider": {"post": wide(5_000)}}));
    let table = table(&document, &["POST /**"]);
    assert_eq!(table.operations.len(), 1);
    assert!(!table.operations[0].input_schema.contains("xxx"));
    assert_eq!(
        left_out(&table),
        [
            "POST /wider: its input schema has more bytes than limits.openapi.max_schema_bytes (32768) allows"
        ]
    );
}

#[test]
fn a_table_that_is_too_large_is_refused_by_the_limit() {
    let paths: serde_json::Map<_, _> = (0..20)
        .map(|at| (format!("/p{at}"), json!({"get": {}})))
        .collect();
    let document = document(Value::Object(paths)).to_string();
    let refused = |limits: DocumentLimits| {
        let refused = compile(document.as_bytes(), &config(&["GET /**"]), &limits);
        refused.expect_err("too large").to_string()
    };
    let few = DocumentLimits {
        max_operations: 19,
        ..DocumentLimits::default()
    };
    assert_eq!(
        refused(few),
        "allow admits 20 operations of the document, and limits.openapi.max_operations allows 19; name fewer in allow"
    );
    let short = DocumentLimits {
        max_table_bytes: 1_000,
        ..DocumentLimits::default()
    };
    assert!(refused(short).contains("limits.openapi.max_table_bytes (1000)"));
    let shallow = DocumentLimits {
        max_ref_depth: 0,
        ..DocumentLimits::default()
    };
    let table = compile(document.as_bytes(), &config(&["GET /**"]), &shallow);
    assert_eq!(table.expect("no references").operations.len(), 20);
}

#[test]
fn a_large_document_is_compiled_whole() {
    let schemas: serde_json::Map<_, _> = (0..3_000)
        .map(|at| {
            let next = json!({"$ref": format!("#/components/schemas/S{}", (at * 7 + 1) % 3_000)});
            let text =
                json!({"type": "string", "description": "A text of some length. ".repeat(4)});
            (
                format!("S{at}"),
                json!({"type": "object", "properties": {
                    "a": text, "b": next, "c": {"type": "array", "items": next}, "d": text,
                }}),
            )
        })
        .collect();
    let paths: serde_json::Map<_, _> = (0..400)
        .map(|at| {
            let schema = json!({"$ref": format!("#/components/schemas/S{at}")});
            let content = json!({"application/json": {"schema": schema}});
            (
                format!("/items{at}/{{id}}"),
                json!({"put": {
                    "parameters": [{"name": "id", "in": "path", "required": true}],
                    "requestBody": {"required": true, "content": content},
                    "responses": {"200": {"content": {"application/json": {"schema": schema}}}},
                }}),
            )
        })
        .collect();
    let document = json!({
        "openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas},
    });
    let table = table(&document, &["PUT /**"]);
    assert_eq!((table.operations.len(), table.left_out.len()), (400, 0));
    for operation in &table.operations {
        assert!(operation.input_schema.len() <= 32 * 1024);
        assert!(!operation.input_schema.contains("$ref"));
    }
}

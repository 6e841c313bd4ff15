//! Unknown names: a typo is refused and named on every route, and never taken for an absent field.

use serde_json::{Value, json};
use tavora_tests::wire::Request;

use crate::fixture::{Platform, is_refusal};
use crate::operations::operations;

#[test]
fn an_unknown_query_parameter_is_refused_on_every_route_and_does_nothing() {
    let platform = Platform::start();
    let before = platform.state();
    for operation in operations(&platform) {
        let name = operation.name();
        if operation.path.starts_with("/v1/") {
            continue;
        }
        let asked = operation.request(&platform, "?unheard_of=1");
        let answer = platform.send(&asked.json(&json!({})));
        is_refusal(&name, &answer, 400, "unknown_field");
        assert_eq!(answer.json()["field"], "unheard_of", "{name}");
        for known in &operation.query {
            let query = format!("?{known}=1&{known}=1");
            let answer = platform.send(&operation.request(&platform, &query));
            is_refusal(&name, &answer, 400, "invalid_query");
            assert_eq!(answer.json()["field"], known.as_str(), "{name}");
        }
        // The credential is checked first.
        let answer = platform.send(&operation.bare_request("?unheard_of=1"));
        is_refusal(&name, &answer, 401, "unauthorized");
    }
    assert_eq!(platform.state(), before, "something changed");
}

#[test]
fn an_unknown_field_is_refused_on_every_route_with_a_body_and_does_nothing() {
    let platform = Platform::start();
    let before = platform.state();
    let mut seen = 0;
    for operation in operations(&platform) {
        let Some(schema) = operation.body.as_ref().filter(|_| !operation.is_foreign()) else {
            continue;
        };
        seen += 1;
        let name = operation.name();
        assert_eq!(schema["additionalProperties"], false, "{name}: {schema}");
        let request = operation.request(&platform, "");
        let answer = platform.send(&request.json(&json!({ "unheard_of": 1 })));
        is_refusal(&name, &answer, 400, "unknown_field");
        assert_eq!(answer.json()["field"], "unheard_of", "{name}");
    }
    assert!(seen >= 9, "only {seen} routes have a body");
    assert_eq!(platform.state(), before, "something changed");
}

#[test]
fn a_typo_is_answered_with_what_was_meant() {
    let platform = Platform::start();
    let app = |method: &str, path: &str| platform.request(method, path);
    let execute = "/api/sdk/sandbox/execute";
    let vaults = "/api/sdk/secret-vaults";
    for (request, field, meant) in [
        (
            app("POST", execute).json(&json!({ "code": "return 1", "agent_id": "tasker" })),
            "agent_id",
            "agent",
        ),
        (
            app("POST", execute).json(&json!({ "code": "return 1", "agnt": "tasker" })),
            "agnt",
            "agent",
        ),
        (
            app("POST", execute).json(&json!({ "code": "return 1", "timeoutMs": 5 })),
            "timeoutMs",
            "timeout_ms",
        ),
        (
            app("POST", vaults).json(&json!({ "name": "x", "metdata": { "origins": {} } })),
            "metdata",
            "metadata",
        ),
        (
            app("PATCH", &platform.in_vault("")).json(&json!({ "Metadata": {} })),
            "Metadata",
            "metadata",
        ),
        (
            app("PUT", "/api/sdk/project/vault").json(&json!({ "vault_id": null, "vault-id": 1 })),
            "vault-id",
            "vault_id",
        ),
        (
            app("GET", "/api/sdk/audit-log?subject_id=nope"),
            "subject_id",
            "subject_type",
        ),
        (
            app("HEAD", "/api/sdk/audit-log/export?fromat=csv"),
            "fromat",
            "format",
        ),
        (app("GET", "/api/sdk/tools?agents=one"), "agents", "agent"),
    ] {
        let what = format!("{request:?}");
        if what.contains("\"HEAD\"") {
            assert_eq!(platform.send(&request).status, 400, "{what}");
            continue;
        }
        platform.refused(&what, &request, 400, "unknown_field");
        let answer = platform.send(&request).json();
        assert_eq!(answer["field"], field, "{what}");
        assert_eq!(answer["did_you_mean"], meant, "{what}");
        let message = answer["message"].as_str().expect("a sentence");
        assert!(
            message.contains(field) && message.contains(meant),
            "{message}"
        );
    }
    let odd = app("POST", execute).json(&json!({ "code": "return 1", "\u{1b}[8m": 1 }));
    let answer: Value = platform.send(&odd).json();
    assert_eq!(answer["field"], "\\u{1b}[8m");
    assert_eq!(answer["did_you_mean"], Value::Null);
}

#[test]
fn parameters_that_clients_of_openai_add_are_left_to_them() {
    let platform = Platform::start();
    let request = Request::new("GET", "/v1/models?client_version=0.60.1")
        .header("authorization", format!("Bearer {}", platform.app.key));
    assert_eq!(platform.send(&request).status, 200);
}

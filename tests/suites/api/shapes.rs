//! JSON bodies that do not fit their route: fields that are missing, of the wrong type, repeated,
//! or refused by their own rule.

use serde_json::json;
use tavora_tests::wire::Request;

use crate::fixture::{Platform, VALUE, all_refused, case};

#[test]
fn a_vault_of_the_wrong_shape_is_refused() {
    let platform = Platform::start();
    let cases = [
        case("no name", "{}", "invalid_field"),
        case(
            "no name but metadata",
            r#"{"metadata": {}}"#,
            "invalid_field",
        ),
        case("null as name", r#"{"name": null}"#, "invalid_field"),
        case("a number as name", r#"{"name": 7}"#, "invalid_field"),
        case("an array as name", r#"{"name": ["a"]}"#, "invalid_field"),
        case(
            "an object as name",
            r#"{"name": {"a": "b"}}"#,
            "invalid_field",
        ),
        case(
            "a name twice",
            r#"{"name": "a", "name": "b"}"#,
            "invalid_field",
        ),
        case("an empty name", r#"{"name": ""}"#, "invalid_field"),
        case("a blank name", r#"{"name": " \u00a0 "}"#, "invalid_field"),
        case(
            "a name with a line break",
            r#"{"name": "a\nb"}"#,
            "invalid_field",
        ),
        case(
            "a name with NUL",
            r#"{"name": "a\u0000b"}"#,
            "invalid_field",
        ),
        case(
            "half a surrogate pair",
            r#"{"name": "\ud800"}"#,
            "invalid_json",
        ),
        case(
            "a name that turns the line around",
            r#"{"name": "a\u202eb"}"#,
            "invalid_field",
        ),
        case(
            "129 characters",
            json!({ "name": "é".repeat(129) }).to_string(),
            "invalid_field",
        ),
    ];
    all_refused(&platform, "POST", "/api/sdk/secret-vaults", &cases);
    let cases = [
        case(
            "an array",
            r#"{"name": "a", "metadata": []}"#,
            "invalid_field",
        ),
        case(
            "a string",
            r#"{"name": "a", "metadata": "{}"}"#,
            "invalid_field",
        ),
        case(
            "a number",
            r#"{"name": "a", "metadata": 7}"#,
            "invalid_field",
        ),
        case(
            "a boolean",
            r#"{"name": "a", "metadata": true}"#,
            "invalid_field",
        ),
        case(
            "metadata twice",
            r#"{"name": "a", "metadata": {}, "metadata": {}}"#,
            "invalid_field",
        ),
        case(
            "a key twice, inside",
            r#"{"name": "a", "metadata": {"b": [{"c": 1, "c": 2}]}}"#,
            "invalid_field",
        ),
        case(
            "a key twice, written differently",
            r#"{"name": "a", "metadata": {"b": 1, "\u0062": 2}}"#,
            "invalid_field",
        ),
        case(
            "a number without end",
            r#"{"name": "a", "metadata": {"b": 1e999}}"#,
            "invalid_json",
        ),
        case(
            "over 16 KiB",
            format!(
                r#"{{"name": "a", "metadata": {{"b": "{}"}}}}"#,
                "c".repeat(16 << 10)
            ),
            "invalid_field",
        ),
        case(
            "10,000 levels",
            format!(
                r#"{{"name": "a", "metadata": {{"b": {}1{}}}}}"#,
                "[".repeat(10_000),
                "]".repeat(10_000)
            ),
            "invalid_json",
        ),
    ];
    all_refused(&platform, "POST", "/api/sdk/secret-vaults", &cases);
    let cases =
        cases.map(|(what, body, code)| case(what, body.replace(r#""name": "a", "#, ""), code));
    all_refused(&platform, "PATCH", &platform.in_vault(""), &cases);
}

#[test]
fn a_secret_of_the_wrong_shape_is_refused_and_not_repeated() {
    let platform = Platform::start();
    let cases = [
        case("no value", "{}", "invalid_field"),
        case("null", r#"{"value": null}"#, "invalid_field"),
        case("a number", r#"{"value": 7}"#, "invalid_field"),
        case(
            "an array",
            format!(r#"{{"value": ["{VALUE}"]}}"#),
            "invalid_field",
        ),
        case(
            "an object",
            format!(r#"{{"value": {{"{VALUE}": "{VALUE}"}}}}"#),
            "invalid_field",
        ),
        case("the bare value", format!(r#""{VALUE}""#), "invalid_body"),
        case("the bare value without quotes", VALUE, "invalid_json"),
        case(
            "a value twice",
            format!(r#"{{"value": "{VALUE}", "value": "{VALUE}"}}"#),
            "invalid_field",
        ),
        case(
            "another name for it",
            format!(r#"{{"Value": "{VALUE}"}}"#),
            "unknown_field",
        ),
        case(
            "what follows it",
            format!(r#"{{"value": "{VALUE}"}} {VALUE}"#),
            "invalid_json",
        ),
        case(
            "an unfinished string",
            format!(r#"{{"value": "{VALUE}"#),
            "invalid_json",
        ),
        case(
            "half a surrogate pair",
            r#"{"value": "\ud800"}"#,
            "invalid_json",
        ),
        case("an empty value", r#"{"value": ""}"#, "invalid_secret_value"),
        case(
            "64 KiB and a byte",
            json!({ "value": "v".repeat((64 << 10) + 1) }).to_string(),
            "invalid_secret_value",
        ),
    ];
    let (first, new) = (
        platform.in_vault("/secrets/first"),
        platform.in_vault("/secrets/new"),
    );
    all_refused(&platform, "PUT", &first, &cases);
    all_refused(&platform, "PUT", &new, &cases);
    let log = platform.serving.log();
    assert!(!log.contains(VALUE), "the log has a value: {log}");
}

#[test]
fn a_designation_or_a_program_of_the_wrong_shape_is_refused() {
    let platform = Platform::start();
    let cases = [
        case("no vault_id", "{}", "invalid_field"),
        case("another name for it", r#"{"vault": null}"#, "unknown_field"),
        case("a number", r#"{"vault_id": 7}"#, "invalid_field"),
        case("false", r#"{"vault_id": false}"#, "invalid_field"),
        case(
            "an object",
            r#"{"vault_id": {"id": null}}"#,
            "invalid_field",
        ),
        case(
            "twice",
            r#"{"vault_id": null, "vault_id": null}"#,
            "invalid_field",
        ),
    ];
    all_refused(&platform, "PUT", "/api/sdk/app/vault", &cases);
    all_refused(&platform, "PUT", "/api/sdk/project/vault", &cases);
    for id in [
        "",
        "main",
        "..",
        &platform.other_vault,
        "0199a0e0-0000-7000-8000-000000000000",
    ] {
        let request = platform
            .request("PUT", "/api/sdk/app/vault")
            .json(&json!({ "vault_id": id }));
        platform.refused(&format!("the vault {id:?}"), &request, 404, "not_found");
    }
    let cases = [
        case("no code", r#"{"input": 1}"#, "invalid_field"),
        case("null", r#"{"code": null}"#, "invalid_field"),
        case(
            "a list of lines",
            r#"{"code": ["return 1"]}"#,
            "invalid_field",
        ),
        case(
            "no time at all",
            r#"{"code": "return 1", "timeout_ms": 0}"#,
            "invalid_field",
        ),
        case(
            "less than no time",
            r#"{"code": "return 1", "timeout_ms": -1}"#,
            "invalid_field",
        ),
        case(
            "a broken time",
            r#"{"code": "return 1", "timeout_ms": 1.5}"#,
            "invalid_field",
        ),
        case(
            "a time that is text",
            r#"{"code": "return 1", "timeout_ms": "1"}"#,
            "invalid_field",
        ),
        case(
            "more time than there is",
            r#"{"code": "return 1", "timeout_ms": 18446744073709551616}"#,
            "invalid_field",
        ),
        case(
            "an agent that is a number",
            r#"{"code": "return 1", "agent": 7}"#,
            "invalid_field",
        ),
        case(
            "code twice",
            r#"{"code": "return 1", "code": "return 2"}"#,
            "invalid_field",
        ),
    ];
    all_refused(&platform, "POST", "/api/sdk/sandbox/execute", &cases);
    let agent = json!({ "code": "return 1", "agent": "nobody" });
    let request = platform
        .request("POST", "/api/sdk/sandbox/execute")
        .json(&agent);
    platform.refused("an agent that is not there", &request, 404, "not_found");
}

#[test]
fn an_app_or_key_of_the_wrong_shape_is_refused() {
    let platform = Platform::start();
    let keys = format!("/api/admin/apps/{}/api-keys", platform.app.id);
    let nowhere = "/api/admin/apps/0199a0e0-0000-7000-8000-000000000000/api-keys";
    let long = "x".repeat(1_025);
    for (path, body, status, code) in [
        ("/api/admin/apps", json!({}), 400, "invalid_field"),
        (
            "/api/admin/apps",
            json!({ "name": "" }),
            400,
            "invalid_field",
        ),
        (
            "/api/admin/apps",
            json!({ "name": 7 }),
            400,
            "invalid_field",
        ),
        (
            "/api/admin/apps",
            json!({ "name": "x".repeat(129) }),
            400,
            "invalid_field",
        ),
        (
            "/api/admin/apps",
            json!({ "name": "x", "slug": "Not A Slug" }),
            400,
            "invalid_field",
        ),
        (
            "/api/admin/apps",
            json!({ "name": "x", "slug": "-x" }),
            400,
            "invalid_field",
        ),
        (
            "/api/admin/apps",
            json!({ "name": "x", "slug": "other" }),
            409,
            "app_slug_taken",
        ),
        (
            "/api/admin/apps",
            json!({ "name": "x", "description": long }),
            400,
            "invalid_field",
        ),
        (
            "/api/admin/apps",
            json!({ "name": "x", "description": 7 }),
            400,
            "invalid_field",
        ),
        (&keys, json!({}), 400, "invalid_field"),
        (&keys, json!({ "name": "" }), 400, "invalid_field"),
        (
            &keys,
            json!({ "name": "x", "expires_at": "tomorrow" }),
            400,
            "invalid_field",
        ),
        (
            &keys,
            json!({ "name": "x", "expires_at": 1_900_000_000 }),
            400,
            "invalid_field",
        ),
        (
            &keys,
            json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z" }),
            400,
            "invalid_field",
        ),
        (nowhere, json!({ "name": "x" }), 404, "not_found"),
        (
            "/api/admin/apps/main/api-keys",
            json!({ "name": "x" }),
            404,
            "not_found",
        ),
    ] {
        let request = Request::new("POST", path)
            .header(
                "authorization",
                format!("Bearer {}", platform.serving.admin_token),
            )
            .json(&body);
        platform.refused(&format!("POST {path} {body}"), &request, status, code);
    }
}

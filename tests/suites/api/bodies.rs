//! Bodies that are wrong: not JSON, of the wrong shape, too long, of another type.

use serde_json::json;
use tavora_tests::wire::{Request, connect, exchange, read_answer};

use crate::fixture::{Platform, VALUE, is_refusal};

/// A body that is text, and what it is refused with.
type Case = (&'static str, String, &'static str);

fn case(what: &'static str, body: impl Into<String>, code: &'static str) -> Case {
    (what, body.into(), code)
}

fn typed(request: Request, body: impl Into<Vec<u8>>) -> Request {
    request
        .header("content-type", "application/json")
        .body(body)
}

/// Each of these bodies is refused with 400 and changes nothing.
#[track_caller]
fn all_refused(platform: &Platform, method: &str, path: &str, cases: &[Case]) {
    for (what, body, code) in cases {
        let request = typed(platform.request(method, path), body.as_bytes());
        platform.refused(&format!("{method} {path}, {what}"), &request, 400, code);
    }
}

#[test]
fn what_is_not_json_is_refused_on_every_route_with_a_body() {
    let platform = Platform::start();
    let deep = 10_000;
    let cases = [
        case("nothing", "", "invalid_json"),
        case("spaces", " \n ", "invalid_json"),
        case("half an object", r#"{"name": "#, "invalid_json"),
        case("a comment", r#"{"name": "a" /* b */}"#, "invalid_json"),
        case("a comma too many", r#"{"name": "a",}"#, "invalid_json"),
        case("single quotes", "{'name': 'a'}", "invalid_json"),
        case(
            "two bodies",
            r#"{"name": "a", "value": "b", "code": "c", "vault_id": null} {}"#,
            "invalid_json",
        ),
        case("a byte order mark", "\u{feff}{}", "invalid_json"),
        case("a form", "name=a&value=b", "invalid_json"),
        case(
            "a raw newline in a string",
            "{\"name\": \"a\nb\", \"value\": \"a\nb\"}",
            "invalid_json",
        ),
        case("an array", "[]", "invalid_body"),
        case("a string", r#""name""#, "invalid_body"),
        case("null", "null", "invalid_body"),
        // An array in which each field is at its place.
        case("fields without names", r#"["a", {}]"#, "invalid_body"),
        case("one field without a name", r#"["a"]"#, "invalid_body"),
        case("an empty field", "[null]", "invalid_body"),
        case("10,000 arrays", "[".repeat(deep), "invalid_json"),
        case(
            "10,000 objects",
            r#"{"unknown":"#.repeat(deep),
            "invalid_json",
        ),
        case(
            "10,000 arrays, closed",
            "[".repeat(deep) + &"]".repeat(deep),
            "invalid_body",
        ),
    ];
    let secret = platform.in_vault("/secrets/first");
    for (method, path) in [
        ("POST", "/api/sdk/secret-vaults"),
        ("PATCH", &*platform.in_vault("")),
        ("PUT", &*secret),
        ("PUT", "/api/sdk/app/vault"),
        ("PUT", "/api/sdk/project/vault"),
        ("POST", "/api/sdk/sandbox/execute"),
    ] {
        all_refused(&platform, method, path, &cases);
        let request = typed(
            platform.request(method, path),
            &b"{\"name\": \"\xff\", \"value\": \"\xff\"}"[..],
        );
        platform.refused("bytes that are not UTF-8", &request, 400, "invalid_json");
        let text: Vec<u8> = r#"{"name": "a"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let request = typed(platform.request(method, path), text);
        platform.refused("UTF-16", &request, 400, "invalid_json");
    }
}

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
            json!({ "name": "a", "metadata": { "b": "c".repeat(16 << 10) } }).to_string(),
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
            "invalid_field",
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
        case("no vault_id", r#"{"vault": null}"#, "invalid_field"),
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

#[test]
fn another_content_type_is_refused() {
    let platform = Platform::start();
    let body = r#"{"name": "a"}"#;
    for kind in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "json",
        "",
    ] {
        let request = platform.request("POST", "/api/sdk/secret-vaults");
        let request = request.header("content-type", kind).body(body);
        platform.refused(kind, &request, 415, "unsupported_media_type");
    }
    let request = platform
        .request("POST", "/api/sdk/secret-vaults")
        .body(body);
    platform.refused("none", &request, 415, "unsupported_media_type");
    // What is JSON, however it is written.
    for (name, kind) in [
        ("a", "application/json; charset=utf-8"),
        ("b", "Application/JSON"),
        ("c", "application/merge-patch+json"),
    ] {
        let request = platform.request("POST", "/api/sdk/secret-vaults");
        let request = request
            .header("content-type", kind)
            .body(json!({ "name": name }).to_string());
        assert_eq!(platform.send(&request).status, 201, "{kind}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_and_its_client_reads_why() {
    const LIMIT: usize = 1 << 20;
    let platform = Platform::start();
    let body = |bytes: usize, name: &str| {
        let empty = json!({ "name": name, "unknown": "" }).to_string().len();
        let body = json!({ "name": name, "unknown": "x".repeat(bytes - empty) }).to_string();
        assert_eq!(body.len(), bytes);
        body
    };
    let create = || platform.request("POST", "/api/sdk/secret-vaults");
    let request = typed(create(), body(LIMIT + 1, "declared"));
    platform.refused("1 MiB and a byte", &request, 413, "body_too_large");
    let request = typed(create(), body(7 << 20, "declared"));
    platform.refused("7 MiB", &request, 413, "body_too_large");

    let chunked = |bytes: usize, name: &str| {
        let head = typed(create().header("transfer-encoding", "chunked"), "").bytes();
        let head = String::from_utf8(head)
            .expect("ASCII")
            .replace("content-length: 0\r\n", "");
        [
            head.as_bytes(),
            format!("{bytes:x}\r\n").as_bytes(),
            body(bytes, name).as_bytes(),
            b"\r\n0\r\n\r\n",
        ]
        .concat()
    };
    let before = platform.state();
    let answer = exchange(
        platform.serving.address,
        &chunked(LIMIT + 1, "chunked"),
        false,
    );
    is_refusal(
        "chunked",
        &answer.expect("the refusal is read"),
        413,
        "body_too_large",
    );
    assert_eq!(platform.state(), before, "something changed");

    // A body that is as long as it may be.
    assert_eq!(
        platform.send(&typed(create(), body(LIMIT, "whole"))).status,
        201
    );
    let answer = exchange(
        platform.serving.address,
        &chunked(LIMIT, "whole, chunked"),
        false,
    );
    assert_eq!(answer.expect("an answer").status, 201);

    // A length that is declared and never comes is refused without being waited for.
    let head = String::from_utf8(typed(create(), "").bytes()).expect("ASCII");
    let head = head.replace("content-length: 0", "content-length: 1099511627776");
    let mut stream = connect(platform.serving.address).expect("it listens");
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("it reads");
    let answer = read_answer(&mut std::io::BufReader::new(stream), false);
    is_refusal(
        "a terabyte",
        &answer.expect("the refusal is read"),
        413,
        "body_too_large",
    );
}

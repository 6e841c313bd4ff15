//! Wrong paths and queries: tricks with percent signs and dots, malformed ids, ids of another app,
//! and parameters out of range.

use serde_json::json;
use tavora_tests::wire::Request;

use crate::fixture::{Platform, as_app, is_refusal};

#[test]
fn a_name_that_is_none_is_refused_however_it_is_written() {
    let platform = Platform::start();
    let long = "n".repeat(256);
    for (name, status, code) in [
        (&b".."[..], 400, "invalid_secret_name"),
        (b".", 400, "invalid_secret_name"),
        (b"%2e%2e", 400, "invalid_secret_name"),
        (b"%2E", 400, "invalid_secret_name"),
        (b".hidden", 400, "invalid_secret_name"),
        (b"-dash", 400, "invalid_secret_name"),
        (b"%2F", 400, "invalid_secret_name"),
        (b"first%2F", 400, "invalid_secret_name"),
        (b"..%2Ffirst", 400, "invalid_secret_name"),
        (b"%2e%2e%2f%2e%2e%2fapp", 400, "invalid_secret_name"),
        (b"..%5Cfirst", 400, "invalid_secret_name"),
        (b"first%00", 400, "invalid_secret_name"),
        (b"%00", 400, "invalid_secret_name"),
        (b"first%0d%0aset-cookie:a", 400, "invalid_secret_name"),
        (b"first%20", 400, "invalid_secret_name"),
        (b"first+second", 400, "invalid_secret_name"),
        (b"first%3Fa=b", 400, "invalid_secret_name"),
        (b"first;a=b", 400, "invalid_secret_name"),
        (b"first%252e", 400, "invalid_secret_name"),
        (b"%66irst%", 400, "invalid_secret_name"),
        (b"%zz", 400, "invalid_secret_name"),
        (b"%C3%A9", 400, "invalid_secret_name"),
        // Full-width Latin letters look like ASCII to people and to some normalisations.
        (b"%EF%BD%81", 400, "invalid_secret_name"),
        (long.as_bytes(), 400, "invalid_secret_name"),
        (b"%ff", 400, "invalid_path"),
        (b"%c0%af", 400, "invalid_path"),
        (b"%ed%a0%80", 400, "invalid_path"),
        (b"", 404, "not_found"),
        (b"first/", 404, "not_found"),
        (b"/first", 404, "not_found"),
        (b"first/second", 404, "not_found"),
        (b"../secrets/first", 404, "not_found"),
    ] {
        let path = [platform.in_vault("/secrets/").as_bytes(), name].concat();
        let what = String::from_utf8_lossy(name);
        for method in ["PUT", "DELETE"] {
            let request = Request::new(method, &path).header("x-api-key", &platform.app.key);
            let request = match method {
                "PUT" => request.json(&json!({ "value": "v" })),
                _ => request,
            };
            platform.refused(&format!("{method} {what}"), &request, status, code);
        }
    }
}

#[test]
fn a_message_about_a_name_says_which_character() {
    let platform = Platform::start();
    let path = platform.in_vault("/secrets/first%20name");
    let answer = platform.send(
        &platform
            .request("PUT", &path)
            .json(&json!({ "value": "v" })),
    );
    let message = answer.json()["message"].to_string();
    assert!(
        message.contains("' '") || message.contains("space"),
        "{message}"
    );
}

#[test]
fn a_name_of_255_bytes_and_one_in_percent_signs_are_names() {
    let platform = Platform::start();
    let encoded: String = (0..255).map(|_| "%6E").collect();
    let put = platform.request("PUT", &platform.in_vault(&format!("/secrets/{encoded}")));
    let put = platform.send(&put.json(&json!({ "value": "v" })));
    assert_eq!(
        (put.status, &put.json()["name"]),
        (200, &json!("n".repeat(255)))
    );
}

#[test]
fn an_id_that_is_none_or_another_apps_names_nothing() {
    let platform = Platform::start();
    let upper = platform.vault.to_uppercase().replace('-', "%2D");
    let nil = "00000000-0000-0000-0000-000000000000";
    for id in [
        &*platform.other_vault,
        nil,
        "main",
        "%2e%2e",
        "..",
        "%00",
        "1",
        "'%20or%201=1--",
        &"0".repeat(4_096),
    ] {
        let of = |rest: &str| format!("/api/sdk/secret-vaults/{id}{rest}");
        for (method, path, body) in [
            ("GET", of(""), None),
            ("PATCH", of(""), Some(json!({ "metadata": { "a": 1 } }))),
            ("DELETE", of(""), None),
            ("GET", of("/secrets"), None),
            ("PUT", of("/secrets/first"), Some(json!({ "value": "v" }))),
            ("DELETE", of("/secrets/first"), None),
        ] {
            let request = platform.request(method, &path);
            let request = match &body {
                Some(body) => request.json(body),
                None => request,
            };
            platform.refused(&format!("{method} {path}"), &request, 404, "not_found");
        }
    }
    // Another app's vault looks like a missing one: the answers have the same words.
    let words = |id: &str| {
        let answer =
            platform.send(&platform.request("GET", &format!("/api/sdk/secret-vaults/{id}")));
        answer.text().replace(id, "ID")
    };
    assert_eq!(
        words(&platform.other_vault),
        words("0199a0e0-0000-7000-8000-000000000000")
    );
    // The id in capitals is the same id, and still belongs only to its own app.
    let answer = platform.send(&as_app(
        &platform.other,
        "GET",
        &format!("/api/sdk/secret-vaults/{upper}"),
    ));
    is_refusal("in capitals", &answer, 404, "not_found");
}

#[test]
fn a_key_of_another_app_is_not_revoked() {
    let platform = Platform::start();
    for (app, key) in [
        (&*platform.app.id, &*platform.other.key_id),
        (&platform.other.id, &platform.app.key_id),
        (&platform.app.id, "main"),
        ("main", &platform.app.key_id),
        (&platform.vault, &platform.app.key_id),
    ] {
        let request = Request::new("DELETE", format!("/api/admin/apps/{app}/api-keys/{key}"))
            .header(
                "authorization",
                format!("Bearer {}", platform.serving.admin_token),
            );
        platform.refused(&format!("{app} {key}"), &request, 404, "not_found");
    }
}

#[test]
fn a_query_out_of_range_is_refused() {
    let platform = Platform::start();
    for query in [
        "limit=0",
        "limit=-1",
        "limit=1.5",
        "limit=all",
        "limit=99999999999999999999",
        "offset=-1",
        "offset=18446744073709551615",
        "from=yesterday",
        "from=2026-13-01T00:00:00Z",
        "to=1700000000",
        "limit=1&limit=2",
    ] {
        let request = platform.request("GET", &format!("/api/sdk/audit-log?{query}"));
        platform.refused(query, &request, 400, "invalid_query");
    }
    for query in [
        "format=xml",
        "format=CSV",
        "format=",
        "from=never",
        "format=json&format=csv",
    ] {
        let request = platform.request("GET", &format!("/api/sdk/audit-log/export?{query}"));
        platform.refused(query, &request, 400, "invalid_query");
    }
    // A query reaches the database only as a value.
    let request = platform.request(
        "GET",
        "/api/sdk/audit-log?action='%20or%201=1--&subject_type=%25",
    );
    let answer = platform.send(&request);
    assert_eq!((answer.status, &answer.json()["total"]), (200, &json!(0)));
}

#[test]
fn no_other_path_leads_in() {
    let platform = Platform::start();
    for path in [
        "/api/sdk",
        "/api/sdk/",
        "/api/sdk/app/",
        "/api//sdk/app",
        "/api/sdk/../sdk/app",
        "/api/sdk/%61pp/..",
        "/API/SDK/APP",
        "/api/sdk/app%2Fvault",
        "/api/sdk/apps",
        "/api/admin",
        "/api/admin/",
        "/api",
        "//",
        "/.env",
        "/tavora.db",
    ] {
        let answer = platform.send(&platform.request("GET", path));
        is_refusal(path, &answer, 404, "not_found");
    }
}

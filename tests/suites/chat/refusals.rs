//! Refusals before a provider is asked, in both shapes, and with a hint on whether to try again.

use serde_json::json;
use tavora_tests::upstream::json as json_answer;
use tavora_tests::wire::Request;

use super::fixture::{Chat, assert_refused, completion, hello};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_told_in_both_shapes_and_reaches_no_provider() {
    let chat = Chat::configured("[server.limits]\nmax_body_bytes = 10_000", "", |_| {
        json_answer(200, "{}")
    })
    .await;
    let post = || chat.request("POST", "/v1/chat/completions");
    let anonymous = Request::new("POST", "/v1/chat/completions").json(&hello("gpt-4o"));
    let long = json!({ "messages": [{ "role": "user", "content": "x".repeat(10_000) }] });
    let chunked = |body: &str| {
        post()
            .header("content-type", "application/json")
            .header("transfer-encoding", "chunked")
            .raw_body(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
    };
    for (request, status, code, said) in [
        (anonymous.clone(), 401, "unauthorized", "API key"),
        (
            anonymous.header("authorization", "Bearer tvr_nonsense"),
            401,
            "unauthorized",
            "",
        ),
        (
            chat.request("POST", "/v1/embeddings").json(&json!({})),
            404,
            "not_found",
            "nothing at this path",
        ),
        (
            chat.request("GET", "/v1/chat/completions"),
            405,
            "method_not_allowed",
            "this method",
        ),
        (
            chat.request("DELETE", "/v1/models"),
            405,
            "method_not_allowed",
            "this method",
        ),
        (post().body("{}"), 415, "unsupported_media_type", "JSON"),
        (
            post().json(&long),
            413,
            "body_too_large",
            "server.limits.max_body_bytes",
        ),
        (
            chunked(&long.to_string()),
            413,
            "body_too_large",
            "server.limits.max_body_bytes",
        ),
        (
            post().header("content-type", "application/json").body(""),
            400,
            "invalid_json",
            "not JSON",
        ),
        (
            post()
                .header("content-type", "application/json")
                .body("{\"a\": nope}"),
            400,
            "invalid_json",
            "not JSON",
        ),
        (post().json(&json!([])), 400, "invalid_json", "JSON object"),
        (
            post().json(&json!({})),
            400,
            "invalid_field",
            "messages is missing",
        ),
        (
            post().json(&json!({ "messages": [] })),
            400,
            "invalid_field",
            "messages is empty",
        ),
        (
            post().json(&json!({ "messages": [1], "use_rag": true })),
            400,
            "invalid_field",
            "use_rag",
        ),
        (
            post().json(&json!({ "messages": [1], "index_id": "i" })),
            400,
            "invalid_field",
            "index_id",
        ),
        (
            post().json(&hello("llama")),
            400,
            "unknown_model",
            "the app has credentials for: openai",
        ),
        (
            post().json(&hello("gemini/x")),
            400,
            "secret_not_found",
            "secret \"gemini_api_key\" is not in the app's vault",
        ),
    ] {
        let answer = chat.send(&request);
        let message = assert_refused(&answer, status, code);
        assert!(message.contains(said), "{message}");
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{code}");
        assert!(answer.header("x-request-id").is_some());
    }
    assert!(chat.upstream.seen().is_empty());
    let cleared = chat
        .request("PUT", "/api/sdk/app/vault")
        .json(&json!({ "vault_id": null }));
    assert_eq!(chat.send(&cleared).status, 200);
    let message = assert_refused(&chat.ask(&hello("gpt-4o")), 400, "no_vault_designated");
    assert_eq!(message, "app has no vault designated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_in_pieces_is_passed_on() {
    let chat = Chat::start(|_| json_answer(200, &completion("hi").to_string())).await;
    let body = hello("gpt-4o").to_string();
    let pieces: String = body
        .as_bytes()
        .chunks(7)
        .map(|piece| {
            let piece = std::str::from_utf8(piece).expect("ASCII");
            format!("{:x}\r\n{piece}\r\n", piece.len())
        })
        .collect();
    let request = chat
        .request("POST", "/v1/chat/completions")
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked")
        .raw_body(format!("{pieces}0\r\n\r\n"));
    let answer = chat.send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(chat.upstream.seen()[0].body, body.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_apps_key_gets_nothing_of_this_apps() {
    let chat = Chat::start(|_| json_answer(200, &completion("hi").to_string())).await;
    let other = chat.serving.make_app("other");
    let request = Request::new("POST", "/v1/chat/completions")
        .header("x-api-key", &other.key)
        .json(&hello("gpt-4o"));
    assert_refused(&chat.send(&request), 400, "no_vault_designated");
    assert!(chat.upstream.seen().is_empty());
}

//! A provider's errors in each form, status and way of answering: its words arrive in one object
//! that OpenAI's clients read.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};
use tavora_tests::upstream::{Seen, json as json_answer};

use super::fixture::{
    CANARY, Chat, assert_refused, completion, event, events, hello, hello_streamed,
};

/// The answers, by the name of the model.
fn answer(seen: &Seen) -> Response<Body> {
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    match body["model"].as_str().expect("a name") {
        "list" => json_answer(
            400,
            r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"store\": Cannot find field.","status":"INVALID_ARGUMENT"}}]"#,
        ),
        "text" => Response::builder()
            .status(418)
            .header("content-type", "text/plain; charset=utf-8")
            .body("short and stout".into())
            .expect("valid"),
        "nested" => json_answer(422, r#"{"error":"{\"error\":{\"message\":\"too long\"}}"}"#),
        "cut" => json_answer(400, r#"{"error":{"message":"cut \ud83d"}}"#),
        "long" => json_answer(
            400,
            &format!(r#"{{"error":{{"message":"{}"}}}}"#, "long ".repeat(20_000)),
        ),
        "echo" => json_answer(
            400,
            &format!(r#"[{{"error":{{"message":"you sent {CANARY}"}}}}]"#),
        ),
        "moderated" => json_answer(
            403,
            r#"{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"P"}}}"#,
        ),
        "region" => json_answer(
            403,
            r#"{"error":{"message":"Country not supported","code":"unsupported_country_region_territory","type":"request_forbidden"}}"#,
        ),
        "leaked" => json_answer(
            403,
            r#"{"error":{"code":403,"message":"Your API key was reported as leaked. Please use another API key.","status":"PERMISSION_DENIED"}}"#,
        ),
        "200" => json_answer(
            200,
            r#"{"id":"gen-1","error":{"message":"Upstream error from Nvidia: Service temporarily overloaded","code":502}}"#,
        ),
        "200 limited" => json_answer(200, r#"{"error":{"message":"slow down","code":429}}"#),
        "200 choice" => json_answer(
            200,
            r#"{"choices":[{"finish_reason":"error","message":{"content":""},"error":{"message":"the model broke","code":502}}]}"#,
        ),
        "200 nothing" => json_answer(200, "{}"),
        "200 part" => json_answer(
            200,
            r#"{"choices":[{"finish_reason":"error","error":{"message":"Provider disconnected","code":502},"message":{"content":"part"}}]}"#,
        ),
        "200 no message" => json_answer(200, r#"{"choices":[{"message":null}]}"#),
        "200 no choices" => json_answer(200, r#"{"choices":[]}"#),
        "200 timeout" => Response::builder()
            .header("content-type", "text/plain")
            .body("upstream timeout".into())
            .expect("valid"),
        "error event" => events(Body::from(
            "event: error\ndata: {\"message\":\"overloaded\",\"type\":\"overloaded_error\"}\n\n",
        )),
        "later error event" => events(Body::from(format!(
            "{}event: error\ndata: {{\"message\":\"overloaded\",\"type\":\"overloaded_error\"}}\n\n",
            event("so far")
        ))),
        "later choice" => events(Body::from(format!(
            "{}data: {{\"id\":\"gen-1\",\"choices\":[{{\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"error\",\"error\":{{\"message\":\"Provider disconnected\",\"code\":502}}}}]}}\n\ndata: [DONE]\n\n",
            event("so far")
        ))),
        "null" => {
            let mut fine = completion("fine");
            fine["error"] = Value::Null;
            json_answer(200, &fine.to_string())
        }
        "first event" => events(Body::from(
            "data: {\"error\":{\"message\":\"no room\",\"code\":503}}\n\ndata: [DONE]\n\n",
        )),
        "later event" => events(Body::from(format!(
            ": OPENROUTER PROCESSING\n\n{}data: {{\"error\":{{\"message\":\"no room\",\"code\":503}},\"choices\":[]}}\n\n",
            event("so far")
        ))),
        "json" => json_answer(200, &completion("whole").to_string()),
        "untyped" => Response::new(completion("untyped").to_string().into()),
        other => panic!("{other}"),
    }
}

async fn start() -> Chat {
    Chat::start(answer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_form_an_error_has_the_client_gets_one_object_with_its_words() {
    let chat = start().await;
    for (model, status, code, words) in [
        (
            "list",
            400,
            "INVALID_ARGUMENT",
            "Unknown name \"store\": Cannot find field.",
        ),
        ("text", 418, "upstream_error", "short and stout"),
        ("nested", 422, "upstream_error", "too long"),
        ("cut", 400, "upstream_error", "cut \u{fffd}"),
        ("long", 400, "upstream_error", "long long long"),
        (
            "echo",
            400,
            "upstream_error",
            "you sent [redacted:openai_api_key]",
        ),
        ("moderated", 403, "403", "your input was flagged"),
        (
            "region",
            403,
            "unsupported_country_region_territory",
            "Country not supported",
        ),
        ("200", 502, "502", "Service temporarily overloaded"),
        ("200 limited", 429, "429", "slow down"),
        ("200 choice", 502, "502", "the model broke"),
        ("200 nothing", 502, "upstream_error", "no completion"),
        ("200 part", 502, "502", "Provider disconnected"),
        (
            "200 no message",
            502,
            "upstream_error",
            "a choice in it has no message",
        ),
        (
            "200 no choices",
            502,
            "upstream_error",
            "list of choices is empty",
        ),
        ("200 timeout", 502, "upstream_error", "upstream timeout"),
        ("error event", 503, "upstream_error", "overloaded"),
        ("first event", 503, "503", "no room"),
    ] {
        for body in [hello, hello_streamed] {
            let answer = chat.ask(&body(&format!("openai/{model}")));
            let message = assert_refused(&answer, status, code);
            assert!(message.contains(words), "{model}: {message}");
            assert!(message.len() < 20_000, "{model}: {}", message.len());
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    let flagged = chat.ask(&hello("openai/moderated")).json();
    assert_eq!(flagged["error"]["metadata"]["reasons"], json!(["violence"]));
    let leaked = assert_refused(&chat.ask(&hello("openai/leaked")), 502, "upstream_auth");
    assert!(
        leaked.contains("\"openai_api_key\"") && leaked.contains("reported as leaked"),
        "{leaked}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_completion_passes_whatever_stands_beside_it() {
    let chat = start().await;
    let fine = chat.ask(&hello("openai/null"));
    assert_eq!(fine.status, 200, "{}", fine.text());
    assert_eq!(fine.json()["choices"][0]["message"]["content"], "fine");
    let untyped = chat.ask(&hello("openai/untyped"));
    assert_eq!(
        untyped.json()["choices"][0]["message"]["content"],
        "untyped"
    );
    // A client that asked for events gets events.
    let whole = chat.ask(&hello_streamed("openai/json"));
    assert_eq!(whole.header("content-type"), Some("text/event-stream"));
    let text = whole.text();
    assert!(
        text.contains("\"delta\":{\"role\":\"assistant\",\"content\":\"whole\""),
        "{text}"
    );
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    // When a stream has begun, the error is an event in it.
    let (later, is_whole) = chat.stream(&hello_streamed("openai/later event")).rest();
    assert!(
        is_whole && later.starts_with(": OPENROUTER PROCESSING\n\n"),
        "{later}"
    );
    assert!(
        later.contains("data: {\"error\":{\"message\":\"no room\",\"code\":503}"),
        "{later}"
    );
    // An event that clients would read past gets the form of the others.
    let (later, is_whole) = chat
        .stream(&hello_streamed("openai/later error event"))
        .rest();
    let last = later.strip_prefix(&event("so far")).unwrap_or_default();
    let last = last.strip_prefix("data: ").map(str::trim_end);
    let last: Value = serde_json::from_str(last.unwrap_or_default()).expect("JSON");
    assert!(
        is_whole && last["error"]["message"] == "overloaded",
        "{later}"
    );
    assert_eq!(last["error"]["type"], "overloaded_error");
    let (later, is_whole) = chat.stream(&hello_streamed("openai/later choice")).rest();
    let told = later
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .find(|data| data["error"].is_object())
        .unwrap_or_else(|| panic!("{later}"));
    assert_eq!(told["error"]["message"], "Provider disconnected");
    assert_eq!(told["error"]["code"], "502");
    assert!(is_whole && later.ends_with("data: [DONE]\n\n"), "{later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_the_words_too() {
    let chat = start().await;
    let run = |model: &str| {
        let code = format!("return ai('x', {{model: 'openai/{model}'}})");
        let request = chat.request("POST", "/api/sdk/sandbox/execute");
        chat.send(&request.json(&json!({ "code": code }))).json()
    };
    for (model, words) in [
        ("200", "Service temporarily overloaded"),
        ("200 nothing", "no completion"),
        ("200 part", "Provider disconnected"),
        ("200 timeout", "upstream timeout"),
        ("moderated", "your input was flagged"),
        ("nested", "too long"),
    ] {
        let ended = run(model);
        assert_eq!(ended["error"]["code"], "upstream_error", "{ended}");
        let message = ended["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains(words), "{model}: {message}");
    }
    assert_eq!(run("null")["result"], "fine");
}

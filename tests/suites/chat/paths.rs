//! The paths and addresses that clients and people write.

use serde_json::{Value, json};
use tavora_tests::upstream::{Upstream, json as json_answer};

use super::fixture::{
    CANARY, Chat, assert_refused, completion, event, events, hello, hello_streamed,
};

#[tokio::test(flavor = "multi_thread")]
async fn one_model_of_the_list_is_found_however_its_path_is_written() {
    let tool = "gemini_models = \"gemini-2.5-pro\"\nopenrouter_models = \"auto, anthropic/claude-sonnet-4\"";
    let chat = Chat::configured("", tool, |_| json_answer(500, "{}")).await;
    chat.put("gemini_api_key", CANARY);
    chat.put("openrouter_api_key", CANARY);
    let list = chat.send(&chat.request("GET", "/v1/models")).json();
    let model = |path: &str| chat.send(&chat.request("GET", &format!("/v1/models/{path}")));
    for listed in list["data"].as_array().expect("a list") {
        let id = listed["id"].as_str().expect("an id");
        for path in [
            id.to_owned(),
            id.replace('/', "%2F"),
            id.replace('/', "%2f"),
            id.replace('/', "%252F"),
        ] {
            let answer = model(&path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(&answer.json(), listed, "{path}");
            let head = chat.send(&chat.request("HEAD", &format!("/v1/models/{path}")));
            assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
            assert_eq!(head.header("content-type"), answer.header("content-type"));
        }
    }
    let head = chat.send(&chat.request("HEAD", "/v1/models"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    let head = chat.send(&chat.request("HEAD", "/v1/models/none"));
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(
        model("gemini-2.5-pro").json()["id"],
        "gemini/gemini-2.5-pro"
    );
    for path in [
        "gemini%2Fnone",
        "gemini/none",
        "openai/gpt-4o",
        "x",
        "a/b/c/d",
        "%ff",
    ] {
        let message = assert_refused(&model(path), 404, "model_not_found");
        assert!(message.contains("GET /v1/models"), "{message}");
    }
    assert!(chat.audit("secret.released").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_a_wrong_base_url_is_answered_with_an_error_object() {
    let chat = Chat::start(|_| json_answer(200, &completion("hi").to_string())).await;
    for (method, path) in [
        ("POST", "/chat/completions"),
        ("POST", "/v1/v1/chat/completions"),
        ("POST", "/openai/v1/chat/completions"),
        ("POST", "/api/chat/completions"),
        ("POST", "/v1/chat/completions/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "//v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/completions"),
        ("POST", "/embeddings"),
        ("POST", "/api/sdk/embeddings"),
        ("GET", "/models"),
        ("GET", "/models/gpt-4o"),
        ("POST", "/admin/chat/completions"),
        ("POST", "/admin/v1/chat/completions"),
        ("POST", "/admin/v1/embeddings"),
        ("POST", "/admin/responses"),
        ("GET", "/admin/models"),
        ("GET", "/admin/v1/models/gpt-4o"),
        ("POST", "/v1"),
        ("POST", "/"),
    ] {
        let answer = chat.send(&chat.request(method, path).json(&hello("gpt-4o")));
        let message = assert_refused(&answer, 404, "not_found");
        let names_base = message.contains("/v1, where");
        assert!(names_base || path.len() < 5, "{path}: {message}");
    }
    assert_refused(
        &chat.send(&chat.request("GET", "/api/sdk/chat/completions")),
        405,
        "method_not_allowed",
    );
    // A person at the operator's page still reads a page.
    let page = chat.send(&chat.request("GET", "/admin/nothing"));
    assert_eq!(page.status, 404);
    assert!(
        page.text().starts_with("<!DOCTYPE html>"),
        "{}",
        page.text()
    );
    assert!(chat.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_a_byte_order_mark_is_read_and_utf_16_is_named() {
    let chat = Chat::start(|_| json_answer(200, &completion("hi").to_string())).await;
    chat.put("openai_api_key", CANARY);
    let text = hello("openai/gpt-4o").to_string();
    let post = |body: Vec<u8>| {
        let request = chat.request("POST", "/v1/chat/completions");
        let request = request.header("content-type", "application/json");
        chat.send(&request.body(body))
    };
    let marked = post(format!("\u{feff}{text}").into_bytes());
    assert_eq!(marked.status, 200, "{}", marked.text());
    let wide = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let message = assert_refused(&post(wide), 400, "invalid_json");
    assert!(message.contains("UTF-16"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openrouters_own_models_keep_their_name() {
    let chat = Chat::start(|_| json_answer(200, &completion("hi").to_string())).await;
    chat.put("openrouter_api_key", CANARY);
    for (asked, sent) in [
        ("openrouter/auto", "openrouter/auto"),
        ("openrouter/openrouter/auto", "openrouter/auto"),
        ("openrouter/free", "openrouter/free"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o"),
    ] {
        assert_eq!(chat.ask(&hello(asked)).status, 200);
        let seen = chat.upstream.seen().pop().expect("it was asked");
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert_eq!(body["model"], sent, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ollamas_address_is_taken_as_other_programs_want_it() {
    let ollama = Upstream::start(|_| json_answer(200, &completion("hi").to_string())).await;
    let bare = Chat::at("http://127.0.0.1:9", "", "", ollama.url());
    for path in [
        "",
        "/",
        "/v1",
        "/v1/",
        "/api",
        "/api/chat",
        "/v1/chat/completions",
    ] {
        bare.put(
            "ollama_base_url",
            &format!("\u{feff}{}{path}\n", ollama.url()),
        );
        let answer = bare.ask(&hello("ollama/m"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let seen = ollama.seen().pop().expect("it was asked");
        assert_eq!(seen.uri.path(), "/v1/chat/completions", "{path}");
    }
    bare.put("ollama_base_url", &ollama.url().replace("http://", ""));
    let message = assert_refused(&bare.ask(&hello("ollama/m")), 400, "unusable_secret");
    assert!(message.contains("such as http://host:11434"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_told_to_pass_events_on_as_they_come() {
    let chat = Chat::start(|_| events(event("Hello").into())).await;
    let answer = chat.ask(&hello_streamed("gpt-4o"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let list = chat.send(&chat.request("GET", "/v1/models"));
    assert_eq!(list.header("x-accel-buffering"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_its_vault_binds_to_other_origins_is_told_as_that() {
    let chat = Chat::start(|_| json_answer(200, &completion("hi").to_string())).await;
    let vaults = chat.send(&chat.request("GET", "/api/sdk/secret-vaults"));
    let vaults = vaults.json();
    let id = vaults.pointer("/secret_vaults/0/id");
    let path = format!(
        "/api/sdk/secret-vaults/{}",
        id.and_then(Value::as_str).expect("a vault")
    );
    let metadata = json!({ "origins": { "openai_api_key": ["https://elsewhere.example"] } });
    let body = json!({ "metadata": metadata });
    let patched = chat.send(&chat.request("PATCH", &path).json(&body));
    assert_eq!(patched.status, 200, "{}", patched.text());
    for asked in [hello("gpt-4o"), hello_streamed("gpt-4o")] {
        let message = assert_refused(&chat.ask(&asked), 502, "egress_denied");
        for part in [
            "\"openai_api_key\"",
            "bound to other origins",
            "its vault's metadata",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("elsewhere.example"), "{message}");
    }
    assert!(chat.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_its_vault_binds_to_other_origins_is_told_as_that() {
    let ollama = Upstream::start(|_| json_answer(200, &completion("hi").to_string())).await;
    let bare = Chat::at("http://127.0.0.1:9", "", "", ollama.url());
    bare.put("ollama_base_url", ollama.url());
    let bind = |origin: &str| {
        let metadata = json!({ "origins": { "ollama_base_url": [origin] } });
        bare.set_metadata(&metadata);
    };
    bind("https://elsewhere.example");
    for asked in [hello("ollama/m"), hello_streamed("ollama/m")] {
        let message = assert_refused(&bare.ask(&asked), 502, "egress_denied");
        for part in [
            "\"ollama_base_url\"",
            "bound to other origins",
            "its vault's metadata",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("elsewhere.example"), "{message}");
    }
    assert!(ollama.seen().is_empty());
    let entries = bare.serving.run(&["audit", "tail", "--json"]).stdout;
    assert!(entries.contains("secret_bound_elsewhere"), "{entries}");
    assert!(!entries.contains("origin_not_granted"), "{entries}");
    bind(ollama.url());
    assert_eq!(bare.ask(&hello("ollama/m")).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_inside_and_a_default_model_out_of_reach_are_told_with_what_to_change() {
    let chat = Chat::at("http://127.0.0.1:9", "", "", "http://127.0.0.1:10");
    chat.put("openai_api_key", CANARY);
    let message = assert_refused(&chat.ask(&hello("gpt-4o")), 502, "egress_denied");
    assert!(
        message.contains("[egress] allow_private_origins"),
        "{message}"
    );
    let body = json!({ "messages": [{ "role": "user", "content": "x" }] });
    let message = assert_refused(&chat.ask(&body), 400, "secret_not_found");
    for part in [
        "\"gemini_api_key\"",
        "default_model \"gemini-2.5-flash\"",
        "(openai)",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

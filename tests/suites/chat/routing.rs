//! Which provider is asked, how, and for which app.

use serde_json::{Value, json};
use tavora_tests::serving::Serving;
use tavora_tests::upstream::{Upstream, json as json_answer};

use super::fixture::{CANARY, Chat, WITH_KEY, completion, hello};

fn text(answer: &Value) -> &Value {
    &answer["choices"][0]["message"]["content"]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_gets_its_own_key_and_the_rest_of_the_request_as_it_is() {
    let chat =
        Chat::without_secrets("", "", |_| json_answer(200, &completion("hi").to_string())).await;
    for (provider, secret) in WITH_KEY {
        chat.put(secret, &format!("key-of-{provider}-0123456789"));
        // Numbers that no float holds, tool calls and images pass to the provider unchanged.
        let body = format!(
            r#"{{"model":"{provider}/some/model-1","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,AA=="}}}}]}}],"tools":[{{"type":"function","function":{{"name":"f"}}}}],"seed":12345678901234567890123}}"#
        );
        let request = chat
            .request("POST", "/v1/chat/completions")
            .header("content-type", "application/json")
            .header("x-custom", "of the client")
            .header("openai-organization", "org")
            .body(body.clone());
        let answer = chat.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), completion("hi"));
        assert_eq!(answer.header("content-type"), Some("application/json"));

        let seen = chat.upstream.seen().pop().expect("it was asked");
        assert_eq!(seen.uri.path(), format!("/{provider}/chat/completions"));
        assert_eq!(seen.uri.query(), None);
        let sent = String::from_utf8(seen.body.to_vec()).expect("UTF-8");
        assert_eq!(
            sent,
            body.replace(&format!("{provider}/some/model-1"), "some/model-1")
        );
        let mut names: Vec<&str> = seen.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "accept-encoding",
                "authorization",
                "content-length",
                "content-type",
                "host",
                "user-agent"
            ],
        );
        assert_eq!(
            seen.headers["authorization"],
            format!("Bearer key-of-{provider}-0123456789")
        );
        assert_eq!(seen.headers["accept-encoding"], "identity");
    }
    let released = chat.audit("secret.released");
    assert_eq!(released.len(), WITH_KEY.len(), "one release for a request");
    assert!(
        released
            .iter()
            .all(|entry| entry["actor_api_key_id"] == chat.app.key_id),
        "{released:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_is_bound_to_its_own_provider() {
    let chat = Chat::start(|_| json_answer(200, "{}")).await;
    let here = Chat::at(
        "http://127.0.0.1:9",
        "[tools.brave-search.config]\nbase_url = \"https://search.example/api\"",
        "",
        "http://127.0.0.1:9",
    );
    let tool = |serving: &Serving, name: &str| {
        let tools = serving.admin("GET", "/api/admin/tools", None).json();
        let tools = tools["tools"].as_array().expect("a list").clone();
        let mut tools = tools.into_iter();
        tools
            .find(|tool| tool["name"] == name)
            .expect("it is there")
    };
    let router = tool(&chat.serving, "llm-router");
    let bound: Vec<_> = WITH_KEY
        .iter()
        .map(|(_, secret)| router["bind"][secret].clone())
        .collect();
    assert_eq!(bound, vec![json!([chat.upstream.url()]); WITH_KEY.len()]);
    // A provider with another address leaves no access to its usual one.
    assert_eq!(router["origins"], json!([chat.upstream.url()]));
    let brave = tool(&here.serving, "brave-search");
    assert_eq!(brave["origins"], json!(["https://search.example"]));
    assert_eq!(
        brave["bind"]["brave_api_key"],
        json!(["https://search.example"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama_is_where_the_secret_says_and_without_a_key() {
    let ollama = Upstream::start(|_| json_answer(200, &completion("hi").to_string())).await;
    let bare = Chat::at("http://127.0.0.1:9", "", "", ollama.url());
    bare.put("ollama_base_url", &format!("{}/behind/", ollama.url()));
    let answer = bare.ask(&hello("ollama/llama3.2:1b"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = ollama.seen().pop().expect("it was asked");
    assert_eq!(seen.uri.path(), "/behind/v1/chat/completions");
    assert!(!seen.headers.contains_key("authorization"));
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(body["model"], "llama3.2:1b");

    // The secret's new address is used and not the earlier one. The agent may not reach it, so the
    // request is denied.
    let moved = Upstream::start(|_| json_answer(200, &completion("moved").to_string())).await;
    bare.put("ollama_base_url", moved.url());
    let message =
        super::fixture::assert_refused(&bare.ask(&hello("ollama/x")), 502, "egress_denied");
    assert!(message.contains("[redacted:ollama_base_url]"), "{message}");
    assert!(moved.seen().is_empty());
    bare.put("ollama_base_url", "no URL");
    let message =
        super::fixture::assert_refused(&bare.ask(&hello("ollama/x")), 400, "unusable_secret");
    assert!(message.contains("\"ollama_base_url\""), "{message}");

    let log = bare.serving.log();
    for place in [ollama.port(), moved.port()] {
        assert!(
            !log.contains(place),
            "the log has the secret's address: {log}"
        );
    }
    let chat = bare.with(ollama);
    let denied = chat.audit("egress.denied");
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(denied[0]["subject_id"], "[redacted:ollama_base_url]");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_default_is_asked_and_a_bare_name_finds_its_provider() {
    let echo = |seen: &tavora_tests::upstream::Seen| {
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        let said = format!("{} {}", seen.uri.path(), body["model"]);
        json_answer(200, &completion(&said).to_string())
    };
    let chat = Chat::without_secrets("", "default_model = \"openrouter/a/b\"", echo).await;
    for (_, secret) in WITH_KEY {
        chat.put(secret, CANARY);
    }
    let asked = |path: &str, body: &Value| {
        let answer = chat.send(&chat.request("POST", path).json(body));
        text(&answer.json())
            .as_str()
            .unwrap_or_else(|| panic!("{}", answer.text()))
            .to_owned()
    };
    let messages = json!([{ "role": "user", "content": "x" }]);
    for path in ["/v1/chat/completions", "/api/sdk/chat/completions"] {
        for (model, said) in [
            (json!(null), "/openrouter/chat/completions \"a/b\""),
            (
                json!("gemini-2.5-flash"),
                "/gemini/chat/completions \"gemini-2.5-flash\"",
            ),
            (json!("gpt-4o"), "/openai/chat/completions \"gpt-4o\""),
            (json!("o1-mini"), "/openai/chat/completions \"o1-mini\""),
            (
                json!("edenai/openai/gpt-4o"),
                "/edenai/chat/completions \"openai/gpt-4o\"",
            ),
        ] {
            assert_eq!(
                asked(path, &json!({ "model": model, "messages": messages })),
                said
            );
        }
    }
    assert_eq!(
        asked("/v1/chat/completions", &json!({ "messages": messages })),
        "/openrouter/chat/completions \"a/b\""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_those_of_providers_with_credentials_and_nothing_is_released_to_tell() {
    let chat = Chat::without_secrets(
        "",
        "gemini_models = \"gemini-2.5-pro, gemini-2.5-flash\"\nopenai_models = \"gpt-4o\"\nollama_models = \"llama3.2\"",
        |_| json_answer(500, "{}"),
    )
    .await;
    let models = || {
        let answer = chat.send(&chat.request("GET", "/v1/models"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list = answer.json();
        assert_eq!(list["object"], "list");
        let models = list["data"].as_array().expect("a list").clone();
        models
            .iter()
            .map(|model| model["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    let unknown = || {
        let answer = chat.ask(&hello("claude-sonnet-4"));
        super::fixture::assert_refused(&answer, 400, "unknown_model")
    };
    assert!(models().is_empty());
    for part in ["gemini (gemini_api_key)", "ollama (ollama_base_url)"] {
        assert!(unknown().contains(part), "{}", unknown());
    }
    chat.put("gemini_api_key", CANARY);
    chat.put("ollama_base_url", "http://127.0.0.1:1");
    chat.put("something_else", "x");
    assert_eq!(
        models(),
        [
            "gemini/gemini-2.5-flash",
            "gemini/gemini-2.5-pro",
            "ollama/llama3.2"
        ]
    );
    assert!(
        unknown().ends_with("the app has credentials for: gemini, ollama"),
        "{}",
        unknown()
    );
    assert!(chat.audit("secret.released").is_empty());
    assert!(chat.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_ask_models_by_ai() {
    let answer = |seen: &tavora_tests::upstream::Seen| {
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        match body["messages"][0]["content"].as_str() {
            Some("leak") => json_answer(200, &completion(CANARY).to_string()),
            Some("limit") => json_answer(
                429,
                r#"{"error":{"message":"Rate limit reached","type":"requests"}}"#,
            ),
            Some("html") => json_answer(200, "<html>"),
            _ => json_answer(200, &completion(&body.to_string()).to_string()),
        }
    };
    let chat = Chat::configured("", "default_model = \"gpt-4o\"", answer).await;
    let run = |code: &str| {
        let request = chat.request("POST", "/api/sdk/sandbox/execute");
        chat.send(&request.json(&json!({ "code": code }))).json()
    };
    let said = run("return JSON.parse(ai('Hello', {temperature: 0}))");
    assert_eq!(
        said["result"],
        json!({ "model": "gpt-4o", "temperature": 0, "messages": [{ "role": "user", "content": "Hello" }] }),
        "{said}"
    );
    assert_eq!(
        run("return ai([{role: 'user', content: 'x'}], {full: true}).usage.total_tokens")["result"],
        12
    );
    assert_eq!(
        run("return ai('leak')")["result"],
        "[redacted:openai_api_key]"
    );
    for (code, error, said) in [
        (
            "ai('limit')",
            "upstream_error",
            "HTTP 429, \"Rate limit reached\"",
        ),
        ("ai('html')", "upstream_error", "no completion"),
        (
            "ai('x', {model: 'llama'})",
            "unknown_model",
            "the app has credentials for: openai",
        ),
        (
            "ai('x', {model: 'gemini-2.5-flash'})",
            "secret_not_found",
            "\"gemini_api_key\"",
        ),
        ("ai([])", "invalid_input", "messages is empty"),
        (
            "ai('x', {stream: true})",
            "invalid_input",
            "leave the field stream out",
        ),
    ] {
        let ended = run(code);
        assert_eq!(ended["error"]["code"], error, "{code}: {ended}");
        let message = ended["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains(said), "{code}: {message}");
    }
}

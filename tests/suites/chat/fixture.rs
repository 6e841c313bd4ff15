//! A host whose providers are on loopback, and an app with their credentials.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};
use tavora_tests::serving::{AppWithKey, Serving};
use tavora_tests::upstream::{Seen, Upstream};
use tavora_tests::wire::{self, Answer, Request};

/// The credential that tests store as OpenAI's and then search for.
pub const CANARY: &str = "sk-canary-7f3d1c9ab2e84655";

/// The providers with a key: their names, and the names of their secrets.
pub const WITH_KEY: [(&str, &str); 4] = [
    ("gemini", "gemini_api_key"),
    ("openai", "openai_api_key"),
    ("openrouter", "openrouter_api_key"),
    ("edenai", "edenai_api_key"),
];

/// A running host with one upstream. The upstream plays every provider, each below a path of its
/// own.
pub struct Chat {
    pub serving: Serving,
    pub app: AppWithKey,
    pub upstream: Upstream,
    vault: String,
}

impl Chat {
    /// Starts with [`CANARY`] as OpenAI's key.
    pub async fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self::configured("", "", answer).await
    }

    /// Starts with more configuration of the host and of the tool.
    pub async fn configured(
        config: &str,
        tool: &str,
        answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let chat = Self::without_secrets(config, tool, answer).await;
        chat.put("openai_api_key", CANARY);
        chat
    }

    /// Starts with an empty designated vault.
    pub async fn without_secrets(
        config: &str,
        tool: &str,
        answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let upstream = Upstream::start(answer).await;
        Self::at(upstream.url(), config, tool, upstream.url()).with(upstream)
    }

    /// A host whose providers are at `url`. `allowed` lists the private origins that it may reach.
    pub fn at(url: &str, config: &str, tool: &str, allowed: &str) -> Bare {
        let base_urls: String = WITH_KEY
            .iter()
            .map(|(provider, _)| format!("{provider}_base_url = \"{url}/{provider}\"\n"))
            .collect();
        let serving = Serving::start(&format!(
            "[egress]\nallow_private_origins = [{allowed:?}]\n{config}\n\
             [tools.llm-router.config]\n{base_urls}{tool}\n"
        ));
        let app = serving.make_app("chat");
        let send = |method: &str, path: &str, body: &Value| {
            let answer = serving.send(&request(&app, method, path).json(body));
            assert!((200..300).contains(&answer.status), "{}", answer.text());
            answer.json()
        };
        let vault = send("POST", "/api/sdk/secret-vaults", &json!({ "name": "main" }));
        let vault = vault["id"].as_str().expect("an id").to_owned();
        send("PUT", "/api/sdk/app/vault", &json!({ "vault_id": vault }));
        Bare {
            serving,
            app,
            vault,
        }
    }

    /// Stores a secret in the app's vault.
    pub fn put(&self, name: &str, value: &str) {
        put(&self.serving, &self.app, &self.vault, name, value);
    }

    /// Asks for a completion with this body.
    pub fn ask(&self, body: &Value) -> Answer {
        self.send(&self.completion(body))
    }

    /// The request for a completion.
    pub fn completion(&self, body: &Value) -> Request {
        request(&self.app, "POST", "/v1/chat/completions").json(body)
    }

    /// A request of the app.
    pub fn request(&self, method: &str, path: &str) -> Request {
        request(&self.app, method, path)
    }

    pub fn send(&self, request: &Request) -> Answer {
        self.serving.send(request)
    }

    /// The audit entries of an action.
    pub fn audit(&self, action: &str) -> Vec<Value> {
        let path = format!("/api/sdk/audit-log?action={action}");
        let page = self.send(&self.request("GET", &path)).json();
        page["entries"].as_array().expect("a list").clone()
    }

    /// Asks for a stream.
    pub fn stream(&self, body: &Value) -> Stream {
        let mut connection = wire::connect(self.serving.address).expect("it listens");
        let request = self.completion(body);
        std::io::Write::write_all(&mut connection, &request.bytes()).expect("it reads");
        Stream {
            head: String::new(),
            reader: BufReader::new(connection),
        }
    }
}

/// A host and an app, without an upstream of their own.
pub struct Bare {
    pub serving: Serving,
    pub app: AppWithKey,
    vault: String,
}

impl Bare {
    pub fn with(self, upstream: Upstream) -> Chat {
        let Self {
            serving,
            app,
            vault,
        } = self;
        Chat {
            serving,
            app,
            upstream,
            vault,
        }
    }

    pub fn put(&self, name: &str, value: &str) {
        put(&self.serving, &self.app, &self.vault, name, value);
    }

    /// Replaces the metadata of the vault.
    pub fn set_metadata(&self, metadata: &Value) {
        let path = format!("/api/sdk/secret-vaults/{}", self.vault);
        let body = json!({ "metadata": metadata });
        let request = request(&self.app, "PATCH", &path).json(&body);
        let answer = self.serving.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub fn ask(&self, body: &Value) -> Answer {
        let request = request(&self.app, "POST", "/v1/chat/completions").json(body);
        self.serving.send(&request)
    }
}

fn put(serving: &Serving, app: &AppWithKey, vault: &str, name: &str, value: &str) {
    let path = format!("/api/sdk/secret-vaults/{vault}/secrets/{name}");
    let answer = serving.send(&request(app, "PUT", &path).json(&json!({ "value": value })));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn request(app: &AppWithKey, method: &str, path: &str) -> Request {
    Request::new(method, path).header("authorization", format!("Bearer {}", app.key))
}

/// An answer that is being streamed over HTTP/1.1.
pub struct Stream {
    head: String,
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// The head of the answer, which comes with the first event.
    pub fn head(&mut self) -> &str {
        while !self.head.ends_with("\r\n\r\n") {
            let read = self.reader.read_line(&mut self.head);
            let read = read.expect("a head comes");
            assert_ne!(read, 0, "only {:?} arrived", self.head);
        }
        &self.head
    }

    /// The next chunk of the body; `None` at its proper end.
    pub fn chunk(&mut self) -> std::io::Result<Option<String>> {
        self.head();
        let mut size = String::new();
        self.reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim_end(), 16)
            .map_err(|_| std::io::Error::other(format!("no chunk: {size:?}")))?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk)?;
        chunk.truncate(size);
        let text = String::from_utf8(chunk).map_err(std::io::Error::other)?;
        Ok((size > 0).then_some(text))
    }

    /// The rest of the body, and whether it ended properly.
    pub fn rest(&mut self) -> (String, bool) {
        let mut rest = String::new();
        loop {
            match self.chunk() {
                Ok(Some(chunk)) => rest.push_str(&chunk),
                Ok(None) => return (rest, true),
                Err(_) => return (rest, false),
            }
        }
    }
}

/// A request with one message.
pub fn hello(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] })
}

/// A request with one message, for a stream.
pub fn hello_streamed(model: &str) -> Value {
    json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": "Hello" }] })
}

/// A completion as OpenAI documents one.
pub fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o-2024-08-06",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 },
    })
}

/// An event of a stream as OpenAI documents one.
pub fn event(text: &str) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o-2024-08-06",
        "choices": [{ "index": 0, "delta": { "content": text }, "logprobs": null, "finish_reason": null }],
    });
    format!("data: {chunk}\n\n")
}

/// The last event of a stream.
pub const DONE: &str = "data: [DONE]\n\n";

/// A streaming answer.
pub fn events(body: Body) -> Response<Body> {
    Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .body(body)
        .expect("the parts are valid")
}

/// Checks for an error in both shapes, with this status and code. Returns its message.
#[track_caller]
pub fn assert_refused(answer: &Answer, status: u16, code: &str) -> String {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    let body = answer.json();
    assert_eq!(body["code"], code, "{text}");
    assert_eq!(body["error"]["code"], code, "{text}");
    assert_eq!(body["error"]["message"], body["message"], "{text}");
    assert!(body["error"]["type"].is_string(), "{text}");
    assert!(!text.contains(CANARY), "{text}");
    body["message"].as_str().expect("a sentence").to_owned()
}

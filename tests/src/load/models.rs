//! Requests of an app to models under load: completions, whole and streamed, and the list of
//! models.

use anyhow::{Result, ensure};
use axum::body::Body;
use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};
use vault_core::audit::action;

use super::connection::Call;
use super::ledger::{list, same};
use super::tenant::{MODEL_SECRET, Questions, Tenant};
use crate::upstream::{Seen, json};

/// The models in the configuration.
pub const MODEL: &str = "openai/gpt-load";

const COMPLETIONS: [&str; 2] = ["/v1/chat/completions", "/api/sdk/chat/completions"];

/// The provider's answer. It repeats the prompt, and records the credential of the request.
pub fn complete(questions: &Questions, request: &Seen) -> Response<Body> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let prompt = asked["messages"][0]["content"].as_str().unwrap_or_default();
    let credential = request.headers.get("authorization");
    let credential = credential.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(credential) = credential {
        questions.saw(prompt.to_owned(), credential.to_owned());
    }
    if asked["stream"] != json!(true) {
        let message = json!({ "role": "assistant", "content": prompt });
        let completion =
            json!({ "object": "chat.completion", "choices": [{ "index": 0, "message": message }] });
        return json(200, &completion.to_string());
    }
    let chunk = json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "content": prompt } }] });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from(format!("data: {chunk}\n\ndata: [DONE]\n\n")))
        .expect("the parts are valid")
}

impl Tenant {
    /// Requests a completion. The designated vault and its secrets determine the expected answer
    /// and credential.
    pub(super) async fn complete_chat(&mut self) -> Result<()> {
        let prompt = self.unique("prompt");
        let is_streamed = self.pick(2) == 0;
        let path = COMPLETIONS[self.pick(COMPLETIONS.len())];
        let message = json!({ "role": "user", "content": prompt });
        let body = json!({ "model": MODEL, "messages": [message], "stream": is_streamed });
        let call = Call::new(Method::POST, path, &[]).json(&body);
        let held = self.ledger.designated_secret(MODEL_SECRET);
        let expected = held.map(|secret| secret.value.clone());
        let status = if expected.is_some() { 200 } else { 400 };
        let answer = self.app_call(status, call).await?;
        self.ledger.acknowledge(action::SECRET_RELEASED);
        let seen = self.surroundings.questions.take(&prompt);
        ensure!(
            seen == expected,
            "the provider saw {seen:?}, stored was {expected:?}"
        );
        if expected.is_none() {
            let code = match self.ledger.designated {
                Some(_) => "secret_not_found",
                None => "no_vault_designated",
            };
            return same("the error", &answer.json()?["code"], &json!(code));
        }
        if is_streamed {
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(
                text.contains(&prompt) && text.ends_with("data: [DONE]\n\n"),
                "it streamed {text}"
            );
            return Ok(());
        }
        let said = &answer.json()?["choices"][0]["message"]["content"];
        same("what the model said", said, &json!(prompt))
    }

    /// Asks for the models. They must be listed, and each must be found, if the provider's
    /// credential is stored.
    pub(super) async fn list_models(&mut self) -> Result<()> {
        let call = Call::new(Method::GET, "/v1/models", &[]);
        let answer = self.app_call(200, call).await?.json()?;
        let ids = list(&answer, "data")?
            .iter()
            .map(|model| model["id"].clone());
        let is_there = self.ledger.designated_secret(MODEL_SECRET).is_some();
        let expected = is_there.then(|| json!(MODEL));
        same(
            "the models",
            &ids.collect(),
            &expected.into_iter().collect(),
        )?;
        let status = if is_there { 200 } else { 404 };
        let call = Call::new(Method::GET, "/v1/models/{id}", &["openai%2Fgpt-load"]);
        self.app_call(status, call).await.map(drop)
    }
}

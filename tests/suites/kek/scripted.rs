//! A server in the place of Transit, whose tokens and refusals a test decides. It wraps nothing:
//! what it calls a ciphertext is the DEK itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};
use tavora_tests::upstream::{Seen, Upstream};
use tempfile::TempDir;
use vault_core::Keyring;

use crate::fixture::{IMPATIENT, keyring};

/// The rules of an AppRole.
#[derive(Default)]
pub struct Rules {
    pub lease_seconds: u64,
    /// The number of logins that a secret id has.
    pub logins: usize,
    pub refuses_to_renew: AtomicBool,
}

#[derive(Default)]
struct State {
    rules: Rules,
    logins: AtomicUsize,
    renewals: AtomicUsize,
    refuses_the_key: AtomicBool,
    /// Tokens that are known.
    live: Mutex<Vec<String>>,
}

pub struct Scripted {
    upstream: Upstream,
    state: Arc<State>,
}

impl Scripted {
    pub async fn start(rules: Rules) -> Self {
        let state = Arc::new(State {
            rules,
            ..State::default()
        });
        let known = Arc::clone(&state);
        let upstream = Upstream::start(move |seen| known.answer(seen)).await;
        Self { upstream, state }
    }

    pub fn url(&self) -> &str {
        self.upstream.url()
    }

    pub fn logins(&self) -> usize {
        self.state.logins.load(Ordering::SeqCst)
    }

    pub fn renewals(&self) -> usize {
        self.state.renewals.load(Ordering::SeqCst)
    }

    /// The headers of all requests.
    pub fn headers(&self) -> Vec<HeaderMap> {
        let seen = self.upstream.seen();
        seen.into_iter().map(|seen| seen.headers).collect()
    }

    pub fn refuse_to_renew(&self) {
        let refuses = &self.state.rules.refuses_to_renew;
        refuses.store(true, Ordering::SeqCst);
    }

    /// From now on, tokens may not use the key.
    pub fn refuse_the_key(&self) {
        self.state.refuses_the_key.store(true, Ordering::SeqCst);
    }

    /// Forgets all tokens.
    pub fn revoke(&self) {
        self.state.live.lock().unwrap().clear();
    }

    /// The `[kek]` of a host that logs in here as an AppRole.
    pub fn config(&self, folder: &TempDir) -> String {
        let path = folder.path().join("secret-id");
        std::fs::write(&path, "the-secret-id").unwrap();
        format!(
            "[kek]\nprovider = \"transit\"\n{IMPATIENT}\n[kek.transit.main]\naddress = {:?}\n\
             key = \"tavora\"\nrole_id = \"role\"\nsecret_id = \"file://{}\"\n",
            self.url(),
            path.display()
        )
    }

    pub fn keyring(&self, folder: &TempDir) -> Keyring {
        keyring(&self.config(folder), &[])
    }
}

impl State {
    fn answer(&self, seen: &Seen) -> Response<Body> {
        let token = seen.headers.get("x-vault-token");
        let token = token.map_or("", |token| token.to_str().unwrap());
        let is_live = self.live.lock().unwrap().iter().any(|live| live == token);
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        match seen.uri.path() {
            "/v1/auth/approle/login" => {
                if self.logins.fetch_add(1, Ordering::SeqCst) >= self.rules.logins {
                    return refused(400, "invalid role or secret ID");
                }
                let token = format!("token-{}", self.logins.load(Ordering::SeqCst));
                self.live.lock().unwrap().push(token.clone());
                self.auth(&token)
            }
            _ if !is_live => refused(403, "permission denied"),
            "/v1/auth/token/renew-self" => {
                if self.rules.refuses_to_renew.load(Ordering::SeqCst) {
                    return refused(403, "permission denied");
                }
                self.renewals.fetch_add(1, Ordering::SeqCst);
                self.auth(token)
            }
            _ if self.refuses_the_key.load(Ordering::SeqCst) => refused(403, "permission denied"),
            "/v1/transit/encrypt/tavora" => {
                let plaintext = body["plaintext"].as_str().unwrap();
                let ciphertext = format!("vault:v1:{plaintext}");
                reply(200, &json!({ "data": { "ciphertext": ciphertext } }))
            }
            "/v1/transit/decrypt/tavora" => {
                let ciphertext = body["ciphertext"].as_str().unwrap();
                let plaintext = ciphertext.strip_prefix("vault:v1:").unwrap();
                reply(200, &json!({ "data": { "plaintext": plaintext } }))
            }
            _ => refused(404, "no handler for route"),
        }
    }

    fn auth(&self, token: &str) -> Response<Body> {
        let auth = json!({
            "client_token": token,
            "lease_duration": self.rules.lease_seconds,
            "renewable": true,
        });
        reply(200, &json!({ "auth": auth }))
    }
}

fn refused(status: u16, error: &str) -> Response<Body> {
    reply(status, &json!({ "errors": [error] }))
}

fn reply(status: u16, body: &Value) -> Response<Body> {
    tavora_tests::upstream::json(status, &body.to_string())
}

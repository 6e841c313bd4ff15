//! An OpenBao server with the Transit engine, in memory, as `bao server -dev` starts it.

use std::process::Command;

use serde_json::{Value, json};
use tavora_tests::eventually::{eventually, wait_until};
use tavora_tests::requirement;
use tavora_tests::wire::{Answer, Request};

use crate::server::{Server, python_program};

/// The token that may do everything.
pub const ROOT_TOKEN: &str = "root-of-the-tests";

/// A server with the keys `tavora`, which has two versions, and `other`.
pub struct OpenBao {
    pub server: Server,
}

impl OpenBao {
    /// Starts the server; `None` where tests may skip.
    pub fn start() -> Option<Self> {
        let bao = python_program("openbao", "bao");
        if !requirement::are_there(&[("OpenBao", bao.exists())]) {
            return None;
        }
        let server = Server::start(
            |address| {
                let mut command = Command::new(bao);
                command
                    .args(["server", "-dev", "-dev-no-store-token"])
                    .arg(format!("-dev-root-token-id={ROOT_TOKEN}"))
                    .arg(format!("-dev-listen-address={address}"));
                command
            },
            "/v1/sys/health",
        );
        let bao = Self { server };
        bao.done("/v1/sys/mounts/transit", &json!({ "type": "transit" }));
        bao.done("/v1/transit/keys/tavora", &json!({}));
        bao.done("/v1/transit/keys/tavora/rotate", &json!({}));
        bao.done("/v1/transit/keys/other", &json!({}));
        Some(bao)
    }

    /// Posts as root.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let request = Request::new("POST", path).header("x-vault-token", ROOT_TOKEN);
        self.server.send(&request.json(body))
    }

    /// Posts as root, which must succeed.
    #[track_caller]
    pub fn done(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert!(answer.status < 300, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// A token with the policy of docs/keys.md, changed by `rules`.
    pub fn token(&self, name: &str, rules: &str) -> String {
        self.done(
            &format!("/v1/sys/policies/acl/{name}"),
            &json!({ "policy": rules }),
        );
        let made = self.done("/v1/auth/token/create", &json!({ "policies": [name] }));
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// Seals the server, as an operator does in an emergency.
    pub fn seal(&self) {
        self.done("/v1/sys/seal", &json!({}));
    }

    pub fn unseal(&self) {
        // The server answers before it has printed the key.
        let key = eventually("prints its key", || {
            let log = self.server.log();
            let mut lines = log.split_inclusive('\n');
            let key = lines.find_map(|line| line.strip_prefix("Unseal Key: ")?.strip_suffix('\n'));
            key.map(str::to_owned)
        });
        self.done("/v1/sys/unseal", &json!({ "key": key }));
        // The engines take a moment to answer again.
        wait_until("answers again", || {
            let config = "/v1/transit/keys/tavora/config";
            self.post(config, &json!({})).status < 300
        });
    }
}

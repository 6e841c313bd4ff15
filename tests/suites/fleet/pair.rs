//! Two hosts on one database with the same KEK: `a`, which the operator uses, and `b`, which may
//! reach the database through a relay. It asserts little itself.

use serde_json::{Value, json};
use tavora_tests::fixture::SEARCH_SECRET;
use tavora_tests::postgres::{Database, PASSWORD};
use tavora_tests::relay::Relay;
use tavora_tests::serving::{AppWithKey, Serving};
use tavora_tests::wire::{Answer, Request};

pub struct Pair {
    pub a: Serving,
    pub b: Serving,
    pub app: AppWithKey,
}

impl Pair {
    /// Starts both hosts, with an app. `upstream` is the address of their search tools.
    pub fn start(database: &Database, relay: Option<&Relay>, upstream: &str) -> Self {
        let a = host("a", &database.url(), upstream, None);
        let b = match relay {
            Some(relay) => database.url_at(relay.address),
            None => database.url(),
        };
        let b = host("b", &b, upstream, Some(&a));
        let app = a.make_app("Shop");
        Self { a, b, app }
    }

    /// Sends the app's request to `a`, which must succeed.
    #[track_caller]
    pub fn at_a(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::new(method, path).header("x-api-key", key);
        let answer = self.a.send(&match &body {
            Some(body) => request.json(body),
            None => request,
        });
        let what = format!("{method} {path}: {}", answer.text());
        assert!((200..300).contains(&answer.status), "{what}");
        answer
    }

    /// Makes a vault and returns its id.
    #[track_caller]
    pub fn make_vault(&self, key: &str, name: &str) -> String {
        let body = json!({ "name": name });
        let made = self.at_a(key, "POST", "/api/sdk/secret-vaults", Some(body));
        made.json()["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn designate(&self, key: &str, vault: Option<&str>) {
        let body = json!({ "vault_id": vault });
        self.at_a(key, "PUT", "/api/sdk/app/vault", Some(body));
    }

    #[track_caller]
    pub fn put(&self, key: &str, vault: &str, value: &str) {
        let body = json!({ "value": value });
        self.at_a(key, "PUT", &secret(vault), Some(body));
    }
}

/// The path of the search tool's secret in a vault.
pub fn secret(vault: &str) -> String {
    format!("/api/sdk/secret-vaults/{vault}/secrets/{SEARCH_SECRET}")
}

fn host(name: &str, url: &str, upstream: &str, with_kek_of: Option<&Serving>) -> Serving {
    // All wrong keys of the tests come from one address.
    let config = format!(
        "[storage]\nurl = {:?}\n[storage.postgres]\nhost_name = {name:?}\n\
         [egress]\nallow_private_origins = [{upstream:?}]\n\
         [tools.brave-search.config]\nbase_url = {upstream:?}\n\
         [server.auth_failures]\nburst = 1_000_000\n",
        url_without_password(url)
    );
    Serving::start_with(&config, |command| {
        command
            .env("TAVORA_STORAGE_PASSWORD", PASSWORD)
            .env("RUST_LOG", "warn,tavora_host::server=info");
        if let Some(other) = with_kek_of {
            let kek = other.folder.path().join("kek");
            command.env("TAVORA_SECRET_KEK", format!("file://{}", kek.display()));
        }
    })
}

fn url_without_password(url: &str) -> String {
    let (before, after) = url.rsplit_once('@').unwrap();
    let (before, _) = before.rsplit_once(':').unwrap();
    format!("{before}@{after}")
}

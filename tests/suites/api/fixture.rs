//! A host with two apps, each with a vault and a secret, and a check that a request changed
//! nothing.

use serde_json::{Value, json};
use tavora_tests::serving::{AppWithKey, Serving};
use tavora_tests::wire::{Answer, Request};

/// The configuration of these suites, which fail to authenticate more often than strangers may.
pub const CONFIG: &str = "[server.auth_failures]\nburst = 1000\n";

/// A value that no answer and no line of the log may contain.
pub const VALUE: &str = "canary-b7a91f3e05d24c68";

pub struct Platform {
    pub serving: Serving,
    pub app: AppWithKey,
    pub other: AppWithKey,
    /// The app's designated vault, with the secret `first`.
    pub vault: String,
    /// The designated vault of the other app, with the secret `first`.
    pub other_vault: String,
}

impl Platform {
    pub fn start() -> Self {
        let serving = Serving::start(CONFIG);
        let app = serving.make_app("app");
        let other = serving.make_app("other");
        let mut platform = Self {
            serving,
            app,
            other,
            vault: String::new(),
            other_vault: String::new(),
        };
        platform.vault = platform.make_vault(&platform.app);
        platform.other_vault = platform.make_vault(&platform.other);
        platform
    }

    fn make_vault(&self, app: &AppWithKey) -> String {
        let body = json!({ "name": "main", "metadata": { "of": "the tests" } });
        let made = self.send(&as_app(app, "POST", "/api/sdk/secret-vaults").json(&body));
        assert_eq!(made.status, 201, "{}", made.text());
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        let secret = format!("/api/sdk/secret-vaults/{id}/secrets/first");
        let put = as_app(app, "PUT", &secret).json(&json!({ "value": VALUE }));
        assert_eq!(self.send(&put).status, 200);
        let designate = as_app(app, "PUT", "/api/sdk/app/vault").json(&json!({ "vault_id": id }));
        assert_eq!(self.send(&designate).status, 200);
        id
    }

    /// A request of the app.
    pub fn request(&self, method: &str, path: &str) -> Request {
        as_app(&self.app, method, path)
    }

    /// A path in the app's vault.
    pub fn in_vault(&self, rest: &str) -> String {
        format!("/api/sdk/secret-vaults/{}{rest}", self.vault)
    }

    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.serving.send(request)
    }

    /// The JSON at a path, as the app sees it.
    #[track_caller]
    pub fn seen(&self, app: &AppWithKey, path: &str) -> Value {
        let answer = self.send(&as_app(app, "GET", path));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Everything that a request could have changed: apps, their keys, vaults, secrets, and the
    /// audit of them.
    #[track_caller]
    pub fn state(&self) -> Value {
        let apps = self.serving.admin("GET", "/api/admin/apps", None).json();
        let of = |app: &AppWithKey, vault: &str| {
            let keys = format!("/api/admin/apps/{}/api-keys", app.id);
            json!([
                self.serving.admin("GET", &keys, None).json(),
                self.seen(app, "/api/sdk/secret-vaults"),
                self.seen(app, &format!("/api/sdk/secret-vaults/{vault}/secrets")),
                self.seen(app, "/api/sdk/audit-log?limit=1")["total"],
            ])
        };
        json!([
            apps,
            of(&self.app, &self.vault),
            of(&self.other, &self.other_vault)
        ])
    }

    /// Sends a request that must be refused in this way and change nothing.
    #[track_caller]
    pub fn refused(&self, what: &str, request: &Request, status: u16, code: &str) {
        let before = self.state();
        let answer = request
            .send(self.serving.address)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        is_refusal(what, &answer, status, code);
        assert_eq!(self.state(), before, "{what}: something changed");
    }
}

/// A request of an app.
pub fn as_app(app: &AppWithKey, method: &str, path: &str) -> Request {
    Request::new(method, path).header("x-api-key", &app.key)
}

/// Checks that the answer is a refusal in the common form.
#[track_caller]
pub fn is_refusal(what: &str, answer: &Answer, status: u16, code: &str) {
    let shown = format!(
        "{what}: {} {:?} {}",
        answer.status,
        answer.headers,
        answer.text()
    );
    assert_eq!(answer.status, status, "{shown}");
    let body = answer.json();
    assert_eq!(body["code"], code, "{shown}");
    let message = body["message"].as_str().unwrap_or_default();
    assert!(
        message.len() > 10 && !message.contains('\n'),
        "the refusal has no sentence: {shown}"
    );
    assert!(
        !answer.text().contains(VALUE),
        "the refusal has the value: {shown}"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{shown}"
    );
    assert!(answer.header("x-request-id").is_some(), "{shown}");
}

/// A name, a body as text, and the code of its refusal.
pub type Case = (&'static str, String, &'static str);

/// Makes a case.
pub fn case(what: &'static str, body: impl Into<String>, code: &'static str) -> Case {
    (what, body.into(), code)
}

/// Adds a body and declares it as JSON.
pub fn typed(request: Request, body: impl Into<Vec<u8>>) -> Request {
    request
        .header("content-type", "application/json")
        .body(body)
}

/// Checks that each body is refused with 400 and changes nothing.
#[track_caller]
pub fn all_refused(platform: &Platform, method: &str, path: &str, cases: &[Case]) {
    for (what, body, code) in cases {
        let request = typed(platform.request(method, path), body.as_bytes());
        platform.refused(&format!("{method} {path}, {what}"), &request, 400, code);
    }
}

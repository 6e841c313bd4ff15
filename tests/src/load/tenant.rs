//! One app under load: a connection of its own, and one request after the other. Each answer is
//! compared with its ledger.
//!
//! `mix` says which steps are made and how often. The app's requests are in `steps` and `models`,
//! the others in `operator` and `page`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use axum::http::Method;
use serde_json::{Value, json};
use vault_core::audit::action;

use super::connection::{Answer, Call, Connection, Laps};
use super::ledger::{ApiKey, Ledger, Vault};
use super::mix;
use crate::fixture::SEARCH_SECRET;
use crate::serving::Serving;
use crate::wire::Request;

/// The secret that a completion resolves.
pub const MODEL_SECRET: &str = "openai_api_key";

/// The surroundings that all apps of a run share.
pub struct Surroundings {
    /// The address of the host.
    address: SocketAddr,
    /// The operator's token.
    pub(super) admin_token: String,
    /// The questions that the upstream saw.
    pub(super) questions: Questions,
}

/// Queries and prompts, each with the credential that it came with.
#[derive(Clone, Default)]
pub struct Questions(Arc<Mutex<HashMap<String, String>>>);

impl Questions {
    /// Notes that the upstream saw this question with this credential.
    pub fn saw(&self, question: String, credential: String) {
        self.all().insert(question, credential);
    }

    /// Takes out the credential that a question came with.
    pub fn take(&self, question: &str) -> Option<String> {
        self.all().remove(question)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Surroundings {
    /// The surroundings of a run with this host.
    pub fn of(serving: &Serving, questions: Questions) -> Arc<Self> {
        Arc::new(Self {
            address: serving.address,
            admin_token: serving.admin_token.clone(),
            questions,
        })
    }
}

/// The common secrets that every app writes at once, in an app of their own.
pub struct Commons {
    /// The API key of their app.
    pub key: String,
    /// The vault with the secrets.
    pub vault_id: String,
}

impl Commons {
    /// The number of audit entries from making them: an app, its API key and a vault.
    pub const ENTRIES: u64 = 3;

    /// Makes the app and its vault.
    pub fn make(serving: &Serving) -> Arc<Self> {
        let app = serving.make_app("commons");
        let vault = Request::new("POST", "/api/sdk/secret-vaults")
            .header("x-api-key", &app.key)
            .json(&json!({ "name": "commons" }));
        let vault = serving.send(&vault);
        assert_eq!(vault.status, 201, "{}", vault.text());
        Arc::new(Self {
            key: app.key,
            vault_id: text(&vault.json()["id"]).expect("an id is text"),
        })
    }
}

/// An app and its user.
pub struct Tenant {
    /// The app's acknowledged state.
    pub ledger: Ledger,
    /// The apps that the tenant made besides its own.
    pub made_apps: Vec<String>,
    /// The versions of common secrets that were acknowledged to this tenant, by name.
    pub common_versions: Vec<(&'static str, u64)>,
    /// The number of audit entries that the tenant caused and that belong to no app.
    pub platform_entries: u64,
    pub(super) number: usize,
    pub(super) connection: Connection,
    pub(super) surroundings: Arc<Surroundings>,
    turn: u64,
}

impl Tenant {
    /// Makes an app with an API key and a designated vault that holds the tools' secrets.
    pub async fn make(number: usize, surroundings: Arc<Surroundings>) -> Result<Self> {
        let mut connection = Connection::open(surroundings.address).await?;
        let call = Call::new(Method::POST, "/api/admin/apps", &[])
            .admin(&surroundings.admin_token)
            .json(&json!({ "name": format!("tenant {number}") }));
        let app = connection.expect(201, call).await?.json()?;
        let mut tenant = Self {
            ledger: Ledger::new(text(&app["id"])?),
            made_apps: Vec::new(),
            common_versions: Vec::new(),
            platform_entries: 0,
            number,
            connection,
            surroundings,
            turn: 0,
        };
        tenant.create_api_key().await?;
        tenant.create_vault().await?;
        tenant.put(0, SEARCH_SECRET).await?;
        tenant.put(0, MODEL_SECRET).await?;
        let home = tenant.ledger.vaults[0].id.clone();
        tenant.designate(Some(home)).await?;
        Ok(tenant)
    }

    /// Makes every step once, and then the steps of the mix until the given time.
    pub async fn run(&mut self, until: Instant, commons: &Commons) -> Result<()> {
        let mut each = mix::each(self.number);
        while let Some(step) = each
            .next()
            .or_else(|| (Instant::now() < until).then(|| mix::step(self.pick(mix::total()))))
        {
            self.take(step, commons)
                .await
                .with_context(|| format!("tenant {} at {step:?}", self.number))?;
        }
        Ok(())
    }

    /// The times of the tenant's requests since the last call of this function.
    pub fn take_laps(&mut self) -> Laps {
        self.connection.take_laps()
    }

    /// Connects to the host again after a restart.
    pub async fn reconnect(&mut self, address: SocketAddr) -> Result<()> {
        self.connection = Connection::open(address).await?;
        Ok(())
    }

    /// A pseudo-random number below `bound`, the same in each run.
    pub(super) fn pick(&mut self, bound: usize) -> usize {
        self.turn += 1;
        let mut hasher = DefaultHasher::new();
        (self.number, self.turn).hash(&mut hasher);
        let bound = u64::try_from(bound).expect("a bound is small");
        usize::try_from(hasher.finish() % bound).expect("it is below the bound")
    }

    /// A text that this app uses only once.
    pub(super) fn unique(&mut self, what: &str) -> String {
        self.turn += 1;
        format!("{what}-{}-{}", self.number, self.turn)
    }

    pub(super) async fn app_call(&mut self, status: u16, call: Call) -> Result<Answer> {
        let call = call.api_key(self.ledger.key());
        self.connection.expect(status, call).await
    }

    pub(super) async fn admin_call(&mut self, status: u16, call: Call) -> Result<Answer> {
        let call = call.admin(&self.surroundings.admin_token);
        self.connection.expect(status, call).await
    }

    pub(super) async fn create_api_key(&mut self) -> Result<()> {
        let name = self.unique("key");
        let app_id = self.ledger.app_id.clone();
        let call = Call::new(Method::POST, "/api/admin/apps/{id}/api-keys", &[&app_id])
            .json(&json!({ "name": name }));
        let made = self.admin_call(201, call).await?.json()?;
        self.ledger.acknowledge(action::API_KEY_CREATED);
        self.ledger.api_keys.push(ApiKey {
            id: text(&made["id"])?,
            key: text(&made["key"])?,
            is_revoked: false,
        });
        Ok(())
    }

    pub(super) async fn create_vault(&mut self) -> Result<()> {
        let name = self.unique("vault");
        let metadata = json!({ "made_for": name });
        let call = Call::new(Method::POST, "/api/sdk/secret-vaults", &[])
            .json(&json!({ "name": name, "metadata": metadata }));
        let made = self.app_call(201, call).await?.json()?;
        self.ledger.acknowledge(action::VAULT_CREATED);
        let vault = Vault {
            id: text(&made["id"])?,
            name,
            metadata,
            secrets: Default::default(),
        };
        vault.check(&made)?;
        self.ledger.vaults.push(vault);
        Ok(())
    }
}

/// The text in a field of an answer.
pub(super) fn text(value: &Value) -> Result<String> {
    let text = value.as_str().context("there is no text in the answer")?;
    Ok(text.to_owned())
}

//! Requests of the operator and of a cluster's probes under load.

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use serde_json::json;
use vault_core::audit::action;

use super::connection::Call;
use super::ledger::{list, same};
use super::tenant::{Tenant, text};

const APP: &str = "/api/admin/apps/{id}";
const APPS: &str = "/api/admin/apps";
const API_KEY: &str = "/api/admin/apps/{id}/api-keys/{key_id}";
const API_KEYS: &str = "/api/admin/apps/{id}/api-keys";

impl Tenant {
    pub(super) async fn operate(&mut self) -> Result<()> {
        let app_id = self.ledger.app_id.clone();
        match self.pick(3) {
            0 => self.list_apps().await,
            1 => {
                let call = Call::new(Method::GET, APP, &[&app_id]);
                let answer = self.admin_call(200, call).await?;
                self.ledger.check_app(&answer.json()?)
            }
            _ => self.list_api_keys().await,
        }
    }

    /// Lists all apps. The tenant's own app and those that it made must be among them.
    pub(super) async fn list_apps(&mut self) -> Result<()> {
        let call = Call::new(Method::GET, APPS, &[]);
        let answer = self.admin_call(200, call).await?.json()?;
        let apps = list(&answer, "apps")?;
        let own = std::iter::once(&self.ledger.app_id);
        for id in own.chain(&self.made_apps) {
            let is_there = apps.iter().any(|app| app["id"] == id.as_str());
            ensure!(is_there, "the app {id} was acknowledged and is not there");
        }
        Ok(())
    }

    pub(super) async fn list_api_keys(&mut self) -> Result<()> {
        let call = Call::new(Method::GET, API_KEYS, &[&self.ledger.app_id]);
        let answer = self.admin_call(200, call).await?;
        self.ledger.check_api_keys(&answer.json()?)
    }

    /// Makes a new API key and uses it from then on. The one before it is revoked and must be
    /// refused.
    pub(super) async fn create_or_revoke_api_key(&mut self) -> Result<()> {
        let keys = &self.ledger.api_keys;
        let older = keys
            .len()
            .checked_sub(2)
            .filter(|old| !keys[*old].is_revoked);
        let Some(old) = older else {
            return self.create_api_key().await;
        };
        let key_id = self.ledger.api_keys[old].id.clone();
        let call = Call::new(Method::DELETE, API_KEY, &[&self.ledger.app_id, &key_id]);
        let answer = self.admin_call(200, call).await?.json()?;
        self.ledger.acknowledge(action::API_KEY_REVOKED);
        let key = &mut self.ledger.api_keys[old];
        key.is_revoked = true;
        same("the revoked key", &answer["id"], &json!(key_id))?;
        let refused = Call::new(Method::GET, "/api/sdk/app", &[]).api_key(&key.key);
        self.connection.expect(401, refused).await.map(drop)
    }

    pub(super) async fn create_app(&mut self) -> Result<()> {
        let name = self.unique("app");
        let call = Call::new(Method::POST, APPS, &[]).json(&json!({ "name": name }));
        let made = self.admin_call(201, call).await?.json()?;
        self.made_apps.push(text(&made["id"])?);
        Ok(())
    }

    /// Walks over all secrets. No secret is wrapped with another KEK, so walks record nothing. A
    /// walk of another tenant may still be running.
    pub(super) async fn walk_secrets(&mut self) -> Result<()> {
        let unknown = "0".repeat(32);
        let call = Call::new(Method::DELETE, "/api/admin/keks/{kek_id}", &[&unknown]);
        self.admin_call(404, call).await?;
        let rewrap = Call::new(Method::POST, "/api/admin/kek/rewrap", &[]).json(&json!({}));
        let verify = Call::new(Method::POST, "/api/admin/kek/verify", &[]);
        for call in [rewrap, verify] {
            let call = call.admin(&self.surroundings.admin_token);
            self.connection.expect_any(&[202, 409], call).await?;
        }
        let call = Call::new(Method::GET, "/api/admin/kek/walk", &[]);
        let walk = self.admin_call(200, call).await?.json()?;
        same("why it failed", &walk["error"], &json!(null))?;
        same("what does not open", &walk["unreadable"], &json!(0))
    }

    pub(super) async fn inspect(&mut self) -> Result<()> {
        if self.pick(2) == 0 {
            let call = Call::new(Method::GET, "/api/admin/kek", &[]);
            let kek = self.admin_call(200, call).await?.json()?;
            return same("the keyring", &kek["state"], &json!("ready"));
        }
        let call = Call::new(Method::GET, "/api/admin/tools", &[]);
        let answer = self.admin_call(200, call).await?.json()?;
        let tools = list(&answer, "tools")?;
        same("the tool", &tools[0]["name"], &json!("brave-search"))
    }

    pub(super) async fn probe(&mut self) -> Result<()> {
        let path = ["/healthz", "/readyz", "/metrics", "/openapi.json"][self.pick(4)];
        let call = Call::new(Method::GET, path, &[]);
        let answer = self.connection.expect(200, call).await?;
        match path {
            "/metrics" => {
                let text = String::from_utf8_lossy(&answer.body);
                ensure!(text.ends_with("# EOF\n"), "the metrics break off: {text}");
                Ok(())
            }
            "/openapi.json" => {
                let document = answer.json()?;
                let paths = document["paths"].as_object();
                paths.context("the document has no paths").map(drop)
            }
            _ => answer.json().map(drop),
        }
    }
}

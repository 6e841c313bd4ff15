//! The expected state of one app: everything that the host acknowledged, kept outside the host.
//!
//! The ledger sends nothing. Each answer about the app is compared with it, during the load and
//! again at the end.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vault_core::audit::action;

/// An app in its acknowledged state.
pub struct Ledger {
    /// The app's id.
    pub app_id: String,
    /// The API keys, oldest first. The last one is in use.
    pub api_keys: Vec<ApiKey>,
    /// The vaults, oldest first.
    pub vaults: Vec<Vault>,
    /// The id of the designated vault.
    pub designated: Option<String>,
    entries: BTreeMap<&'static str, u64>,
}

/// An API key.
pub struct ApiKey {
    /// The key's id.
    pub id: String,
    /// The key itself.
    pub key: String,
    /// Whether the key was revoked.
    pub is_revoked: bool,
}

/// A vault.
pub struct Vault {
    /// The vault's id.
    pub id: String,
    /// The vault's name.
    pub name: String,
    /// The vault's metadata.
    pub metadata: Value,
    /// The vault's secrets by name.
    pub secrets: BTreeMap<String, Secret>,
}

/// A secret.
#[derive(Clone)]
pub struct Secret {
    /// The last stored value.
    pub value: String,
    /// The number of times that the secret was stored.
    pub version: u64,
    /// The tag of the last version.
    pub etag: String,
}

impl Ledger {
    /// The ledger of a new app.
    pub fn new(app_id: String) -> Self {
        let mut ledger = Self {
            app_id,
            api_keys: Vec::new(),
            vaults: Vec::new(),
            designated: None,
            entries: BTreeMap::new(),
        };
        ledger.acknowledge(action::APP_CREATED);
        ledger
    }

    /// Notes an acknowledged change or release, which makes one entry in the audit.
    pub fn acknowledge(&mut self, action: &'static str) {
        *self.entries.entry(action).or_default() += 1;
    }

    /// The number of entries that the audit must have for each action.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        action::ALL.iter().map(|action| {
            let entries = self.entries.get(action).copied();
            (*action, entries.unwrap_or_default())
        })
    }

    /// The number of entries that the audit must have.
    pub fn entries_total(&self) -> u64 {
        self.entries.values().sum()
    }

    /// The API key in use.
    pub fn key(&self) -> &str {
        &self.api_keys.last().expect("it was made with one").key
    }

    /// The secret of that name in the designated vault.
    pub fn designated_secret(&self, name: &str) -> Option<&Secret> {
        let designated = self.designated.as_ref()?;
        let vault = self.vaults.iter().find(|vault| vault.id == *designated)?;
        vault.secrets.get(name)
    }

    /// Checks the answer to a request for the app.
    pub fn check_app(&self, app: &Value) -> Result<()> {
        same("the app's id", &app["id"], &json!(self.app_id))?;
        same("the app's vault", &app["vault_id"], &json!(self.designated))
    }

    /// Checks the answer to a request for its vaults.
    pub fn check_vaults(&self, answer: &Value) -> Result<()> {
        let shown = list(answer, "secret_vaults")?;
        let ids = shown.iter().map(|vault| vault["id"].clone());
        let expected = self.vaults.iter().map(|vault| vault.id.clone());
        same("the app's vaults", &ids.collect(), &expected.collect())?;
        let mut both = shown.iter().zip(&self.vaults);
        both.try_for_each(|(shown, vault)| vault.check(shown))
    }

    /// Checks the answer to a request for its API keys.
    pub fn check_api_keys(&self, answer: &Value) -> Result<()> {
        let shown = list(answer, "api_keys")?.iter();
        let shown = shown.map(|key| json!([key["id"], key["revoked_at"].is_string()]));
        let expected = self.api_keys.iter();
        let expected = expected.map(|key| json!([key.id, key.is_revoked]));
        same("the app's API keys", &shown.collect(), &expected.collect())
    }
}

impl Vault {
    /// Checks the answer to a request for this vault.
    pub fn check(&self, shown: &Value) -> Result<()> {
        let of = |field: &str| format!("{field} of the vault {}", self.id);
        same(&of("id"), &shown["id"], &json!(self.id))?;
        same(&of("name"), &shown["name"], &json!(self.name))?;
        same(&of("metadata"), &shown["metadata"], &self.metadata)
    }

    /// Checks the answer to a request for its secrets.
    pub fn check_secrets(&self, answer: &Value) -> Result<()> {
        let shown = list(answer, "secrets")?.iter();
        let shown = shown.map(|secret| json!([secret["name"], secret["version"]]));
        let expected = self.secrets.iter();
        let expected = expected.map(|(name, secret)| json!([name, secret.version]));
        same(
            &format!("the secrets of the vault {}", self.id),
            &shown.collect(),
            &expected.collect(),
        )
    }
}

/// Checks that the host shows what was acknowledged.
pub fn same(what: &str, shown: &Value, acknowledged: &Value) -> Result<()> {
    ensure!(
        shown == acknowledged,
        "{what}: the host says {shown}, acknowledged was {acknowledged}"
    );
    Ok(())
}

/// The list under `key` of an answer.
pub fn list<'a>(answer: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    answer[key]
        .as_array()
        .with_context(|| format!("{key} is no list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new("app".to_owned());
        let secret = Secret {
            value: "value".to_owned(),
            version: 2,
            etag: "\"tag\"".to_owned(),
        };
        ledger.vaults.push(Vault {
            id: "vault".to_owned(),
            name: "main".to_owned(),
            metadata: json!({}),
            secrets: [("a".to_owned(), secret)].into(),
        });
        ledger
    }

    #[test]
    fn a_lost_a_kept_and_an_older_secret_are_found() {
        let ledger = ledger();
        let check = |secrets: Value| ledger.vaults[0].check_secrets(&json!({ "secrets": secrets }));
        let of = |name: &str, version: u64| json!({ "name": name, "version": version });
        assert!(check(json!([of("a", 2)])).is_ok());
        assert!(check(json!([])).is_err(), "lost");
        assert!(check(json!([of("a", 1)])).is_err(), "older");
        assert!(check(json!([of("a", 3)])).is_err(), "never acknowledged");
        assert!(check(json!([of("a", 2), of("b", 1)])).is_err(), "kept");
        assert!(check(json!(null)).is_err());
    }

    #[test]
    fn a_lost_vault_and_a_lost_designation_are_found() {
        let mut ledger = ledger();
        let vault = json!({ "id": "vault", "name": "main", "metadata": {} });
        let vaults = |vaults: &[&Value]| json!({ "secret_vaults": vaults });
        assert!(ledger.check_vaults(&vaults(&[&vault])).is_ok());
        assert!(ledger.check_vaults(&vaults(&[])).is_err());
        assert!(ledger.check_vaults(&vaults(&[&vault, &vault])).is_err());
        let renamed = json!({ "id": "vault", "name": "other", "metadata": {} });
        assert!(ledger.check_vaults(&vaults(&[&renamed])).is_err());

        let app = json!({ "id": "app", "vault_id": null });
        assert!(ledger.check_app(&app).is_ok());
        ledger.designated = Some("vault".to_owned());
        assert!(ledger.check_app(&app).is_err());
    }
}

//! A database whose secrets are wrapped with one key, and a host that has a newer one. It asserts
//! little itself.

use std::{collections::HashMap, ops::ControlFlow};

use rusqlite::types::Value;
use vault_core::{
    AuditQuery, KekId, Keyring, LocalKek, RewrapOptions, RewrapProgress, RewrapReport, SecretName,
    SecretVaults, VaultError,
};

use crate::fixture::{Kind, Platform, keyring, operator, release};

pub struct Rotation {
    /// The host with only the old key.
    pub platform: Platform,
    /// The host with the new key first and the old one after it.
    pub vaults: SecretVaults,
    pub new: String,
    pub old_id: KekId,
    pub new_id: KekId,
    pub values: HashMap<SecretName, String>,
}

impl Rotation {
    /// A rotation with secrets from `S0` on.
    pub async fn new(secrets: usize) -> Self {
        Self::on(Kind::Sqlite, secrets).await
    }

    pub async fn on(kind: Kind, secrets: usize) -> Self {
        let platform = Platform::on(kind).await;
        let mut values = HashMap::new();
        for number in 0..secrets {
            let (name, text) = (Self::name(number), format!("value {number}"));
            platform.put(name.as_str(), &text).await;
            values.insert(name, text);
        }
        let new = Self::kek();
        let both = Keyring::local(&new, Some(&platform.kek)).unwrap();
        Self {
            vaults: platform.beside(both).await,
            old_id: kek_id(&platform.kek),
            new_id: kek_id(&new),
            new,
            platform,
            values,
        }
    }

    pub fn name(number: usize) -> SecretName {
        format!("S{number}").parse().unwrap()
    }

    pub fn kek() -> String {
        LocalKek::make_text().to_string()
    }

    pub async fn another_process(&self) -> SecretVaults {
        let both = Keyring::local(&self.new, Some(&self.platform.kek)).unwrap();
        self.platform.beside(both).await
    }

    /// A host that can read the new key and still writes with the old one.
    pub async fn laggard(&self) -> SecretVaults {
        let both = Keyring::local(&self.platform.kek, Some(&self.new)).unwrap();
        self.platform.beside(both).await
    }

    pub async fn rewrap(&self, options: RewrapOptions) -> Result<RewrapReport, VaultError> {
        self.vaults.rewrap(&operator(), options, go_on).await
    }

    /// The number of rows that each KEK wraps.
    pub async fn rows(&self) -> HashMap<KekId, u64> {
        let keks = self.vaults.kek_status().await.unwrap().keks.into_iter();
        keks.filter(|kek| kek.rows > 0)
            .map(|kek| (kek.kek_id, kek.rows))
            .collect()
    }

    /// All rows of all tables.
    pub fn everything(&self) -> Vec<Vec<Value>> {
        let raw = self.platform.raw();
        let mut all = Vec::new();
        for table in ["secrets", "keks", "audit", "vaults", "apps"] {
            let sql = format!("SELECT * FROM {table} ORDER BY rowid");
            let mut statement = raw.prepare(&sql).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
            all.extend(rows.unwrap().map(Result::unwrap));
        }
        all
    }

    /// Checks that every secret opens to its value.
    pub async fn all_open(&self) {
        for (name, text) in &self.values {
            let opened = release(&self.vaults, &self.platform.app, name.as_str()).await;
            assert_eq!(&opened.unwrap(), text, "{name}");
        }
    }

    /// The actions that begin with `start`, with their outcomes, oldest first.
    pub async fn audited(&self, start: &str) -> Vec<String> {
        let query = AuditQuery {
            limit: Some(1000),
            ..AuditQuery::default()
        };
        let mut entries = self.vaults.audit_entries(query).await.unwrap().entries;
        entries.reverse();
        let fitting = entries.iter().filter(|it| it.action.starts_with(start));
        fitting
            .map(|it| format!("{} {}", it.action, it.outcome))
            .collect()
    }
}

pub fn kek_id(kek: &str) -> KekId {
    keyring(kek).primary().kek_id()
}

pub fn go_on(_: &RewrapProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a future to its end where nothing can be awaited.
pub fn between<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| runtime.block_on(work))
}

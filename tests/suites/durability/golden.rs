//! Databases of released versions open in this version. Every secret, key, designation and entry is
//! there and unchanged, and the databases can be written to.
//!
//! `tests/vectors/golden` has a folder for each version. The ignored test at the end made it when
//! that version was released, and it has not changed since. Its KEKs and API keys are only for
//! tests.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tavora_tests::requirement::tests_folder;
use vault_core::{
    AppId, AuditDraft, Caller, ChainHash, KekState, Keyring, LocalKek, Metadata, ReleaseContext,
    ReleaseError, RewrapOptions, RewrapOutcome, RewrapProgress, SecretValue, SecretVaults,
    SqliteFile, Subject, VaultId,
};

use crate::folder::{open, release};

/// The number of characters that a value may have. A golden secret of this length has overflow
/// pages.
const LONG: usize = 20_000;

/// The content of a golden database, as its maker knew it.
#[derive(Serialize, Deserialize)]
struct Expected {
    /// The KEK that was replaced, and its replacement, as base64.
    keks: [String; 2],
    apps: Vec<ExpectedApp>,
    /// The number of entries in the audit, and the hash of the last one.
    entries: u64,
    head: String,
}

#[derive(Serialize, Deserialize)]
struct ExpectedApp {
    id: String,
    slug: String,
    designated: Option<String>,
    /// The token of each API key, and whether it is still valid.
    tokens: Vec<(String, bool)>,
    vaults: Vec<ExpectedVault>,
}

#[derive(Serialize, Deserialize)]
struct ExpectedVault {
    id: String,
    name: String,
    metadata: serde_json::Value,
    secrets: Vec<ExpectedSecret>,
}

#[derive(Serialize, Deserialize)]
struct ExpectedSecret {
    name: String,
    value: String,
    version: u64,
    /// The index of the KEK that wraps the secret.
    kek: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_golden_database_opens_as_it_was_left() {
    let mut versions = 0;
    for entry in fs::read_dir(golden()).expect("the folder is there") {
        let path = entry.expect("readable").path();
        if !path.is_dir() {
            continue;
        }
        versions += 1;
        let text = fs::read_to_string(path.join("expected.json")).expect("it is there");
        let expected: Expected = serde_json::from_str(&text).expect("valid");
        has_something_in_every_column(&path.join("tavora.db"));
        for check in [Check::Everything, Check::WithoutTheOldKey] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let database = folder.path().join("tavora.db");
            fs::copy(path.join("tavora.db"), &database).expect("it is there");
            match check {
                Check::Everything => opens_as_expected(&database, &expected).await,
                Check::WithoutTheOldKey => needs_the_old_key(&database, &expected).await,
            }
        }
    }
    assert!(versions >= 1, "the golden database of 0.1.0 is gone");
}

enum Check {
    Everything,
    WithoutTheOldKey,
}

/// Checks that every column is used in some row: an unused column would test nothing.
fn has_something_in_every_column(database: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join("copy.db");
    fs::copy(database, &copy).expect("it is there");
    let connection = Connection::open(copy).expect("it opens");
    let columns = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'";
    let mut columns = connection.prepare(columns).expect("valid");
    let columns = columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let columns: Result<Vec<(String, String)>, _> = columns.expect("readable").collect();
    for (table, column) in columns.expect("readable") {
        let filled = format!("SELECT count({column}) FROM {table}");
        let filled = connection.query_row(&filled, [], |row| row.get(0));
        let filled: u64 = filled.expect("readable");
        assert!(
            filled > 0,
            "{table}.{column} is empty in {}",
            database.display()
        );
    }
}

async fn opens_as_expected(database: &Path, expected: &Expected) {
    let [old, new] = &expected.keks;
    let keyring = Keyring::local(new, Some(old)).expect("valid");
    let vaults = open(database, keyring).await;
    let head: ChainHash = expected.head.parse().expect("a hash");
    let report = vaults.audit_verify(Some(head)).await.expect("it works");
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(
        (report.entries, report.head()),
        (expected.entries, Some(head))
    );

    let status = vaults.kek_status().await.expect("readable");
    assert_eq!((status.state, status.keks.len()), (KekState::Ready, 2));
    assert!(status.keks.iter().all(|kek| kek.canary_ok == Some(true)));

    let mut rows = [0; 2];
    assert_eq!(
        vaults.apps().await.expect("readable").len(),
        expected.apps.len()
    );
    for app in &expected.apps {
        let id: AppId = app.id.parse().expect("an id");
        let found = vaults.app(id).await.expect("it is there");
        assert_eq!(found.slug.as_str(), app.slug);
        assert_eq!(found.vault_id.map(|id| id.to_string()), app.designated);
        for (token, is_open) in &app.tokens {
            let found = vaults.authenticate(token).await;
            assert_eq!(found.is_ok(), *is_open, "{:?}", found.err());
        }
        assert_eq!(
            vaults.vaults(id).await.expect("readable").len(),
            app.vaults.len()
        );
        for vault in &app.vaults {
            let vault_id: VaultId = vault.id.parse().expect("an id");
            let found = vaults.vault(id, vault_id).await.expect("it is there");
            assert_eq!(found.name.as_str(), vault.name);
            let metadata = serde_json::to_value(&found.metadata).expect("JSON");
            assert_eq!(metadata, vault.metadata);
            let listed = vaults.secrets(id, vault_id).await.expect("readable");
            assert_eq!(listed.len(), vault.secrets.len());
            // A release reads the designated vault.
            let operator = Caller::operator();
            let designated = vaults.designate(&operator, id, Some(vault_id));
            designated.await.expect("its own vault");
            for (secret, listed) in vault.secrets.iter().zip(listed) {
                assert_eq!(listed.name.as_str(), secret.name);
                assert_eq!(listed.version, secret.version);
                let value = release(&vaults, id, &secret.name).await;
                assert_eq!(value.expect("it opens"), secret.value, "{}", secret.name);
                rows[secret.kek] += 1;
                // The database can be written to.
                let value = SecretValue::new("written on".to_owned()).expect("valid");
                let name = secret.name.parse().expect("valid");
                let stored = vaults.put_secret(&operator, id, vault_id, &name, &value);
                assert_eq!(stored.await.expect("it works").version, secret.version + 1);
                let value = release(&vaults, id, &secret.name).await;
                assert_eq!(value.expect("it opens"), "written on");
            }
        }
    }
    assert!(
        rows.iter().all(|rows| *rows > 0),
        "one KEK wraps nothing: {rows:?}"
    );
    let report = vaults.audit_verify(Some(head)).await.expect("it works");
    assert!(report.is_clean(), "{:?}", report.findings);
    vaults.close().await.expect("it works");
}

/// Without the old KEK nothing opens that it wraps, and everything else does.
async fn needs_the_old_key(database: &Path, expected: &Expected) {
    let keyring = Keyring::local(&expected.keks[1], None).expect("valid");
    let vaults = open(database, keyring).await;
    let mut refused = 0;
    for app in &expected.apps {
        let id: AppId = app.id.parse().expect("an id");
        let designated = app
            .vaults
            .iter()
            .find(|vault| Some(&vault.id) == app.designated.as_ref());
        for secret in designated.iter().flat_map(|vault| &vault.secrets) {
            let released = release(&vaults, id, &secret.name).await;
            match secret.kek {
                0 => {
                    refused += 1;
                    let unavailable = matches!(released, Err(ReleaseError::Unavailable { .. }));
                    assert!(unavailable, "{}", secret.name);
                }
                _ => assert_eq!(released.expect("it opens"), secret.value),
            }
        }
    }
    assert!(refused > 0);
    vaults.close().await.expect("it works");
}

/// The folder of the golden databases.
pub fn golden() -> PathBuf {
    tests_folder().join("vectors/golden")
}

/// Writes the golden database of the current version, once, when it is released. Released databases
/// never change.
#[tokio::test]
#[ignore = "writes a new golden database; for the release of a version"]
async fn write_the_golden_database_of_this_version() {
    let folder = golden().join(env!("CARGO_PKG_VERSION"));
    fs::create_dir(&folder).expect("a released golden database never changes");
    let database = folder.join("tavora.db");
    let keks = [LocalKek::make_text(), LocalKek::make_text()].map(|kek| kek.to_string());
    let old = Keyring::local(&keks[0], None).expect("valid");
    let mut maker = Maker {
        vaults: open(&database, old).await,
        kek: 0,
    };
    let shop = maker.app("Shop", "It sells things").await;
    let main = maker.vault(
        shop,
        "main",
        r#"{"origins": {"api_key": ["https://api.example"]}}"#,
    );
    let main = main.await;
    let spare = maker.vault(shop, "spare", "{}").await;
    maker.designate(shop, main).await;
    let other = maker.app("Zweite App \u{1f680}", "").await;
    let theirs = maker.vault(other, "main", "{}").await;
    let mut shops = vec![maker.secret(shop, main, "old_key", 1, "from before").await];
    let gone = maker.secret(shop, main, "gone", 2, "deleted").await;
    maker.delete(shop, main, &gone.name).await;
    let spares = vec![maker.secret(shop, spare, "api_key", 3, "spare").await];
    let long: String = "wert \u{e4}\u{1f511} ".chars().cycle().take(LONG).collect();
    let their_secrets = vec![maker.secret(other, theirs, "long", 1, &long).await];
    let dropped = maker.vault(other, "dropped", "{}").await;
    maker.secret(other, dropped, "with_it", 1, "deleted").await;
    let operator = Caller::operator();
    let deleted = maker.vaults.delete_vault(&operator, other, dropped).await;
    deleted.expect("it is there");
    maker.vaults.close().await.expect("it works");
    // Move to the other KEK with new DEKs, and back with the same ones.
    for (to, from, reencrypt) in [(1, 0, true), (0, 1, false)] {
        let keyring = Keyring::local(&keks[to], Some(&keks[from])).expect("valid");
        let vaults = open(&database, keyring).await;
        let options = RewrapOptions {
            reencrypt,
            ..RewrapOptions::default()
        };
        let go_on = |_: &RewrapProgress| ControlFlow::Continue(());
        let report = vaults.rewrap(&Caller::operator(), options, go_on).await;
        let outcome = report.expect("it works").outcome;
        assert_eq!(outcome, RewrapOutcome::Complete);
        vaults.close().await.expect("it works");
    }

    let both = Keyring::local(&keks[1], Some(&keks[0])).expect("valid");
    maker = Maker {
        vaults: open(&database, both).await,
        kek: 1,
    };
    shops.push(
        maker
            .secret(shop, main, "api_key", 2, "sk-new \n with a line")
            .await,
    );
    shops.sort_by(|one, other| one.name.cmp(&other.name));
    let tokens = maker.tokens(shop).await;
    maker.record_releases(shop).await;
    let report = maker.vaults.audit_verify(None).await.expect("it works");
    maker.vaults.close().await.expect("it works");
    SqliteFile::at(&database)
        .fold()
        .expect("nobody has it open");

    let vault = |id: VaultId, name: &str, metadata, secrets| ExpectedVault {
        id: id.to_string(),
        name: name.to_owned(),
        metadata,
        secrets,
    };
    let origins = serde_json::json!({"origins": {"api_key": ["https://api.example"]}});
    let none = serde_json::json!({});
    let apps = vec![
        ExpectedApp {
            id: shop.to_string(),
            slug: "shop".to_owned(),
            designated: Some(main.to_string()),
            tokens,
            vaults: vec![
                vault(main, "main", origins, shops),
                vault(spare, "spare", none.clone(), spares),
            ],
        },
        ExpectedApp {
            id: other.to_string(),
            slug: "zweite-app".to_owned(),
            designated: None,
            tokens: Vec::new(),
            vaults: vec![vault(theirs, "main", none, their_secrets)],
        },
    ];
    let expected = Expected {
        keks,
        apps,
        entries: report.entries,
        head: report.head().expect("there are entries").to_string(),
    };
    let text = serde_json::to_string_pretty(&expected).expect("JSON");
    fs::write(folder.join("expected.json"), text + "\n").expect("writable");
}

/// Makes the content of a golden database.
struct Maker {
    vaults: SecretVaults,
    /// The index of the KEK that it wraps with.
    kek: usize,
}

impl Maker {
    async fn app(&self, name: &str, description: &str) -> AppId {
        let name = name.parse().expect("valid");
        let (operator, about) = (Caller::operator(), Some(description.to_owned()));
        let app = self.vaults.create_app(&operator, name, None, about).await;
        app.expect("it works").id
    }

    async fn vault(&self, app: AppId, name: &str, metadata: &str) -> VaultId {
        let (name, metadata) = (name.parse().expect("valid"), serde_json::from_str(metadata));
        let (operator, metadata) = (Caller::operator(), metadata.expect("JSON"));
        let metadata = Metadata::parse(metadata).expect("valid");
        let vault = self.vaults.create_vault(&operator, app, name, metadata);
        vault.await.expect("it works").id
    }

    async fn designate(&self, app: AppId, vault: VaultId) {
        let operator = Caller::operator().in_request("req-golden");
        let designated = self.vaults.designate(&operator, app, Some(vault)).await;
        designated.expect("it works");
    }

    /// Stores a secret once for each of its versions.
    async fn secret(
        &self,
        app: AppId,
        vault: VaultId,
        name: &str,
        version: u64,
        value: &str,
    ) -> ExpectedSecret {
        let key = name.parse().expect("valid");
        for _ in 0..version {
            let sealed = SecretValue::new(value.to_owned()).expect("valid");
            let operator = Caller::operator();
            let stored = self.vaults.put_secret(&operator, app, vault, &key, &sealed);
            stored.await.expect("it works");
        }
        ExpectedSecret {
            name: name.to_owned(),
            value: value.to_owned(),
            version,
            kek: self.kek,
        }
    }

    async fn delete(&self, app: AppId, vault: VaultId, name: &str) {
        let name = name.parse().expect("valid");
        let operator = Caller::operator();
        let deleted = self.vaults.delete_secret(&operator, app, vault, &name);
        assert!(deleted.await.expect("it works"));
    }

    /// API keys that never expire, that expire late, that have expired, and that are revoked.
    async fn tokens(&self, app: AppId) -> Vec<(String, bool)> {
        let operator = Caller::operator();
        let now = Timestamp::now();
        let (soon, late) = (Duration::from_millis(20), "9000-01-01T00:00:00Z");
        let expiries = [
            ("plain", None),
            ("long", Some(late.parse().expect("a time"))),
            ("short", Some(now + soon)),
            ("revoked", None),
        ];
        let mut tokens = Vec::new();
        for (name, expiry) in expiries {
            let parsed = name.parse().expect("valid");
            let made = self.vaults.create_api_key(&operator, app, parsed, expiry);
            let (view, token) = made.await.expect("it works");
            if name == "revoked" {
                let revoked = self.vaults.revoke_api_key(&operator, app, view.id).await;
                revoked.expect("it is there");
            }
            tokens.push((token.to_string(), matches!(name, "plain" | "long")));
        }
        tokio::time::sleep(soon).await;
        tokens
    }

    /// Records entries that use every column: of releases, and of the host.
    async fn record_releases(&self, app: AppId) {
        let view = self.vaults.api_keys(app).await.expect("readable").remove(0);
        let mut context = ReleaseContext::new(app, "brave-search", "sha256:00");
        context.request_id = Some("req-1".to_owned());
        context.session_id = Some("ses-1".to_owned());
        context.api_key_id = Some(view.id);
        for name in ["api_key", "nothing"] {
            let name = name.parse().expect("valid");
            let _ = self.vaults.release(&context, &name).await;
        }
        let entry = AuditDraft::new(&Caller::api_key(view.id), "egress.denied")
            .app(app)
            .about(Subject::new("origin", "https://elsewhere.example"))
            .outcome("denied")
            .detail("reason", "origin_not_granted");
        self.vaults.record(entry).await.expect("it works");
    }
}

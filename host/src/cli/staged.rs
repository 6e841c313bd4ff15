//! A copy of a database that is not in place yet. It is in a temporary folder beside that place, is
//! examined with the available keys, and is removed if it is not used.
//!
//! `backup` and `restore` decide whether the findings prevent its use.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;
use vault_core::{ChainHash, KekStatus, SqliteFile, VerifyReport};

use super::audit;
use super::global::Global;
use super::outcome::{Failure, Outcome, usage};
use super::output::table;
use super::session::{KekSource, Session};
use crate::config::{Config, StorageUrl};

/// A folder for a copy, on the same file system as the copy's final place.
pub(crate) struct Staged {
    folder: TempDir,
}

/// The result of examining a copy.
#[derive(Serialize)]
pub(crate) struct Contents {
    /// The check of the audit, and of the secrets against it.
    pub audit: VerifyReport,
    /// The KEKs that the secrets need, and whether they are available.
    pub keks: KekStatus,
}

impl Staged {
    /// Makes an empty folder for a copy that will be moved to `place`.
    pub(crate) fn beside(place: &Path) -> Result<Self, Failure> {
        let parent = folder_of(place)?;
        let folder = tempfile::Builder::new()
            .prefix(".tavora-copy-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(|error| usage(format!("cannot write to {}: {error}", parent.display())))?;
        Ok(Self { folder })
    }

    /// Returns the path for the copy.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("tavora.db")
    }

    /// Opens the copy as a host would, which migrates it. Runs `more` on it, and leaves it as a
    /// single file.
    pub(crate) async fn look_through(
        &self,
        global: &Global,
        config: Config,
        expect_heads: Vec<ChainHash>,
        more: impl AsyncFnOnce(&Session, &Contents) -> Outcome,
    ) -> Result<Contents, Failure> {
        let mut found = None;
        let kek = KekSource::EnvironmentOrFolder;
        let url = StorageUrl::Sqlite(self.path());
        Session::on(url, global, config, kek, async |session| {
            let contents = Contents {
                audit: session.vaults.audit_verify(expect_heads).await?,
                keks: session.vaults.kek_status().await?,
            };
            more(session, &contents).await?;
            found = Some(contents);
            Ok(())
        })
        .await?;
        SqliteFile::at(self.path()).fold()?;
        Ok(found.expect("a session that ends well was looked through"))
    }
}

impl Contents {
    /// Returns the problems, one sentence each: secrets that the available keys do not open, and
    /// findings of the audit.
    pub(crate) fn problems(&self) -> Vec<String> {
        let missing = self.keks.keks.iter().filter(|kek| kek.rows > 0);
        let missing = missing.filter_map(|kek| match kek.canary_ok {
            Some(true) => None,
            Some(false) => Some(format!(
                "the KEK {} is at hand and does not open its canary: {} secrets may not open",
                kek.kek_id, kek.rows
            )),
            None if kek.in_keyring => Some(format!(
                "the KEK {} cannot be used now, and whether its {} secrets open was not tried; see `kek status`",
                kek.kek_id, kek.rows
            )),
            None => Some(format!(
                "{} secrets need the KEK {}, which is not at hand; set TAVORA_SECRET_KEK to it, or list it in TAVORA_SECRET_KEK_PREVIOUS",
                kek.rows, kek.kek_id
            )),
        });
        let findings = self
            .audit
            .findings
            .iter()
            .map(|finding| format!("the audit: {finding}"));
        missing.chain(findings).collect()
    }

    /// Summarises the amount of data, its KEKs, and the heads of the audit.
    pub(crate) fn text(&self) -> String {
        let rows: Vec<_> = self.keks.keks.iter().filter(|kek| kek.rows > 0).collect();
        let rows: Vec<_> = rows
            .into_iter()
            .map(|kek| {
                let at_hand = kek.kind.unwrap_or("no");
                [
                    kek.kek_id.to_string(),
                    at_hand.to_owned(),
                    kek.rows.to_string(),
                ]
            })
            .collect();
        let mut text = table(["KEK ID", "AT HAND", "SECRETS"], &rows, "no secrets");
        text.push_str(&format!("\n{} audit entries", self.audit.entries));
        for line in audit::heads(&self.audit) {
            text.push_str(&format!("\n{line}"));
        }
        text
    }
}

/// Returns the folder of a file to be made. The folder must exist.
fn folder_of(file: &Path) -> Result<PathBuf, Failure> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    folder
        .canonicalize()
        .map_err(|error| usage(format!("{}: {error}", folder.display())))
}

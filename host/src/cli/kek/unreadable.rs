//! Describes secrets that do not open, by the names that people and other commands use.

use std::collections::HashMap;

use vault_core::{AppId, KekId, UnreadableSecret, VaultId};

use crate::cli::global::{KEK_VARIABLE, PREVIOUS_VARIABLE};
use crate::cli::outcome::Failure;
use crate::cli::session::Session;

/// Describes each secret on one line.
pub(super) async fn describe(
    session: &Session,
    secrets: &[UnreadableSecret],
) -> Result<Vec<String>, Failure> {
    let mut apps: HashMap<AppId, String> = HashMap::new();
    let mut vaults: HashMap<VaultId, String> = HashMap::new();
    if !secrets.is_empty() {
        for app in session.vaults.apps().await? {
            apps.insert(app.id, app.slug.as_str().to_owned());
        }
    }
    for secret in secrets {
        if let (Some(app), Some(vault)) = (secret.app_id, secret.vault_id)
            && !vaults.contains_key(&vault)
        {
            let of_app = session.vaults.vaults(app).await?;
            vaults.extend(
                of_app
                    .into_iter()
                    .map(|it| (it.id, it.name.as_str().to_owned())),
            );
        }
    }
    let line = |secret: &UnreadableSecret| {
        let app = secret.app_id.and_then(|id| apps.get(&id));
        let vault = secret.vault_id.and_then(|id| vaults.get(&id));
        let kek = secret.kek_id.map_or("-".to_owned(), |id| id.to_string());
        format!(
            "DOES NOT OPEN: app {}, vault {:?}, secret {}, KEK {kek}: {}",
            app.map_or("-", String::as_str),
            vault.map_or("-", String::as_str),
            secret.name.escape_debug(),
            secret.cause
        )
    };
    Ok(secrets.iter().map(line).collect())
}

/// Returns lines about all of them, with the names of the first ones.
pub(super) fn lines(total: u64, named: &[String]) -> Vec<String> {
    if total == 0 {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    lines.extend_from_slice(named);
    let unnamed = total.saturating_sub(named.len() as u64);
    if unnamed > 0 {
        lines.push(format!("and {unnamed} more"));
    }
    lines.push(format!(
        "{total} secrets do not open and are as they were; restore them from a backup, store them anew with \
         `secret put`, or delete them"
    ));
    lines
}

/// Describes a KEK that secrets need and that is missing.
pub(super) fn missing(kek_id: KekId, rows: u64) -> String {
    format!(
        "MISSING: {rows} secrets need the KEK {kek_id}, which is not in the keyring; add it to {PREVIOUS_VARIABLE}"
    )
}

/// Like [`missing`], if no KEK of the keyring opens anything: the primary KEK may be wrong, or new.
pub(super) fn missing_altogether(kek_id: KekId, rows: u64) -> String {
    format!(
        "MISSING: {rows} secrets need the KEK {kek_id}, which is not in the keyring; if {KEK_VARIABLE} is mistaken, set it to that KEK; if it is a new KEK, add the old one to {PREVIOUS_VARIABLE}"
    )
}

//! `tavora-host kek …`: the keys that wrap every secret's own key.

mod rewrap;
mod unreadable;

use std::path::PathBuf;

use clap::Subcommand;
use vault_core::{KekId, KekState, KekStatus, KekUse, LocalKek};

use self::rewrap::Rewrap;
use super::global::{Global, KEK_VARIABLE};
use super::outcome::{Failure, Outcome};
use super::output::{Output, table};
use super::private_file;
use super::session::{Session, operator, refused};

const REWRAP_HELP: &str = "\
Runs beside hosts that serve the same data. Stop it whenever you like: the next run goes on from there.

Exit status: 0 all secrets are where they should be, 1 some are not, or it was stopped, 2 wrong usage.";

const STATUS_HELP: &str = "\
Exit status: 0 every secret's KEK is at hand and the primary one works, 1 it failed, 2 wrong usage,
3 no KEK is set or one that secrets need is missing, 4 the primary KEK cannot be used at the moment,
5 the database is damaged: the primary KEK does not open its own canary.";

#[derive(Subcommand)]
pub(crate) enum KekCommand {
    /// Make a KEK and print it, or write it to a new file.
    Generate {
        /// Write it to this file (mode 0600), which must not exist yet, and print nothing secret.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show which KEKs there are, how many secrets each one wraps, and which ones are missing.
    #[command(after_help = STATUS_HELP)]
    Status,
    /// Move every secret to the primary KEK, or to another one.
    #[command(after_help = REWRAP_HELP)]
    Rewrap(Rewrap),
    /// Open every secret, show none, and name those that do not open. Exit status 1 when there are
    /// any.
    Verify,
    /// Forget a KEK that wraps no secret any more.
    Retire {
        /// Which one, as `kek status` shows it.
        kek_id: KekId,
    },
}

impl KekCommand {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        match self {
            Self::Generate { out: None } => {
                let kek = LocalKek::make_text();
                let shown = serde_json::json!({ "kek": *kek });
                Ok(output.show(&shown, |_| kek.to_string())?)
            }
            Self::Generate { out: Some(path) } => {
                private_file::make(&path, &LocalKek::make_text())?;
                let path = path.canonicalize()?;
                let shown = serde_json::json!({ "file": path });
                output.show(&shown, |_| {
                    format!(
                        "wrote a new KEK to {0}; point {KEK_VARIABLE}=file://{0} at it",
                        path.display()
                    )
                })?;
                Ok(())
            }
            Self::Status => {
                Session::with(global, async |session| {
                    let status = session.vaults.kek_status().await?;
                    output.show(&status, text)?;
                    match exit_status(&status) {
                        0 => Ok(()),
                        status => Err(Failure::Status(status)),
                    }
                })
                .await
            }
            Self::Rewrap(rewrap) => {
                Session::with(global, async |session| {
                    rewrap.execute_on(session, output).await
                })
                .await
            }
            Self::Verify => {
                Session::with(global, async |session| {
                    rewrap::verify(session, output).await
                })
                .await
            }
            Self::Retire { kek_id } => {
                Session::with(global, async |session| {
                    let vaults = &session.vaults;
                    vaults
                        .retire_kek(&operator(), kek_id)
                        .await
                        .map_err(refused)?;
                    let shown = serde_json::json!({ "retired": kek_id });
                    Ok(output.show(&shown, |_| {
                        format!("the KEK {kek_id} is retired; take it out of the keyring")
                    })?)
                })
                .await
            }
        }
    }
}

/// Returns the exit status that the help of `kek status` describes.
fn exit_status(status: &KekStatus) -> u8 {
    let is_missing = |kek: &KekUse| kek.rows > 0 && !kek.in_keyring;
    match &status.state {
        KekState::CanaryFailed { .. } => 5,
        KekState::Unset | KekState::Mismatch { .. } => 3,
        _ if status.keks.iter().any(is_missing) => 3,
        KekState::Unavailable { .. } => 4,
        KekState::Ready => 0,
    }
}

fn text(status: &KekStatus) -> String {
    let rows: Vec<_> = status
        .keks
        .iter()
        .map(|kek| {
            [
                kek.kek_id.to_string(),
                (if status.primary == Some(kek.kek_id) {
                    "primary"
                } else {
                    ""
                })
                .to_owned(),
                kek.kind.unwrap_or("no").to_owned(),
                kek.rows.to_string(),
                kek.wraps.to_string(),
            ]
        })
        .collect();
    let state = match &status.state {
        KekState::Unset => {
            format!("no KEK is set: {KEK_VARIABLE} is empty, and vaults are unavailable")
        }
        KekState::Ready => "ready".to_owned(),
        KekState::Mismatch { wanted, rows } => {
            format!("wrong KEK: the data needs {wanted} ({rows} secrets)")
        }
        KekState::CanaryFailed { kek_id } => {
            format!("the KEK {kek_id} does not open its own canary: the database is damaged")
        }
        KekState::Unavailable {
            kek_id,
            kind,
            trouble,
        } => format!("the KEK {kek_id} of the provider {kind} cannot be used: {trouble}"),
    };
    let mut lines = vec![
        state,
        String::new(),
        table(
            ["KEK ID", "", "AT HAND", "SECRETS", "WRAPS"],
            &rows,
            "no KEK has been used yet",
        ),
    ];
    let keks = status.keks.iter();
    let missing = keks.clone().filter(|kek| kek.rows > 0 && !kek.in_keyring);
    let is_mismatch = matches!(status.state, KekState::Mismatch { .. });
    lines.extend(missing.map(|kek| match is_mismatch {
        true => unreadable::missing_altogether(kek.kek_id, kek.rows),
        false => unreadable::missing(kek.kek_id, kek.rows),
    }));
    let movable = keks
        .clone()
        .filter(|kek| kek.in_keyring && status.primary != Some(kek.kek_id));
    let movable: u64 = movable.map(|kek| kek.rows).sum();
    if movable > 0 {
        lines.push(format!(
            "{movable} secrets are wrapped with older KEKs; `kek rewrap` moves them to the primary one"
        ));
    }
    let worn = keks.filter(|kek| kek.worn);
    lines.extend(worn.map(|kek| {
        format!(
            "the KEK {} has wrapped very many DEKs; make a new one primary and rewrap",
            kek.kek_id
        )
    }));
    lines.join("\n")
}

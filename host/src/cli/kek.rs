//! `tavora-host kek …`: the key that wraps every secret's own key.

use std::path::PathBuf;

use clap::Subcommand;
use vault_core::{KekState, KekStatus, LocalKek};

use super::output::{Output, table};
use super::session::{KEK_VARIABLE, Session};
use super::{Global, Outcome, private_file};

#[derive(Subcommand)]
pub(crate) enum KekCommand {
    /// Make a KEK and print it, or write it to a new file.
    Generate {
        /// Write it to this file (mode 0600), which must not exist yet, and print nothing secret.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show which KEK is in use and which ones the data needs.
    Status,
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
                    Ok(output.show(&status, text)?)
                })
                .await
            }
        }
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
                (if kek.in_keyring { "yes" } else { "no" }).to_owned(),
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
    format!(
        "{state}\n\n{}",
        table(
            ["KEK ID", "", "AT HAND", "SECRETS", "WRAPS"],
            &rows,
            "no KEK has been used yet"
        )
    )
}

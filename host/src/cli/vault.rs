//! `tavora-host vault …`: an app's vaults, and which one its tools resolve from.

use clap::Subcommand;
use vault_core::{App, Metadata, VaultName, VaultView};

use super::chosen_app::AppOption;
use super::global::Global;
use super::outcome::{Failure, Outcome, usage};
use super::output::{Output, confirm, table};
use super::session::{Session, operator, refused};

#[derive(Subcommand)]
pub(crate) enum VaultCommand {
    /// Make a vault.
    Create {
        /// Its name, unique in the app.
        name: String,
        #[command(flatten)]
        app: AppOption,
        /// A JSON object to keep with it. `{"origins": {"NAME": ["https://…"]}}` binds a secret to
        /// origins.
        #[arg(long, value_name = "JSON")]
        metadata: Option<String>,
    },
    /// List an app's vaults; * marks the designated one.
    List {
        #[command(flatten)]
        app: AppOption,
    },
    /// Delete a vault with all its secrets.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        app: AppOption,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Make a vault the one that the app's tools resolve from.
    Designate {
        /// Its name.
        name: String,
        #[command(flatten)]
        app: AppOption,
    },
    /// Designate no vault: the app's tools get no credential.
    Clear {
        #[command(flatten)]
        app: AppOption,
    },
}

impl VaultCommand {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        Session::with(global, async |session| {
            self.execute_on(session, output).await
        })
        .await
    }

    async fn execute_on(self, session: &Session, output: &Output) -> Outcome {
        let vaults = &session.vaults;
        match self {
            Self::Create {
                name,
                app,
                metadata,
            } => {
                let name = VaultName::try_from(name).map_err(usage)?;
                let metadata = metadata
                    .as_deref()
                    .map_or(Ok(Metadata::default()), parse_metadata)?;
                let app = session.app(app.name()).await?;
                let vault = vaults
                    .create_vault(&operator(), app.id, name, metadata)
                    .await
                    .map_err(refused)?;
                output.show(&vault, |vault| {
                    format!(
                        "made the vault {}; `tavora-host vault designate {}` lets the app's tools use it",
                        vault.name, vault.name
                    )
                })?;
            }
            Self::List { app } => {
                let app = session.app(app.name()).await?;
                let listed = vaults.vaults(app.id).await?;
                output.show(&listed, |listed| list(&app, listed))?;
            }
            Self::Delete { name, app, yes } => {
                let app = session.app(app.name()).await?;
                let vault = session.vault(&app, Some(&name)).await?;
                let secrets = vaults.secrets(app.id, vault.id).await?.len();
                confirm(
                    yes,
                    &format!("delete the vault {name} with its {secrets} secrets"),
                )?;
                vaults.delete_vault(&operator(), app.id, vault.id).await?;
                output.show(
                    &serde_json::json!({ "deleted": vault.id, "secrets": secrets }),
                    |_| format!("deleted the vault {name} with its {secrets} secrets"),
                )?;
            }
            Self::Designate { name, app } => {
                let app = session.app(app.name()).await?;
                let vault = session.vault(&app, Some(&name)).await?;
                vaults
                    .designate(&operator(), app.id, Some(vault.id))
                    .await?;
                output.show(&serde_json::json!({ "vault_id": vault.id }), |_| {
                    format!(
                        "the tools of {} now resolve from the vault {name}",
                        app.slug
                    )
                })?;
            }
            Self::Clear { app } => {
                let app = session.app(app.name()).await?;
                vaults.designate(&operator(), app.id, None).await?;
                output.show(&serde_json::json!({ "vault_id": null }), |_| {
                    format!("{} has no vault designated now", app.slug)
                })?;
            }
        }
        Ok(())
    }
}

fn parse_metadata(text: &str) -> Result<Metadata, Failure> {
    let value = serde_json::from_str(text)
        .map_err(|error| usage(format!("--metadata is not JSON: {error}")))?;
    Metadata::parse(value).map_err(|error| usage(format!("--metadata: {error}")))
}

fn list(app: &App, vaults: &[VaultView]) -> String {
    let rows: Vec<_> = vaults
        .iter()
        .map(|vault| {
            let mark = if app.vault_id == Some(vault.id) {
                "*"
            } else {
                ""
            };
            [
                mark.to_owned(),
                vault.name.to_string(),
                vault.id.to_string(),
                vault.created_at.to_string(),
            ]
        })
        .collect();
    table(
        ["", "NAME", "ID", "CREATED"],
        &rows,
        "no vaults; `tavora-host vault create NAME` makes one",
    )
}

//! `tavora-host key …`: an app's API keys. A key is shown once, when it is made.

use clap::Subcommand;
use jiff::Timestamp;
use vault_core::{ApiKeyId, ApiKeyName, ApiKeyView};

use super::chosen_app::AppOption;
use super::global::Global;
use super::outcome::Outcome;
use super::output::{Output, table};
use super::session::{Session, operator, refused};

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an API key and print it, this once.
    Create {
        /// What the key is for.
        name: ApiKeyName,
        #[command(flatten)]
        app: AppOption,
        /// When it ends, for example 2027-01-31T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<Timestamp>,
    },
    /// List an app's API keys.
    List {
        #[command(flatten)]
        app: AppOption,
    },
    /// Make an API key useless, at once and for good.
    Revoke {
        /// Its id, as `key list` shows it.
        id: ApiKeyId,
        #[command(flatten)]
        app: AppOption,
    },
}

impl KeyCommand {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        Session::with(global, async |session| {
            self.execute_on(session, output).await
        })
        .await
    }

    async fn execute_on(self, session: &Session, output: &Output) -> Outcome {
        match self {
            Self::Create {
                name,
                app,
                expires_at,
            } => {
                let app = session.app(app.name()).await?;
                let (view, key) = session
                    .vaults
                    .create_api_key(&operator(), app.id, name, expires_at)
                    .await
                    .map_err(refused)?;
                let shown = serde_json::json!({ "id": view.id, "name": view.name, "key": *key });
                output.show(&shown, |_| {
                    format!("{}\n\nThis is the only time that the key is shown.", *key)
                })?;
            }
            Self::List { app } => {
                let app = session.app(app.name()).await?;
                let keys = session.vaults.api_keys(app.id).await?;
                output.show(&keys, |keys| list(keys))?;
            }
            Self::Revoke { id, app } => {
                let app = session.app(app.name()).await?;
                let key = session
                    .vaults
                    .revoke_api_key(&operator(), app.id, id)
                    .await
                    .map_err(refused)?;
                output.show(&key, |key| {
                    format!("revoked the API key {} ({})", key.id, key.name)
                })?;
            }
        }
        Ok(())
    }
}

fn list(keys: &[ApiKeyView]) -> String {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let state = match (key.revoked_at, key.expires_at) {
                (Some(at), _) => format!("revoked {at}"),
                (None, Some(at)) => format!("until {at}"),
                (None, None) => "active".to_owned(),
            };
            [
                key.id.to_string(),
                key.name.to_string(),
                state,
                key.created_at.to_string(),
            ]
        })
        .collect();
    table(["ID", "NAME", "STATE", "CREATED"], &rows, "no API keys")
}

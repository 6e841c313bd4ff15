//! `tavora-host app …`

use clap::Subcommand;
use vault_core::{App, AppName, AppSlug};

use super::output::{Output, table};
use super::session::{KekSource, Session, operator, refused, usage};
use super::{Global, Outcome};

#[derive(Subcommand)]
pub(crate) enum AppCommand {
    /// Make an app.
    Create {
        /// What people call it.
        name: String,
        /// What commands and URLs call it [default: made from the name].
        #[arg(long)]
        slug: Option<String>,
        /// A sentence about it.
        #[arg(long)]
        description: Option<String>,
    },
    /// List the apps.
    List,
}

impl AppCommand {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        match self {
            Self::Create {
                name,
                slug,
                description,
            } => {
                let name = AppName::try_from(name).map_err(usage)?;
                let slug = slug.map(AppSlug::try_from).transpose().map_err(usage)?;
                Session::with_new(global, KekSource::EnvironmentOrFolder, async |session| {
                    let app = session
                        .vaults
                        .create_app(&operator(), name, slug, description)
                        .await
                        .map_err(refused)?;
                    Ok(output.show(&app, |app| format!("made the app {}", app.slug))?)
                })
                .await
            }
            Self::List => {
                Session::with(global, async |session| {
                    let apps = session.vaults.apps().await?;
                    Ok(output.show(&apps, |apps| list(apps))?)
                })
                .await
            }
        }
    }
}

fn list(apps: &[App]) -> String {
    let rows: Vec<_> = apps
        .iter()
        .map(|app| {
            [
                app.slug.to_string(),
                app.name.to_string(),
                app.id.to_string(),
                app.created_at.to_string(),
            ]
        })
        .collect();
    table(
        ["SLUG", "NAME", "ID", "CREATED"],
        &rows,
        "no apps; `tavora-host app create NAME` makes one",
    )
}

//! `tavora-host app …`

use clap::Subcommand;
use vault_core::{App, AppName, AppSlug};

use super::global::Global;
use super::outcome::{Outcome, usage};
use super::output::{Output, table};
use super::session::{KekSource, Session, operator, refused};

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
    /// List the apps; * marks the one that is remembered.
    List,
    /// Remember an app in the data folder: commands without --app and TAVORA_APP mean it.
    Use {
        /// Its slug or id.
        #[arg(required_unless_present = "none")]
        app: Option<String>,
        /// Remember none any more.
        #[arg(long, conflicts_with = "app")]
        none: bool,
    },
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
                    let remembered = session.remembered_app();
                    Ok(output.show(&apps, |apps| list(apps, remembered.as_deref()))?)
                })
                .await
            }
            Self::Use { app, none: _ } => {
                Session::with(global, async |session| {
                    let app = match &app {
                        Some(name) => Some(session.app(Some(name)).await?),
                        None => None,
                    };
                    session.remember_app(app.as_ref())?;
                    let slug = app.map(|app| app.slug);
                    let shown = serde_json::json!({ "app": slug });
                    Ok(output.show(&shown, |_| match &slug {
                        Some(slug) => {
                            format!("commands on {} mean the app {slug} now", session.place())
                        }
                        None => format!("no app is remembered in {} now", session.place()),
                    })?)
                })
                .await
            }
        }
    }
}

fn list(apps: &[App], remembered: Option<&str>) -> String {
    let rows: Vec<_> = apps
        .iter()
        .map(|app| {
            let mark = match remembered == Some(app.slug.as_str()) {
                true => "*",
                false => "",
            };
            [
                mark.to_owned(),
                app.slug.to_string(),
                app.name.to_string(),
                app.id.to_string(),
                app.created_at.to_string(),
            ]
        })
        .collect();
    table(
        ["", "SLUG", "NAME", "ID", "CREATED"],
        &rows,
        "no apps; `tavora-host app create NAME` makes one",
    )
}

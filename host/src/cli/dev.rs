//! `tavora-host dev`: serves a private platform in a folder, which is created on first use.
//!
//! `serve` does the serving.

use std::path::Path;

use clap::Args;
use vault_core::{AppName, LocalKek};

use super::global::{Global, KEK_VARIABLE};
use super::outcome::{Failure, Outcome, usage};
use super::output::print_line;
use super::private_file;
use super::serve::Serving;
use super::session::{KEK_FILE, KekSource, Session, make_private_folder, operator};
use tavora_keks::config::ProviderKind;
use tavora_server::ListenAddress;

/// The app that `dev` makes.
const APP: &str = "dev";

#[derive(Args)]
pub(crate) struct Dev {
    /// Listen here instead of at `[server] listen`: an IP address and a port, or localhost and a
    /// port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<ListenAddress>,
}

impl Dev {
    pub(crate) async fn execute(self, global: &Global) -> Outcome {
        let serving = Serving::bind(global.config()?.server, self.listen).await?;
        make_kek(global).await?;
        Session::with_new(global, KekSource::EnvironmentOrFolder, async |session| {
            session.vaults.require_kek().await?;
            make_app(session, &global.data).await?;
            serving.run(session, global).await
        })
        .await
    }
}

/// Makes the folder's KEK if it has none. Makes none if the database already holds secrets, which
/// need their own KEK, or if the configuration names a key elsewhere.
async fn make_kek(global: &Global) -> Outcome {
    make_private_folder(&global.data)?;
    let kek = global.data.join(KEK_FILE);
    let is_remote = global.config()?.kek.provider.kind != ProviderKind::Local;
    if is_remote || global.credential(KEK_VARIABLE)?.is_some() || kek.exists() {
        return Ok(());
    }
    Session::with_new(global, KekSource::EnvironmentOrFolder, async |session| {
        let status = session.vaults.kek_status().await?;
        match status.keks.iter().find(|kek| kek.rows > 0) {
            None => Ok(()),
            Some(needed) => Err(Failure::Usage(format!(
                "{} secrets in {} need the KEK {}; set {KEK_VARIABLE} to it",
                needed.rows,
                session.place(),
                needed.kek_id
            ))),
        }
    })
    .await?;
    private_file::make(&kek, &LocalKek::make_text())?;
    Ok(print_line(&format!(
        "made a key encryption key in {} (0600)",
        kek.display()
    ))?)
}

/// Makes an app with an API key, unless an app exists.
async fn make_app(session: &Session, data: &Path) -> Outcome {
    let vaults = &session.vaults;
    if !vaults.apps().await?.is_empty() {
        return Ok(print_line(&format!(
            "using the data in {}",
            session.place()
        ))?);
    }
    let name = AppName::try_from(APP.to_owned()).map_err(usage)?;
    let app = vaults.create_app(&operator(), name, None, None).await?;
    let (_, key) = vaults
        .create_api_key(&operator(), app.id, "dev".parse()?, None)
        .await?;
    let folder = match data == Path::new(".tavora") {
        true => String::new(),
        false => format!(" --data {}", data.display()),
    };
    let made = format!(
        "made the app {APP} in {}\n\
         its API key, shown this once: {}\n\
         \n\
         what to type next, in this folder, in another terminal or with this one in the background:\n  \
         tavora-host{folder} vault create main\n  \
         tavora-host{folder} vault designate main\n  \
         tavora-host{folder} secret put brave_api_key\n  \
         tavora-host{folder} run -e 'return search(\"rust wasm components\")'\n",
        session.place(),
        *key
    );
    Ok(print_line(&made)?)
}

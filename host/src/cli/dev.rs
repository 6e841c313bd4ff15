//! `tavora-host dev`: a platform of one's own in a folder, made on first use.
//!
//! The HTTP API's routes are not here; `health` is.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use vault_core::AppName;

use super::kek;
use super::output::print_line;
use super::session::{
    KEK_FILE, KEK_VARIABLE, Session, config, make_private_folder, operator, usage, variable,
};
use super::{Failure, Global, Outcome};
use crate::health;

/// The app that `dev` makes.
const APP: &str = "dev";

#[derive(Args)]
pub(crate) struct Dev {
    /// Listen here instead of at `[server] listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

impl Dev {
    pub(crate) async fn execute(self, global: &Global) -> Outcome {
        let server = config(global)?.server;
        let listen = self.listen.unwrap_or(server.listen);
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|error| {
                usage(format!(
                    "cannot listen on {listen}: {error}; choose another with --listen"
                ))
            })?;
        make_kek(global).await?;
        Session::with_new(global, async |session| {
            session.vaults.require_kek().await?;
            make_app(session, &global.data).await?;
            let platform = session.platform().await?;
            for tool in platform.tools() {
                print_line(&format!(
                    "tool {}: resolves {}",
                    tool.name,
                    tool.secrets.join(", ")
                ))?;
            }
            print_line(&format!(
                "listening on http://{} (/healthz, /readyz); Ctrl-C ends it",
                listener.local_addr()?
            ))?;
            let grace = Duration::from_millis(server.shutdown_grace_ms);
            Ok(health::serve(listener, session.vaults.clone(), stop_signal(), grace).await?)
        })
        .await
    }
}

/// Makes the folder's KEK where there is none, unless secrets are there already: those need the one they have.
async fn make_kek(global: &Global) -> Outcome {
    make_private_folder(&global.data)?;
    let kek = global.data.join(KEK_FILE);
    if variable(KEK_VARIABLE)?.is_some() || kek.exists() {
        return Ok(());
    }
    Session::with_new(global, async |session| {
        let status = session.vaults.kek_status().await?;
        match status.keks.iter().find(|kek| kek.rows > 0) {
            None => Ok(()),
            Some(needed) => Err(Failure::Usage(format!(
                "{} secrets in {} need the KEK {}; set {KEK_VARIABLE} to it",
                needed.rows,
                global.data.display(),
                needed.kek_id
            ))),
        }
    })
    .await?;
    kek::write_new(&kek)?;
    Ok(print_line(&format!(
        "made a key encryption key in {} (0600)",
        kek.display()
    ))?)
}

/// Makes the app with an API key, unless there is an app already.
async fn make_app(session: &Session, data: &Path) -> Outcome {
    let vaults = &session.vaults;
    if !vaults.apps().await?.is_empty() {
        return Ok(print_line(&format!(
            "using the data in {}",
            data.display()
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
         what to type next, in another terminal:\n  \
         tavora-host{folder} vault create main\n  \
         tavora-host{folder} vault designate main\n  \
         tavora-host{folder} secret put brave_api_key\n  \
         tavora-host{folder} run -e 'return search(\"rust wasm components\")'\n",
        data.display(),
        *key
    );
    Ok(print_line(&made)?)
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

//! `tavora-host dev`: a platform of one's own in a folder, made on first use.
//!
//! The HTTP API's routes are not here; `health` is.

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use vault_core::AppName;

use super::kek;
use super::session::{KEK_FILE, KEK_VARIABLE, Session, config, make_private_folder, operator, usage};
use super::{Global, Outcome};
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
        let listen = self.listen.unwrap_or(config(global)?.server.listen);
        make_private_folder(&global.data)?;
        let kek = global.data.join(KEK_FILE);
        if std::env::var_os(KEK_VARIABLE).is_none() && !kek.exists() {
            kek::write_new(&kek)?;
            println!("made a key encryption key in {} (0600)", kek.display());
        }
        let session = Session::open_or_make(global).await?;
        make_app(&session, &global.data).await?;
        let platform = session.platform().await?;
        for tool in platform.tools() {
            println!("tool {}: resolves {}", tool.name, tool.secrets.join(", "));
        }
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|error| usage(format!("cannot listen on {listen}: {error}; choose another with --listen")))?;
        println!("listening on http://{} (/healthz, /readyz); Ctrl-C ends it", listener.local_addr()?);
        health::serve(listener, session.vaults.clone(), stop_signal()).await?;
        drop(platform);
        session.close().await
    }
}

/// Makes the app with an API key and a designated vault, unless there is an app already.
async fn make_app(session: &Session, data: &Path) -> Outcome {
    let vaults = &session.vaults;
    if !vaults.apps().await?.is_empty() {
        println!("using the data in {}", data.display());
        return Ok(());
    }
    let name = AppName::try_from(APP.to_owned()).map_err(usage)?;
    let app = vaults.create_app(&operator(), name, None, None).await?;
    let (_, key) = vaults.create_api_key(&operator(), app.id, "dev".parse()?, None).await?;
    let folder = match data == Path::new(".tavora") {
        true => String::new(),
        false => format!(" --data {}", data.display()),
    };
    println!(
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
    Ok(())
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

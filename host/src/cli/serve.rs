//! `tavora-host serve`: serves a platform in production, and holds the code that `dev` shares.
//!
//! The KEK comes from the environment and never from the file that `dev` made. Without a KEK,
//! vaults are unavailable and everything else works.

use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use vault_core::KekState;

use super::global::{ADMIN_TOKEN_VARIABLE, Global, KEK_VARIABLE};
use super::outcome::{Failure, Outcome, sentence, usage};
use super::output::print_line;
use super::private_file;
use super::session::{KekSource, Session};
use crate::config::{ServerConfig, StorageUrl};
use crate::storage;
use tavora_api as api;
use tavora_api::Api;
use tavora_api::admin_token::AdminToken;
use tavora_server::{BindError, ListenAddress, Server, Tls};
use tavora_ui as ui;

/// The file in the data folder with the admin token, used if the variable is not set.
const ADMIN_TOKEN_FILE: &str = "admin-token";

#[derive(Args)]
pub(crate) struct Serve {
    /// Listen here instead of at `[server] listen`: an IP address and a port, or localhost and a
    /// port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<ListenAddress>,
}

impl Serve {
    pub(crate) async fn execute(self, global: &Global) -> Outcome {
        let serving = Serving::bind(global.config()?.server, self.listen).await?;
        let hangups = signal(SignalKind::hangup())?;
        tokio::spawn(reload_at(hangups, serving.server.tls()));
        Session::with_new(global, KekSource::Environment, async |session| {
            match session.vaults.refresh_kek_state().await? {
                KekState::Unset => tracing::warn!(
                    "{KEK_VARIABLE} is not set: vaults answer 503 until the host is started with it"
                ),
                // A keyring that does not fit has been logged already.
                KekState::Ready
                | KekState::Mismatch { .. }
                | KekState::CanaryFailed { .. }
                | KekState::Unavailable { .. } => {}
            }
            serving.run(session, global).await
        })
        .await
    }
}

/// A server that already listens, so that a taken address is reported before anything is made.
pub(crate) struct Serving {
    server: Server,
    config: ServerConfig,
}

impl Serving {
    pub(crate) async fn bind(
        mut config: ServerConfig,
        listen: Option<ListenAddress>,
    ) -> Result<Self, Failure> {
        raise_open_files();
        config.listen = listen.unwrap_or(config.listen);
        let server = Server::bind(config.clone())
            .await
            .map_err(|error| match error {
                BindError::Address { .. } => usage(format!(
                    "{}; choose another with --listen",
                    sentence(&error)
                )),
                BindError::Tls(error) => usage(error),
            })?;
        Ok(Self { server, config })
    }

    /// Serves the API on this data until a signal arrives.
    pub(crate) async fn run(self, session: &Session, global: &Global) -> Outcome {
        let admin_token = admin_token(global)?;
        let platform = session.platform().await?;
        if let StorageUrl::Postgres(url) = &session.url {
            let host = storage::host_name(&session.config.storage.postgres)?;
            print_line(&format!(
                "the data is in {url}; the audit calls this host {host}"
            ))?;
        }
        for tool in platform.tools() {
            print_line(&format!(
                "tool {}: resolves {}",
                tool.name,
                tool.secrets.join(", ")
            ))?;
        }
        for read in platform.agents().check().map_err(usage)? {
            match read {
                Ok(agent) => print_line(&format!("agent {}: {}", agent.id, agent.name))?,
                Err(error) => tracing::warn!(%error, "an agent's file is broken"),
            }
        }
        let api = Api::new(platform, admin_token, &self.config);
        let page = ui::router(
            api.clone(),
            &session.config.admin,
            self.server.tls().is_some(),
        );
        let (rotation, refusals) = (api.rotation().clone(), api.refusals().clone());
        let router = api::router(api, (ui::ROOT, page));
        let signals = count_signals()?;
        let (stop, cut) = (
            told_to_stop(signals.clone(), 1),
            told_to_stop(signals.clone(), 2),
        );
        print_line(&format!(
            "listening on {0} (/healthz, /readyz, /admin); Ctrl-C ends it, a second one at once",
            self.server.url()
        ))?;
        self.server.serve(router, stop, cut).await;
        let last_entries = async {
            rotation.stop().await;
            refusals.write_count().await;
        };
        tokio::select! {
            () = last_entries => {}
            () = told_to_stop(signals, 2) => {}
        }
        Ok(())
    }
}

/// Returns the token from the environment, or from the data folder, where it is made if it is
/// missing.
fn admin_token(global: &Global) -> Result<AdminToken, Failure> {
    if let Some(read) = global.credential(ADMIN_TOKEN_VARIABLE)? {
        return AdminToken::parse(&read.text)
            .map_err(|error| usage(format!("{ADMIN_TOKEN_VARIABLE}: {error}")));
    }
    let path = global.data.join(ADMIN_TOKEN_FILE);
    if !path.exists() && private_file::try_make(&path, &AdminToken::make_text()?)? {
        print_line(&format!("made an admin token in {} (0600)", path.display()))?;
    } else {
        print_line(&format!("the admin token is in {}", path.display()))?;
    }
    AdminToken::parse(&private_file::read(&path)?)
        .map_err(|error| usage(format!("{}: {error}", path.display())))
}

/// Counts the signals to stop. Only one task listens: two listeners could each miss a signal that
/// the other one received, because only one pending signal is kept.
fn count_signals() -> Result<watch::Receiver<usize>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        while !count.is_closed() {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            count.send_modify(|count| *count += 1);
        }
    });
    Ok(counted)
}

/// Ends when the `count`th signal to stop has arrived.
async fn told_to_stop(mut signals: watch::Receiver<usize>, count: usize) {
    let told = signals.wait_for(|told| *told >= count).await.is_ok();
    if !told {
        // The runtime is ending, and will end this task too.
        std::future::pending::<()>().await;
    }
}

/// Reads the certificate again at each SIGHUP. Without a certificate, SIGHUP is ignored and does
/// not end the host: service managers send it to every service.
async fn reload_at(mut hangups: Signal, tls: Option<Arc<Tls>>) {
    while hangups.recv().await.is_some() {
        match tls.as_ref().map(|tls| tls.reload()) {
            Some(Ok(())) => tracing::info!("read the certificate and its key again"),
            Some(Err(error)) => {
                let error = sentence(&error);
                tracing::error!(error, "the certificate stays as it was");
            }
            None => tracing::info!("there is no certificate to read again"),
        }
    }
}

/// Raises the limit of open files to the system's maximum. The usual default is about as many as
/// connections, and tools and the database need files too.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}

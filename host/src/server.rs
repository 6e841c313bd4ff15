//! The sockets under the HTTP API: listening, TLS, connections and their limits, and the way to stop.
//!
//! A router is served as it is given; routes, credentials and the words of refusals are `api`'s business.

mod body;
mod connection;
mod head;
mod host_names;
mod pace;
mod settings;
mod socket;
mod stopping;
mod tls;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};

pub use self::body::BodyError;
use self::connection::{Shared, Wire};
pub use self::head::check_head;
pub use self::host_names::{HostName, HostNames, check_host};
use self::pace::Pace;
pub use self::settings::{ServerConfig, ServerLimits};
use self::stopping::Stage;
pub use self::stopping::Stopping;
pub use self::tls::{Tls, TlsError};

/// How long nothing is accepted after the system refused to: without a pause the loop would spin on the same error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// How often room is looked for while a new connection waits for some.
const ROOM_PAUSE: Duration = Duration::from_millis(50);
/// How long requests whose time is up may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A socket that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: ServerConfig,
    tls: Option<Arc<Tls>>,
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, or not this machine's, or not for this user.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Server {
    /// Listens at `[server] listen`, with TLS where it is configured.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let tls = Tls::load(&config)?;
        let refused = |source| BindError::Address {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            listener,
            address,
            config,
            tls,
        })
    }

    /// `http://ADDRESS:PORT`, or `https://…`. The port is the one that was taken where 0 was asked for.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate, to be read again where its files change.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Serves `router` until `stop` ends, and for `drain_delay_ms` after that; then accepts nothing, lets requests that are
    /// under way finish within `shutdown_grace_ms`, lets the others say that they do not, and cuts what is left. Cuts at
    /// once when `cut` ends meanwhile.
    pub async fn serve(
        self,
        router: Router,
        stop: impl Future<Output = ()>,
        cut: impl Future<Output = ()>,
    ) {
        let url = self.url();
        let Self {
            listener,
            config,
            tls,
            ..
        } = self;
        tracing::info!(%url, "listening");
        let mut connections = Connections::new(Shared::new(config.limits, tls, router));
        let stage = connections.stage.clone();
        let leave = async {
            stop.await;
            stage.send_replace(Stage::Leaving);
            let delay_ms = config.drain_delay_ms;
            if delay_ms > 0 {
                tracing::info!(delay_ms, "leaving; requests are still taken");
                sleep(Duration::from_millis(delay_ms)).await;
            }
        };
        let mut cut = pin!(cut);
        let is_cut = tokio::select! {
            () = connections.accept_until(&listener, leave) => false,
            () = cut.as_mut() => true,
        };
        // From here on the system refuses new ones.
        drop(listener);
        let cut = async {
            if !is_cut {
                cut.await;
            }
        };
        connections.drain(config.shutdown_grace(), cut).await;
    }
}

/// The open connections.
struct Connections {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    stage: watch::Sender<Stage>,
}

struct Open {
    pace: Arc<Pace>,
    closing: Arc<Notify>,
}

impl Connections {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tasks: JoinSet::new(),
            open: HashMap::new(),
            stage: watch::Sender::new(Stage::Serving),
        }
    }

    async fn accept_until(&mut self, listener: &TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut newcomer = None;
        loop {
            if let Some((stream, peer)) = newcomer.take() {
                if self.open.len() < self.shared.limits.max_connections.get() {
                    self.start(stream, peer);
                } else {
                    self.make_room(1);
                    newcomer = Some((stream, peer));
                }
            }
            tokio::select! {
                () = stop.as_mut() => return,
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                () = sleep(ROOM_PAUSE), if newcomer.is_some() => {}
                accepted = listener.accept(), if newcomer.is_none() => match accepted {
                    Ok(accepted) => newcomer = Some(accepted),
                    Err(error) if concerns_one_connection(&error) => {
                        tracing::debug!(%error, "a connection was gone before it was accepted");
                    }
                    Err(error) => {
                        tracing::error!(%error, connections = self.open.len(), "no connection can be accepted");
                        // The database and the tools need files too.
                        self.make_room(self.open.len().div_ceil(4));
                        tokio::select! {
                            () = stop.as_mut() => return,
                            () = sleep(ACCEPT_PAUSE) => {}
                        }
                    }
                },
            }
        }
    }

    fn start(&mut self, stream: TcpStream, peer: SocketAddr) {
        let pace = Pace::new(Instant::now());
        let closing = Arc::new(Notify::new());
        let wire = Wire {
            pace: Arc::clone(&pace),
            closing: Arc::clone(&closing),
            stage: self.stage.subscribe(),
        };
        let task = self.tasks.spawn(connection::serve(
            Arc::clone(&self.shared),
            stream,
            peer,
            wire,
        ));
        self.open.insert(task.id(), Open { pace, closing });
    }

    /// Closes up to so many connections that wait for a request, those first that have waited longest: so nobody keeps
    /// others out by holding connections and asking nothing. Those that have not waited long are left alone, or new
    /// ones would displace each other before they are heard.
    fn make_room(&mut self, wanted: usize) {
        let patience = self.shared.limits.displace_after();
        let mut waiting: Vec<_> = self
            .open
            .values()
            .filter_map(|open| Some((open.pace.waiting_since()?, &open.closing)))
            .filter(|(since, _)| since.elapsed() >= patience)
            .collect();
        waiting.sort_by_key(|(since, _)| *since);
        for (_, closing) in waiting.into_iter().take(wanted) {
            closing.notify_one();
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(failed) => {
                if failed.is_panic() {
                    tracing::error!("a connection's task panicked; this is a defect of the host");
                }
                failed.id()
            }
        };
        self.open.remove(&id);
    }

    async fn drain(mut self, grace: Duration, cut: impl Future<Output = ()>) {
        let begun = Instant::now();
        tracing::info!(connections = self.open.len(), "stopping");
        self.stage.send_replace(Stage::Draining);
        let late = tokio::select! {
            late = self.drain_within(grace) => late,
            () = cut => self.open.len(),
        };
        let took_ms = begun.elapsed().as_millis();
        match late {
            0 => tracing::info!(took_ms, "stopped"),
            connections => tracing::warn!(
                took_ms,
                connections,
                "stopped; what was still under way is cut off"
            ),
        }
        self.tasks.shutdown().await;
    }

    /// Waits for the connections to end, and makes them when their time is up; how many that concerned.
    async fn drain_within(&mut self, grace: Duration) -> usize {
        if timeout(grace, self.all_ended()).await.is_ok() {
            return 0;
        }
        let late = self.open.len();
        self.stage.send_replace(Stage::Closing);
        // Whoever says nothing within this time is cut without a word.
        let _ = timeout(LAST_WORDS, self.all_ended()).await;
        late
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.forget(ended);
        }
    }
}

/// Errors of `accept` that are about the connection that would have been, and not about this process.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

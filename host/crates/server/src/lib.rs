//! The sockets under the HTTP API: listening, TLS, connections and their limits, and stopping.
//!
//! A *stranger* is a connection that has shown no valid credential; the others are *known*. The
//! server takes a router and does not look into it. Routes, credentials and the texts of refusals
//! belong to `api`.

mod body;
mod budget;
mod claim;
mod connection;
mod frames;
mod framing;
mod gate;
mod host_names;
mod listener;
mod pace;
pub mod peer;
mod places;
mod proxies;
mod seats;
mod settings;
mod shared;
mod socket;
mod stopping;
pub mod throttle;
mod tls;
mod unfinished;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};

pub use self::body::BodyError;
pub use self::budget::{ByteBudget, ByteShare, UsedUp};
pub use self::claim::Claim;
pub use self::connection::IsTls;
use self::connection::Wire;
pub use self::framing::Malformed;
pub use self::host_names::{HostName, HostNames, host_of};
use self::listener::Listener;
pub use self::listener::{InvalidListenAddress, ListenAddress};
use self::pace::Pace;
use self::places::{Full, Places};
pub use self::proxies::{Arrival, TrustedProxies};
pub use self::settings::{ServerConfig, ServerLimits};
use self::shared::Shared;
use self::stopping::Stage;
pub use self::stopping::Stopping;
pub use self::tls::{Tls, TlsError};
pub use self::unfinished::{NoRoom, StrangersBudget, StrangersShare};

/// The pause after the system refused to accept a connection. Without it the loop would spin on the
/// same error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// The shortest time between two attempts to make room while connections wait.
const ROOM_PAUSE: Duration = Duration::from_millis(50);
/// Limits the time in which requests that run out of time may tell that to their clients.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A listening socket, ready to serve.
pub struct Server {
    listener: Listener,
    address: SocketAddr,
    config: ServerConfig,
    tls: Option<Arc<Tls>>,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, is not this machine's, or is not allowed to this user.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: ListenAddress,
        /// The system's error.
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
        let listener = Listener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            listener,
            address,
            config,
            tls,
        })
    }

    /// Returns `http://ADDRESS:PORT` or `https://…`. If port 0 was configured, this is the port
    /// that the system chose.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the certificate, which can be read again after its files change.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Serves `router` until `stop` ends, and for `drain_delay_ms` after that. Then it accepts
    /// nothing more and lets requests that are under way finish within `shutdown_grace_ms`.
    /// Requests that do not finish may tell their clients so, and the rest is cut. When `cut` ends,
    /// everything is cut at once.
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
        let mut connections = Connections::new(Shared::new(&config, tls, router));
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
        // From here on the system refuses new connections.
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
    places: Places,
    /// Accepted connections without a place, the oldest first.
    newcomers: VecDeque<(TcpStream, SocketAddr)>,
    /// When room may be made again. Making room examines every connection, which costs too much to
    /// do for each new one.
    next_room: Instant,
    stage: watch::Sender<Stage>,
}

impl Connections {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            places: Places::new(shared.limits, shared.proxies.clone()),
            shared,
            tasks: JoinSet::new(),
            newcomers: VecDeque::new(),
            next_room: Instant::now(),
            stage: watch::Sender::new(Stage::Serving),
        }
    }

    async fn accept_until(&mut self, listener: &Listener, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            self.place_newcomers();
            let seats = Arc::clone(&self.shared.seats);
            let is_short = !self.newcomers.is_empty() || seats.waiting() > 0;
            let is_full = self.newcomers.len() >= self.shared.limits.max_connections_per_peer.get();
            tokio::select! {
                () = stop.as_mut() => return,
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                () = sleep_until(self.next_room.into()), if is_short => {}
                () = seats.wanted() => {}
                accepted = listener.accept(), if !is_full => match accepted {
                    Ok(accepted) => self.newcomers.push_back(accepted),
                    Err(error) if concerns_one_connection(&error) => {
                        tracing::debug!(%error, "a connection was gone before it was accepted");
                    }
                    Err(error) => {
                        let connections = self.places.taken();
                        tracing::error!(%error, connections, "no connection can be accepted");
                        // The usual cause is a lack of file handles, which the database and the
                        // tools need too.
                        self.places.make_room(Full::All, connections.div_ceil(4));
                        tokio::select! {
                            () = stop.as_mut() => return,
                            () = sleep(ACCEPT_PAUSE) => {}
                        }
                    }
                },
            }
        }
    }

    /// Starts the newcomers for which there is a place, the latest first: a client that has waited
    /// long may have gone. Makes room for the others. If too many wait, the oldest whose peer is
    /// over its share is turned away.
    fn place_newcomers(&mut self) {
        let mut waiting = VecDeque::new();
        let mut shortages: Vec<(Full, usize)> = Vec::new();
        while let Some((stream, address)) = self.newcomers.pop_back() {
            let Err(full) = self.places.check(address.ip()) else {
                self.start(stream, address);
                continue;
            };
            match shortages.iter_mut().find(|(of, _)| *of == full) {
                Some((_, wanted)) => *wanted += 1,
                None => shortages.push((full, 1)),
            }
            waiting.push_front((stream, address, full));
        }
        shortages.push((Full::Seats, self.shared.seats.waiting()));
        let now = Instant::now();
        if now >= self.next_room {
            self.next_room = now + ROOM_PAUSE;
            for (full, wanted) in shortages {
                self.places.make_room(full, wanted);
            }
        }
        let too_many = waiting.len() >= self.shared.limits.max_connections_per_peer.get();
        let of_a_peer = |full: &Full| matches!(full, Full::Peer(_));
        let turned_away = waiting
            .iter()
            .position(|(_, _, full)| too_many && of_a_peer(full));
        if let Some((_, address, _)) = turned_away.and_then(|index| waiting.remove(index)) {
            let limit = "server.limits.max_connections_per_peer";
            tracing::debug!(peer = %address, limit, "a connection is turned away");
        }
        self.newcomers = waiting
            .into_iter()
            .map(|(stream, address, _)| (stream, address))
            .collect();
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
        self.places.take(task.id(), peer.ip(), pace, closing);
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
        self.places.leave(id);
    }

    async fn drain(mut self, grace: Duration, cut: impl Future<Output = ()>) {
        let begun = Instant::now();
        tracing::info!(connections = self.places.taken(), "stopping");
        self.stage.send_replace(Stage::Draining);
        let late = tokio::select! {
            late = self.drain_within(grace) => late,
            () = cut => self.places.taken(),
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

    /// Waits for the connections to end, and makes them end when their time is up. Returns how many
    /// had to be ended.
    async fn drain_within(&mut self, grace: Duration) -> usize {
        if timeout(grace, self.all_ended()).await.is_ok() {
            return 0;
        }
        let late = self.places.taken();
        self.stage.send_replace(Stage::Closing);
        // Connections that are still open after this time are cut without a word.
        let _ = timeout(LAST_WORDS, self.all_ended()).await;
        late
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.forget(ended);
        }
    }
}

/// Whether an error of `accept` concerns only the one connection, and not the whole process.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

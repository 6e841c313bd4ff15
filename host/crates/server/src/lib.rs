//! The sockets under the HTTP API: listening, TLS, connections and their limits, and the way to
//! stop.
//!
//! A router is served as it is given; routes, credentials and the words of refusals are `api`'s
//! business.

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

/// How long nothing is accepted after the system refused to: without a pause the loop would spin on
/// the same error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// How often room is made while connections wait for some.
const ROOM_PAUSE: Duration = Duration::from_millis(50);
/// How long requests whose time is up may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A socket that listens.
pub struct Server {
    listener: Listener,
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
        address: ListenAddress,
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
        let listener = Listener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            listener,
            address,
            config,
            tls,
        })
    }

    /// `http://ADDRESS:PORT`, or `https://…`. The port is the one that was taken where 0 was asked
    /// for.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate, to be read again where its files change.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Serves `router` until `stop` ends, and for `drain_delay_ms` after that; then accepts
    /// nothing, lets requests that are under way finish within `shutdown_grace_ms`, lets the others
    /// say that they do not, and cuts what is left. Cuts at once when `cut` ends meanwhile.
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
    places: Places,
    /// Those that were accepted and have no place yet, the oldest first.
    newcomers: VecDeque<(TcpStream, SocketAddr)>,
    /// When room may be made again. Making it looks at every connection, which is too much for each
    /// that comes.
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
                        // The database and the tools need files too.
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

    /// Starts those for whom there is a place, the latest first: who has waited long may have gone.
    /// For the others room is made, and where very many of one peer wait, the oldest of them are
    /// turned away.
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

    /// Waits for the connections to end, and makes them when their time is up; how many that
    /// concerned.
    async fn drain_within(&mut self, grace: Duration) -> usize {
        if timeout(grace, self.all_ended()).await.is_ok() {
            return 0;
        }
        let late = self.places.taken();
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

/// Errors of `accept` that are about the connection that would have been, and not about this
/// process.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

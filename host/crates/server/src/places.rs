//! The places for connections: how many each peer has, and which connection is closed when a place
//! is needed.
//!
//! Nothing is accepted or served here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::Id;

use super::pace::{Pace, Waiting};
use super::proxies::TrustedProxies;
use super::settings::ServerLimits;
use crate::peer::Peer;

/// The open connections and their peers.
pub(super) struct Places {
    open: HashMap<Id, Open>,
    held: HashMap<Peer, usize>,
    limits: ServerLimits,
    proxies: TrustedProxies,
}

struct Open {
    peer: Peer,
    pace: Arc<Pace>,
    closing: Arc<Notify>,
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The peer has used up its share.
    Peer(Peer),
    /// All places are taken.
    All,
    /// All seats for HTTP/2 strangers are taken.
    Seats,
}

impl Places {
    pub(super) fn new(limits: ServerLimits, proxies: TrustedProxies) -> Self {
        Self {
            open: HashMap::new(),
            held: HashMap::new(),
            limits,
            proxies,
        }
    }

    /// The number of open connections.
    pub(super) fn taken(&self) -> usize {
        self.open.len()
    }

    /// Checks for a place for one more connection from this address.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Full> {
        let peer = Peer::from(address);
        let held = self.held.get(&peer).copied().unwrap_or(0);
        let share = self.limits.max_connections_per_peer.get();
        if held >= share && !is_own(address) && !self.proxies.trusts(address) {
            return Err(Full::Peer(peer));
        }
        match self.taken() < self.limits.max_connections.get() {
            true => Ok(()),
            false => Err(Full::All),
        }
    }

    pub(super) fn take(&mut self, id: Id, address: IpAddr, pace: Arc<Pace>, closing: Arc<Notify>) {
        let peer = Peer::from(address);
        *self.held.entry(peer).or_default() += 1;
        let open = Open {
            peer,
            pace,
            closing,
        };
        self.open.insert(id, open);
    }

    pub(super) fn leave(&mut self, id: Id) {
        let Some(Open { peer, .. }) = self.open.remove(&id) else {
            return;
        };
        if let Some(held) = self.held.get_mut(&peer) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&peer);
            }
        }
    }

    /// Closes up to `wanted` connections that wait for their clients, among those that cause the
    /// shortage.
    ///
    /// Strangers' connections go first, and within each group those that earned their place longest
    /// ago. So nobody can keep others out by holding connections without requests, or by sending
    /// requests without a credential. A connection that was not answered yet is left alone for
    /// `displace_after_ms`, or new connections would displace each other before they are served. A
    /// known connection is left alone for the same time.
    pub(super) fn make_room(&self, of: Full, wanted: usize) {
        if wanted == 0 {
            return;
        }
        let now = Instant::now();
        let mut waiting: Vec<(Waiting, &Notify)> = self
            .open
            .values()
            .filter(|open| match of {
                Full::Peer(peer) => open.peer == peer,
                Full::All => true,
                Full::Seats => open.pace.is_multiplexed_stranger(),
            })
            .filter_map(|open| Some((open.pace.waiting()?, &*open.closing)))
            .filter(|(waiting, _)| self.may_go(waiting, now))
            .collect();
        waiting.sort_by_key(|(waiting, _)| (waiting.is_known, waiting.since));
        for (_, closing) in waiting.into_iter().take(wanted) {
            closing.notify_one();
        }
    }

    fn may_go(&self, waiting: &Waiting, now: Instant) -> bool {
        let has_passed = |since, time| now.saturating_duration_since(since) >= time;
        let is_heard_stranger =
            !waiting.is_known && waiting.done.is_some_and(|done| has_passed(done, FLUSH));
        is_heard_stranger || has_passed(waiting.since, self.limits.displace_after())
    }
}

/// Whether the address is loopback. Everything that comes through a proxy on this machine has such
/// an address, even if the proxy is not listed.
fn is_own(address: IpAddr) -> bool {
    let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    own.contains(&address.to_canonical())
}

/// The time that an answer has to reach its client before a stranger's connection may be closed.
const FLUSH: Duration = Duration::from_millis(50);

//! The places for connections: how many each peer has, and whose connection is closed where one is
//! needed.
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

/// The open connections, and who has them.
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
    /// Its peer has its share.
    Peer(Peer),
    /// All are taken.
    All,
    /// All seats for HTTP/2 without a credential are.
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

    /// How many connections are open.
    pub(super) fn taken(&self) -> usize {
        self.open.len()
    }

    /// Whether there is a place for one more connection of this address.
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

    /// Closes up to `wanted` connections that wait for their clients, of those that fill it up.
    ///
    /// Strangers' are closed first, and of those that are alike the one that earned its place
    /// longest ago: so nobody keeps others out by holding connections and asking nothing, or by
    /// asking without a credential. A connection that was not heard yet is left alone for a while,
    /// or new ones would displace each other before they are; so is one of a client that is known.
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

/// Whether it is this machine's own address. All that comes through a proxy on this machine comes
/// from there, also where nobody has listed that proxy.
fn is_own(address: IpAddr) -> bool {
    let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    own.contains(&address.to_canonical())
}

/// What an answer has to reach its client, before the connection of a stranger can go.
const FLUSH: Duration = Duration::from_millis(50);

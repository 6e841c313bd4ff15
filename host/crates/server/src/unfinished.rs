//! The budget of bytes for bodies that are still arriving from strangers. When the budget is used
//! up, a new body takes room from the oldest body of the peer that holds most. So nobody can keep
//! others out with bodies that never end.
//!
//! A body that has already arrived waits for nobody, so it is never given up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::peer::Peer;

/// The budget of one server. Clones share it.
#[derive(Clone, Debug)]
pub struct StrangersBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_bytes: usize,
    max_bytes_per_peer: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    next: u64,
    /// The peers that hold a part of the budget.
    peers: HashMap<Peer, Holder>,
}

#[derive(Debug, Default)]
struct Holder {
    bytes: usize,
    /// The bodies by number, in the order of their arrival.
    bodies: BTreeMap<u64, Body>,
}

#[derive(Debug)]
struct Body {
    bytes: usize,
    given_up: oneshot::Sender<NoRoom>,
}

/// The limit that leaves no room for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// The limit of all strangers together.
    InAll,
    /// The limit of one peer.
    OfPeer,
}

impl StrangersBudget {
    /// Returns a budget of `max_bytes`, of which each peer may hold `max_bytes_per_peer`.
    pub fn new(max_bytes: usize, max_bytes_per_peer: usize) -> Self {
        Self(Arc::new(Inner {
            max_bytes,
            max_bytes_per_peer,
            state: Mutex::default(),
        }))
    }

    /// Takes `bytes` for a body of the peer. They are returned when the share is dropped or given
    /// up.
    ///
    /// # Errors
    /// Fails if there is too little room even after all other bodies have been given up.
    pub fn take(&self, peer: Peer, bytes: usize) -> Result<StrangersShare, NoRoom> {
        let (given_up, told) = oneshot::channel();
        let mut state = self.state();
        state.next += 1;
        let number = state.next;
        let body = Body { bytes: 0, given_up };
        let holder = state.peers.entry(peer).or_default();
        holder.bodies.insert(number, body);
        drop(state);
        let share = StrangersShare {
            budget: self.clone(),
            peer,
            number,
            told,
        };
        share.grow(bytes)?;
        Ok(share)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held_by(&self, peer: Peer) -> usize {
        self.peers.get(&peer).map_or(0, |holder| holder.bytes)
    }

    /// Returns the bytes that a body holds, or `None` if it was given up.
    fn bytes_of(&self, peer: Peer, number: u64) -> Option<usize> {
        let body = self.peers.get(&peer)?.bodies.get(&number)?;
        Some(body.bytes)
    }

    fn add(&mut self, peer: Peer, number: u64, more: usize) {
        let Some(holder) = self.peers.get_mut(&peer) else {
            return;
        };
        if let Some(body) = holder.bodies.get_mut(&number) {
            body.bytes += more;
            holder.bytes += more;
            self.bytes += more;
        }
    }

    /// Returns the oldest body of a peer other than `but`.
    fn oldest(&self, peer: Peer, but: u64) -> Option<u64> {
        let bodies = &self.peers.get(&peer)?.bodies;
        bodies.keys().copied().find(|number| *number != but)
    }

    /// Returns the oldest body other than `but` of the peer that holds most.
    fn oldest_of_most(&self, but: u64) -> Option<(Peer, u64)> {
        let oldest = |(peer, holder): (&Peer, &Holder)| {
            let number = self.oldest(*peer, but)?;
            Some((holder.bytes, *peer, number))
        };
        let holders = self.peers.iter().filter_map(oldest);
        let (_, peer, number) = holders.max_by_key(|(bytes, _, number)| (*bytes, !number))?;
        Some((peer, number))
    }

    fn remove(&mut self, peer: Peer, number: u64) -> Option<oneshot::Sender<NoRoom>> {
        let holder = self.peers.get_mut(&peer)?;
        let body = holder.bodies.remove(&number)?;
        holder.bytes -= body.bytes;
        self.bytes -= body.bytes;
        if holder.bodies.is_empty() {
            self.peers.remove(&peer);
        }
        Some(body.given_up)
    }

    fn give_up(&mut self, peer: Peer, number: u64, why: NoRoom) {
        if let Some(given_up) = self.remove(peer, number) {
            // The receiver is gone if the body has just ended.
            let _ = given_up.send(why);
        }
    }
}

/// The part of the budget that one body holds.
#[derive(Debug)]
pub struct StrangersShare {
    budget: StrangersBudget,
    peer: Peer,
    number: u64,
    told: oneshot::Receiver<NoRoom>,
}

impl StrangersShare {
    /// Takes `more` bytes. Other bodies are given up if there is too little room.
    ///
    /// # Errors
    /// Fails if there is too little room even after all other bodies have been given up, or if the
    /// share itself was given up.
    pub fn grow(&self, more: usize) -> Result<(), NoRoom> {
        let limits = &self.budget.0;
        let mut state = self.budget.state();
        let has = state.bytes_of(self.peer, self.number);
        let wants = has.ok_or(NoRoom::InAll)?.saturating_add(more);
        // A body that exceeds a limit by itself must not cause others to be given up.
        if wants > limits.max_bytes_per_peer {
            return Err(NoRoom::OfPeer);
        }
        if wants > limits.max_bytes {
            return Err(NoRoom::InAll);
        }
        while state.held_by(self.peer).saturating_add(more) > limits.max_bytes_per_peer {
            let why = NoRoom::OfPeer;
            let oldest = state.oldest(self.peer, self.number).ok_or(why)?;
            state.give_up(self.peer, oldest, why);
        }
        while state.bytes.saturating_add(more) > limits.max_bytes {
            let why = NoRoom::InAll;
            let (peer, oldest) = state.oldest_of_most(self.number).ok_or(why)?;
            state.give_up(peer, oldest, why);
        }
        state.add(self.peer, self.number, more);
        Ok(())
    }

    /// Waits until the share is given up for another body.
    pub async fn given_up(&mut self) -> NoRoom {
        // The sender is dropped only together with the share or after it has sent the reason.
        (&mut self.told).await.unwrap_or(NoRoom::InAll)
    }
}

impl Drop for StrangersShare {
    fn drop(&mut self) {
        self.budget.state().remove(self.peer, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(number: u8) -> Peer {
        Peer::from(IpAddr::from([192, 0, 2, number]))
    }

    fn given_up(share: &mut StrangersShare) -> Option<NoRoom> {
        share.told.try_recv().ok()
    }

    #[test]
    fn the_oldest_of_the_peer_that_holds_most_gives_way_and_no_other() {
        let budget = StrangersBudget::new(100, 50);
        let take = |number, bytes| budget.take(peer(number), bytes).expect("there is room");
        let mut small = take(1, 10);
        let mut of_most = [take(2, 20), take(2, 20)];
        let mut other = [take(3, 30), take(3, 5)];
        let mut newcomer = take(4, 30);
        assert_eq!(given_up(&mut of_most[0]), Some(NoRoom::InAll));
        assert_eq!(given_up(&mut of_most[1]), None);
        // Now the third peer holds most. Growing takes room from it, too.
        newcomer.grow(10).expect("there is room");
        assert_eq!(given_up(&mut other[0]), Some(NoRoom::InAll));
        let rest = [&mut other[1], &mut of_most[1], &mut small, &mut newcomer];
        assert_eq!(rest.map(given_up), [None; 4]);
        assert_eq!(budget.state().bytes, 10 + 20 + 5 + 40);
        // A share that was given up can take nothing more, and returns nothing a second time.
        assert_eq!(other[0].grow(1), Err(NoRoom::InAll));
        drop((other, of_most, small, newcomer));
        let state = budget.state();
        assert!(state.bytes == 0 && state.peers.is_empty(), "{state:?}");
    }

    #[test]
    fn a_peer_makes_room_for_itself_and_what_fits_nowhere_is_refused() {
        let budget = StrangersBudget::new(100, 50);
        let take = |number, bytes| budget.take(peer(number), bytes);
        let mut first = take(1, 30).expect("there is room");
        let mut second = take(1, 30).expect("there is room");
        assert_eq!(given_up(&mut first), Some(NoRoom::OfPeer));
        assert_eq!(second.grow(30), Err(NoRoom::OfPeer));
        assert_eq!(take(2, 51).map(|_| ()), Err(NoRoom::OfPeer));
        assert_eq!(given_up(&mut second), None);
        let narrow = StrangersBudget::new(10, 50);
        assert_eq!(narrow.take(peer(1), 11).map(|_| ()), Err(NoRoom::InAll));
        assert!(narrow.state().peers.is_empty());
    }
}

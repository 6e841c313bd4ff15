//! Seats for HTTP/2 connections of strangers. Such a connection costs far more than one of
//! HTTP/1.1, because each may open a hundred streams, so fewer are allowed.
//!
//! A connection waits for its seat before any of its bytes is parsed. A free seat goes to the peer
//! that has the fewest, so that a flood of connections keeps nobody out. `places` decides which
//! connection has to give up its seat.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::peer::Peer;

/// The seats of one server.
#[derive(Debug)]
pub(super) struct Seats {
    max_taken: usize,
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// The number of seats that each peer has.
    held: HashMap<Peer, usize>,
    next_ticket: u64,
    /// The connections that wait, in the order in which they came.
    waiting: BTreeMap<u64, (Peer, Waker)>,
}

impl Seats {
    pub(super) fn new(max_taken: usize) -> Arc<Self> {
        Arc::new(Self {
            max_taken,
            state: Mutex::default(),
            wanted: Notify::new(),
        })
    }

    /// The number of connections that wait for a seat.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Ends when a connection begins to wait for a seat.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held_by(&self, peer: Peer) -> usize {
        self.held.get(&peer).copied().unwrap_or(0)
    }

    fn take(&mut self, peer: Peer) {
        self.taken += 1;
        *self.held.entry(peer).or_default() += 1;
    }

    fn leave(&mut self, peer: Peer) {
        self.taken -= 1;
        let left = self.held_by(peer).saturating_sub(1);
        match left {
            0 => drop(self.held.remove(&peer)),
            left => drop(self.held.insert(peer, left)),
        }
    }

    /// Gives a free seat to a waiting connection of the peer that has the fewest seats. Of several
    /// such connections the latest gets it, because a client that has waited long may have gone.
    fn hand_on(&mut self) {
        let waiting = self.waiting.iter();
        let next =
            waiting.min_by_key(|(ticket, (peer, _))| (self.held_by(*peer), Reverse(*ticket)));
        let Some(ticket) = next.map(|(ticket, _)| *ticket) else {
            return;
        };
        if let Some((peer, waker)) = self.waiting.remove(&ticket) {
            self.take(peer);
            waker.wake();
        }
    }
}

/// One connection's seat, or its wait for a seat. Dropping it gives the seat back.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    peer: Peer,
    hold: Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Nothing,
    /// The connection waits for a seat. Once the ticket is no longer in `waiting`, it has one.
    Ticket(u64),
    Seat,
}

impl Seat {
    pub(super) fn new(seats: &Arc<Seats>, peer: Peer) -> Self {
        Self {
            seats: Arc::clone(seats),
            peer,
            hold: Hold::Nothing,
        }
    }

    /// Whether the connection has its seat.
    pub(super) fn is_taken(&self) -> bool {
        self.hold == Hold::Seat
    }

    /// Waits for the seat and takes it.
    pub(super) fn poll_take(&mut self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.seats.state();
        match self.hold {
            Hold::Seat => return Poll::Ready(()),
            Hold::Ticket(ticket) => {
                if let Some((_, waker)) = state.waiting.get_mut(&ticket) {
                    waker.clone_from(context.waker());
                    return Poll::Pending;
                }
            }
            Hold::Nothing if state.taken < self.seats.max_taken => state.take(self.peer),
            Hold::Nothing => {
                state.next_ticket += 1;
                let ticket = state.next_ticket;
                let waits = (self.peer, context.waker().clone());
                state.waiting.insert(ticket, waits);
                self.hold = Hold::Ticket(ticket);
                drop(state);
                self.seats.wanted.notify_one();
                return Poll::Pending;
            }
        }
        self.hold = Hold::Seat;
        Poll::Ready(())
    }

    /// Gives the seat back, or stops waiting for one.
    pub(super) fn leave(&mut self) {
        let hold = std::mem::replace(&mut self.hold, Hold::Nothing);
        if hold == Hold::Nothing {
            // A known connection calls this at every read, and must not take a lock that all
            // connections share.
            return;
        }
        let mut state = self.seats.state();
        let is_waiting = match hold {
            Hold::Ticket(ticket) => state.waiting.remove(&ticket).is_some(),
            Hold::Seat | Hold::Nothing => false,
        };
        if !is_waiting {
            state.leave(self.peer);
            state.hand_on();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(number: u8) -> Peer {
        Peer::from(IpAddr::from([192, 0, 2, number]))
    }

    fn is_taken(seat: &mut Seat) -> bool {
        let context = Context::from_waker(Waker::noop());
        seat.poll_take(&context).is_ready()
    }

    #[test]
    fn the_latest_gets_the_seat_that_is_left_and_the_others_after_it() {
        let seats = Seats::new(2);
        let mut all = [(); 4].map(|()| Seat::new(&seats, peer(1)));
        assert_eq!(all.each_mut().map(is_taken), [true, true, false, false]);
        assert_eq!(all.each_mut().map(is_taken), [true, true, false, false]);
        assert_eq!(seats.waiting(), 2);
        all[0].leave();
        assert_eq!([2, 3].map(|it| is_taken(&mut all[it])), [false, true]);
        let mut newcomer = Seat::new(&seats, peer(1));
        assert!(!is_taken(&mut newcomer), "the others were here before");
        all[1].leave();
        all[3].leave();
        assert!(is_taken(&mut newcomer) && is_taken(&mut all[2]));
        assert_eq!(seats.waiting(), 0);
    }

    #[test]
    fn a_peer_that_has_none_is_before_one_that_has_many() {
        let seats = Seats::new(2);
        let mut many = [(); 2].map(|()| Seat::new(&seats, peer(1)));
        assert_eq!(many.each_mut().map(is_taken), [true, true]);
        let mut other = Seat::new(&seats, peer(2));
        let mut more = [(); 2].map(|()| Seat::new(&seats, peer(1)));
        assert!(!is_taken(&mut other));
        assert_eq!(more.each_mut().map(is_taken), [false, false]);
        many[0].leave();
        assert!(is_taken(&mut other));
        assert_eq!(more.each_mut().map(is_taken), [false, false]);
    }

    #[test]
    fn a_seat_that_was_given_to_one_who_is_gone_is_handed_on() {
        let seats = Seats::new(1);
        let mut first = Seat::new(&seats, peer(1));
        let [mut second, mut third] = [(); 2].map(|()| Seat::new(&seats, peer(1)));
        assert!(is_taken(&mut first) && !is_taken(&mut second) && !is_taken(&mut third));
        drop(first);
        drop(third);
        assert!(is_taken(&mut second));
        drop(second);
        let state = seats.state();
        assert!(state.taken == 0 && state.held.is_empty());
    }
}

//! Limits how many requests of strangers are worked at at once. Beyond the limit nothing is read
//! from strangers' connections: their requests wait on the client's side and take no memory here.
//!
//! A connection that has sent no request yet may always send a few bytes, so that a new connection
//! is not behind all the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The gate of one server.
#[derive(Debug)]
pub(super) struct Gate {
    max_turns: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    turns: usize,
    next_ticket: u64,
    /// The readers that wait, in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    /// Turns that ended since a waiting reader was last woken.
    ended: usize,
    /// Tickets that may read once, even if the gate is full.
    let_in: BTreeSet<u64>,
}

/// The bytes that a connection may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// All bytes that have arrived.
    All,
    /// A few bytes, once: the gate is full, and this connection has waited longest.
    Little,
}

impl Gate {
    pub(super) fn new(max_turns: usize) -> Arc<Self> {
        Arc::new(Self {
            max_turns,
            state: Mutex::default(),
        })
    }

    /// Begins a turn: a stranger's request is worked at until the turn ends. There may be more
    /// turns than the limit, because a request that was read must be answered.
    pub(super) fn turn(self: &Arc<Self>) -> Arc<Turn> {
        self.state().turns += 1;
        Arc::new(Turn {
            gate: Arc::clone(self),
            is_over: AtomicBool::new(false),
        })
    }

    /// Returns how much may be read. A reader that has to wait is woken later.
    pub(super) fn poll_open(&self, ticket: &mut Option<u64>, context: &Context<'_>) -> Poll<Pass> {
        let mut state = self.state();
        let is_let_in = ticket.is_some_and(|ticket| state.let_in.remove(&ticket));
        if state.turns < self.max_turns || is_let_in {
            if let Some(ticket) = ticket.take() {
                state.waiting.remove(&ticket);
            }
            return Poll::Ready(match state.turns < self.max_turns {
                true => Pass::All,
                false => Pass::Little,
            });
        }
        let ticket = *ticket.get_or_insert_with(|| {
            state.next_ticket += 1;
            state.next_ticket
        });
        state.waiting.insert(ticket, context.waker().clone());
        Poll::Pending
    }

    /// Forgets a reader that waited and is gone.
    pub(super) fn give_up(&self, ticket: u64) {
        let mut state = self.state();
        state.waiting.remove(&ticket);
        state.let_in.remove(&ticket);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stranger's request that is worked at. The turn ends when the request is answered, waits for
/// its client or shows a valid credential, and at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    gate: Arc<Gate>,
    is_over: AtomicBool,
}

impl Turn {
    /// Ends the turn, if it has not ended yet.
    pub(super) fn end(&self) {
        if self.is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.gate.state();
        state.turns -= 1;
        state.ended += 1;
        let max_turns = self.gate.max_turns;
        let is_full = state.turns >= max_turns;
        // Wake as many readers as there is room for, because some of them have nothing to read.
        // When no turn is left, wake all: nothing would wake them later. While the gate stays full,
        // wake one per `max_turns` ended turns: the first bytes of new connections always pass, so
        // an endless supply of them could otherwise keep the gate shut for ever.
        let room = match state.turns {
            0 => state.waiting.len(),
            turns if !is_full => max_turns - turns,
            _ => usize::from(state.ended >= max_turns),
        };
        if room > 0 {
            state.ended = 0;
        }
        let next = std::iter::from_fn(|| state.waiting.pop_first());
        let woken: Vec<(u64, Waker)> = next.take(room).collect();
        if is_full {
            state.let_in.extend(woken.iter().map(|(ticket, _)| *ticket));
        }
        drop(state);
        for (_, waker) in woken {
            waker.wake();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn those_who_come_without_end_do_not_keep_it_shut() {
        let gate = Gate::new(2);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        let mut turns: VecDeque<_> = (0..3).map(|_| gate.turn()).collect();
        let mut ticket = None;
        assert!(gate.poll_open(&mut ticket, &context).is_pending());
        for _ in 0..3 {
            turns.push_back(gate.turn());
            drop(turns.pop_front());
        }
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        let pass = gate.poll_open(&mut ticket, &context);
        assert_eq!(pass, Poll::Ready(Pass::Little));
        assert!(gate.poll_open(&mut ticket, &context).is_pending());
    }

    #[test]
    fn who_waits_is_woken_one_by_one_and_at_last_all() {
        let gate = Gate::new(2);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        let mut tickets = [None; 4];
        let first = gate.turn();
        assert!(gate.poll_open(&mut tickets[0], &context).is_ready());
        let (second, third) = (gate.turn(), gate.turn());
        for ticket in &mut tickets {
            assert!(gate.poll_open(ticket, &context).is_pending());
            assert!(gate.poll_open(ticket, &context).is_pending(), "twice");
        }
        let count = || woken.0.load(Ordering::SeqCst);
        drop(first);
        assert_eq!(count(), 0, "it is still full");
        second.end();
        drop(second);
        assert_eq!(count(), 1);
        assert!(gate.poll_open(&mut tickets[0], &context).is_ready());
        gate.give_up(tickets[3].expect("it waits"));
        drop(third);
        assert_eq!(count(), 3, "the two that are left");
    }
}

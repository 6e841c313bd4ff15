//! How many requests of strangers are worked at at once. Where there are more, nothing is read from strangers'
//! connections, so that what they ask for waits at their end of the wire and takes no memory here.
//!
//! A connection that was not heard yet may say a little in any case: so a new one is not behind all the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// One server's.
#[derive(Debug)]
pub(super) struct Gate {
    max_turns: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    turns: usize,
    next_ticket: u64,
    /// Who waits to read, in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
}

impl Gate {
    pub(super) fn new(max_turns: usize) -> Arc<Self> {
        Arc::new(Self {
            max_turns,
            state: Mutex::default(),
        })
    }

    /// A request is worked at until the turn ends. There may be more of them than the limit: what was read must be
    /// answered.
    pub(super) fn turn(self: &Arc<Self>) -> Arc<Turn> {
        self.state().turns += 1;
        Arc::new(Turn {
            gate: Arc::clone(self),
            is_over: AtomicBool::new(false),
        })
    }

    /// Whether more can be read. Who has to wait is woken.
    pub(super) fn poll_open(&self, ticket: &mut Option<u64>, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.turns < self.max_turns {
            if let Some(ticket) = ticket.take() {
                state.waiting.remove(&ticket);
            }
            return Poll::Ready(());
        }
        let ticket = *ticket.get_or_insert_with(|| {
            state.next_ticket += 1;
            state.next_ticket
        });
        state.waiting.insert(ticket, context.waker().clone());
        Poll::Pending
    }

    /// Who waited is gone.
    pub(super) fn give_up(&self, ticket: u64) {
        self.state().waiting.remove(&ticket);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of a stranger that is worked at: until it is answered, waits for its client, or shows a right credential,
/// and no longer than somebody knows of it.
#[derive(Debug)]
pub(super) struct Turn {
    gate: Arc<Gate>,
    is_over: AtomicBool,
}

impl Turn {
    /// Ends it, if it has not ended yet.
    pub(super) fn end(&self) {
        if self.is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.gate.state();
        state.turns -= 1;
        // As many as there is room for, because some of them have nothing to read; and all of them where nothing would
        // wake them later.
        let room = match state.turns {
            0 => state.waiting.len(),
            turns => self.gate.max_turns.saturating_sub(turns),
        };
        let next = std::iter::from_fn(|| state.waiting.pop_first());
        let woken: Vec<(u64, Waker)> = next.take(room).collect();
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

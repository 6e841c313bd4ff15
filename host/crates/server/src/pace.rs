//! Tracks whether a peer keeps up: what its connection waits for, since when, and when that has
//! taken too long.
//!
//! Nothing is closed here. Hyper knows one timeout (a head of HTTP/1) and not the others, so this
//! module has all of them, for both versions of HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use super::framing::Malformed;
use super::settings::ServerLimits;

/// The pace of one connection.
pub(super) struct Pace(Mutex<State>);

struct State {
    /// The event that the connection waits for while no request is in flight.
    waits_for: WaitsFor,
    since: Instant,
    in_flight: usize,
    /// The number of requests in flight that wait for more of their body.
    awaited_bodies: usize,
    /// A valid credential was seen on this connection.
    is_known: bool,
    /// A request was answered.
    is_heard: bool,
    /// When a valid credential was last of use. For a stranger, when the connection was made.
    earned: Instant,
    /// The connection is HTTP/2: bytes between requests may be a ping, and need not begin a head.
    is_multiplexed: bool,
    /// A request's body was not read to its end.
    has_unread_body: bool,
    /// The number, counted from 1, of the request whose head is malformed.
    refused_head: Option<(u64, Malformed)>,
    /// The time at which the client was given a piece that it has not taken yet, by response.
    given: HashMap<u64, Instant>,
    next_response: u64,
    /// The reader that waits at the gate until a valid credential is seen.
    reader: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    /// The rest of a head.
    Head,
    /// The first byte of a request.
    Request,
}

/// The state of a connection that waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Whether a valid credential was seen on the connection.
    pub is_known: bool,
    /// When the connection was last of use to a client with a valid credential. Requests of a
    /// stranger do not change it.
    pub since: Instant,
    /// When its last request was answered, if it had one and none is under way.
    pub done: Option<Instant>,
}

/// The limit that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Header,
    Idle,
    Response,
}

impl Late {
    /// The key of the limit in `tavora.toml`.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Self::Header => "server.limits.header_read_timeout_ms",
            Self::Idle => "server.limits.idle_timeout_ms",
            Self::Response => "server.limits.response_stall_timeout_ms",
        }
    }
}

impl Pace {
    /// Returns the pace of a new connection, which must send a head.
    pub(super) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            waits_for: WaitsFor::Head,
            since: now,
            in_flight: 0,
            awaited_bodies: 0,
            is_known: false,
            is_heard: false,
            earned: now,
            is_multiplexed: false,
            has_unread_body: false,
            refused_head: None,
            given: HashMap::new(),
            next_response: 0,
            reader: None,
        })))
    }

    /// Records that bytes arrived.
    pub(super) fn received(&self, now: Instant) {
        let mut state = self.state();
        let is_between = state.in_flight == 0 && !state.is_multiplexed;
        if is_between && state.waits_for == WaitsFor::Request {
            state.waits_for = WaitsFor::Head;
            state.since = now;
        }
    }

    /// Records that the connection is HTTP/2.
    pub(super) fn multiplexes(&self) {
        self.state().is_multiplexed = true;
    }

    /// Whether the connection is HTTP/2 and a stranger's.
    pub(super) fn is_multiplexed_stranger(&self) -> bool {
        let state = self.state();
        state.is_multiplexed && !state.is_known
    }

    /// Records that a head is complete. The request is in flight until the returned value is
    /// dropped.
    pub(super) fn request(self: &Arc<Self>, is_multiplexed: bool) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.is_multiplexed |= is_multiplexed;
        // A new request shows that the body of the previous one was handled.
        state.has_unread_body = false;
        state.next_response += 1;
        InFlight {
            response: state.next_response,
            pace: Arc::clone(self),
        }
    }

    /// Records that the head of this request, counted from 1, is malformed. Nothing after it is
    /// read.
    pub(super) fn refuse_head(&self, number: u64, malformed: Malformed) {
        self.state().refused_head = Some((number, malformed));
    }

    /// Records that a request's body was not read to its end.
    pub(super) fn body_left(&self) {
        self.state().has_unread_body = true;
    }

    /// Whether the client may still be sending bytes that nobody reads.
    pub(super) fn has_unread_body(&self) -> bool {
        self.state().has_unread_body
    }

    /// Whether a valid credential was seen.
    pub(super) fn is_known(&self) -> bool {
        self.state().is_known
    }

    /// Whether the connection has sent a request.
    pub(super) fn has_asked(&self) -> bool {
        self.state().next_response > 0
    }

    /// Whether a valid credential was seen. If not, the reader is woken when one is.
    pub(super) fn poll_known(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        if !state.is_known {
            state.reader = Some(context.waker().clone());
        }
        state.is_known
    }

    /// Records that a valid credential was seen.
    pub(super) fn prove(&self, now: Instant) {
        let mut state = self.state();
        state.is_known = true;
        state.earned = now;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Records that a request waits for more of its body.
    pub(super) fn body_awaited(&self) {
        self.state().awaited_bodies += 1;
    }

    /// Records that the wait for a body is over.
    pub(super) fn body_settled(&self) {
        let mut state = self.state();
        state.awaited_bodies -= 1;
        if state.is_known {
            // A piece of the body arrived: a long upload counts as use of the connection.
            state.earned = Instant::now();
        }
    }

    /// Returns the state of a connection that waits for its client, and nothing while the host
    /// works on a request of the connection.
    ///
    /// Waiting for the rest of a body counts as waiting for the client. So does a response that a
    /// stranger does not take. A known client may take its response until
    /// `response_stall_timeout_ms`.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let state = self.state();
        let for_client = match state.is_known {
            true => state.awaited_bodies,
            false => state.awaited_bodies + state.given.len(),
        };
        (state.in_flight <= for_client).then_some(Waiting {
            is_known: state.is_known,
            since: state.earned,
            done: (state.is_heard && state.in_flight == 0).then_some(state.since),
        })
    }

    /// Whether no request is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.state().in_flight == 0
    }

    /// Returns the limit that is exceeded, or the time of the next check. Nothing can become late
    /// before that time.
    pub(super) fn verdict(&self, now: Instant, limits: &ServerLimits) -> Result<Instant, Late> {
        let state = self.state();
        let stall = limits.response_stall_timeout();
        if state.given.values().any(|since| now >= *since + stall) {
            return Err(Late::Response);
        }
        let (limit, late) = match state.waits_for {
            WaitsFor::Head => (limits.header_read_timeout(), Late::Header),
            WaitsFor::Request => (limits.idle_timeout(), Late::Idle),
        };
        let due = state.since + limit;
        if state.in_flight > 0 {
            // Anything that begins from now on becomes late after the shortest of the timeouts at
            // the earliest.
            let shortest = limits.header_read_timeout().min(limits.idle_timeout());
            let oldest = state.given.values().min();
            let stalled = oldest.map_or(now + stall, |since| *since + stall);
            return Ok(stalled.min(now + shortest));
        }
        if now >= due {
            Err(late)
        } else {
            Ok(due.min(now + stall))
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
pub(super) struct InFlight {
    pace: Arc<Pace>,
    response: u64,
}

impl InFlight {
    /// The pace of the request's connection.
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Records that a piece of the response was given to the client.
    pub(super) fn gave(&self, now: Instant) {
        self.pace.state().given.insert(self.response, now);
    }

    /// Returns the fault in the head of this request.
    pub(super) fn refused_head(&self) -> Option<Malformed> {
        let (number, malformed) = self.pace.state().refused_head?;
        (number == self.response).then_some(malformed)
    }

    /// Records that the client took the last piece.
    pub(super) fn taken(&self) {
        self.pace.state().given.remove(&self.response);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        state.given.remove(&self.response);
        state.in_flight -= 1;
        state.is_heard = true;
        let now = Instant::now();
        if state.is_known {
            state.earned = now;
        }
        if state.in_flight == 0 {
            state.waits_for = WaitsFor::Request;
            state.since = now;
        }
    }
}

/// Converts a moment for tokio's timer.
pub(super) fn at(moment: Instant) -> tokio::time::Instant {
    tokio::time::Instant::from_std(moment)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEADER_MS: u64 = 100;
    const IDLE_MS: u64 = 1_000;
    const STALL_MS: u64 = 300;

    fn limits() -> ServerLimits {
        ServerLimits {
            header_read_timeout_ms: HEADER_MS,
            idle_timeout_ms: IDLE_MS,
            response_stall_timeout_ms: STALL_MS,
            ..ServerLimits::default()
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_first_head_is_due_from_the_connection_on_however_it_trickles() {
        let start = Instant::now();
        let pace = Pace::new(start);
        for tenth in 0..10 {
            let now = start + ms(tenth * 10);
            pace.received(now);
            assert_eq!(pace.verdict(now, &limits()), Ok(start + ms(HEADER_MS)));
        }
        let due = start + ms(HEADER_MS);
        assert_eq!(pace.verdict(due, &limits()), Err(Late::Header));
    }

    #[test]
    fn between_requests_the_idle_time_runs_until_a_byte_comes() {
        let pace = Pace::new(Instant::now());
        drop(pace.request(false));
        let idle_since = pace.state().since;
        let late = idle_since + ms(IDLE_MS);
        assert_eq!(pace.verdict(late - ms(1), &limits()), Ok(late));
        assert_eq!(pace.verdict(late, &limits()), Err(Late::Idle));

        let first_byte = idle_since + ms(500);
        pace.received(first_byte);
        pace.received(first_byte + ms(50));
        let due = first_byte + ms(HEADER_MS);
        assert_eq!(pace.verdict(first_byte, &limits()), Ok(due));
        assert_eq!(pace.verdict(due, &limits()), Err(Late::Header));
    }

    #[test]
    fn pings_between_http2_requests_are_no_head_and_do_not_prolong_the_idle_time() {
        let pace = Pace::new(Instant::now());
        drop(pace.request(true));
        let late = pace.state().since + ms(IDLE_MS);
        pace.received(late - ms(1));
        assert_eq!(pace.verdict(late - ms(1), &limits()), Ok(late));
        assert_eq!(pace.verdict(late, &limits()), Err(Late::Idle));
    }

    #[test]
    fn a_slow_handler_is_not_the_clients_fault() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let request = pace.request(false);
        let hours_later = start + ms(10_000_000);
        assert!(pace.verdict(hours_later, &limits()).is_ok());
        assert_eq!(pace.waiting(), None);
        request.gave(start);
        request.taken();
        assert!(pace.verdict(hours_later, &limits()).is_ok());
    }

    #[test]
    fn one_response_that_is_not_taken_is_late_whatever_the_others_do() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let (stalled, lively) = (pace.request(true), pace.request(true));
        stalled.gave(start);
        for step in 0..3 {
            let now = start + ms(step * 100);
            lively.taken();
            lively.gave(now);
            let again = pace.verdict(now, &limits()).expect("not late yet");
            assert!(again <= start + ms(STALL_MS), "it would look too late");
        }
        let late = start + ms(STALL_MS);
        assert_eq!(pace.verdict(late, &limits()), Err(Late::Response));
        drop(stalled);
        assert!(pace.verdict(late, &limits()).is_ok());
    }

    #[test]
    fn what_a_stranger_asks_does_not_prolong_its_stay() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let waiting = Waiting {
            is_known: false,
            since: start,
            done: None,
        };
        assert_eq!(pace.waiting(), Some(waiting), "it was not heard yet");
        let request = pace.request(true);
        assert_eq!(pace.waiting(), None, "the host is at work for it");
        request.gave(start + ms(10));
        assert_eq!(pace.waiting(), Some(waiting), "it does not take the answer");
        drop(request);
        let answered = pace.waiting().expect("it waits");
        assert!(answered.done.is_some() && answered.since == start);
    }

    #[test]
    fn a_body_that_does_not_come_is_waited_for_whoever_sends_it() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let (first, second) = (pace.request(true), pace.request(true));
        pace.body_awaited();
        assert_eq!(
            pace.waiting(),
            None,
            "the host is at work for the other one"
        );
        drop(second);
        assert!(
            pace.waiting()
                .is_some_and(|it| it.done.is_none() && !it.is_known)
        );
        let seen = start + ms(20);
        pace.prove(seen);
        let waiting = pace.waiting().expect("it waits");
        assert!(waiting.is_known && waiting.since == seen);
        pace.body_settled();
        first.gave(start + ms(30));
        assert_eq!(
            pace.waiting(),
            None,
            "a client that is known takes its answer"
        );
        drop(first);
        let waiting = pace.waiting().expect("it waits");
        assert!(waiting.is_known && waiting.since != seen && waiting.done.is_some());
    }
}

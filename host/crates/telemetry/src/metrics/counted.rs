//! Caches a figure that is expensive to compute. Callers get the last figure at once, and at most
//! one search runs at a time.
//!
//! The user of the cache decides what is counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A pause of nine times the last search limits searching to a tenth of the time.
const REST_FOR_EACH_SEARCH: u32 = 9;
/// Limits the wait of the first caller for the first figure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A figure that is searched for again when it is old.
#[derive(Debug)]
pub struct Counted<T> {
    max_age: Duration,
    state: Arc<Mutex<State<T>>>,
}

#[derive(Debug)]
struct State<T> {
    latest: Option<Latest<T>>,
    /// The search that is running. Dropping the sender tells those who wait that the search has
    /// ended.
    search: Option<watch::Sender<()>>,
    /// When the next search may begin.
    next: Option<Instant>,
}

/// The result of the last search.
#[derive(Debug)]
pub struct Latest<T> {
    pub figure: Arc<T>,
    /// The time at which the figure was found.
    pub found: Instant,
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self {
            figure: Arc::clone(&self.figure),
            found: self.found,
        }
    }
}

impl<T: Send + Sync + 'static> Counted<T> {
    /// Returns a cache without a figure. A search begins when the figure is requested and older
    /// than `max_age`.
    pub fn new(max_age: Duration) -> Self {
        let state = State {
            latest: None,
            search: None,
            next: None,
        };
        Self {
            max_age,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Returns the last figure. If it is too old, `search` starts in the background; a search
    /// without a result leaves the last figure in place. Only the first figure is waited for, for a
    /// second at most.
    pub async fn get<S>(&self, search: impl FnOnce() -> S) -> Option<Latest<T>>
    where
        S: Future<Output = Option<T>> + Send + 'static,
    {
        let (latest, searching) = self.look(search);
        if latest.is_some() {
            return latest;
        }
        if let Some(mut searching) = searching {
            // Nothing is ever sent, so the wait ends with an error.
            let _ = tokio::time::timeout(FIRST_WAIT, searching.changed()).await;
        }
        self.state().latest.clone()
    }

    fn look<S>(
        &self,
        search: impl FnOnce() -> S,
    ) -> (Option<Latest<T>>, Option<watch::Receiver<()>>)
    where
        S: Future<Output = Option<T>> + Send + 'static,
    {
        let mut state = self.state();
        let is_due = state.next.is_none_or(|next| next <= Instant::now());
        if state.search.is_none() && is_due {
            state.search = Some(watch::Sender::new(()));
            let (begun, search) = (Instant::now(), search());
            let (shared, max_age) = (Arc::clone(&self.state), self.max_age);
            tokio::spawn(async move {
                let _ended = Ended(Arc::clone(&shared), begun, max_age);
                if let Some(figure) = search.await {
                    locked(&shared).latest = Some(Latest {
                        figure: Arc::new(figure),
                        found: Instant::now(),
                    });
                }
            });
        }
        let searching = state.search.as_ref().map(watch::Sender::subscribe);
        (state.latest.clone(), searching)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        locked(&self.state)
    }
}

/// Lets the next search begin after a pause, also when a search panics.
struct Ended<T>(Arc<Mutex<State<T>>>, Instant, Duration);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        let Self(state, begun, max_age) = self;
        let now = Instant::now();
        let rest = REST_FOR_EACH_SEARCH * now.duration_since(*begun);
        let mut state = locked(state);
        state.next = Some(now + rest.max(*max_age));
        state.search = None;
    }
}

fn locked<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Searches for a figure. They are counted as they begin, and each ends when a permit is added.
    #[derive(Clone)]
    struct Searches(Arc<AtomicU32>, Arc<Semaphore>);

    impl Searches {
        fn new() -> Self {
            Self(Arc::default(), Arc::new(Semaphore::new(0)))
        }

        fn search(&self) -> impl Future<Output = Option<u32>> + Send + use<> {
            let Self(begun, let_end) = self.clone();
            async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                let_end.acquire().await.expect("it is open").forget();
                Some(number)
            }
        }

        fn begun(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }
    }

    async fn figure(counted: &Counted<u32>, searches: &Searches) -> Option<u32> {
        let latest = counted.get(|| searches.search()).await;
        latest.map(|latest| *latest.figure)
    }

    #[tokio::test]
    async fn many_who_ask_at_once_wait_for_one_search_and_not_for_long() {
        let (counted, searches) = (Counted::new(Duration::ZERO), Searches::new());
        let asked = (0..100).map(|_| figure(&counted, &searches));
        assert_eq!(futures::future::join_all(asked).await, vec![None; 100]);
        assert_eq!(searches.begun(), 1);
        searches.1.add_permits(1);
        assert_eq!(figure(&counted, &searches).await, Some(1));
        assert_eq!(searches.begun(), 1);
    }

    #[tokio::test]
    async fn a_figure_that_is_not_too_old_is_not_searched_for_again() {
        let (counted, searches) = (Counted::new(Duration::from_secs(3_600)), Searches::new());
        searches.1.add_permits(100);
        for _ in 0..100 {
            assert_eq!(figure(&counted, &searches).await, Some(1));
        }
        assert_eq!(searches.begun(), 1);
    }

    #[tokio::test]
    async fn an_old_figure_is_given_while_the_next_one_is_searched_for() {
        let (counted, searches) = (Counted::new(Duration::ZERO), Searches::new());
        searches.1.add_permits(1);
        assert_eq!(figure(&counted, &searches).await, Some(1));
        while searches.begun() < 2 {
            assert_eq!(figure(&counted, &searches).await, Some(1));
            tokio::task::yield_now().await;
        }
        for _ in 0..10 {
            assert_eq!(figure(&counted, &searches).await, Some(1));
        }
        assert_eq!(searches.begun(), 2, "two went on at once");
        searches.1.add_permits(1);
        while figure(&counted, &searches).await != Some(2) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_search_that_finds_nothing_leaves_the_last_figure() {
        let counted = Counted::new(Duration::ZERO);
        assert_eq!(
            counted.get(async || Some(7)).await.map(|it| *it.figure),
            Some(7)
        );
        for _ in 0..10 {
            assert_eq!(
                counted.get(async || None).await.map(|it| *it.figure),
                Some(7)
            );
            tokio::task::yield_now().await;
        }
    }
}

//! Limits how many runs or chat completions one app may have at once, so that no app takes the
//! whole host.
//!
//! The runtime limits the instances of the whole host, and the throttle limits the requests of a
//! key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vault_core::AppId;

/// The runs under way, by app. Apps without a run have no entry.
#[derive(Clone)]
pub struct AppRuns {
    max_per_app: u32,
    running: Arc<Mutex<HashMap<AppId, u32>>>,
}

/// The place of one run. Dropping it frees the place.
pub struct AppRun {
    app: AppId,
    runs: AppRuns,
}

impl AppRuns {
    /// Returns a limiter with this many places for each app.
    pub fn new(max_per_app: u32) -> Self {
        Self {
            max_per_app,
            running: Arc::default(),
        }
    }

    pub fn max_per_app(&self) -> u32 {
        self.max_per_app
    }

    /// Takes a place for one more run of this app, if there is one.
    pub fn enter(&self, app: AppId) -> Option<AppRun> {
        let mut running = self.running();
        let count = running.entry(app).or_default();
        if *count >= self.max_per_app {
            // With a limit of 0 the entry was just created and must not stay.
            if *count == 0 {
                running.remove(&app);
            }
            return None;
        }
        *count += 1;
        Some(AppRun {
            app,
            runs: self.clone(),
        })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<AppId, u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AppRun {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.runs.running().entry(self.app) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_its_own_places_and_leaves_nothing_behind() {
        let runs = AppRuns::new(2);
        let (one, other) = (AppId::make(), AppId::make());
        let (first, second) = (runs.enter(one), runs.enter(one));
        assert!(first.is_some() && second.is_some());
        assert!(runs.enter(one).is_none());
        assert!(runs.enter(other).is_some());
        drop(first);
        let again = runs.enter(one);
        assert!(again.is_some() && runs.enter(one).is_none());
        drop((second, again));
        assert!(runs.running().is_empty());
        assert!(AppRuns::new(0).enter(one).is_none());
    }
}

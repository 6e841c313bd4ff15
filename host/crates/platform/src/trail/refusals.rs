//! Limits the audit entries of refused sign-ins, with which strangers could fill the audit. In each
//! minute a fixed number of them, for all clients together, get an entry each. The rest is counted,
//! and one entry with the count is written at the end of the minute.
//!
//! The audit holds nothing else that strangers cause.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use vault_core::audit::outcome;
use vault_core::{AuditDraft, Caller, SecretVaults};

use super::{SIGN_IN_REFUSED, record};
use tavora_telemetry::Metrics;

const MINUTE: Duration = Duration::from_secs(60);

/// Records refused sign-ins. Clones share the count.
#[derive(Clone)]
pub struct Refusals(Arc<Inner>);

struct Inner {
    vaults: SecretVaults,
    metrics: Metrics,
    /// The largest number of entries in one window.
    max_entries: u32,
    window: Duration,
    state: Mutex<State>,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The task that waits for the end of the window. `None` if no window has begun.
    end: Option<JoinHandle<()>>,
    entries: u32,
    counted: u64,
}

impl Refusals {
    pub fn new(vaults: SecretVaults, metrics: Metrics, max_per_minute: u32) -> Self {
        Self::with_window(vaults, metrics, max_per_minute, MINUTE)
    }

    fn with_window(
        vaults: SecretVaults,
        metrics: Metrics,
        max_entries: u32,
        window: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            vaults,
            metrics,
            max_entries,
            window,
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }))
    }

    /// Records that a client of this address was refused.
    pub async fn record(&self, client: IpAddr, request_id: &str) {
        if !self.is_named() {
            let limit = "server.auth_failures.max_audited_per_minute";
            return self.0.metrics.limit_hit(limit);
        }
        // The refused client has no known identity, so the host is the caller of the entry.
        let caller = Caller::host().in_request(request_id);
        let entry = entry(&caller).detail("peer", client.to_string());
        record(&self.0.vaults, entry).await;
    }

    /// Writes the count since the window began, and ends the window. Must also be called when the
    /// host stops.
    pub async fn write_count(&self) {
        // The host may stop just when the window ends. The second caller waits until the first has
        // written.
        let _writing = self.0.writing.lock().await;
        let State { end, counted, .. } = std::mem::take(&mut *self.state());
        if counted > 0 {
            let entry = entry(&Caller::host()).detail("count", counted);
            record(&self.0.vaults, entry).await;
        }
        if let Some(end) = end {
            end.abort();
        }
    }

    /// Whether the refusal gets an entry. Otherwise it is only counted.
    fn is_named(&self) -> bool {
        let mut state = self.state();
        if state.end.is_none() {
            let (refusals, window) = (self.clone(), self.0.window);
            state.end = Some(tokio::spawn(async move {
                tokio::time::sleep(window).await;
                refusals.write_count().await;
            }));
        }
        let is_named = state.entries < self.0.max_entries;
        match is_named {
            true => state.entries += 1,
            false => state.counted += 1,
        }
        is_named
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(caller: &Caller) -> AuditDraft {
    AuditDraft::new(caller, SIGN_IN_REFUSED).outcome(outcome::DENIED)
}

#[cfg(test)]
mod tests {
    use vault_core::{AuditEntry, AuditQuery, SqliteOptions, SqliteStore};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn vaults(folder: &tempfile::TempDir) -> SecretVaults {
        let store = SqliteStore::open(folder.path().join("tavora.db"), SqliteOptions::default())
            .expect("a new database opens");
        let vaults = SecretVaults::open(Arc::new(store), None).await;
        vaults.expect("a new database needs no KEK yet")
    }

    /// The entries, oldest first.
    async fn entries(vaults: &SecretVaults) -> Vec<AuditEntry> {
        let query = AuditQuery {
            action: Some(SIGN_IN_REFUSED.to_owned()),
            limit: Some(100),
            ..AuditQuery::default()
        };
        let page = vaults.audit_entries(query).await.expect("readable");
        let mut entries = page.entries;
        entries.reverse();
        entries
    }

    #[tokio::test]
    async fn refusals_beyond_the_limit_are_one_entry_with_their_count() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vaults = vaults(&folder).await;
        let refusals = Refusals::new(vaults.clone(), Metrics::new(), 2);
        for _ in 0..7 {
            refusals.record(CLIENT, "request").await;
        }
        assert_eq!(entries(&vaults).await.len(), 2, "they are counted first");
        refusals.write_count().await;
        refusals.write_count().await;
        let entries = entries(&vaults).await;
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[1].detail["peer"], "127.0.0.1");
        assert_eq!(entries[2].detail["count"], 5);
        assert!(!entries[2].detail.contains_key("peer"));
    }

    #[tokio::test]
    async fn the_count_is_written_when_its_time_is_over_and_a_new_one_begins() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vaults = vaults(&folder).await;
        let window = Duration::from_millis(200);
        let refusals = Refusals::with_window(vaults.clone(), Metrics::new(), 1, window);
        for times in 1..=2 {
            refusals.record(CLIENT, "request").await;
            refusals.record(CLIENT, "request").await;
            while entries(&vaults).await.len() < 2 * times {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let entries = entries(&vaults).await;
        for counted in [&entries[1], &entries[3]] {
            assert_eq!(counted.detail["count"], 1, "{entries:?}");
        }
    }
}

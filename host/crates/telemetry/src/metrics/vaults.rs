//! Metrics that each scrape reads: the vaults' own counters, and the last figures about the KEKs. A
//! KEK that is gone leaves no series behind. Counting secrets by KEK reads every secret, so no
//! scrape waits for it, and frequent scrapes do not trigger it more often.

use std::time::Duration;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use vault_core::{EnvelopeStats, KekState, KekStatus, SecretVaults, StoreStats};

use super::counted::{Counted, Latest};
use super::labels::Labels;
use crate::walk::{WalkState, WalkView};

/// Adds all of these metrics to `to`. The KEKs' figures are left out until there are some.
pub(super) async fn register(to: &mut Registry, vaults: &SecretVaults, keks: &Counted<KekStatus>) {
    register_envelope(to, vaults.envelope_stats());
    register_store(to, vaults.store_stats());
    register_kek_state(to, vaults.kek_state());
    let counted = keks.get(|| count(vaults.clone())).await;
    if let Some(Latest { figure, found }) = counted {
        register_keks(to, &figure);
        to.register_with_unit(
            "kek_counts_age",
            "How long ago the secrets of each KEK were counted",
            Unit::Seconds,
            ConstGauge::new(found.elapsed().as_secs_f64()),
        );
    }
}

async fn count(vaults: SecretVaults) -> Option<KekStatus> {
    let status = vaults.kek_status().await;
    status
        .inspect_err(|error| tracing::error!(%error, "the secrets of KEKs are not counted"))
        .ok()
}

/// Registers the progress of the current walk over all secrets, or the result of the last one.
pub(super) fn register_walk(to: &mut Registry, walk: &WalkView) {
    let is_running = i64::from(walk.state == WalkState::Running);
    to.register(
        "kek_walk_running",
        "1 while a rewrap or a verification of this host goes on",
        ConstGauge::new(is_running),
    );
    let secrets = Family::<Labels<1>, Gauge>::default();
    let progress = &walk.progress;
    for (figure, value) in [
        ("total", progress.total),
        ("seen", progress.seen),
        ("moved", progress.moved),
        ("overtaken", progress.overtaken),
        ("unreadable", progress.unreadable),
    ] {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        secrets
            .get_or_create(&[("figure", figure.into())])
            .set(value);
    }
    to.register(
        "kek_walk_secrets",
        "Secrets of the rewrap or verification that goes on, or of the last one",
        secrets,
    );
}

/// Registers the times for sealing and opening secrets.
fn register_envelope(to: &mut Registry, stats: EnvelopeStats) {
    let seconds = |time: Duration| ConstCounter::new(time.as_secs_f64());
    to.register(
        "vault_seals",
        "Secrets that were sealed",
        ConstCounter::new(stats.seals),
    );
    to.register_with_unit(
        "vault_seal_time",
        "How long sealing took in all",
        Unit::Seconds,
        seconds(stats.seal_time),
    );
    to.register(
        "vault_opens",
        "Secrets that were opened",
        ConstCounter::new(stats.opens),
    );
    to.register_with_unit(
        "vault_open_time",
        "How long opening took in all",
        Unit::Seconds,
        seconds(stats.open_time),
    );
}

/// Registers the times of the store. Nothing is released or changed before its audit entry is
/// committed, so the time of writes is also the delay of the audit.
fn register_store(to: &mut Registry, stats: StoreStats) {
    let seconds = |time: Duration| time.as_secs_f64();
    to.register(
        "store_writes_waiting",
        "Changes and audit entries that wait for their commit",
        ConstGauge::new(stats.waiting),
    );
    to.register(
        "store_writes",
        "Changes and audit entries that ended with a commit",
        ConstCounter::new(stats.writes),
    );
    to.register(
        "store_commits",
        "Commits that they took",
        ConstCounter::new(stats.commits),
    );
    to.register_with_unit(
        "store_write_time",
        "How long they took in all, from when they were asked for to their commit",
        Unit::Seconds,
        ConstCounter::new(seconds(stats.write_time)),
    );
    to.register_with_unit(
        "audit_lag",
        "How long the one took that waited longest for the last commit",
        Unit::Seconds,
        ConstGauge::new(seconds(stats.last_write_time)),
    );
}

/// Registers whether the keyring fits the data, as of the last check.
fn register_kek_state(to: &mut Registry, seen: KekState) {
    let state = Family::<Labels<1>, Gauge>::default();
    let is = match seen {
        KekState::Unset => "unset",
        KekState::Ready => "ready",
        KekState::Mismatch { .. } => "mismatch",
        KekState::CanaryFailed { .. } => "canary_failed",
        KekState::Unavailable { .. } => "unavailable",
    };
    for word in ["unset", "ready", "mismatch", "canary_failed", "unavailable"] {
        let labels = [("state", word.into())];
        state.get_or_create(&labels).set(i64::from(word == is));
    }
    to.register("kek_state", "1 for the state that the keyring is in", state);
}

/// Registers what the store knows about KEKs.
fn register_keks(to: &mut Registry, status: &KekStatus) {
    let (rows, wraps) = (Family::default(), Family::default());
    for kek in &status.keks {
        let labels: Labels<1> = [("kek_id", kek.kek_id.to_string().into())];
        let set = |family: &Family<Labels<1>, Gauge>, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&labels).set(value);
        };
        set(&rows, kek.rows);
        set(&wraps, kek.wraps);
    }
    to.register("kek_rows", "Secrets that are wrapped with the KEK", rows);
    to.register("kek_wraps", "DEKs that the KEK has wrapped in all", wraps);
}

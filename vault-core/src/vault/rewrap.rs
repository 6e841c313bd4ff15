//! Moving secrets to another KEK while everything continues, and trying whether all of them open.
//!
//! A rewrap walks the secrets in batches. Reading and cryptography happen outside any write
//! transaction. One transaction then swaps a batch, row by row, on the condition that each row is
//! unchanged. So a put always wins. A rewrap can be stopped, started again, and run twice at once.
//! `worker` handles a batch, `walk` does the walk, and `route` plans its way. Forgetting a KEK is
//! in `vault::kek`.

mod options;
mod report;
mod route;
mod walk;
mod worker;

use std::{ops::ControlFlow, time::Instant};

pub use self::{
    options::{BatchSize, InvalidBatchSize, RewrapOptions},
    report::{
        KekRows, OpenReport, RewrapOutcome, RewrapProgress, RewrapReport, UNREADABLE_NAMED_MAX,
        UnreadableCause, UnreadableSecret,
    },
};
use self::{
    walk::Walk,
    worker::{Task, Worker},
};
use super::{SecretVaults, VaultError};
use crate::{
    audit::{AuditDraft, Caller, Subject, action, outcome, subject_kind},
    envelope::Depth,
    key::{KekId, Keyring},
};

/// Limits how often a rewrap looks again for secrets that others stored with another KEK meanwhile.
const STRAGGLER_WALKS: usize = 3;

impl SecretVaults {
    /// Moves every secret that opens to one KEK, while everything else continues. `progress` hears
    /// of each batch and can stop the rewrap. Secrets that were moved by then stay moved, and the
    /// next run continues from there.
    ///
    /// # Errors
    /// The KEK is not in the keyring, the keyring does not fit the data, or a KEK provider or the
    /// store does not work. Secrets that do not open are no error; they are in the report.
    pub async fn rewrap(
        &self,
        caller: &Caller,
        options: RewrapOptions,
        progress: impl FnMut(&RewrapProgress) -> ControlFlow<()> + Send,
    ) -> Result<RewrapReport, VaultError> {
        let begun = Instant::now();
        let to = self.rewrap_target(&options).await?;
        if !options.dry_run {
            self.ready_kek(self.fitting_keyring().await?, to).await?;
        }
        let before = self.census().await?;
        let total = match options.reencrypt {
            true => rows_except(None, &before),
            false => rows_except(Some(to), &before),
        };
        let is_recorded = !options.dry_run && total > 0;
        if is_recorded {
            let entry = AuditDraft::new(caller, action::KEK_REWRAP_STARTED)
                .detail("reencrypt", options.reencrypt)
                .detail("secrets", counts(&before));
            self.record_rewrap(entry, to).await?;
        }
        let worker = Worker::new(self, Task::of(&options, to, caller), options.batch);
        let mut walk = Walk::new(worker, total, progress);
        let walked = self.walk_all(&mut walk, &options, to).await;
        let (progress, unreadable_secrets) = walk.into_findings();
        if is_recorded {
            let (word, census) = match &walked {
                Ok((outcome, after)) => (outcome.word(), after),
                Err(_) => (outcome::FAILED, &before),
            };
            let entry = AuditDraft::new(caller, action::KEK_REWRAP_ENDED)
                .outcome(word)
                .detail("moved", progress.moved)
                .detail("unreadable", progress.unreadable)
                .detail("secrets", counts(census));
            let recorded = self.record_rewrap(entry, to).await;
            // Report the first error: a failure to record it matters less.
            if walked.is_ok() {
                recorded?;
            }
        }
        let (outcome, after) = walked?;
        Ok(RewrapReport {
            outcome,
            to,
            dry_run: options.dry_run,
            before,
            after,
            progress,
            unreadable_secrets,
            elapsed: begun.elapsed(),
        })
    }

    /// Opens every secret and keeps none, to find those that do not open. Changes nothing and
    /// records nothing.
    ///
    /// # Errors
    /// There is no keyring, or a KEK provider or the store does not work.
    pub async fn open_all(
        &self,
        progress: impl FnMut(&RewrapProgress) -> ControlFlow<()> + Send,
    ) -> Result<OpenReport, VaultError> {
        self.require_keyring()?;
        let total = rows_except(None, &self.census().await?);
        let task = Task::Check(Depth::Value);
        let worker = Worker::new(self, task, BatchSize::default());
        let mut walk = Walk::new(worker, total, progress);
        let walked = walk.run(None).await?;
        let (progress, unreadable_secrets) = walk.into_findings();
        Ok(OpenReport {
            outcome: match walked {
                ControlFlow::Break(()) => RewrapOutcome::Stopped,
                ControlFlow::Continue(()) if progress.unreadable > 0 => RewrapOutcome::Incomplete,
                ControlFlow::Continue(()) => RewrapOutcome::Complete,
            },
            seen: progress.seen,
            unreadable: progress.unreadable,
            unreadable_secrets,
        })
    }

    /// The KEK that a rewrap with these options would move secrets to. Changes nothing.
    ///
    /// # Errors
    /// The KEK is not in the keyring, or the keyring does not fit the data.
    pub async fn rewrap_target(&self, options: &RewrapOptions) -> Result<KekId, VaultError> {
        let keyring = self.fitting_keyring().await?;
        let to = options.to.unwrap_or_else(|| keyring.primary().kek_id());
        if keyring.find(to).is_some() {
            return Ok(to);
        }
        let census = self.census().await?;
        let rows = census.iter().find(|kek| kek.kek_id == to);
        Err(VaultError::KekNotHeld {
            kek_id: to,
            rows: rows.map_or(0, |kek| kek.rows),
        })
    }

    async fn walk_all(
        &self,
        walk: &mut Walk<impl FnMut(&RewrapProgress) -> ControlFlow<()> + Send>,
        options: &RewrapOptions,
        to: KekId,
    ) -> Result<(RewrapOutcome, Vec<KekRows>), VaultError> {
        let mut walked = walk.run((!options.reencrypt).then_some(to)).await?;
        let mut after = self.census().await?;
        for _ in 0..STRAGGLER_WALKS {
            let left = rows_except(Some(to), &after);
            if options.dry_run || walked.is_break() || left <= walk.unreadable() {
                break;
            }
            walked = walk.run_again(to).await?;
            after = self.census().await?;
        }
        let is_left = !options.dry_run && rows_except(Some(to), &after) > 0;
        let outcome = match walked {
            ControlFlow::Break(()) => RewrapOutcome::Stopped,
            ControlFlow::Continue(()) if is_left || walk.unreadable() > 0 => {
                RewrapOutcome::Incomplete
            }
            ControlFlow::Continue(()) => RewrapOutcome::Complete,
        };
        Ok((outcome, after))
    }

    async fn census(&self) -> Result<Vec<KekRows>, VaultError> {
        let holds = |kek_id| {
            let keyring = self.0.keyring.as_ref();
            keyring.is_some_and(|keyring: &Keyring| keyring.find(kek_id).is_some())
        };
        let keks = self.0.store.keks().await?;
        let keks = keks.into_iter().map(|kek| KekRows {
            kek_id: kek.kek_id,
            rows: kek.rows,
            in_keyring: holds(kek.kek_id),
        });
        Ok(keks.collect())
    }

    async fn record_rewrap(&self, entry: AuditDraft, to: KekId) -> Result<(), VaultError> {
        let entry = entry.about(Subject::new(subject_kind::KEK, to));
        self.0.store.append(entry).await?;
        Ok(())
    }
}

fn rows_except(kek_id: Option<KekId>, census: &[KekRows]) -> u64 {
    let others = census.iter().filter(|kek| Some(kek.kek_id) != kek_id);
    others.map(|kek| kek.rows).sum()
}

/// The number of secrets that each KEK wraps, for the audit.
fn counts(census: &[KekRows]) -> serde_json::Map<String, serde_json::Value> {
    let wrapping = census.iter().filter(|kek| kek.rows > 0);
    wrapping
        .map(|kek| (kek.kek_id.to_string(), kek.rows.into()))
        .collect()
}

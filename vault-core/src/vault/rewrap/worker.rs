//! The work on a batch of secrets: cryptography on several threads, then one transaction.
//!
//! Order and figures are the business of `walk`.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, task, time};

use super::{
    BatchSize, RewrapOptions, UnreadableCause, UnreadableSecret,
    route::{Route, Stretch},
};
use crate::{
    audit::{AuditDraft, Caller, Subject, action},
    envelope::{self, Depth, OpenError, PayloadDigest, RewrapError, SealedSecret},
    key::{KekError, KekId, KekProvider, Keyring},
    store::{
        StoreError,
        rewrap::{Reencrypted, ScannedSecret, SecretScan, SecretSwap, Swapped},
    },
    vault::{SecretVaults, VaultError},
};

/// The number of secrets that are worked on at once. Local keys use the available cores; keys on a
/// network wait together.
const LANES: usize = 8;

/// The number of payload bytes that fill a batch, so that memory stays flat whatever the values
/// are.
const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The pause after each commit, so that other processes get their turn.
const BREATH: Duration = Duration::from_millis(1);

/// The tries to ask a busy store, and the first pause between two of them. The pause doubles each
/// time.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Limits the tries for a secret that others keep writing. It is then left to a later walk.
const ROUNDS: usize = 10;

/// The work on each secret.
#[derive(Clone)]
pub(super) enum Task {
    /// Checks whether the secret opens.
    Check(Depth),
    /// Wraps the DEK with this KEK.
    Rewrap(KekId, Depth),
    /// Seals the value with a fresh DEK and this KEK, on behalf of this caller.
    Reencrypt(KekId, Caller),
}

/// Works on batches. Cheap to clone.
#[derive(Clone)]
pub(super) struct Worker {
    vaults: SecretVaults,
    task: Task,
    batch: BatchSize,
}

/// A batch after the cryptography.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) seen: u64,
    pub(super) swaps: Vec<SecretSwap>,
    /// The number of secrets that a dry run would have moved.
    pub(super) would_move: u64,
    pub(super) unreadable: Vec<UnreadableSecret>,
    /// The next batch begins after this place.
    pub(super) next: Option<i64>,
}

/// A batch after its transaction.
#[derive(Default)]
pub(super) struct Committed {
    pub(super) moved: u64,
    pub(super) overtaken: u64,
}

impl Task {
    pub(super) fn of(options: &RewrapOptions, to: KekId, caller: &Caller) -> Self {
        let depth = match options.verify || options.reencrypt {
            true => Depth::Value,
            false => Depth::Dek,
        };
        match (options.dry_run, options.reencrypt) {
            (true, _) => Self::Check(depth),
            (false, true) => Self::Reencrypt(to, caller.clone()),
            (false, false) => Self::Rewrap(to, depth),
        }
    }

    fn needs_whole_payloads(&self) -> bool {
        !matches!(self, Self::Check(Depth::Dek) | Self::Rewrap(_, Depth::Dek))
    }
}

impl Worker {
    pub(super) fn new(vaults: &SecretVaults, task: Task, batch: BatchSize) -> Self {
        Self {
            vaults: vaults.clone(),
            task,
            batch,
        }
    }

    /// The route over all secrets; `secrets` is an estimate. A walk that moves nothing goes
    /// straight on.
    pub(super) async fn route(&self, secrets: u64) -> Result<Route, VaultError> {
        let store = &self.vaults.0.store;
        let places = match self.to() {
            Some(_) => patiently(|| store.secret_places()).await?,
            None => None,
        };
        Ok(Route::over(places, secrets, self.batch))
    }

    /// Reads the first secrets of a stretch and does the cryptography.
    pub(super) async fn prepare(
        &self,
        other_than: Option<KekId>,
        stretch: Stretch,
    ) -> Result<Prepared, VaultError> {
        self.prepare_scan(SecretScan {
            after: stretch.after,
            through: stretch.through,
            other_than,
            whole: self.task.needs_whole_payloads(),
            max_rows: self.batch.rows(),
            max_bytes: BATCH_MAX_BYTES,
        })
        .await
    }

    /// Swaps the prepared rows. Rows that others changed first are read and prepared again.
    pub(super) async fn commit(
        &self,
        other_than: Option<KekId>,
        mut swaps: Vec<SecretSwap>,
    ) -> Result<Committed, VaultError> {
        let mut committed = Committed::default();
        for _ in 0..ROUNDS {
            if swaps.is_empty() {
                return Ok(committed);
            }
            let tried = swaps.len();
            let Swapped { overtaken, wraps } = self.swap(swaps.into()).await?;
            if let Some(to) = self.to() {
                self.vaults.watch_wraps(to, wraps);
            }
            committed.moved += (tried - overtaken.len()) as u64;
            committed.overtaken += overtaken.len() as u64;
            time::sleep(BREATH).await;
            swaps = Vec::new();
            for place in overtaken {
                let scan = SecretScan {
                    after: place.checked_sub(1),
                    through: Some(place),
                    other_than,
                    whole: self.task.needs_whole_payloads(),
                    max_rows: 1,
                    max_bytes: BATCH_MAX_BYTES,
                };
                swaps.extend(self.prepare_scan(scan).await?.swaps);
            }
        }
        // Somebody keeps writing these secrets. A later walk finds those that are still to be
        // moved.
        Ok(committed)
    }

    fn to(&self) -> Option<KekId> {
        match self.task {
            Task::Check(_) => None,
            Task::Rewrap(to, _) | Task::Reencrypt(to, _) => Some(to),
        }
    }

    async fn swap(&self, swaps: Arc<[SecretSwap]>) -> Result<Swapped, VaultError> {
        let to = self.to().ok_or(VaultError::KekUnset)?;
        let store = &self.vaults.0.store;
        // If an earlier try was committed but its answer lost, the next try finds its own rows.
        // They count as overtaken.
        Ok(patiently(|| store.swap_secrets(to, Arc::clone(&swaps))).await?)
    }

    async fn prepare_scan(&self, scan: SecretScan) -> Result<Prepared, VaultError> {
        let store = &self.vaults.0.store;
        let scanned = patiently(|| store.scan_secrets(scan.clone())).await?;
        let lane_rows = scanned.rows.len().div_ceil(LANES).max(1);
        let mut rows = scanned.rows.into_iter();
        let mut lanes = Vec::with_capacity(LANES);
        loop {
            let lane: Vec<_> = rows.by_ref().take(lane_rows).collect();
            if lane.is_empty() {
                break;
            }
            let (worker, runtime) = (self.clone(), Handle::current());
            lanes.push(task::spawn_blocking(move || {
                runtime.block_on(worker.work(lane))
            }));
        }
        let mut prepared = Prepared {
            next: scanned.next,
            ..Prepared::default()
        };
        for lane in lanes {
            let lane = lane.await.map_err(|_| StoreError::Panicked)??;
            prepared.seen += lane.seen;
            prepared.swaps.extend(lane.swaps);
            prepared.would_move += lane.would_move;
            prepared.unreadable.extend(lane.unreadable);
        }
        Ok(prepared)
    }

    async fn work(&self, rows: Vec<ScannedSecret>) -> Result<Prepared, VaultError> {
        let keyring = self.vaults.0.keyring.as_ref().ok_or(VaultError::KekUnset)?;
        let mut done = Prepared::default();
        for ScannedSecret { place, row } in rows {
            done.seen += 1;
            let sealed = match row {
                Ok(sealed) => sealed,
                Err(damaged) => {
                    done.unreadable.push(UnreadableSecret {
                        app_id: damaged.app_id,
                        vault_id: damaged.vault_id,
                        name: damaged.name,
                        kek_id: damaged.kek_id,
                        cause: UnreadableCause::Row,
                    });
                    continue;
                }
            };
            match self.work_on(keyring, &sealed).await {
                Ok(Work::Tried) => done.would_move += 1,
                Ok(Work::Wrapped(wrapped, reencrypted)) => done.swaps.push(SecretSwap {
                    place,
                    old: SealedSecret {
                        // No swap needs the payload, and it may be long.
                        payload: Vec::new(),
                        ..sealed
                    },
                    wrapped,
                    reencrypted,
                }),
                Err(RewrapError::Open(error)) => {
                    let cause = cause_of(error)?;
                    done.unreadable.push(UnreadableSecret {
                        app_id: Some(sealed.binding.app_id),
                        vault_id: Some(sealed.binding.vault_id),
                        name: sealed.binding.name.into(),
                        kek_id: Some(sealed.kek_id),
                        cause,
                    });
                }
                Err(RewrapError::Wrap(error)) => return Err(error.into()),
                Err(RewrapError::Untrue(kek_id)) => return Err(VaultError::KekUntrue { kek_id }),
            }
        }
        Ok(done)
    }

    async fn work_on(&self, keyring: &Keyring, old: &SealedSecret) -> Result<Work, RewrapError> {
        let find = |to| {
            let kek: Option<&dyn KekProvider> = keyring.find(to);
            kek.expect("what a rewrap moves to was in the keyring when it began")
        };
        match &self.task {
            Task::Check(depth) => {
                envelope::check(keyring, old, *depth).await?;
                Ok(Work::Tried)
            }
            Task::Rewrap(to, depth) => {
                let wrapped = envelope::rewrap(keyring, find(*to), old, *depth).await?;
                Ok(Work::Wrapped(wrapped, None))
            }
            Task::Reencrypt(to, caller) => {
                let fresh = envelope::reencrypt(keyring, find(*to), old).await?;
                let at = fresh.binding;
                let entry = AuditDraft::new(caller, action::SECRET_REENCRYPTED)
                    .app(at.app_id)
                    .about(Subject::secret(at.vault_id, &at.name))
                    .stored(at.version, PayloadDigest::derive(&fresh.payload));
                let reencrypted = Reencrypted {
                    payload: fresh.payload,
                    entry,
                };
                Ok(Work::Wrapped(fresh.wrapped, Some(Box::new(reencrypted))))
            }
        }
    }
}

/// The result of the work on one secret, outside the store.
enum Work {
    Tried,
    /// The new wrap, and the new payload where there is one.
    Wrapped(Vec<u8>, Option<Box<Reencrypted>>),
}

/// Why a secret does not open. An unavailable provider says nothing about the secret, so that stays
/// an error.
fn cause_of(error: OpenError) -> Result<UnreadableCause, VaultError> {
    match error {
        OpenError::Unwrap(outage @ KekError::Provider { .. }) => Err(outage.into()),
        OpenError::UnknownKek(_) => Ok(UnreadableCause::KekMissing),
        OpenError::Unwrap(_) | OpenError::OverlongWrap => Ok(UnreadableCause::Wrap),
        OpenError::Format(_)
        | OpenError::Commitment
        | OpenError::NotAuthentic(_)
        | OpenError::Value(_) => Ok(UnreadableCause::Payload),
    }
}

/// Asks a busy store a few times.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
    ask: impl Fn() -> F,
) -> Result<T, StoreError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match ask().await {
            Err(StoreError::Busy | StoreError::Overloaded { .. } | StoreError::TimedOut { .. }) => {
                time::sleep(pause).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    ask().await
}

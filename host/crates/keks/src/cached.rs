//! Adds retries and a cache to a KEK provider outside this process.
//!
//! An attempt has a time limit, and is repeated if the failure may pass. After the last failure the
//! provider is paused for a moment, and calls that need it fail at once: an unreachable provider
//! must not delay every call by the whole time limit. Unwrapped DEKs are cached for a while
//! (`dek_cache`), and concurrent calls for one DEK share one request. A new wrap is unwrapped and
//! compared before it is used, because the caller then discards the only other copy of the DEK.

use std::error::Error;
use std::sync::{Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout};
use vault_core::{Dek, KekError, KekId, KekProvider, KekTrouble, WRAPPED_MAX_BYTES};

use super::config::KekLimits;
use super::dek_cache::{DekCache, DekKey};

/// The number of locks for unwraps. Unwraps of the same DEK wait for each other, and so do those
/// that happen to share a lock.
const FLIGHTS: usize = 64;

pub(super) struct CachedKek {
    provider: Box<dyn KekProvider>,
    limits: KekLimits,
    deks: DekCache,
    flights: [Mutex<()>; FLIGHTS],
    permits: Semaphore,
    pause: SyncMutex<Option<Pause>>,
    /// The last logged message about the provider's failures.
    told: SyncMutex<Option<String>>,
}

/// The end of a provider's pause, and its cause.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    trouble: KekTrouble,
}

impl CachedKek {
    pub(super) fn new(provider: impl KekProvider + 'static, limits: &KekLimits) -> Self {
        Self {
            provider: Box::new(provider),
            deks: DekCache::new(limits.dek_lifetime(), limits.max_deks.get()),
            flights: std::array::from_fn(|_| Mutex::default()),
            permits: Semaphore::new(limits.max_concurrent_requests.get()),
            pause: SyncMutex::default(),
            told: SyncMutex::default(),
            limits: limits.clone(),
        }
    }

    /// Repeats the work until it succeeds, fails for good, or reaches the limit of retries.
    async fn attempt<'a, T: Send, F>(&'a self, work: impl Fn() -> F + Send) -> Result<T, KekError>
    where
        F: Future<Output = Result<T, KekError>> + Send + 'a,
    {
        let mut retries = 0..self.limits.max_retries;
        loop {
            self.check_pause()?;
            let attempt = async {
                let _permit = self.permits.acquire().await;
                work().await
            };
            let error = match timeout(self.limits.request_timeout(), attempt).await {
                Ok(Err(error)) if error.is_passing() => error,
                Ok(outcome) => {
                    self.tell(outcome.as_ref().err());
                    return outcome;
                }
                Err(_) => self.error(KekTrouble::TimedOut),
            };
            match retries.next() {
                Some(retry) => sleep(self.backoff(retry)).await,
                None => {
                    self.tell(Some(&error));
                    self.begin_pause(&error);
                    return Err(error);
                }
            }
        }
    }

    /// Returns a wait between half of the maximum and the maximum, so that hosts that failed
    /// together do not retry together.
    fn backoff(&self, retry: u32) -> Duration {
        let most = self
            .limits
            .retry_backoff_ms
            .saturating_mul(1 << retry.min(10));
        let mut random = [0; 2];
        // Without randomness, every host waits for the maximum.
        let share = match getrandom::fill(&mut random) {
            Ok(()) => u64::from(u16::from_be_bytes(random)),
            Err(_) => u64::from(u16::MAX),
        };
        Duration::from_millis(most / 2 + most.saturating_mul(share) / (2 * u64::from(u16::MAX)))
    }

    fn check_pause(&self) -> Result<(), KekError> {
        let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        match pause {
            Some(pause) if Instant::now() < pause.until => Err(self.error(pause.trouble)),
            _ => Ok(()),
        }
    }

    /// Logs the details of a failure, which go beyond the error that callers get. Repeated details
    /// are logged once.
    fn tell(&self, error: Option<&KekError>) {
        let mut next: Option<&dyn Error> = match error {
            Some(KekError::Provider {
                source: Some(source),
                ..
            }) => Some(&**source),
            _ => None,
        };
        let mut causes = Vec::new();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        let cause = causes.join(": ");
        let cause = Some(cause).filter(|cause| !cause.is_empty());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(error), Some(cause)) = (error, &cause)
            && *told != Some(cause.clone())
        {
            tracing::warn!(%error, cause, "a KEK's provider does not do its work");
        }
        *told = cause;
    }

    fn begin_pause(&self, error: &KekError) {
        if let KekError::Provider { trouble, .. } = error {
            *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pause {
                until: Instant::now() + self.limits.pause_after_failure(),
                trouble: *trouble,
            });
        }
    }

    fn error(&self, trouble: KekTrouble) -> KekError {
        KekError::Provider {
            kek_id: self.kek_id(),
            kind: self.kind(),
            trouble,
            source: None,
        }
    }

    /// Checks that the provider's wrap opens to the same DEK.
    async fn check_wrap(&self, dek: &Dek, wrapped: &[u8], data: &[u8]) -> Result<(), KekError> {
        if wrapped.len() > WRAPPED_MAX_BYTES {
            return Err(self.error(KekTrouble::Garbled));
        }
        match self.unwrap(wrapped, data).await {
            Ok(back) if bool::from(back.expose().ct_eq(dek.expose())) => Ok(()),
            Ok(_) => {
                self.forget(wrapped, data);
                Err(self.error(KekTrouble::Garbled))
            }
            Err(KekError::Format(_) | KekError::NotAuthentic(_)) => {
                Err(self.error(KekTrouble::Garbled))
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl KekProvider for CachedKek {
    fn kek_id(&self) -> KekId {
        self.provider.kek_id()
    }

    fn kind(&self) -> &'static str {
        self.provider.kind()
    }

    async fn wrap(&self, dek: &Dek, associated_data: &[u8]) -> Result<Vec<u8>, KekError> {
        let wrapped = self
            .attempt(|| self.provider.wrap(dek, associated_data))
            .await?;
        self.check_wrap(dek, &wrapped, associated_data).await?;
        Ok(wrapped)
    }

    async fn unwrap(&self, wrapped: &[u8], associated_data: &[u8]) -> Result<Dek, KekError> {
        let key = DekKey::derive(self.kek_id(), wrapped, associated_data);
        if let Some(dek) = self.deks.find(&key) {
            return Ok(dek);
        }
        let _flight = self.flights[key.part_of(FLIGHTS)].lock().await;
        if let Some(dek) = self.deks.find(&key) {
            return Ok(dek);
        }
        let dek = self
            .attempt(|| self.provider.unwrap(wrapped, associated_data))
            .await?;
        self.deks.insert(key, &dek);
        Ok(dek)
    }

    fn forget(&self, wrapped: &[u8], associated_data: &[u8]) {
        self.deks
            .remove(&DekKey::derive(self.kek_id(), wrapped, associated_data));
    }
}

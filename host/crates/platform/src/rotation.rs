//! Runs at most one walk over all secrets at a time: a rewrap, or a check that all of them open.
//!
//! The walk runs in the background, and stops after a batch when the host stops. `vault-core`
//! defines what a walk does. The command line makes its own walks, independent of this one.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
pub use tavora_telemetry::walk::{WalkState, WalkView};
use vault_core::{
    Caller, RewrapOptions, RewrapOutcome, RewrapProgress, SecretVaults, UnreadableSecret,
    VaultError,
};

/// Limits the time that a stopping host waits for the current batch. The store rolls back a batch
/// that is cut off.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The walks of one host. Clones share them.
#[derive(Clone, Default)]
pub struct Rotation(Arc<Inner>);

#[derive(Default)]
struct Inner {
    last: Mutex<WalkView>,
    stop: AtomicBool,
}

/// The work of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Moves secrets to a KEK.
    Rewrap(RewrapOptions),
    /// Opens every secret, and keeps no value.
    Verify,
}

/// Why a walk did not start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// Another walk is running.
    #[error("a walk over all secrets goes on; wait for its end")]
    Running,
    /// The vault refused the walk.
    #[error(transparent)]
    Refused(#[from] VaultError),
}

impl Rotation {
    /// The current walk, or the last one.
    pub fn view(&self) -> WalkView {
        self.last().clone()
    }

    /// Starts a walk, unless one is running.
    ///
    /// # Errors
    /// [`NotStarted`].
    pub async fn start(
        &self,
        vaults: &SecretVaults,
        caller: Caller,
        work: Work,
    ) -> Result<WalkView, NotStarted> {
        let (name, to) = match &work {
            Work::Rewrap(options) => ("rewrap", Some(vaults.rewrap_target(options).await?)),
            Work::Verify => {
                vaults.require_keyring()?;
                ("verify", None)
            }
        };
        let view = WalkView {
            state: WalkState::Running,
            work: Some(name),
            to,
            started_at: Some(Timestamp::now()),
            ..WalkView::default()
        };
        {
            let mut last = self.last();
            if last.state == WalkState::Running {
                return Err(NotStarted::Running);
            }
            last.clone_from(&view);
        }
        let (rotation, vaults) = (self.clone(), vaults.clone());
        tokio::spawn(async move {
            let walk = tokio::spawn(rotation.clone().walk(vaults, caller, work));
            let ended = walk.await.unwrap_or_else(|_| {
                Err("the host came upon a defect; its log says more".to_owned())
            });
            rotation.end(ended);
        });
        Ok(view)
    }

    /// Lets the current walk end after its batch, and waits for the end.
    pub async fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        let ended = async {
            while self.last().state == WalkState::Running {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(STOP_WAIT, ended).await.is_err() {
            tracing::warn!("the walk over all secrets is cut off; start it again to go on");
        }
    }

    async fn walk(self, vaults: SecretVaults, caller: Caller, work: Work) -> Result<Ended, String> {
        let tell = |now: &RewrapProgress| {
            self.last().progress = *now;
            match self.0.stop.load(Ordering::Acquire) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let ended = match work {
            Work::Rewrap(options) => {
                let report = vaults.rewrap(&caller, options, tell).await;
                report.map(|report| (report.outcome, report.unreadable_secrets))
            }
            Work::Verify => {
                let report = vaults.open_all(tell).await;
                report.map(|report| (report.outcome, report.unreadable_secrets))
            }
        };
        ended.map_err(|error| {
            let cause = &error as &dyn std::error::Error;
            tracing::error!(cause, "a walk over all secrets failed");
            error.to_string()
        })
    }

    fn end(&self, ended: Result<Ended, String>) {
        let mut last = self.last();
        last.ended_at = Some(Timestamp::now());
        match ended {
            Ok((outcome, unreadable_secrets)) => {
                last.state = match outcome {
                    RewrapOutcome::Complete => WalkState::Complete,
                    RewrapOutcome::Incomplete => WalkState::Incomplete,
                    RewrapOutcome::Stopped => WalkState::Stopped,
                };
                last.unreadable_secrets = unreadable_secrets;
            }
            Err(error) => {
                last.state = WalkState::Failed;
                last.error = Some(error);
            }
        }
    }

    fn last(&self) -> MutexGuard<'_, WalkView> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of a walk, and the secrets that do not open.
type Ended = (RewrapOutcome, Vec<UnreadableSecret>);

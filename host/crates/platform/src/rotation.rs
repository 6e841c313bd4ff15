//! The one walk over all secrets that a host makes at a time: a rewrap, or a try whether all of
//! them open.
//!
//! It goes on behind the request that started it, and stops after a batch when the host does. What
//! a walk does is `vault-core`'s business; the command line makes its own walks, beside this one.

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

/// How long the host waits for the batch that is under way when it stops. What is cut off then is
/// undone by the store.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The walks of one host. A clone is the same.
#[derive(Clone, Default)]
pub struct Rotation(Arc<Inner>);

#[derive(Default)]
struct Inner {
    last: Mutex<WalkView>,
    stop: AtomicBool,
}

/// What a walk does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Moves secrets to a KEK.
    Rewrap(RewrapOptions),
    /// Opens every secret, and keeps none.
    Verify,
}

/// Why a walk did not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// Another one goes on.
    #[error("a walk over all secrets goes on; wait for its end")]
    Running,
    /// It cannot be done.
    #[error(transparent)]
    Refused(#[from] VaultError),
}

impl Rotation {
    /// The walk that goes on, or the last one.
    pub fn view(&self) -> WalkView {
        self.last().clone()
    }

    /// Begins a walk, unless one goes on.
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

    /// Lets the walk that goes on end after its batch, and waits for that.
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

/// How a walk ended, and what does not open.
type Ended = (RewrapOutcome, Vec<UnreadableSecret>);

//! The stages of stopping, for code that answers requests.

use tokio::sync::watch;

/// The stages from serving to the end, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The host was not told to stop.
    Serving,
    /// The host was told to stop and still takes requests (`drain_delay_ms`), so that load
    /// balancers can notice first.
    Leaving,
    /// The host takes no more requests. Those under way go on (`shutdown_grace_ms`).
    Draining,
    /// The time for requests under way is up.
    Closing,
}

/// The current stage, in the extensions of every request.
#[derive(Clone)]
pub struct Stopping(pub(super) watch::Receiver<Stage>);

impl Stopping {
    /// Whether the host was told to stop.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() > Stage::Serving
    }

    /// Waits until requests must end.
    pub async fn time_is_up(mut self) {
        let closing = self.0.wait_for(|stage| *stage >= Stage::Closing);
        let is_gone = closing.await.is_err();
        if is_gone {
            // The server is gone without reaching the last stage, and the connection with it.
            std::future::pending().await
        }
    }
}

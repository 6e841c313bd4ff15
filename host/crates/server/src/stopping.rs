//! How far the host is on its way to stop, for whoever answers a request.

use tokio::sync::watch;

/// Where the host is between serving and its end, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nobody told it to stop.
    Serving,
    /// It was told to, and still takes requests (`drain_delay_ms`): whoever sends them here is to
    /// learn of it first.
    Leaving,
    /// It takes no more; those under way go on (`shutdown_grace_ms`).
    Draining,
    /// The time for them is up.
    Closing,
}

/// The stage as it changes, in the extensions of every request.
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
            // The server is gone without a word, and so is the connection.
            std::future::pending().await
        }
    }
}

//! Gets the token of an AppRole: logs in, and renews the token in a background task.
//!
//! The task renews at two thirds of the token's life. A secret id may allow a single login, so the
//! task tries a renewal before a login. If the server refuses the renewal, the task logs in again.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;
use tokio::time::{timeout, timeout_at};
use vault_core::KekTrouble;
use zeroize::Zeroizing;

use super::server::{Failed, Server, odd, read};
use crate::config::KekLimits;
use tavora_trust::credential::CredentialSource;

pub(super) type Token = Arc<Zeroizing<String>>;

/// Limits of the pause before a renewal is retried. The pause is a quarter of the remaining time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An AppRole on one server. Dropping it ends its task.
pub(super) struct AppRole {
    role: Arc<Role>,
    /// Started at the first use, because a client may be created outside of the asynchronous
    /// runtime.
    keeper: OnceLock<Keeper>,
}

/// The settings of an AppRole in `tavora.toml`.
pub(super) struct Names {
    /// The path at which AppRole is mounted.
    pub(super) mount: String,
    pub(super) role_id: String,
    pub(super) secret_id: CredentialSource,
}

struct Role {
    server: Arc<Server>,
    path: String,
    role_id: String,
    secret_id: CredentialSource,
    session: Mutex<Option<Session>>,
    /// Tells the task that a request has logged in.
    changed: Arc<Notify>,
    /// The shortest time between two logins that a refused token causes.
    pause: Duration,
    /// The time limit of a renewal, so that a connection that hangs does not block requests.
    patience: Duration,
}

/// Aborts the task when dropped.
struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Session {
    token: Token,
    began: Instant,
    /// `None` for a token that does not expire.
    ends: Option<Instant>,
    /// When the task acts next. `None` if nothing is left to try.
    due: Option<Instant>,
    /// The lease of the login. A renewal that gives less than half of it has reached the maximum
    /// life.
    first: Duration,
    is_renewable: bool,
    /// The number of uses that are left, if the role limits them.
    uses_left: Option<u64>,
}

impl Session {
    fn of(auth: Auth) -> Self {
        let lease = Duration::from_secs(auth.lease_duration);
        let now = Instant::now();
        let mut session = Self {
            token: Arc::new(auth.client_token),
            began: now,
            ends: None,
            due: None,
            first: lease,
            is_renewable: auth.renewable,
            uses_left: (auth.num_uses > 0).then_some(auth.num_uses),
        };
        if !lease.is_zero() {
            session.lives_for(lease);
        }
        session
    }

    fn lives_for(&mut self, lease: Duration) {
        let now = Instant::now();
        self.ends = now.checked_add(lease);
        self.due = now.checked_add(lease / 3 * 2);
    }

    /// Whether the server still accepts the token, as far as this process knows.
    fn is_alive(&self) -> bool {
        self.uses_left != Some(0) && self.ends.is_none_or(|end| Instant::now() < end)
    }

    /// Whether a renewal is possible and leaves a use for a request: a renewal is a use.
    fn may_renew(&self) -> bool {
        self.is_renewable && self.uses_left.is_none_or(|left| left > 1)
    }

    /// Returns the token for one request, and counts the use.
    fn take(&mut self) -> Token {
        self.uses_left = self.uses_left.map(|left| left.saturating_sub(1));
        Arc::clone(&self.token)
    }

    /// Applies the answer to a renewal. Here a lease of zero does not mean that the token never
    /// expires: it is the rest of the maximum life, rounded down.
    fn renewed(&mut self, auth: &Auth) {
        let lease = Duration::from_secs(auth.lease_duration);
        self.is_renewable = auth.renewable && lease * 2 >= self.first;
        match lease.is_zero() {
            true => self.is_renewable = false,
            false => self.lives_for(lease),
        }
    }

    /// Schedules another attempt before the token expires.
    fn postpone(&mut self) {
        let now = Instant::now();
        let left = self.ends.map(|end| end.saturating_duration_since(now) / 4);
        let pause = left.unwrap_or(LONGEST_PAUSE);
        self.due = Some(now + pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    }
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Login<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Zeroizing<String>,
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    /// Zero for a token with unlimited uses.
    #[serde(default)]
    num_uses: u64,
}

/// Why the AppRole has no token, for the log.
#[derive(Debug, thiserror::Error)]
#[error("the server refused the AppRole's login")]
struct LoginRefused;

impl AppRole {
    pub(super) fn new(server: Arc<Server>, names: Names, limits: &KekLimits) -> Self {
        let role = Role {
            server,
            path: format!("auth/{}/login", names.mount),
            role_id: names.role_id,
            secret_id: names.secret_id,
            session: Mutex::default(),
            changed: Arc::default(),
            pause: limits.pause_after_failure(),
            patience: limits.request_timeout(),
        };
        Self {
            role: Arc::new(role),
            keeper: OnceLock::new(),
        }
    }

    /// Returns a token. It differs from the `refused` one, unless there is no other.
    pub(super) async fn token(&self, refused: Option<&Token>) -> Result<Token, Failed> {
        self.keeper.get_or_init(|| {
            let changed = Arc::clone(&self.role.changed);
            let task = tokio::spawn(keep(Arc::downgrade(&self.role), changed));
            Keeper(task.abort_handle())
        });
        self.role.token(refused).await
    }
}

/// Renews the token when it is due, as long as the client exists.
async fn keep(role: Weak<Role>, changed: Arc<Notify>) {
    while let Some(known) = role.upgrade() {
        let due = known.tend().await;
        drop(known);
        match due {
            // Look again when the time is up, or when a request has logged in.
            Some(due) => drop(timeout_at(due.into(), changed.notified()).await),
            None => changed.notified().await,
        }
    }
}

impl Role {
    async fn token(&self, refused: Option<&Token>) -> Result<Token, Failed> {
        let mut session = self.session.lock().await;
        let mut is_refused = false;
        if let Some(known) = &mut *session {
            is_refused = refused.is_some_and(|refused| Arc::ptr_eq(refused, &known.token));
            // Without this pause, a role whose policy lacks a permission would log in at each
            // request.
            if is_refused && known.is_alive() && known.began.elapsed() < self.pause {
                return Ok(Arc::clone(&known.token));
            }
            if !is_refused && known.is_alive() {
                return Ok(known.take());
            }
        }
        match (self.log_in().await, &mut *session) {
            (Ok(new), _) => {
                let token = session.insert(new).take();
                self.changed.notify_one();
                Ok(token)
            }
            // The refused token is still renewable, so it is valid, and its policy does not allow
            // the request.
            (Err(failed), Some(known)) if is_refused && known.is_alive() && known.may_renew() => {
                match self.renew(known).await {
                    Ok(()) => Ok(Arc::clone(&known.token)),
                    Err(_) => Err(failed),
                }
            }
            (Err(failed), _) => Err(failed),
        }
    }

    /// Renews the token if it is due, or logs in again. Returns the next due time.
    async fn tend(&self) -> Option<Instant> {
        let mut session = self.session.lock().await;
        let known = session.as_mut()?;
        let due = known.due?;
        if Instant::now() < due {
            return Some(due);
        }
        // The token is gone, and the next request logs in.
        if !known.is_alive() {
            known.due = None;
            return None;
        }
        if known.may_renew() {
            match self.renew(known).await {
                Ok(()) if known.is_renewable => return known.due,
                // The token is near its maximum life: the login below replaces it.
                Ok(()) => {}
                Err(failed) if may_pass(&failed) => {
                    known.postpone();
                    return known.due;
                }
                Err(_) => known.is_renewable = false,
            }
        }
        let logged_in = timeout(self.patience, self.log_in()).await;
        match logged_in.unwrap_or_else(|_| Err(KekTrouble::TimedOut.into())) {
            Ok(new) => session.insert(new).due,
            Err(failed) if may_pass(&failed) => {
                known.postpone();
                known.due
            }
            Err(_) => {
                known.due = None;
                let seconds_left = known
                    .ends
                    .map(|end| end.saturating_duration_since(Instant::now()).as_secs());
                tracing::warn!(
                    seconds_left,
                    "Transit's token ends: it cannot be renewed any more, and the AppRole's secret id does not log in again"
                );
                None
            }
        }
    }

    async fn log_in(&self) -> Result<Session, Failed> {
        let secret_id = read(&self.secret_id)?;
        let login = Login {
            role_id: &self.role_id,
            secret_id: &secret_id,
        };
        match self.server.send(&self.path, None, &login).await {
            Ok(LoggedIn { auth }) => Ok(Session::of(auth)),
            // A server answers a wrong login with 400.
            Err(Failed::Trouble(KekTrouble::Refused | KekTrouble::Denied, _)) => {
                Err(odd(&secret_id).unwrap_or_else(|| {
                    Failed::Trouble(KekTrouble::LoginRefused, Some(LoginRefused.into()))
                }))
            }
            Err(failed) => Err(failed),
        }
    }

    /// Extends the life of a session, if the server allows it.
    async fn renew(&self, session: &mut Session) -> Result<(), Failed> {
        let token = session.take();
        let renewal = self
            .server
            .send("auth/token/renew-self", Some(&token), &Nothing {});
        let renewed = timeout(self.patience, renewal).await;
        let LoggedIn { auth } = renewed.unwrap_or_else(|_| Err(KekTrouble::TimedOut.into()))?;
        session.renewed(&auth);
        Ok(())
    }
}

/// Whether the same attempt may succeed later, before the token expires. A refusal is final.
fn may_pass(failed: &Failed) -> bool {
    use KekTrouble::{Compressed, Garbled, NoCredential};
    match failed {
        Failed::NotAuthentic => false,
        Failed::Trouble(trouble, _) => {
            trouble.is_passing() || matches!(trouble, NoCredential | Garbled | Compressed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(lease_duration: u64, num_uses: u64) -> Auth {
        Auth {
            client_token: Zeroizing::new("token".to_owned()),
            lease_duration,
            renewable: true,
            num_uses,
        }
    }

    #[test]
    fn a_token_is_due_at_two_thirds_of_its_life() {
        let session = Session::of(auth(300, 0));
        let (due, ends) = (session.due.expect("it ends"), session.ends.expect("too"));
        assert_eq!(ends - due, Duration::from_secs(100));
        assert!(session.is_alive() && session.may_renew());
    }

    #[test]
    fn a_token_without_an_end_is_never_due() {
        let session = Session::of(auth(0, 0));
        assert!(session.due.is_none() && session.is_alive());
    }

    #[test]
    fn a_renewal_that_gives_little_is_the_last_one() {
        let mut session = Session::of(auth(300, 0));
        session.renewed(&auth(300, 0));
        assert!(session.is_renewable);
        session.renewed(&auth(149, 0));
        assert!(!session.is_renewable && session.due.is_some());
    }

    #[test]
    fn a_renewal_that_rounds_to_nothing_makes_no_token_without_an_end() {
        let mut session = Session::of(auth(300, 0));
        let ends = session.ends;
        session.renewed(&auth(0, 0));
        assert!(!session.is_renewable && session.ends == ends);
    }

    #[test]
    fn the_last_use_of_a_token_is_not_spent_on_its_renewal() {
        let mut session = Session::of(auth(300, 2));
        assert!(session.may_renew());
        session.take();
        assert!(!session.may_renew() && session.is_alive());
        session.take();
        assert!(!session.is_alive());
    }

    #[test]
    fn a_postponed_renewal_comes_before_the_end() {
        let mut session = Session::of(auth(40, 0));
        session.postpone();
        assert!(session.due < session.ends);
        let mut session = Session::of(auth(1_000_000, 0));
        session.postpone();
        assert!(session.due <= Instant::now().checked_add(LONGEST_PAUSE));
    }
}

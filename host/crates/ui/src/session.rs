//! Sessions of the page. The holder of a session has recently shown the admin token.
//!
//! Sessions are in memory, stored by the SHA-256 of their token. A restart signs everybody out, and
//! no stored data opens a session. `cookies` has the format of the cookies, and `sign_in` checks
//! the token.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::settings::AdminConfig;

const RANDOM_BYTES: usize = 32;
const TOKEN_CHARS: usize = 43;
const FORM_DOMAIN: &[u8] = b"tavora/admin/form/v1";

/// 256 random bits, kept by a browser in a cookie.
pub(super) struct Token(Zeroizing<String>);

impl Token {
    pub(super) fn make() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
        getrandom::fill(bytes.as_mut_slice())?;
        let mut text = Zeroizing::new(String::with_capacity(TOKEN_CHARS));
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        Ok(Self(text))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (text.len() == TOKEN_CHARS && text.bytes().all(is_plain))
            .then(|| Self(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under which the session is stored.
    pub(super) fn key(&self) -> SessionKey {
        SessionKey(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Returns the token for forms of the holder of this cookie. The cookie's token cannot be
    /// computed from it.
    pub(super) fn derive_form_token(&self) -> FormToken {
        let hash = Sha256::new()
            .chain_update(FORM_DOMAIN)
            .chain_update(self.0.as_bytes())
            .finalize();
        FormToken(hex::encode(hash))
    }
}

/// Proves that a form was made for its sender: another site cannot read this token.
pub(super) struct FormToken(String);

impl FormToken {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is this token, compared in constant time.
    pub(super) fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionKey([u8; 32]);

/// A message about the last action, to be shown on the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice(pub String);

pub(super) struct Sessions {
    idle_timeout: Duration,
    lifetime: Duration,
    max: NonZeroUsize,
    open: Mutex<HashMap<SessionKey, Session>>,
}

struct Session {
    opened: Instant,
    used: Instant,
    notice: Option<Notice>,
}

impl Sessions {
    pub(super) fn new(settings: &AdminConfig) -> Self {
        Self {
            idle_timeout: Duration::from_millis(settings.session_idle_timeout_ms),
            lifetime: Duration::from_millis(settings.session_lifetime_ms),
            max: settings.max_sessions,
            open: Mutex::default(),
        }
    }

    /// Opens a session. If there is no room, the least recently used session ends.
    pub(super) fn open(&self, now: Instant) -> Result<Token, getrandom::Error> {
        let token = Token::make()?;
        let mut open = self.locked();
        open.retain(|_, session| self.is_live(session, now));
        while open.len() >= self.max.get() {
            let oldest = open.iter().min_by_key(|(_, session)| session.used);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                break;
            };
            open.remove(&key);
        }
        let session = Session {
            opened: now,
            used: now,
            notice: None,
        };
        open.insert(token.key(), session);
        Ok(token)
    }

    /// Whether the session is open. Counts as a use of the session.
    pub(super) fn touch(&self, key: SessionKey, now: Instant) -> bool {
        let mut open = self.locked();
        match open.get_mut(&key) {
            Some(session) if self.is_live(session, now) => {
                session.used = now;
                true
            }
            Some(_) => {
                open.remove(&key);
                false
            }
            None => false,
        }
    }

    pub(super) fn close(&self, key: SessionKey) {
        self.locked().remove(&key);
    }

    /// Leaves a notice for the next page of the session.
    pub(super) fn leave_notice(&self, key: SessionKey, notice: Notice) {
        if let Some(session) = self.locked().get_mut(&key) {
            session.notice = Some(notice);
        }
    }

    /// Takes the session's notice, if there is one.
    pub(super) fn take_notice(&self, key: SessionKey) -> Option<Notice> {
        self.locked().get_mut(&key)?.notice.take()
    }

    fn is_live(&self, session: &Session, now: Instant) -> bool {
        now.duration_since(session.used) < self.idle_timeout
            && now.duration_since(session.opened) < self.lifetime
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<SessionKey, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(max: usize) -> Sessions {
        Sessions::new(&AdminConfig {
            session_idle_timeout_ms: 1_000,
            session_lifetime_ms: 3_000,
            max_sessions: NonZeroUsize::new(max).expect("not zero"),
            ..AdminConfig::default()
        })
    }

    fn opened(sessions: &Sessions, now: Instant) -> SessionKey {
        sessions.open(now).expect("the system has randomness").key()
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
        let sessions = sessions(8);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let idle = opened(&sessions, start);
        assert!(sessions.touch(idle, at(999)));
        assert!(sessions.touch(idle, at(1_998)));
        assert!(!sessions.touch(idle, at(2_998)));
        assert!(!sessions.touch(idle, at(2_999)), "it does not come back");

        let old = opened(&sessions, start);
        for ms in [900, 1_800, 2_700, 2_999] {
            assert!(sessions.touch(old, at(ms)), "{ms}");
        }
        assert!(!sessions.touch(old, at(3_000)));
    }

    #[test]
    fn sessions_are_bounded_and_the_one_unused_for_longest_goes() {
        let sessions = sessions(2);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let first = opened(&sessions, start);
        let second = opened(&sessions, at(1));
        assert!(sessions.touch(first, at(2)));
        let third = opened(&sessions, at(3));
        assert!(!sessions.touch(second, at(4)));
        assert!(sessions.touch(first, at(4)) && sessions.touch(third, at(4)));
        assert_eq!(sessions.locked().len(), 2);
    }

    #[test]
    fn a_closed_session_is_no_session_and_a_notice_is_read_once() {
        let sessions = sessions(2);
        let now = Instant::now();
        let key = opened(&sessions, now);
        sessions.leave_notice(key, Notice("done".to_owned()));
        assert_eq!(sessions.take_notice(key), Some(Notice("done".to_owned())));
        assert_eq!(sessions.take_notice(key), None);
        sessions.close(key);
        assert!(!sessions.touch(key, now));
    }

    #[test]
    fn a_form_token_belongs_to_one_cookie_and_is_not_it() {
        let make = || Token::make().expect("the system has randomness");
        let (one, other) = (make(), make());
        let form = one.derive_form_token();
        assert!(form.matches(one.derive_form_token().as_str()));
        assert!(!form.matches(other.derive_form_token().as_str()));
        assert!(!form.matches("") && !form.matches(one.as_str()));
        assert_ne!(form.as_str(), hex::encode(one.key().0));
    }

    #[test]
    fn only_what_looks_like_a_token_is_taken_for_one() {
        let token = Token::make().expect("the system has randomness");
        assert!(Token::parse(token.as_str()).is_some());
        for bad in [
            "",
            "a",
            &format!("{}=", token.as_str()),
            &"é".repeat(43),
            &" ".repeat(43),
        ] {
            assert!(Token::parse(bad).is_none(), "{bad:?}");
        }
    }
}

//! Revisions of secrets and vaults, and conditions on them.
//!
//! A revision tells states apart. It does not say which state came first. It is no secret: it is
//! made of what is shown, or of ciphertext. The host decides how a client writes a condition
//! (`If-Match`). Each store checks it together with the change.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// One state of a secret or of a vault, as 32 hexadecimal digits.
///
/// A secret's revision changes with every write. It is a digest of the beginning of the payload,
/// which is random for every write. So a secret that is deleted and stored again does not return to
/// an old revision. A rewrap leaves the payload alone, and so the revision. A vault's revision is a
/// digest of all that is shown of it, including its id and its time of change.
///
/// ```
/// use vault_core::Revision;
/// let revision: Revision = "00112233445566778899aabbccddeeff".parse().unwrap();
/// assert_eq!(revision.to_string(), "00112233445566778899aabbccddeeff");
/// assert!("00112233445566778899AABBCCDDEEFF".parse::<Revision>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision([u8; BYTES]);

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a revision is 32 lower-case hexadecimal digits; copy it from what it is a revision of")]
pub struct InvalidRevision;

/// A condition on the current state at the moment of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// No condition.
    Always,
    /// Something to change exists.
    Exists,
    /// Something to change exists and is at one of these revisions.
    AnyOf(Vec<Revision>),
}

/// The current state does not meet the condition of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the condition of the change is not met")]
pub struct ConditionNotMet;

const BYTES: usize = 16;

impl Revision {
    pub(crate) fn derive(state: &[u8]) -> Self {
        let mut revision = [0; BYTES];
        revision.copy_from_slice(&Sha256::digest(state)[..BYTES]);
        Self(revision)
    }
}

impl Condition {
    /// Checks whether a change may be made. The current revision is read only if it matters, so
    /// damaged things can still be replaced or deleted unconditionally.
    ///
    /// # Errors
    /// [`ConditionNotMet`], or the error of reading the current revision.
    pub fn check<E: From<ConditionNotMet>>(
        &self,
        current: impl FnOnce() -> Result<Option<Revision>, E>,
    ) -> Result<(), E> {
        let is_met = match self {
            Self::Always => true,
            Self::Exists => current()?.is_some(),
            Self::AnyOf(revisions) => {
                current()?.is_some_and(|current| revisions.contains(&current))
            }
        };
        if is_met {
            Ok(())
        } else {
            Err(ConditionNotMet.into())
        }
    }
}

impl From<Revision> for Condition {
    fn from(revision: Revision) -> Self {
        Self::AnyOf(vec![revision])
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, InvalidRevision> {
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidRevision)?;
        // Entity tags are compared byte by byte, so one state has one spelling.
        let revision = Self(bytes);
        if revision.to_string() == text {
            Ok(revision)
        } else {
            Err(InvalidRevision)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors that a condition can meet in these tests.
    #[derive(Debug, PartialEq)]
    enum Unread {
        NotMet,
        Damaged,
    }

    impl From<ConditionNotMet> for Unread {
        fn from(_: ConditionNotMet) -> Self {
            Self::NotMet
        }
    }

    #[test]
    fn a_revision_survives_its_text_and_has_one_spelling() {
        let revision = Revision::derive(b"state");
        let text = revision.to_string();
        assert_eq!(text.parse(), Ok(revision));
        assert_ne!(Revision::derive(b"other state"), revision);
        for bad in [
            "",
            "*",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}00"),
            "W/",
        ] {
            assert_eq!(bad.parse::<Revision>(), Err(InvalidRevision), "{bad:?}");
        }
    }

    #[test]
    fn a_condition_is_met_by_what_it_names_and_by_nothing_else() {
        let [a, b, c] = ["a", "b", "c"].map(|state| Revision::derive(state.as_bytes()));
        let either = Condition::AnyOf(vec![a, b]);
        for (condition, current, is_met) in [
            (&Condition::Always, None, true),
            (&Condition::Always, Some(a), true),
            (&Condition::Exists, None, false),
            (&Condition::Exists, Some(a), true),
            (&either, None, false),
            (&either, Some(a), true),
            (&either, Some(b), true),
            (&either, Some(c), false),
            (&Condition::AnyOf(vec![]), Some(a), false),
        ] {
            let checked: Result<(), ConditionNotMet> = condition.check(|| Ok(current));
            assert_eq!(checked.is_ok(), is_met, "{condition:?} of {current:?}");
        }
        let damaged = || Err(Unread::Damaged);
        assert_eq!(Condition::Always.check(damaged), Ok(()));
        assert_eq!(either.check(damaged), Err(Unread::Damaged));
        assert_eq!(either.check(|| Ok(None)), Err(Unread::NotMet));
    }
}

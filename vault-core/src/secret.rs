//! A secret's name, its value and its redacted view.
//!
//! Only [`SecretValue`] holds anything secret. It cannot be printed, serialised, compared or
//! copied, and its memory is cleared when it goes. Sealing and opening are in `envelope`.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{id::VaultId, key::KekId, revision::Revision};

/// The longest secret name, in bytes.
pub const SECRET_NAME_MAX_BYTES: usize = 255;

/// The longest secret value, in bytes of UTF-8.
pub const SECRET_VALUE_MAX_BYTES: usize = 64 * 1024;

/// A secret's name inside its vault: 1–255 bytes of `A–Z a–z 0–9 _ - .`, where the first is a
/// letter, a digit or an underscore.
///
/// ```
/// use vault_core::SecretName;
/// assert!("BRAVE_API_KEY".parse::<SecretName>().is_ok());
/// assert!("a/b".parse::<SecretName>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

/// Why a text is no secret name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretName {
    /// The text is empty.
    #[error("a secret name cannot be empty; use letters, digits, `_`, `-` and `.`")]
    Empty,
    /// The text is longer than [`SECRET_NAME_MAX_BYTES`].
    #[error(
        "a secret name has at most {SECRET_NAME_MAX_BYTES} bytes and this one has {bytes}; shorten it"
    )]
    TooLong {
        /// The length of the refused text.
        bytes: usize,
    },
    /// The text starts with `-` or `.`.
    #[error("a secret name cannot start with {found:?}; start it with a letter, a digit or `_`")]
    BadStart {
        /// The first character.
        found: char,
    },
    /// The text holds a character that names cannot hold.
    #[error(
        "a secret name cannot contain {found:?} (character {position}); use letters, digits, `_`, `-` and `.`"
    )]
    BadCharacter {
        /// The character in question.
        found: char,
        /// The position of the character, from 1.
        position: usize,
    },
}

impl SecretName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = InvalidSecretName;

    fn from_str(text: &str) -> Result<Self, InvalidSecretName> {
        let first = text.chars().next().ok_or(InvalidSecretName::Empty)?;
        if text.len() > SECRET_NAME_MAX_BYTES {
            return Err(InvalidSecretName::TooLong { bytes: text.len() });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if let Some((index, found)) = text.chars().enumerate().find(|(_, c)| !allowed(*c)) {
            return Err(InvalidSecretName::BadCharacter {
                found,
                position: index + 1,
            });
        }
        if matches!(first, '-' | '.') {
            return Err(InvalidSecretName::BadStart { found: first });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SecretName {
    type Error = InvalidSecretName;

    fn try_from(text: String) -> Result<Self, InvalidSecretName> {
        text.parse()
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A credential in plain: 1 byte to 64 KiB of UTF-8.
///
/// It has no `Debug`, `Display`, `Serialize`, `Clone` or `PartialEq`, and clears its memory when
/// dropped.
///
/// ```compile_fail
/// let value = vault_core::SecretValue::new("hunter2".to_owned()).unwrap();
/// println!("{value:?}");
/// ```
/// ```compile_fail
/// let value = vault_core::SecretValue::new("hunter2".to_owned()).unwrap();
/// let copy = value.clone();
/// ```
pub struct SecretValue(Zeroizing<String>);

/// Why a value is refused. The error tells nothing of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretValue {
    /// The value is empty. A tool must never run with an empty credential.
    #[error("a secret value cannot be empty; give the credential itself")]
    Empty,
    /// The value is longer than [`SECRET_VALUE_MAX_BYTES`].
    #[error("a secret value has at most {SECRET_VALUE_MAX_BYTES} bytes; store something shorter")]
    TooLong,
    /// The value is not text.
    #[error("a secret value must be UTF-8 text; encode binary credentials, for example as base64")]
    NotUtf8,
}

impl SecretValue {
    /// Takes over the value. A refused text is cleared too.
    ///
    /// # Errors
    /// The value is empty or too long.
    pub fn new(value: String) -> Result<Self, InvalidSecretValue> {
        Self::checked(Zeroizing::new(value))
    }

    /// Takes over bytes that should be UTF-8. Refused bytes are cleared too.
    ///
    /// # Errors
    /// There are no bytes, too many, or they are not UTF-8.
    pub fn from_bytes(value: Vec<u8>) -> Result<Self, InvalidSecretValue> {
        match String::from_utf8(value) {
            Ok(text) => Self::new(text),
            Err(refused) => {
                drop(Zeroizing::new(refused.into_bytes()));
                Err(InvalidSecretValue::NotUtf8)
            }
        }
    }

    /// The credential. The caller is responsible for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn checked(value: Zeroizing<String>) -> Result<Self, InvalidSecretValue> {
        match value.len() {
            0 => Err(InvalidSecretValue::Empty),
            1..=SECRET_VALUE_MAX_BYTES => Ok(Self(value)),
            _ => Err(InvalidSecretValue::TooLong),
        }
    }
}

/// A secret as it is shown: everything but its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RedactedSecret {
    /// The vault that the secret is in.
    pub vault_id: VaultId,
    /// The name, unique in the vault.
    pub name: SecretName,
    /// The KEK that wraps the secret's DEK.
    pub kek_id: KekId,
    /// The number of writes: 1 when created, one more at each overwrite.
    pub version: u64,
    /// When the secret was created; an overwrite keeps this.
    pub created_at: Timestamp,
    /// When the secret was last written.
    pub updated_at: Timestamp,
    #[serde(skip)]
    pub(crate) revision: Revision,
}

impl RedactedSecret {
    /// The revision of the write that is shown. A change can be made on the condition that this
    /// write is still the last one.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_and_the_refusal_says_what_is_wrong() {
        for good in [
            "a",
            "_x",
            "9",
            "OPENAI_API_KEY",
            "a.b-c_d",
            &"n".repeat(255),
        ] {
            assert_eq!(good.parse::<SecretName>().unwrap().as_str(), good);
        }
        assert_eq!("".parse::<SecretName>(), Err(InvalidSecretName::Empty));
        assert_eq!(
            "n".repeat(256).parse::<SecretName>(),
            Err(InvalidSecretName::TooLong { bytes: 256 })
        );
        assert_eq!(
            ".a".parse::<SecretName>(),
            Err(InvalidSecretName::BadStart { found: '.' })
        );
        assert_eq!(
            "-a".parse::<SecretName>(),
            Err(InvalidSecretName::BadStart { found: '-' })
        );
        for (text, found, position) in [
            ("a/b", '/', 2),
            ("ü", 'ü', 1),
            ("ab\0", '\0', 3),
            ("a b", ' ', 2),
        ] {
            assert_eq!(
                text.parse::<SecretName>(),
                Err(InvalidSecretName::BadCharacter { found, position })
            );
        }
        assert!(
            "a/b"
                .parse::<SecretName>()
                .unwrap_err()
                .to_string()
                .contains("'/'")
        );
    }

    #[test]
    fn values_are_bounded_text() {
        assert_eq!(
            SecretValue::new(String::new()).err(),
            Some(InvalidSecretValue::Empty)
        );
        assert!(SecretValue::new("v".repeat(SECRET_VALUE_MAX_BYTES)).is_ok());
        assert_eq!(
            SecretValue::new("v".repeat(SECRET_VALUE_MAX_BYTES + 1)).err(),
            Some(InvalidSecretValue::TooLong)
        );
        assert_eq!(
            SecretValue::from_bytes(vec![0xff]).err(),
            Some(InvalidSecretValue::NotUtf8)
        );
        assert_eq!(
            SecretValue::from_bytes("grüße".into()).unwrap().expose(),
            "grüße"
        );
    }
}

//! The names of apps, vaults and API keys, and the slugs of apps.
//!
//! Names are checked here and nowhere else. Only the store knows whether one is taken.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name of an app, a vault or an API key, in characters.
pub const NAME_MAX_CHARS: usize = 128;

/// The longest app slug, in bytes.
pub const SLUG_MAX_BYTES: usize = 63;

/// Why a text is no name for an app, a vault or an API key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text is empty or holds nothing but blanks.
    #[error("{kind} name cannot be blank; use 1 to {NAME_MAX_CHARS} printable characters")]
    Blank {
        /// The kind of thing to name.
        kind: &'static str,
    },
    /// The text is longer than [`NAME_MAX_CHARS`].
    #[error(
        "{kind} name has at most {NAME_MAX_CHARS} characters and this one has {chars}; shorten it"
    )]
    TooLong {
        /// The kind of thing to name.
        kind: &'static str,
        /// The length of the refused text.
        chars: usize,
    },
    /// The text holds a control character or an invisible one.
    #[error("{kind} name cannot contain {found:?}; use printable characters only")]
    Unprintable {
        /// The kind of thing to name.
        kind: &'static str,
        /// The character in question.
        found: char,
    },
}

/// Characters that are invisible, turn the text beside them around, or end a line. With them one
/// name passes for another. The joiners U+200C and U+200D are allowed, because some scripts and
/// emoji need them.
const UNSEEN: [RangeInclusive<char>; 8] = [
    '\u{ad}'..='\u{ad}',
    '\u{61c}'..='\u{61c}',
    '\u{200b}'..='\u{200b}',
    '\u{200e}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
];

macro_rules! printable_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check_printable($kind, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                check_printable($kind, &text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

printable_name!(
    /// The name of an app: 1–128 printable characters.
    AppName,
    "an app"
);
printable_name!(
    /// The name of a vault inside its app: 1–128 printable characters.
    VaultName,
    "a vault"
);
printable_name!(
    /// The name of an API key: 1–128 printable characters.
    ApiKeyName,
    "an API key"
);

/// An app's short name, unique in a database: 1–63 of `a–z 0–9 -`, with no dash at either end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppSlug(String);

/// Why a text is no slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAppSlug {
    /// The length is not 1 to [`SLUG_MAX_BYTES`].
    #[error(
        "an app slug has 1 to {SLUG_MAX_BYTES} characters and this one has {bytes}; choose another"
    )]
    BadLength {
        /// The length of the refused text.
        bytes: usize,
    },
    /// The text holds a character that slugs cannot hold.
    #[error("an app slug cannot contain {found:?}; use a to z, 0 to 9 and `-`")]
    BadCharacter {
        /// The character in question.
        found: char,
    },
    /// The text begins or ends with a dash.
    #[error("an app slug cannot start or end with `-`; choose another")]
    DashAtEnd,
    /// The app's name has no letter a–z and no digit to make a slug of.
    #[error(
        "no slug can be made from this app name, which has no letter a to z and no digit; give a slug too"
    )]
    NotDerivable,
}

impl AppSlug {
    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Derives a slug from a name: lower case, with a single dash for everything else.
    ///
    /// ```
    /// use vault_core::{AppName, AppSlug};
    /// let name: AppName = "My App (2)".parse().unwrap();
    /// assert_eq!(AppSlug::derive(&name).unwrap().as_str(), "my-app-2");
    /// ```
    ///
    /// # Errors
    /// The name has nothing that a slug can hold.
    pub fn derive(name: &AppName) -> Result<Self, InvalidAppSlug> {
        let mut slug = String::new();
        for c in name.as_str().chars() {
            if slug.len() >= SLUG_MAX_BYTES {
                break;
            }
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(slug.trim_end_matches('-').len());
        if slug.is_empty() {
            return Err(InvalidAppSlug::NotDerivable);
        }
        Ok(Self(slug))
    }
}

impl FromStr for AppSlug {
    type Err = InvalidAppSlug;

    fn from_str(text: &str) -> Result<Self, InvalidAppSlug> {
        if text.is_empty() || text.len() > SLUG_MAX_BYTES {
            return Err(InvalidAppSlug::BadLength { bytes: text.len() });
        }
        if let Some(found) = text
            .chars()
            .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'))
        {
            return Err(InvalidAppSlug::BadCharacter { found });
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(InvalidAppSlug::DashAtEnd);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for AppSlug {
    type Error = InvalidAppSlug;

    fn try_from(text: String) -> Result<Self, InvalidAppSlug> {
        text.parse()
    }
}

impl From<AppSlug> for String {
    fn from(slug: AppSlug) -> Self {
        slug.0
    }
}

impl fmt::Display for AppSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_printable(kind: &'static str, text: &str) -> Result<(), InvalidName> {
    if text.trim().is_empty() {
        return Err(InvalidName::Blank { kind });
    }
    let chars = text.chars().count();
    if chars > NAME_MAX_CHARS {
        return Err(InvalidName::TooLong { kind, chars });
    }
    let is_unprintable = |c: &char| c.is_control() || UNSEEN.iter().any(|range| range.contains(c));
    match text.chars().find(is_unprintable) {
        Some(found) => Err(InvalidName::Unprintable { kind, found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_bounded() {
        assert!("Büro & Söhne".parse::<VaultName>().is_ok());
        assert!("ü".repeat(128).parse::<VaultName>().is_ok());
        assert!(matches!(
            "ü".repeat(129).parse::<VaultName>(),
            Err(InvalidName::TooLong { chars: 129, .. })
        ));
        assert!(matches!(
            " ".parse::<VaultName>(),
            Err(InvalidName::Blank { .. })
        ));
        assert!(matches!(
            "a\nb".parse::<VaultName>(),
            Err(InvalidName::Unprintable { found: '\n', .. })
        ));
        assert!("👩\u{200d}🔧 می\u{200c}خواهم".parse::<VaultName>().is_ok());
        for unseen in "\u{ad}\u{200b}\u{200e}\u{2028}\u{202e}\u{2066}\u{feff}".chars() {
            assert!(
                matches!(
                    format!("a{unseen}b").parse::<VaultName>(),
                    Err(InvalidName::Unprintable { found, .. }) if found == unseen
                ),
                "{unseen:?}"
            );
        }
    }

    #[test]
    fn slugs_are_checked_or_derived() {
        assert!("a-1".parse::<AppSlug>().is_ok());
        assert_eq!(
            "A".parse::<AppSlug>(),
            Err(InvalidAppSlug::BadCharacter { found: 'A' })
        );
        assert_eq!("a-".parse::<AppSlug>(), Err(InvalidAppSlug::DashAtEnd));
        assert_eq!(
            "a".repeat(64).parse::<AppSlug>(),
            Err(InvalidAppSlug::BadLength { bytes: 64 })
        );
        let derive = |name: &str| AppSlug::derive(&name.parse().unwrap()).map(String::from);
        assert_eq!(derive("  Héllo, World! "), Ok("h-llo-world".to_owned()));
        assert_eq!(derive(&"x".repeat(100)), Ok("x".repeat(63)));
        assert_eq!(derive("日本"), Err(InvalidAppSlug::NotDerivable));
    }
}

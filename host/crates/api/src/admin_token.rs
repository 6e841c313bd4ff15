//! The admin token: its rules, how one is made, and how a presented one is compared.
//!
//! The command line decides where the token comes from (the environment, a file). `throttle`
//! decides how often a wrong one may be tried.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use vault_core::looks_like_a_place;
use zeroize::Zeroizing;

/// The prefix of generated tokens, so that a scanner for leaked credentials can recognise them.
const PREFIX: &str = "tva_";
const RANDOM_BYTES: usize = 32;

/// The token of `/api/admin`, held as its SHA-256: the process does not keep the text.
pub struct AdminToken {
    digest: Zeroizing<[u8; 32]>,
}

/// Why a text is no admin token. The error never holds the text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdminToken {
    /// The text is so short that it could be guessed.
    #[error(
        "the admin token has {chars} characters and must have {min} or more; take one that was made at random",
        min = AdminToken::MIN_CHARS
    )]
    TooShort {
        /// The number of characters.
        chars: usize,
    },
    /// The text looks like a path to a token, which could be guessed.
    #[error(
        "the admin token looks like the place of one, which could be guessed; a file is given as file:///absolute/path, and a token is made at random"
    )]
    Place,
    /// The text has a character that `Authorization: Bearer …` cannot carry.
    #[error(
        "the admin token has a character at position {position} that a header cannot carry; take visible ASCII without spaces"
    )]
    Unsendable {
        /// The position of the character, counted from 1.
        position: usize,
    },
}

impl AdminToken {
    /// The fewest characters of a token. The length does not prove randomness, but it rules out a
    /// word.
    pub const MIN_CHARS: usize = 32;

    /// Accepts a text that an operator chose, or that [`make_text`](Self::make_text) made.
    pub fn parse(text: &str) -> Result<Self, InvalidAdminToken> {
        if looks_like_a_place(text) {
            return Err(InvalidAdminToken::Place);
        }
        let chars = text.chars().count();
        if chars < Self::MIN_CHARS {
            return Err(InvalidAdminToken::TooShort { chars });
        }
        if let Some(before) = text.chars().position(|c| !c.is_ascii_graphic()) {
            return Err(InvalidAdminToken::Unsendable {
                position: before + 1,
            });
        }
        Ok(Self {
            digest: digest(text),
        })
    }

    /// Returns a new token of 256 random bits, to be shown or stored once.
    pub fn make_text() -> Result<Zeroizing<String>, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
        getrandom::fill(bytes.as_mut_slice())?;
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        Ok(text)
    }

    /// Whether the text is this token. The time it takes reveals nothing about the token: digests
    /// are compared, in constant time.
    pub fn matches(&self, presented: &str) -> bool {
        digest(presented).ct_eq(self.digest.as_slice()).into()
    }
}

fn digest(text: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_token_matches_itself_and_nothing_near_it() {
        let text = AdminToken::make_text().expect("the system has randomness");
        let token = AdminToken::parse(&text).expect("valid");
        assert!(
            text.starts_with(PREFIX) && text.len() == 47,
            "{}",
            text.len()
        );
        assert!(token.matches(&text));
        let upper = text.to_uppercase();
        for other in ["", &text[1..], &text[..46], &format!("{} ", *text), &upper] {
            assert!(!token.matches(other));
        }
        let another = AdminToken::make_text().expect("the system has randomness");
        assert!(!token.matches(&another));
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_refused_without_its_text() {
        let refused = |text: &str| match AdminToken::parse(text) {
            Ok(_) => panic!("it was taken"),
            Err(error) => error,
        };
        let short = "a-token-of-an-operator-31-chars";
        let error = refused(short);
        assert_eq!(error, InvalidAdminToken::TooShort { chars: 31 });
        assert!(!error.to_string().contains("operator-31"));
        assert_eq!(
            refused("0123456789 0123456789 0123456789"),
            InvalidAdminToken::Unsendable { position: 11 }
        );
        assert_eq!(
            refused(&format!("{}\n", "x".repeat(32))),
            InvalidAdminToken::Unsendable { position: 33 }
        );
        for place in [
            "/run/secrets/tavora-admin-token",
            "file:///run/secrets/tavora-admin-token",
            "https://vault.example.com/v1/secret/admin",
            "${TAVORA_ADMIN_TOKEN_OF_PRODUCTION}",
        ] {
            assert_eq!(refused(place), InvalidAdminToken::Place);
        }
        assert!(AdminToken::parse(&"x".repeat(32)).is_ok());
    }
}

//! API key tokens: `tvr_<public id>_<secret>`.
//!
//! The public id is the API key's id in hex. The secret is 256 random bits in base64url. Only the
//! secret's SHA-256 is stored. It needs no slow hash, because nobody can guess 256 bits.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{id::ApiKeyId, random::fill_random};

const START: &str = "tvr_";
const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 43;

/// The public start of a key's token.
pub(crate) fn token_prefix(id: ApiKeyId) -> String {
    format!("{START}{}", hex::encode(id.as_bytes()))
}

/// A fresh token, and the digest to store.
pub(crate) fn make_token(id: ApiKeyId) -> (Zeroizing<String>, [u8; 32]) {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    fill_random(secret.as_mut_slice());
    let mut token = Zeroizing::new(String::with_capacity(START.len() + 32 + 1 + SECRET_CHARS));
    token.push_str(&token_prefix(id));
    token.push('_');
    BASE64_URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut token);
    (token, Sha256::digest(secret.as_slice()).into())
}

/// The key that a token claims to be, and the digest of its secret.
pub(crate) fn parse_token(token: &str) -> Option<(ApiKeyId, [u8; 32])> {
    let (id, secret) = token.strip_prefix(START)?.split_once('_')?;
    let mut id_bytes = [0; 16];
    hex::decode_to_slice(id, &mut id_bytes).ok()?;
    // The decoder estimates more room than it uses. Only exactly 32 bytes are a secret.
    let mut bytes = Zeroizing::new([0; SECRET_BYTES + 4]);
    if secret.len() != SECRET_CHARS {
        return None;
    }
    match BASE64_URL_SAFE_NO_PAD.decode_slice(secret, bytes.as_mut_slice()) {
        Ok(SECRET_BYTES) => Some((
            ApiKeyId::from_bytes(id_bytes),
            Sha256::digest(&bytes[..SECRET_BYTES]).into(),
        )),
        _ => None,
    }
}

/// Whether two digests are equal, compared in constant time.
pub(crate) fn matches(stored: &[u8; 32], presented: &[u8; 32]) -> bool {
    stored.ct_eq(presented).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_key_and_its_digest() {
        let id = ApiKeyId::make();
        let (token, hash) = make_token(id);
        assert_eq!(parse_token(&token), Some((id, hash)));
        assert!(token.starts_with(&token_prefix(id)));
        assert_eq!(token.len(), 4 + 32 + 1 + SECRET_CHARS);
        assert_ne!(make_token(id).1, hash);
        assert!(matches(&hash, &hash) && !matches(&hash, &[0; 32]));
    }

    #[test]
    fn anything_else_is_no_token() {
        let (token, hash) = make_token(ApiKeyId::make());
        for bad in [
            "",
            "tvr_",
            "tvr_ab_cd",
            &token[1..],
            &token[..token.len() - 1],
            &format!("{}A", *token),
            &token.replace("tvr", "TVR"),
        ] {
            assert!(parse_token(bad).is_none(), "{bad}");
        }
        let other = format!(
            "{}{}",
            &token[..token.len() - 2],
            if token.ends_with("AA") { "BA" } else { "AA" }
        );
        assert!(parse_token(&other).is_none_or(|(_, other)| other != hash));
    }
}

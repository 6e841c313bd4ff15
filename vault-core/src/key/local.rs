//! A KEK in the memory of this process.
//!
//! HKDF-SHA256 (RFC 5869) derives two things from the 32 key bytes: the kek id, and the key that
//! wraps. The KEK itself is never a cipher key and is forgotten as soon as it is read. The host
//! decides which text to parse.
//!
//! ```text
//! wrapped DEK   ┌─────────┬───────────┬─────────────┬──────────────────────┐
//!               │ version │ algorithm │ nonce       │ encrypted DEK ‖ tag  │   62 bytes in all
//!               │ 1 byte  │ 1 byte    │ 12 bytes    │ 32 + 16 bytes        │
//!               └─────────┴───────────┴─────────────┴──────────────────────┘
//! ```

use std::path::PathBuf;

use async_trait::async_trait;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Dek, KekError, KekId, KekProvider};
use crate::{
    aead::{Aead, KEY_BYTES, NONCE_BYTES, TAG_BYTES},
    blob::{self, AES_256_GCM, FormatError, VERSION_1},
    credential::{Credential, CredentialError, looks_like_a_place},
    oddity::{Oddity, token_oddity},
    random::fill_random,
};

const WRAPPED_BYTES: usize = 2 + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const ID_LABEL: &[u8] = b"tavora/kek-id/v1";
const WRAP_LABEL: &[u8] = b"tavora/kek-wrap/v1";
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A KEK in this process: the kek id, and an expanded wrapping key in locked memory where the
/// system allows it.
pub struct LocalKek {
    kek_id: KekId,
    cipher: Box<Aead>,
    _memory: Option<region::LockGuard>,
}

/// Why a text gives no KEK. The error never holds the text: a mistyped key is still almost the key.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKek {
    /// The text is neither base64 nor hex.
    #[error("the KEK is neither base64 nor hex ({chars} characters); make one with `kek generate`")]
    NotText {
        /// The length of the text in characters.
        chars: usize,
    },
    /// The text looks like the place of a KEK, not like a KEK.
    #[error("this is no KEK, and looks like the place of one; a file is given as file:///path/kek")]
    Place,
    /// The text is neither base64 nor hex, and has an oddity that explains it.
    #[error("the KEK is neither base64 nor hex: the text {oddity}; leave the KEK alone in it")]
    Odd {
        /// The reason.
        oddity: Oddity,
    },
    /// The text decodes to another length than a key has.
    #[error(
        "the KEK has {bytes} bytes and must have exactly {KEY_BYTES}; make one with `kek generate`"
    )]
    WrongLength {
        /// The length that it decodes to, in bytes.
        bytes: usize,
    },
    /// There is no credential, or its file cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The content of the file gives no KEK.
    #[error("the KEK file {} does not hold a key", path.display())]
    BadFile {
        /// The path of the file.
        path: PathBuf,
        /// The fault of the content.
        source: Box<InvalidKek>,
    },
}

impl LocalKek {
    /// Reads base64 (either alphabet, padded or not) or hex of exactly 32 bytes, or the
    /// `file:///path` of a file that holds such a text.
    ///
    /// # Errors
    /// Anything else. The error names the length and never the content.
    pub fn parse(text: &str) -> Result<Self, InvalidKek> {
        Self::of(&Credential::read(text)?)
    }

    /// Reads a list of such texts, separated by commas. Blanks around them and empty places are
    /// ignored.
    ///
    /// # Errors
    /// The place of the first text that is no KEK, from 1, and what is wrong with it.
    pub fn parse_list(texts: &str) -> Result<Vec<Self>, (usize, InvalidKek)> {
        Credential::read_list(texts)
            .map_err(|(place, error)| (place, error.into()))?
            .iter()
            .enumerate()
            .map(|(index, read)| Self::of(read).map_err(|source| (index + 1, source)))
            .collect()
    }

    /// Takes a credential that was already read.
    ///
    /// # Errors
    /// The credential is no KEK.
    pub fn of(credential: &Credential) -> Result<Self, InvalidKek> {
        Self::decode(&credential.text).map_err(|source| match &credential.file {
            Some(path) => InvalidKek::BadFile {
                path: path.clone(),
                source: Box::new(source),
            },
            None => source,
        })
    }

    /// Makes a fresh KEK as text to keep somewhere safe: 44 characters of base64.
    pub fn make_text() -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill_random(bytes.as_mut_slice());
        Zeroizing::new(STANDARD.encode(bytes.as_slice()))
    }

    fn decode(text: &str) -> Result<Self, InvalidKek> {
        // Use one buffer that is large enough from the start and is cleared on every path, so that
        // no attempt leaves a trace.
        let mut bytes = Zeroizing::new(vec![0; text.len() + 3]);
        let mut length = None;
        if text.len() == 2 * KEY_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            length = decode_hex(text, &mut bytes);
        }
        let length = length
            .or_else(|| STANDARD.decode_slice(text, &mut bytes).ok())
            .or_else(|| URL_SAFE.decode_slice(text, &mut bytes).ok())
            .or_else(|| decode_hex(text, &mut bytes));
        let length = length.ok_or_else(|| not_text(text))?;
        if let (true, Some(oddity)) = (length != KEY_BYTES, notation(text)) {
            return Err(InvalidKek::Odd { oddity });
        }
        match <&[u8; KEY_BYTES]>::try_from(&bytes[..length]) {
            Ok(kek) => Ok(Self::derive(kek)),
            // A path without dots and dashes is valid base64 too.
            Err(_) if looks_like_a_place(text) => Err(InvalidKek::Place),
            Err(_) => Err(InvalidKek::WrongLength { bytes: length }),
        }
    }

    fn derive(kek: &[u8; KEY_BYTES]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, kek);
        let mut id = [0; 16];
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hkdf.expand(ID_LABEL, &mut id)
            .expect("16 bytes are fewer than HKDF can give");
        hkdf.expand(WRAP_LABEL, key.as_mut_slice())
            .expect("32 bytes are fewer than HKDF can give");
        let cipher = Box::new(Aead::new(&key));
        let memory = region::lock(&raw const *cipher, size_of::<Aead>())
            .inspect_err(|cause| tracing::debug!(%cause, "the wrapping key's memory cannot be locked and may be swapped out"))
            .ok();
        Self {
            kek_id: KekId::from_bytes(id),
            cipher,
            _memory: memory,
        }
    }
}

#[async_trait]
impl KekProvider for LocalKek {
    fn kek_id(&self) -> KekId {
        self.kek_id
    }

    fn kind(&self) -> &'static str {
        "local"
    }

    async fn wrap(&self, dek: &Dek, associated_data: &[u8]) -> Result<Vec<u8>, KekError> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce);
        let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
        wrapped.extend_from_slice(&[VERSION_1, AES_256_GCM]);
        wrapped.extend_from_slice(&nonce);
        // `wrapped` holds the plain DEK only until the next statement encrypts it in place.
        wrapped.extend_from_slice(dek.expose());
        let tag = self
            .cipher
            .seal(&nonce, associated_data, &mut wrapped[2 + NONCE_BYTES..]);
        wrapped.extend_from_slice(&tag);
        Ok(wrapped)
    }

    async fn unwrap(&self, wrapped: &[u8], associated_data: &[u8]) -> Result<Dek, KekError> {
        let (nonce, rest) = blob::body(wrapped)?
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(FormatError::BadLength)?;
        let (ciphertext, tag) = rest
            .split_first_chunk::<KEY_BYTES>()
            .ok_or(FormatError::BadLength)?;
        let tag: &[u8; TAG_BYTES] = tag.try_into().map_err(|_| FormatError::BadLength)?;
        let mut key = Zeroizing::new(*ciphertext);
        self.cipher
            .open(nonce, associated_data, key.as_mut_slice(), tag)?;
        Ok(Dek::take(&mut key))
    }
}

/// Finds the reason why a text does not decode.
fn not_text(text: &str) -> InvalidKek {
    match notation(text).or_else(|| token_oddity(text)) {
        _ if looks_like_a_place(text) => InvalidKek::Place,
        Some(oddity) => InvalidKek::Odd { oddity },
        None => InvalidKek::NotText {
            chars: text.chars().count(),
        },
    }
}

/// The notation of a text that would be hex without it.
fn notation(text: &str) -> Option<Oddity> {
    let is_hex = |text: &str| text.len() > 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let has_prefix = |mark| text.strip_prefix(mark).is_some_and(is_hex);
    if let Some(mark) = ["0x", "0X", "\\x"]
        .into_iter()
        .find(|mark| has_prefix(*mark))
    {
        return Some(Oddity::Notation(mark));
    }
    let mut pairs = text.split(':');
    let are_pairs =
        pairs.all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()));
    (are_pairs && text.contains(':')).then_some(Oddity::Colons)
}

fn decode_hex(text: &str, bytes: &mut [u8]) -> Option<usize> {
    let length = text.len() / 2;
    hex::decode_to_slice(text, &mut bytes[..length])
        .ok()
        .map(|()| length)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HEX: &str = "fbf0f1f2f3f4f5f6f7f8f9fafbfcfdfe000102030405060708090a0b0c0d0eff";

    fn id_of(text: &str) -> KekId {
        LocalKek::parse(text).unwrap().kek_id()
    }

    #[test]
    fn every_way_to_write_a_key_is_the_same_key() {
        let bytes = hex::decode(HEX).unwrap();
        let standard = STANDARD.encode(&bytes);
        let url_safe = URL_SAFE.encode(&bytes);
        assert_ne!(standard, url_safe);
        for text in [
            &standard,
            &url_safe,
            standard.trim_end_matches('='),
            url_safe.trim_end_matches('='),
            &HEX.to_uppercase(),
            &format!(" {HEX}\n"),
        ] {
            assert_eq!(id_of(text), id_of(HEX));
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kek");
        fs::write(&file, format!("{standard}\n")).unwrap();
        assert_eq!(id_of(&format!("file://{}", file.display())), id_of(HEX));
    }

    #[test]
    fn a_fresh_key_is_readable_and_new() {
        assert_eq!(LocalKek::make_text().len(), 44);
        assert_ne!(id_of(&LocalKek::make_text()), id_of(&LocalKek::make_text()));
    }

    #[test]
    fn anything_else_is_refused_with_its_length_and_without_its_content() {
        let refused = |text: &str| match LocalKek::parse(text) {
            Ok(_) => panic!("accepted"),
            Err(refusal) => {
                let shown = format!("{refusal} {refusal:?}");
                let core = text.trim();
                assert!(core.len() < 8 || !shown.contains(core), "{shown}");
                assert!(core.len() < 8 || !shown.contains(&core[..8]), "{shown}");
                refusal
            }
        };
        assert!(matches!(
            refused(&HEX[..62]),
            InvalidKek::WrongLength { bytes: 46 | 31 }
        ));
        assert!(matches!(
            refused(&STANDARD.encode([1; 16])),
            InvalidKek::WrongLength { bytes: 16 }
        ));
        assert!(matches!(
            refused(&STANDARD.encode([1; 33])),
            InvalidKek::WrongLength { bytes: 33 }
        ));
        assert!(matches!(
            refused(""),
            InvalidKek::Credential(CredentialError::Empty { .. })
        ));
        assert!(matches!(
            refused("correct horse battery staple!"),
            InvalidKek::NotText { chars: 29 }
        ));
        assert!(matches!(
            refused("file://kek"),
            InvalidKek::Credential(CredentialError::Reference)
        ));
        for place in ["/run/secrets/kek", "/run/kek", "${KEK}"] {
            assert!(matches!(refused(place), InvalidKek::Place), "{place}");
        }
        assert!(matches!(
            refused(&format!("TAVORA_SECRET_KEK={HEX}")),
            InvalidKek::Odd {
                oddity: Oddity::Assignment
            }
        ));
        let pairs: Vec<&str> = (0..32).map(|at| &HEX[2 * at..2 * at + 2]).collect();
        for (text, form) in [
            (format!("0x{HEX}"), Oddity::Notation("0x")),
            (format!("0X{HEX}"), Oddity::Notation("0X")),
            (pairs.join(":"), Oddity::Colons),
            (
                format!("-----BEGIN PRIVATE KEY-----\n{HEX}\n-----END PRIVATE KEY-----"),
                Oddity::Document("PEM"),
            ),
            (format!("{{\"kek\": \"{HEX}\"}}"), Oddity::Document("JSON")),
        ] {
            let refusal = refused(&text);
            assert!(
                matches!(refusal, InvalidKek::Odd { oddity } if oddity == form),
                "{refusal}"
            );
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kek");
        let reference = format!("file://{}", file.display());
        fs::write(&file, "too short").unwrap();
        assert!(matches!(
            LocalKek::parse(&reference),
            Err(InvalidKek::BadFile { .. })
        ));
    }

    #[tokio::test]
    async fn a_wrapped_dek_unwraps_only_unchanged_and_bound_to_the_same_data() {
        let kek = LocalKek::parse(HEX).unwrap();
        let dek = Dek::make();
        let wrapped = kek.wrap(&dek, b"here").await.unwrap();
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_eq!(
            kek.unwrap(&wrapped, b"here").await.unwrap().expose(),
            dek.expose()
        );
        assert!(matches!(
            kek.unwrap(&wrapped, b"there").await,
            Err(KekError::NotAuthentic(_))
        ));
        let other = LocalKek::parse(&LocalKek::make_text()).unwrap();
        assert!(matches!(
            other.unwrap(&wrapped, b"here").await,
            Err(KekError::NotAuthentic(_))
        ));
        for index in 0..wrapped.len() {
            let mut damaged = wrapped.clone();
            damaged[index] ^= 1;
            assert!(kek.unwrap(&damaged, b"here").await.is_err());
            assert!(matches!(
                kek.unwrap(&wrapped[..index], b"here").await,
                Err(KekError::Format(FormatError::BadLength))
            ));
        }
        let longer = [&wrapped[..], &[0]].concat();
        assert!(matches!(
            kek.unwrap(&longer, b"here").await,
            Err(KekError::Format(FormatError::BadLength))
        ));
    }
}

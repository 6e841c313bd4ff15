//! Sessions with one key of a token, opened on demand and kept while they work.
//!
//! A failed session is closed and not reused. If it failed because the token was gone, the call is
//! repeated once on a new session. A PIN that the token refused is not sent again, because a few
//! more attempts would lock the token.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use subtle::ConstantTimeEq;
use vault_core::KekTrouble;
use zeroize::Zeroizing;

use crate::config::Pkcs11Config;

const TAG_BITS: u64 = 128;

/// The libraries that this process has loaded. Each may be initialised only once.
static LIBRARIES: LazyLock<Mutex<BTreeMap<PathBuf, Pkcs11>>> = LazyLock::new(Mutex::default);

/// Why the token failed.
pub(super) enum Failed {
    /// The ciphertext, the associated data or the key differs from those of the wrap.
    NotAuthentic,
    /// Any other failure.
    Trouble(KekTrouble, Option<Box<dyn std::error::Error + Send + Sync>>),
}

impl From<KekTrouble> for Failed {
    fn from(trouble: KekTrouble) -> Self {
        Self::Trouble(trouble, None)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Trouble(trouble(&error), Some(error.into()))
    }
}

pub(super) struct Sessions {
    config: Pkcs11Config,
    idle: Mutex<Vec<OpenKey>>,
    refused_pin: Mutex<Option<Zeroizing<String>>>,
}

/// A logged-in session, with the handle of the key.
struct OpenKey {
    session: Session,
    key: ObjectHandle,
}

impl Sessions {
    pub(super) fn new(config: &Pkcs11Config) -> Self {
        Self {
            config: config.clone(),
            idle: Mutex::default(),
            refused_pin: Mutex::default(),
        }
    }

    /// Encrypts with AES-GCM. Afterwards `nonce` holds the nonce that the token used.
    pub(super) fn seal(
        &self,
        nonce: &mut [u8],
        data: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        self.with_key(|open| {
            let gcm = GcmParams::new(nonce, data, TAG_BITS.into())?;
            open.session
                .encrypt(&Mechanism::AesGcm(gcm), open.key, plain)
        })
    }

    /// Decrypts with AES-GCM.
    pub(super) fn open(
        &self,
        nonce: &mut [u8],
        data: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        self.with_key(|open| {
            let gcm = GcmParams::new(nonce, data, TAG_BITS.into())?;
            open.session
                .decrypt(&Mechanism::AesGcm(gcm), open.key, sealed)
                .map(Zeroizing::new)
        })
    }

    fn with_key<T>(&self, mut work: impl FnMut(&OpenKey) -> Result<T, Error>) -> Result<T, Failed> {
        let kept = lock(&self.idle).pop();
        let is_kept = kept.is_some();
        let mut open = match kept {
            Some(open) => open,
            None => self.login()?,
        };
        let mut done = work(&open);
        if is_kept && done.as_ref().is_err_and(is_of_the_session) {
            // The other kept sessions are as old as this one.
            lock(&self.idle).clear();
            drop(open);
            open = self.login()?;
            done = work(&open);
        }
        match done {
            Ok(done) => {
                lock(&self.idle).push(open);
                Ok(done)
            }
            Err(Error::Pkcs11(error, Function::Decrypt)) if is_not_authentic(error) => {
                Err(Failed::NotAuthentic)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn login(&self) -> Result<OpenKey, Failed> {
        let library = library(&self.config.module)?;
        let mut found = None;
        for slot in library.get_slots_with_token()? {
            // A token that is being removed must not hide the others.
            let label = library
                .get_token_info(slot)
                .map(|info| info.label().to_owned());
            if label.is_ok_and(|label| label == self.config.token_label) {
                if found.is_some() {
                    return Err(problem(
                        KekTrouble::Missing,
                        "several tokens have this label; give each its own",
                    ));
                }
                found = Some(slot);
            }
        }
        let slot = found
            .ok_or_else(|| problem(KekTrouble::Missing, "there is no token with this label"))?;
        let session = library.open_ro_session(slot)?;
        self.show_pin(&session)?;
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Id(self.config.key_id.as_bytes().to_owned()),
        ];
        let keys = session.find_objects(&wanted)?;
        let [key] = keys[..] else {
            let what = match keys.is_empty() {
                true => "the token has no AES key with this id",
                false => "the token has several AES keys with this id; give each its own",
            };
            return Err(problem(KekTrouble::Missing, what));
        };
        let secrecy =
            session.get_attributes(key, &[AttributeType::Sensitive, AttributeType::Extractable])?;
        let stays = |it: &Attribute| {
            matches!(
                it,
                Attribute::Sensitive(true) | Attribute::Extractable(false)
            )
        };
        if secrecy.len() != 2 || !secrecy.iter().all(stays) {
            return Err(KekTrouble::Exposed.into());
        }
        Ok(OpenKey { session, key })
    }

    fn show_pin(&self, session: &Session) -> Result<(), Failed> {
        let pin = self
            .config
            .pin
            .read()
            .map_err(|error| Failed::Trouble(KekTrouble::NoCredential, Some(error.into())))?;
        let mut refused = lock(&self.refused_pin);
        if refused
            .as_ref()
            .is_some_and(|refused| bool::from(refused.as_bytes().ct_eq(pin.as_bytes())))
        {
            return Err(problem(
                KekTrouble::Denied,
                "the token refused this PIN before, and it is not shown to it again",
            ));
        }
        let shown = AuthPin::from(pin.as_str());
        match session.login(UserType::User, Some(&shown)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                *refused = None;
                Ok(())
            }
            Err(error) => {
                if matches!(
                    error,
                    Error::Pkcs11(
                        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                        _
                    )
                ) {
                    *refused = Some(pin);
                }
                Err(error.into())
            }
        }
    }
}

/// Returns the library, loaded and initialised once per process.
fn library(path: &Path) -> Result<Pkcs11, Failed> {
    let mut libraries = lock(&LIBRARIES);
    if let Some(library) = libraries.get(path) {
        return Ok(library.clone());
    }
    let library = Pkcs11::new(path)?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Another path leads to the same library, which is already initialised.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(error.into()),
    }
    libraries.insert(path.to_owned(), library.clone());
    Ok(library)
}

fn problem(trouble: KekTrouble, what: &'static str) -> Failed {
    Failed::Trouble(trouble, Some(what.into()))
}

/// Whether a new session may work after this error.
fn is_of_the_session(error: &Error) -> bool {
    use RvError::*;
    matches!(
        error,
        Error::Pkcs11(
            SessionHandleInvalid
                | SessionClosed
                | UserNotLoggedIn
                | KeyHandleInvalid
                | ObjectHandleInvalid
                | DeviceRemoved
                | DeviceError
                | TokenNotPresent
                | TokenNotRecognized
                | SlotIdInvalid
                | CryptokiNotInitialized
                | GeneralError
                | FunctionFailed,
            _
        )
    )
}

/// Whether an error means that the tag does not match. Some tokens have no specific code for it.
fn is_not_authentic(error: RvError) -> bool {
    use RvError::*;
    matches!(
        error,
        EncryptedDataInvalid
            | EncryptedDataLenRange
            | DataInvalid
            | DataLenRange
            | SignatureInvalid
            | GeneralError
            | FunctionFailed
    )
}

/// Maps a library's error to its meaning for the operator.
fn trouble(error: &Error) -> KekTrouble {
    use RvError::*;
    match error {
        Error::LibraryLoading(_) | Error::MissingSymbol(_) | Error::NullFunctionPointer => {
            KekTrouble::Missing
        }
        Error::Pkcs11(error, _) => match error {
            PinIncorrect
            | PinInvalid
            | PinLenRange
            | UserPinNotInitialized
            | UserNotLoggedIn
            | KeyFunctionNotPermitted
            | ActionProhibited => KekTrouble::Denied,
            PinLocked | PinExpired => KekTrouble::Locked,
            SlotIdInvalid | KeyHandleInvalid | ObjectHandleInvalid => KekTrouble::Missing,
            TokenNotPresent | TokenNotRecognized | DeviceRemoved | DeviceError
            | SessionHandleInvalid | SessionClosed => KekTrouble::Unreachable,
            SessionCount | HostMemory | DeviceMemory | GeneralError | FunctionFailed
            | FunctionCanceled => KekTrouble::Busy,
            _ => KekTrouble::Refused,
        },
        _ => KekTrouble::Refused,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_pin_and_a_token_that_is_gone_are_told_apart() {
        for (error, expected) in [
            (RvError::PinLocked, KekTrouble::Locked),
            (RvError::PinIncorrect, KekTrouble::Denied),
            (RvError::TokenNotPresent, KekTrouble::Unreachable),
            (RvError::DeviceRemoved, KekTrouble::Unreachable),
            (RvError::VendorDefined(0x8000_0001), KekTrouble::Refused),
        ] {
            assert_eq!(trouble(&Error::Pkcs11(error, Function::Login)), expected);
        }
    }
}

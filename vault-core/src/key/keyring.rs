//! The KEKs that a process can use: one that wraps, and older ones that only unwrap.
//!
//! A KEK is found by its id. The keyring never tries one key after another.

use std::sync::Arc;

use super::{InvalidKek, KekId, KekProvider, LocalKek};

/// One primary KEK and any number of previous ones, each with a kek id of its own.
#[derive(Clone)]
pub struct Keyring {
    primary: Arc<dyn KekProvider>,
    previous: Vec<Arc<dyn KekProvider>>,
}

/// Why a keyring cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The primary KEK cannot be read.
    #[error("the primary KEK is not usable")]
    Primary(#[source] InvalidKek),
    /// A previous KEK cannot be read.
    #[error("previous KEK number {position} is not usable")]
    Previous {
        /// The place in the list, from 1.
        position: usize,
        /// The fault of the KEK.
        source: InvalidKek,
    },
    /// The keyring holds the same KEK twice.
    #[error("the KEK {kek_id} is in the keyring twice; list each key once")]
    Twice {
        /// The KEK in question.
        kek_id: KekId,
    },
}

impl Keyring {
    /// Makes a keyring of any providers.
    ///
    /// # Errors
    /// A KEK is there twice.
    pub fn new(
        primary: Arc<dyn KekProvider>,
        previous: Vec<Arc<dyn KekProvider>>,
    ) -> Result<Self, KeyringError> {
        let keyring = Self { primary, previous };
        let mut kek_ids = keyring.kek_ids();
        kek_ids.sort_unstable();
        match kek_ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(KeyringError::Twice { kek_id: pair[0] }),
            None => Ok(keyring),
        }
    }

    /// Makes a keyring of local KEKs from the texts of `TAVORA_SECRET_KEK` and
    /// `TAVORA_SECRET_KEK_PREVIOUS`. The second is a list separated by commas; blanks and empty
    /// places in it are ignored.
    ///
    /// # Errors
    /// A text is no KEK, or a KEK is there twice.
    pub fn local(primary: &str, previous: Option<&str>) -> Result<Self, KeyringError> {
        let mut keks = Self::local_keks(Some(primary), previous)?.into_iter();
        let primary = keks.next().expect("a primary that is no KEK is refused");
        Self::new(primary, keks.collect())
    }

    /// The KEKs of [`Self::local`], the primary first where there is one. A keyring can hold others
    /// beside them.
    ///
    /// # Errors
    /// A text is no KEK.
    pub fn local_keks(
        primary: Option<&str>,
        previous: Option<&str>,
    ) -> Result<Vec<Arc<dyn KekProvider>>, KeyringError> {
        let primary = primary.map(LocalKek::parse).transpose();
        let primary = primary.map_err(KeyringError::Primary)?;
        let previous = LocalKek::parse_list(previous.unwrap_or_default())
            .map_err(|(position, source)| KeyringError::Previous { position, source })?;
        let keks = primary.into_iter().chain(previous);
        Ok(keks
            .map(|kek| Arc::new(kek) as Arc<dyn KekProvider>)
            .collect())
    }

    /// The KEK that wraps new DEKs.
    pub fn primary(&self) -> &dyn KekProvider {
        &*self.primary
    }

    /// The KEK with this id.
    pub fn find(&self, kek_id: KekId) -> Option<&dyn KekProvider> {
        self.all().find(|kek| kek.kek_id() == kek_id)
    }

    /// The ids of all KEKs, the primary's first.
    pub fn kek_ids(&self) -> Vec<KekId> {
        self.all().map(KekProvider::kek_id).collect()
    }

    fn all(&self) -> impl Iterator<Item = &dyn KekProvider> {
        std::iter::once(&self.primary)
            .chain(&self.previous)
            .map(|kek| &**kek)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_finds_each_of_its_keys_by_id() {
        let texts: Vec<_> = (0..3).map(|_| LocalKek::make_text()).collect();
        let keyring =
            Keyring::local(&texts[0], Some(&format!("{}, {},", *texts[1], *texts[2]))).unwrap();
        for text in &texts {
            let kek_id = LocalKek::parse(text).unwrap().kek_id();
            assert_eq!(keyring.find(kek_id).unwrap().kek_id(), kek_id);
        }
        assert_eq!(keyring.kek_ids()[0], keyring.primary().kek_id());
        assert!(keyring.find(KekId::from_bytes([0; 16])).is_none());
    }

    #[test]
    fn a_key_that_is_there_twice_or_unreadable_is_refused() {
        let text = LocalKek::make_text();
        let kek_id = LocalKek::parse(&text).unwrap().kek_id();
        assert!(
            matches!(Keyring::local(&text, Some(&text)), Err(KeyringError::Twice { kek_id: found }) if found == kek_id)
        );
        assert!(matches!(
            Keyring::local("!", None),
            Err(KeyringError::Primary(_))
        ));
        let previous = format!("{},!", *LocalKek::make_text());
        assert!(matches!(
            Keyring::local(&text, Some(&previous)),
            Err(KeyringError::Previous { position: 2, .. })
        ));
    }
}

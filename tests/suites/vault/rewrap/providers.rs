//! KEK providers that lie, return garbage or are unavailable. A rewrap stops or skips, and destroys
//! nothing.

use std::sync::Arc;

use async_trait::async_trait;
use vault_core::{
    Dek, KekError, KekId, KekProvider, KekTrouble, Keyring, LocalKek, RewrapOptions, RewrapOutcome,
    SecretVaults, UnreadableCause, VaultError,
};

use super::fixture::{Rotation, go_on};
use crate::fixture::operator;

/// The fault of a provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Unwraps to another key.
    Lies,
    /// Wraps another key than the given one.
    WrapsAnother,
    /// Returns meaningless bytes.
    Garbles,
    /// Does not answer for secrets.
    IsAway,
    /// Answers nothing.
    IsGone,
}

/// A local key with a fault.
struct Faulty(LocalKek, Fault);

#[async_trait]
impl KekProvider for Faulty {
    fn kek_id(&self) -> KekId {
        self.0.kek_id()
    }

    fn kind(&self) -> &'static str {
        "faulty"
    }

    async fn wrap(&self, dek: &Dek, data: &[u8]) -> Result<Vec<u8>, KekError> {
        match self.1 {
            Fault::IsGone => Err(self.away()),
            // The canary is wrapped correctly.
            _ if data.starts_with(b"tavora/canary") => self.0.wrap(dek, data).await,
            Fault::WrapsAnother => self.0.wrap(&Dek::make(), data).await,
            Fault::Garbles => Ok(vec![7; 62]),
            Fault::IsAway => Err(self.away()),
            Fault::Lies => self.0.wrap(dek, data).await,
        }
    }

    async fn unwrap(&self, wrapped: &[u8], data: &[u8]) -> Result<Dek, KekError> {
        match self.1 {
            Fault::IsGone => Err(self.away()),
            _ if data.starts_with(b"tavora/canary") => self.0.unwrap(wrapped, data).await,
            Fault::Lies => Ok(Dek::make()),
            Fault::IsAway => Err(self.away()),
            Fault::WrapsAnother | Fault::Garbles => self.0.unwrap(wrapped, data).await,
        }
    }
}

impl Faulty {
    fn away(&self) -> KekError {
        KekError::Provider {
            kek_id: self.0.kek_id(),
            kind: "faulty",
            trouble: KekTrouble::TimedOut,
            source: None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_moved_to_a_kek_that_is_not_true() {
    let rotation = Rotation::new(20).await;
    let before = rotation.rows().await;
    for fault in [Fault::WrapsAnother, Fault::Lies, Fault::Garbles] {
        for reencrypt in [false, true] {
            let vaults = faulty(&rotation, Some(fault), None).await;
            let options = RewrapOptions {
                reencrypt,
                ..RewrapOptions::default()
            };
            let refused = vaults.rewrap(&operator(), options, go_on).await;
            assert!(
                matches!(refused, Err(VaultError::KekUntrue { kek_id }) if kek_id == rotation.new_id),
                "{refused:?}"
            );
            assert_eq!(rotation.rows().await, before);
        }
    }
    rotation.all_open().await;
}

/// A provider of the old key that returned another key would make every secret unreadable for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lies_destroys_nothing() {
    let rotation = Rotation::new(20).await;
    let before = rotation.everything();
    let vaults = faulty(&rotation, None, Some(Fault::Lies)).await;
    for (verify, reencrypt) in [(false, false), (true, false), (false, true)] {
        let options = RewrapOptions {
            verify,
            reencrypt,
            ..RewrapOptions::default()
        };
        let report = vaults.rewrap(&operator(), options, go_on).await.unwrap();
        assert_eq!(report.outcome, RewrapOutcome::Incomplete);
        assert_eq!((report.progress.moved, report.progress.unreadable), (0, 20));
        let causes = report.unreadable_secrets.iter().map(|it| it.cause);
        assert!(causes.clone().all(|it| it == UnreadableCause::Payload));
    }
    // Everything is unchanged but the audit and the registered KEK.
    assert_eq!(rotation.everything()[..20], before[..20]);
    rotation.all_open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_stops_a_rewrap_and_says_nothing_of_secrets() {
    let rotation = Rotation::new(20).await;
    for (new, old, named) in [
        (Some(Fault::IsAway), None, rotation.new_id),
        (None, Some(Fault::IsAway), rotation.old_id),
    ] {
        let vaults = faulty(&rotation, new, old).await;
        let refused = vaults
            .rewrap(&operator(), RewrapOptions::default(), go_on)
            .await;
        assert!(
            matches!(refused, Err(VaultError::KekUnavailable { kek_id, .. }) if kek_id == named),
            "{refused:?}"
        );
    }
    let ended = rotation.audited("kek.rewrap_ended").await;
    assert_eq!(ended, ["kek.rewrap_ended failed"; 2]);
    let report = rotation.rewrap(RewrapOptions::default()).await.unwrap();
    assert_eq!(report.progress.moved, 20);
    rotation.all_open().await;
}

/// The KEK has a canary, which tells nothing while nobody can try it.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_away_is_not_said_to_be_damaged() {
    let rotation = Rotation::new(5).await;
    rotation.rewrap(RewrapOptions::default()).await.unwrap();
    let old = LocalKek::parse(&rotation.platform.kek).unwrap();
    let new = Faulty(LocalKek::parse(&rotation.new).unwrap(), Fault::IsGone);
    let keyring = Keyring::new(Arc::new(old), vec![Arc::new(new)]).unwrap();
    let vaults = rotation.platform.beside(keyring).await;
    let options = RewrapOptions {
        to: Some(rotation.new_id),
        ..RewrapOptions::default()
    };
    let refused = vaults.rewrap(&operator(), options, go_on).await;
    assert!(
        matches!(refused, Err(VaultError::KekUnavailable { kek_id, .. }) if kek_id == rotation.new_id),
        "{refused:?}"
    );
}

/// A host whose new or old key has a fault.
async fn faulty(rotation: &Rotation, new: Option<Fault>, old: Option<Fault>) -> SecretVaults {
    let kek = |text: &str, fault: Option<Fault>| -> Arc<dyn KekProvider> {
        let kek = LocalKek::parse(text).unwrap();
        match fault {
            Some(fault) => Arc::new(Faulty(kek, fault)),
            None => Arc::new(kek),
        }
    };
    let (new, old) = (kek(&rotation.new, new), kek(&rotation.platform.kek, old));
    let keyring = Keyring::new(new, vec![old]).unwrap();
    rotation.platform.beside(keyring).await
}

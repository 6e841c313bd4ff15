//! What can be wrong with a KEK provider, as an operator sees it: a word for programs, and a sentence that says what to do.
//!
//! Which answer of which provider means which trouble is the provider's to know.

use serde::Serialize;

/// Why a KEK provider did not do its work. It tells nothing of keys, DEKs or credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum KekTrouble {
    /// No answer in time.
    #[error("it did not answer in time; check that it runs and that this host reaches it")]
    TimedOut,
    /// No connection, or one that broke.
    #[error("there is no connection to it; check that it runs and that this host reaches it")]
    Unreachable,
    /// It answers, and cannot work at the moment.
    #[error("it is sealed, throttled or overloaded; see its own status")]
    Busy,
    /// The file or variable with the credential cannot be read.
    #[error(
        "this host's credential for it cannot be read; correct the file or variable that tavora.toml names"
    )]
    NoCredential,
    /// It does not know this host's credential, or does not let it use the key.
    #[error(
        "it refuses this host's credential or what that asks for; check the credential and its policy"
    )]
    Denied,
    /// The key exists and may not be used.
    #[error("the key is disabled or about to be deleted; enable it again")]
    Disabled,
    /// There is no such key.
    #[error("it has no such key, version or token; check what tavora.toml names")]
    Missing,
    /// The token wants no more PINs.
    #[error("the token's PIN is locked; let its security officer set it anew")]
    Locked,
    /// The key could be read out of its token.
    #[error("the key may leave its token; make one that is sensitive and not extractable")]
    Exposed,
    /// It refuses for a reason that this program does not know.
    #[error("it refused the request; see its own log")]
    Refused,
    /// What it answered is not what it was asked for.
    #[error("its answer cannot be right; check what stands between it and this host")]
    Garbled,
}

impl KekTrouble {
    /// Whether it may be over a moment later, without anybody doing anything on this host.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unreachable | Self::Busy)
    }
}

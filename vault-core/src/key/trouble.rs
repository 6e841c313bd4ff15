//! The troubles of a KEK provider as an operator sees them: a word for programs, and a sentence
//! that says what to do.
//!
//! Each provider decides which of its answers means which trouble.

use serde::Serialize;

use crate::oddity::Oddity;

/// Why a KEK provider failed. Nothing here tells of keys, DEKs or credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum KekTrouble {
    /// The provider did not answer in time.
    #[error("it did not answer in time; check that it runs and that this host reaches it")]
    TimedOut,
    /// There is no connection, or the connection broke.
    #[error("there is no connection to it; check that it runs and that this host reaches it")]
    Unreachable,
    /// The provider answers, but cannot work at the moment.
    #[error("it is sealed, throttled or overloaded; see its own status")]
    Busy,
    /// The file or variable with the credential cannot be read.
    #[error(
        "this host's credential for it cannot be read; correct the file or variable that tavora.toml names"
    )]
    NoCredential,
    /// The provider refuses a credential that holds more than itself.
    #[error(
        "it refuses this host's credential, whose file or variable {0}; leave the credential alone in it"
    )]
    OddCredential(#[serde(skip)] Oddity),
    /// The provider refuses the AppRole's login, without which there is no token.
    #[error(
        "it refuses the AppRole's login, without which there is no token: the role id or the secret id is wrong, or the secret id is over or used up (the role's secret_id_ttl and secret_id_num_uses); give the host a new secret id"
    )]
    LoginRefused,
    /// The provider does not know this host's credential, or does not let it use the key.
    #[error(
        "it refuses this host's credential or what that asks for; check the credential and its policy"
    )]
    Denied,
    /// The key exists but may not be used.
    #[error("the key is disabled or about to be deleted; enable it again")]
    Disabled,
    /// The key does not exist.
    #[error("it has no such key, version or token; check what tavora.toml names")]
    Missing,
    /// The token accepts no more PINs.
    #[error("the token's PIN is locked; let its security officer set it anew")]
    Locked,
    /// The key could be read out of its token.
    #[error("the key may leave its token; make one that is sensitive and not extractable")]
    Exposed,
    /// The provider refuses for a reason that this program does not know.
    #[error("it refused the request; see its own log")]
    Refused,
    /// The answer is compressed.
    #[error(
        "its answer is compressed, which this host did not ask for; end that in what stands between it and this host (Content-Encoding)"
    )]
    Compressed,
    /// The answer does not fit the question.
    #[error("its answer cannot be right; check what stands between it and this host")]
    Garbled,
}

impl KekTrouble {
    /// Whether the trouble may pass by itself, with nobody doing anything on this host.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unreachable | Self::Busy)
    }
}

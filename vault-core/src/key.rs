//! Keys: the DEK of a secret, and the providers that wrap DEKs with a KEK.
//!
//! Nothing here reads the environment or knows what a DEK encrypts.

mod dek;
mod kek_id;
mod keyring;
mod local;
mod provider;
mod trouble;

pub use self::{
    dek::Dek,
    kek_id::{InvalidKekId, KekId},
    keyring::{Keyring, KeyringError},
    local::{InvalidKek, LocalKek},
    provider::{KekError, KekProvider},
    trouble::KekTrouble,
};

//! The envelope around a secret's value. It seals with a fresh DEK and opens with the KEK that
//! wrapped the DEK.
//!
//! The value is sealed under a key derived from its DEK. A commitment derived from the same DEK
//! stands beside it, because GCM alone lets one ciphertext open under two keys. Both the payload
//! and the wrapped DEK are bound to the place they belong to (`envelope::binding`), so a row that
//! was moved does not open. The kek id binds only the wrap, so a rewrap leaves the payload alone.
//! Stores and audit are elsewhere, and the envelope does not decide who may open what.
//!
//! ```text
//! payload   ┌─────────┬───────────┬────────────┬──────────┬─────────────────────────┐
//!           │ version │ algorithm │ commitment │ nonce    │ encrypted value ‖ tag   │
//!           │ 1 byte  │ 1 byte    │ 32 bytes   │ 12 bytes │ 1 to 65536 + 16 bytes   │
//!           └─────────┴───────────┴────────────┴──────────┴─────────────────────────┘
//!
//! payload key ‖ commitment = HKDF-Expand-SHA256(DEK, "tavora/payload/v1", 64)
//! ```
//!
//! The provider of the KEK defines the layout of the wrapped DEK; `key::local` draws the local one.

mod binding;
mod rewrap;
mod seal;

pub use self::{
    binding::SecretBinding,
    rewrap::{Depth, RewrapError, check, reencrypt, rewrap},
    seal::{
        OpenError, PAYLOAD_HEAD_BYTES, PayloadDigest, SealedSecret, WRAPPED_MAX_BYTES, open,
        revision_of, seal,
    },
};

#[cfg(test)]
mod tests;

//! KEK providers against the real things: OpenBao, SoftHSM, and AWS's SDK with a KMS that moto plays on loopback.
//!
//! One suite, every provider (`conformance`); then what is each one's own, and what happens when one is away, lies or
//! refuses. What a keyring does with its keys is the vault's suite.

#![expect(clippy::unwrap_used, reason = "a failing unwrap fails its test")]

mod conformance;
mod fixture;
mod local;
mod openbao;
mod pkcs11;
mod server;
mod transit;

//! KEK providers against the real things: OpenBao, SoftHSM, and AWS's SDK with a KMS that moto plays on loopback.
//!
//! One suite, every provider (`conformance`); then what is each one's own, and what happens when one is away, lies or
//! refuses. What a keyring does with its keys is the vault's suite.

#![expect(clippy::unwrap_used, reason = "a failing unwrap fails its test")]

mod aws_kms;
mod cache;
mod conformance;
mod faults;
mod fixture;
mod local;
mod moto;
mod openbao;
mod pkcs11;
mod proxy;
mod rerun;
mod serve;
mod server;
mod tls;
mod transit;

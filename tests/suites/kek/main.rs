//! KEK providers against real software: OpenBao, SoftHSM, and AWS's SDK with moto's KMS on
//! loopback.
//!
//! One suite, `conformance`, tests every provider. Other tests cover what is special to each, and
//! providers that are unavailable, lie or refuse. The vault's suite tests what a keyring does with
//! its keys.

#![expect(clippy::unwrap_used, reason = "a failing unwrap fails its test")]

mod approle;
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
mod scripted;
mod serve;
mod server;
mod tls;
mod transit;

//! The public contract, as clients without shared code find it: three small SDKs, and a generator
//! of requests that reads the OpenAPI document.
//!
//! `tests/contract` says what each must find. Here they are built, started and compared.

mod clients;
mod schemathesis;

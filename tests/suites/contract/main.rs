//! The public contract, as clients find it that share no code with the host: three small SDKs, and a generator of
//! requests that reads the OpenAPI document.
//!
//! What each must find is in `tests/contract`; here they are built, started and compared.

mod clients;
mod schemathesis;

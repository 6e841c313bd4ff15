//! Chat completions: the real binary in front of loopback upstreams, which follow the providers'
//! documentation or do not.
//!
//! The component's own tests cover what it decides alone. These tests cover what crosses the host.

mod bad_upstreams;
mod behind_nginx;
mod clients;
mod copied_secrets;
mod errors;
mod fixture;
mod paths;
mod refusals;
mod routing;
mod stopping;
mod streams;
mod waits;

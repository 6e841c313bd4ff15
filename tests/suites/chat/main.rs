//! Chat completions: the real binary in front of loopback upstreams that behave as the providers document, or do not.
//!
//! What the component decides by itself is tested beside it; here is what crosses the host.

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

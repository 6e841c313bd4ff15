//! The sockets under the HTTP API: clients that are slow, silent, gone or too many, TLS, and
//! stopping.
//!
//! The answers of routes are tested elsewhere.

mod bodies;
mod connections;
mod heads;
mod host_names;
mod hostile_tool;
mod serve;
mod served;
mod stopping;
mod strangers;
mod tls;

//! Bad input over real HTTP: everything wrong that a client may send, with the status and the code
//! of its refusal. Afterwards the data must be unchanged.
//!
//! The suite `server` tests the sockets below HTTP. The suite `contract` tests well-behaved
//! clients.

mod behind_nginx;
mod bodies;
mod changes;
mod credentials;
mod fixture;
mod kek;
mod methods;
mod operations;
mod paths;
mod runs;
mod shapes;
mod strictness;

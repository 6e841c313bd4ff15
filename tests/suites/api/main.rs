//! Bad input over real HTTP: what a client may send that is wrong, each with the status and the code that it gets, and
//! with a look at the data afterwards, which must be as it was.
//!
//! What the sockets below HTTP must stand is in the suite `server`; what well-behaved clients find, in `contract`.

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

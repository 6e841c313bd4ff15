//! The vault against real databases: the requirements of every store, what tampering must not
//! achieve, and what survives a kill.

#![expect(clippy::unwrap_used, reason = "a failing unwrap fails its test")]

mod concurrency;
mod conformance;
mod crash;
mod fixture;
mod keks;
mod published;
mod residue;
mod rewrap;
mod tampering;
mod transfer;

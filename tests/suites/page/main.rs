//! The page at `/admin` over real HTTP, as a browser and an attacker request it.
//!
//! The suite `browser` tests how it looks and whether people can use it.

mod access;
mod behind_proxy;
mod content;
mod forms;
mod kek;
mod visitor;

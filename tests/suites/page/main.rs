//! The page at `/admin` over real HTTP, as a browser asks for it and as an attacker does.
//!
//! How it looks and whether people can use it is the suite `browser`'s business.

mod access;
mod behind_proxy;
mod content;
mod forms;
mod kek;
mod visitor;

//! Errors in a provider's answer, whatever their form and status. This is the one place that
//! decides what a client and an agent are told.
//!
//! The provider's words and its other fields pass. The credential is called bad only where the
//! answer says so.

mod agent;
mod answer;
mod blame;
mod client;
mod pause;
mod reading;
mod sentence;
mod success;

pub use answer::ProviderError;
pub use client::passes;
pub use sentence::{is_json, shortened, unreadable};
pub use success::{NoCompletion, check, in_error_event, named};

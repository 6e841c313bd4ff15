//! The client that sends one tool's requests. It decides nothing about them.

use hyper_util::client::legacy::Client;

use super::connect::Connector;
use super::resend::SentBody;

/// A client with a pool; a clone has the same pool.
#[derive(Clone)]
pub(super) struct HttpClient {
    /// Uses a connection again.
    pub(super) pooled: Client<Connector, SentBody>,
    /// Makes a connection for each request.
    pub(super) fresh: Client<Connector, SentBody>,
}

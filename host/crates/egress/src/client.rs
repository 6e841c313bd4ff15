//! The HTTP client for one tool's requests. It applies no policy.

use hyper_util::client::legacy::Client;

use super::connect::Connector;
use super::resend::SentBody;

/// A client with a connection pool. Clones share the pool.
#[derive(Clone)]
pub(super) struct HttpClient {
    /// Reuses connections.
    pub(super) pooled: Client<Connector, SentBody>,
    /// Opens a new connection for each request.
    pub(super) fresh: Client<Connector, SentBody>,
}

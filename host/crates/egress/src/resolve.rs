//! Resolves a host's name into addresses, without checking them.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

/// Resolves names. Other implementations than the system's are for tests, and for platforms with
/// their own resolver.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Returns all addresses of `name`. The name is a DNS name in lower-case ASCII, written by the
    /// operator, and never an address. The caller checks every answer and connects only to
    /// addresses of this answer. The tool gets an error, or an answer without addresses, as a DNS
    /// error.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The call requires a port, which is not used.
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

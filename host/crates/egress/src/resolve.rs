//! Turns a host's name into addresses. It does not judge them.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

/// Looks up names. Another one than the system's is for tests, and for platforms
/// with a resolver of their own.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `name`, which is a DNS name in lower case and ASCII,
    /// written by the operator, and never an address. Each answer is checked, and
    /// only an address of this answer is connected to. An error or no address at
    /// all reaches the tool as a DNS error.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The port is of no use here, but the call asks for one.
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

//! The address on which the host listens: an IP address and a port, or `localhost`, which means
//! both loopback addresses of a machine.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use nix::libc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use tokio::net::{TcpListener, TcpStream};

/// Limits the ports that are tried for `localhost:0`. A port may be free at only one of the
/// addresses.
const PORT_ATTEMPTS: usize = 16;

/// `ADDRESS:PORT`, `[ADDRESS]:PORT` or `localhost:PORT`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct ListenAddress {
    first: SocketAddr,
    is_localhost: bool,
}

/// The text is no listen address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an IP address and a port are wanted, for example 127.0.0.1:8080, [::1]:8080, 0.0.0.0:8080 for every address, or localhost:8080"
)]
pub struct InvalidListenAddress;

impl ListenAddress {
    /// The IP address. For `localhost`, the first of the two.
    pub fn ip(&self) -> IpAddr {
        self.first.ip()
    }

    /// Every address to listen on, with this port.
    fn all(self, port: u16) -> impl Iterator<Item = SocketAddr> {
        let second = self.is_localhost.then_some(IpAddr::V6(Ipv6Addr::LOCALHOST));
        let ips = [Some(self.ip()), second].into_iter().flatten();
        ips.map(move |ip| match self.is_localhost {
            true => SocketAddr::new(ip, port),
            // Keeps the rest of the address: the zone of a link-local one.
            false => {
                let mut address = self.first;
                address.set_port(port);
                address
            }
        })
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(first: SocketAddr) -> Self {
        Self {
            first,
            is_localhost: false,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        let text = text.trim();
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidListenAddress)?;
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_port && host.eq_ignore_ascii_case("localhost") => Ok(Self {
                first: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                is_localhost: true,
            }),
            _ => Err(InvalidListenAddress),
        }
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = InvalidListenAddress;

    fn try_from(text: String) -> Result<Self, InvalidListenAddress> {
        text.parse()
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_localhost {
            true => write!(f, "localhost:{}", self.first.port()),
            false => fmt::Display::fmt(&self.first, f),
        }
    }
}

impl fmt::Debug for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The sockets of one listen address.
pub(super) struct Listener {
    sockets: Vec<TcpListener>,
    /// Selects the socket that is polled first, in turn.
    turn: AtomicUsize,
}

impl Listener {
    /// Listens on all addresses. Of the two for `localhost`, the machine may lack one.
    pub(super) async fn bind(address: ListenAddress) -> io::Result<Self> {
        let port = address.first.port();
        let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match Self::bind_once(address).await {
                Err(error) if error.kind() == ErrorKind::AddrInUse && attempts > 0 => {}
                bound => return bound,
            }
        }
    }

    async fn bind_once(address: ListenAddress) -> io::Result<Self> {
        let mut sockets: Vec<TcpListener> = Vec::new();
        let mut missing = None;
        let mut port = address.first.port();
        for address in address.all(port) {
            let address = SocketAddr::new(address.ip(), port);
            match TcpListener::bind(address).await {
                Ok(socket) => {
                    port = socket.local_addr()?.port();
                    sockets.push(socket);
                }
                Err(error) if is_absent(&error) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (sockets.is_empty(), missing) {
            (true, Some(error)) => Err(error),
            _ => Ok(Self {
                sockets,
                turn: AtomicUsize::new(0),
            }),
        }
    }

    /// The first address. If port 0 was configured, it has the port that the system chose.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        let first = self.sockets.first().ok_or(ErrorKind::AddrNotAvailable)?;
        first.local_addr()
    }

    /// Returns the next connection on any of the sockets.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        poll_fn(|context| {
            for index in 0..self.sockets.len() {
                let socket = &self.sockets[turn.wrapping_add(index) % self.sockets.len()];
                if let Poll::Ready(accepted) = socket.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether the machine lacks the address, or the whole protocol.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_a_name_is_localhost_alone() {
        for text in ["127.0.0.1:0", "[::1]:8080", "0.0.0.0:80", "localhost:8080"] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        let address: ListenAddress = "LOCALHOST:1".parse().expect("the same name");
        assert!(address.ip().is_loopback());
        for text in [
            "",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:+1",
            "localhost:65536",
            "127.0.0.1",
            "::1:8080",
            "http://localhost:8080",
            "example.com:8080",
            "*:8080",
        ] {
            let refused = text.parse::<ListenAddress>().expect_err(text).to_string();
            assert!(refused.contains("for example 127.0.0.1:8080"), "{refused}");
        }
    }

    #[tokio::test]
    async fn localhost_is_heard_at_each_loopback_address() {
        let address = "localhost:0".parse().expect("valid");
        let listener = Listener::bind(address).await.expect("a port is free");
        let port = listener.local_addr().expect("bound").port();
        let mut heard = 0;
        for ip in [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ] {
            match TcpStream::connect((ip, port)).await {
                Ok(connected) => {
                    let (_, peer) = listener.accept().await.expect("one is there");
                    assert_eq!(peer, connected.local_addr().expect("connected"));
                    heard += 1;
                }
                // The machine has no IPv6.
                Err(error) => assert!(ip.is_ipv6() && is_absent(&error), "{ip}: {error}"),
            }
        }
        assert!(heard > 0);
    }
}

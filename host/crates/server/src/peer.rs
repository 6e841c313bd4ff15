//! Identifies the peer at the other end by its address. Other modules decide what a peer may do.

use std::net::{IpAddr, Ipv6Addr};

/// One peer as limits count it: an IPv4 address, or an IPv6 /64, which one customer usually has
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        // A socket that listens on `::` sees IPv4 peers as ::ffff:a.b.c.d, all of which share one
        // /64.
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into()),
            v4 => Self(v4),
        }
    }
}

//! Who is at the other end, as far as its address tells. What a peer may do is not here.

use std::net::{IpAddr, Ipv6Addr};

/// One party as limits count it: an IPv4 address, or the /64 of IPv6 that one customer has all of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        // A socket that listens on `::` sees IPv4 peers as ::ffff:a.b.c.d, which are all in one
        // /64.
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into()),
            v4 => Self(v4),
        }
    }
}

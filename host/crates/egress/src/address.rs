//! Decides which addresses are on the public internet. Any other address is refused, unless the
//! operator allowed the origin by name; origins are not known here.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its
//! updates), and the addresses at which cloud providers serve metadata.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Returns the name of the range that `address` is in, or nothing if the address is public.
///
/// An address that embeds another one (IPv4-mapped, NAT64) is judged by the embedded one.
pub fn refused_range(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refused_v4(address),
        IpAddr::V6(address) => refused_v6(address),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// The first match gives the reason.
const REFUSED_V4: [(Ipv4Net, &str); 20] = [
    (v4(169, 254, 169, 254, 32), "cloud metadata"),
    (v4(169, 254, 170, 2, 32), "cloud metadata"),
    (v4(100, 100, 100, 200, 32), "cloud metadata"),
    (v4(168, 63, 129, 16, 32), "cloud metadata"),
    (v4(192, 0, 0, 192, 32), "cloud metadata"),
    (v4(0, 0, 0, 0, 8), "unspecified"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "carrier-grade NAT"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "protocol assignments"),
    (v4(192, 0, 2, 0, 24), "documentation"),
    (v4(192, 88, 99, 0, 24), "6to4 relay"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 0, 24), "documentation"),
    (v4(203, 0, 113, 0, 24), "documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
];

/// Only 2000::/3 of IPv6 is assigned to the public. The list names the well-known ranges outside of
/// it, and the special ranges inside.
const REFUSED_V6: [(Ipv6Net, &str); 14] = [
    (
        v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
        "cloud metadata",
    ),
    (
        v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
        "cloud metadata",
    ),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "IPv4-compatible"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "local NAT64"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "Teredo"),
    // Includes benchmarking (2001:2::/48) and ORCHID (2001:20::/28).
    (
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        "protocol assignments",
    ),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation"),
];

const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const MAPPED_V4: Ipv6Net = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    REFUSED_V4
        .iter()
        .find_map(|(range, reason)| range.contains(&address).then_some(*reason))
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    if MAPPED_V4.contains(&address) || NAT64.contains(&address) {
        let [.., a, b, c, d] = address.octets();
        return refused_v4(Ipv4Addr::new(a, b, c, d));
    }
    REFUSED_V6
        .iter()
        .find_map(|(range, reason)| range.contains(&address).then_some(*reason))
        .or_else(|| (!PUBLIC_V6.contains(&address)).then_some("reserved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_is_refused_at_both_ends_and_for_its_reason() {
        for (addresses, reason) in [
            ("0.0.0.0 0.255.255.255 :: 64:ff9b::0.0.0.0", "unspecified"),
            (
                "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255",
                "private",
            ),
            (
                "::ffff:10.0.0.1 ::ffff:192.168.1.1 64:ff9b::10.1.2.3",
                "private",
            ),
            ("100.64.0.0 100.127.255.255", "carrier-grade NAT"),
            (
                "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1",
                "loopback",
            ),
            (
                "169.254.0.0 169.254.255.255 fe80::1 febf::1 ::ffff:169.254.1.1",
                "link-local",
            ),
            (
                "169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192",
                "cloud metadata",
            ),
            (
                "::ffff:169.254.169.254 fd00:ec2::254 fd20:ce::254 64:ff9b::a9fe:a9fe",
                "cloud metadata",
            ),
            (
                "192.0.0.0 192.0.0.255 2001:2::1 2001:20::1 2001:1ff:ffff::",
                "protocol assignments",
            ),
            (
                "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
                "documentation",
            ),
            ("198.18.0.0 198.19.255.255", "benchmarking"),
            ("192.88.99.1", "6to4 relay"),
            ("224.0.0.1 239.255.255.255 ff02::1", "multicast"),
            (
                "240.0.0.1 255.255.255.255 5f00::1 4000::1 fec0::1 100::1 ::ffff:0:127.0.0.1",
                "reserved",
            ),
            ("::127.0.0.1 ::8.8.8.8", "IPv4-compatible"),
            ("2002:7f00:1::1 2002:808:808::1", "6to4"),
            ("2001::1 2001:0:ffff::1", "Teredo"),
            ("64:ff9b:1::1", "local NAT64"),
            ("fc00::1 fdff:ffff::1", "unique local"),
        ] {
            for address in addresses.split(' ') {
                let address: IpAddr = address.parse().expect(address);
                assert_eq!(refused_range(address), Some(reason), "{address}");
            }
        }
    }

    #[test]
    fn public_addresses_pass_up_to_the_neighbours_of_each_range() {
        for address in "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 \
            126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 \
            192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 \
            2606:4700::1111 2001:200::1 2001:4860:4860::8888 2003::1 ::ffff:8.8.8.8 64:ff9b::808:808"
            .split_whitespace()
        {
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(refused_range(address), None, "{address}");
        }
    }
}

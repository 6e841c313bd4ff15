//! Finds where a request came from: the peer itself, or the client that a trusted proxy names in
//! `Forwarded` or `X-Forwarded-For`.
//!
//! A peer that is no trusted proxy is believed nothing. A list of addresses is read from its end,
//! where the nearest proxy wrote, up to the first address that is no trusted proxy's. The client
//! may have made up everything before that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::FORWARDED;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// `[server] trusted_proxies`: addresses and networks.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub struct TrustedProxies(Vec<IpNet>);

impl fmt::Debug for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client that a request came from. The server puts it into the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The client's address.
    pub client: IpAddr,
    /// Whether a trusted proxy sent the request, so that the proxy's headers can be believed.
    pub is_by_proxy: bool,
}

impl Arrival {
    /// Reads the arrival from a request's extensions. A server that sets none has one client: the
    /// peer, or an unspecified address.
    pub fn of(extensions: &Extensions) -> Self {
        let by_socket = || {
            let socket = extensions.get::<ConnectInfo<SocketAddr>>();
            Self {
                client: socket.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip()),
                is_by_proxy: false,
            }
        };
        extensions.get().copied().unwrap_or_else(by_socket)
    }

    /// Returns the only value of a header that only a trusted proxy may set, such as
    /// `X-Forwarded-Host`.
    pub fn told_by_proxy<'a>(&self, headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
        if !self.is_by_proxy {
            return None;
        }
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().map(str::trim),
            _ => None,
        }
    }
}

impl TrustedProxies {
    /// Whether the address belongs to a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Finds where a request from `peer` with these headers came from.
    pub fn arrival(&self, peer: IpAddr, headers: &HeaderMap) -> Arrival {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Arrival {
                client: peer,
                is_by_proxy: false,
            };
        }
        Arrival {
            client: match self.named_client(headers) {
                Found::Client(client) => client,
                Found::Nothing => peer,
                // The proxy's own address must not be used: malformed headers would use up its
                // allowance.
                Found::Malformed => Ipv4Addr::UNSPECIFIED.into(),
            },
            is_by_proxy: true,
        }
    }

    /// Returns the last address that is no trusted proxy's, or the first address if all are. The
    /// result is malformed if an address that must be read cannot be, or if the two headers
    /// disagree.
    fn named_client(&self, headers: &HeaderMap) -> Found {
        let (Some(standard), Some(usual)) = (
            listed(headers, &FORWARDED),
            listed(headers, &X_FORWARDED_FOR),
        ) else {
            return Found::Malformed;
        };
        let standard = self.last_untrusted(&standard, forwarded_for);
        let usual = self.last_untrusted(&usual, address);
        match (standard, usual) {
            (Found::Client(one), Found::Client(other)) if one == other => Found::Client(one),
            (Found::Client(one), Found::Nothing) | (Found::Nothing, Found::Client(one)) => {
                Found::Client(one)
            }
            (Found::Nothing, Found::Nothing) => Found::Nothing,
            _ => Found::Malformed,
        }
    }

    fn last_untrusted(&self, items: &[&str], read: fn(&str) -> Option<IpAddr>) -> Found {
        let mut found = Found::Nothing;
        for item in items.iter().rev() {
            let Some(address) = read(item) else {
                return Found::Malformed;
            };
            found = Found::Client(address);
            if !self.trusts(address) {
                break;
            }
        }
        found
    }
}

enum Found {
    Nothing,
    Malformed,
    Client(IpAddr),
}

/// Returns the items of a header's comma-separated values in their order, or nothing if a value has
/// other characters than visible ASCII.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<&'a str>> {
    let mut items = Vec::new();
    for value in headers.get_all(name) {
        let mut is_quoted = false;
        let of_value = value.to_str().ok()?.split(|letter| {
            // Only `Forwarded` has quotes. In the other header, an open quote would hide the
            // address that a proxy adds.
            is_quoted ^= letter == '"' && *name == FORWARDED;
            letter == ',' && !is_quoted
        });
        items.extend(of_value.map(str::trim));
    }
    Some(items)
}

/// Returns the `for` node of an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut nodes = element.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let node = nodes.next()?;
    if nodes.next().is_some() {
        return None;
    }
    let unquoted = node.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
    address(unquoted.unwrap_or(Some(node))?)
}

/// Parses an address, which may have brackets and a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>();
    let address = alone.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    Some(address.ok()?.to_canonical())
}

impl TryFrom<Vec<String>> for TrustedProxies {
    type Error = String;

    fn try_from(listed: Vec<String>) -> Result<Self, String> {
        let network = |text: String| {
            let address = text
                .parse::<IpAddr>()
                .map(|it| IpNet::from(it.to_canonical()));
            let network = address.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
                format!(
                    "{text:?} is no address and no network of trusted_proxies; write 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32"
                )
            })?;
            if network.prefix_len() == 0 {
                return Err(format!(
                    "{text:?} would trust every client to name any address; list the proxies of trusted_proxies alone"
                ));
            }
            Ok(network.trunc())
        };
        listed
            .into_iter()
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies(listed: &[&str]) -> Result<TrustedProxies, String> {
        let listed: Vec<String> = listed.iter().map(|text| (*text).to_owned()).collect();
        listed.try_into()
    }

    /// Returns the client for these headers from `peer`. The trusted proxies are 10.0.0.0/8 and
    /// ::1.
    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value.as_bytes()).expect("valid");
                (HeaderName::from_static(name), value)
            })
            .collect();
        let proxies = proxies(&["10.0.0.0/8", "::1"]).expect("valid");
        let arrival = proxies.arrival(peer.parse().expect("an address"), &headers);
        arrival.client.to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        for header in ["forwarded", "x-forwarded-for"] {
            let value = match header {
                "forwarded" => "for=203.0.113.9",
                _ => "203.0.113.9",
            };
            assert_eq!(client("10.1.2.3", &[(header, value)]), "203.0.113.9");
            assert_eq!(client("::ffff:10.1.2.3", &[(header, value)]), "203.0.113.9");
            assert_eq!(client("::1", &[(header, value)]), "203.0.113.9");
            assert_eq!(client("192.0.2.7", &[(header, value)]), "192.0.2.7");
        }
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn addresses_are_read_from_the_end_past_trusted_proxies() {
        for (headers, expected) in [
            (
                vec![("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.0.0.2")],
                "203.0.113.9",
            ),
            (
                vec![
                    ("x-forwarded-for", "198.51.100.1"),
                    ("x-forwarded-for", "203.0.113.9"),
                ],
                "203.0.113.9",
            ),
            // The client made up the first entries. They stand before those of the proxies and are
            // ignored.
            (
                vec![("x-forwarded-for", "nonsense, 203.0.113.9")],
                "203.0.113.9",
            ),
            (vec![("x-forwarded-for", "10.0.0.1, 10.0.0.2")], "10.0.0.1"),
            (vec![("x-forwarded-for", "203.0.113.9:4711")], "203.0.113.9"),
            (vec![("x-forwarded-for", "2001:db8::7")], "2001:db8::7"),
            (
                vec![("x-forwarded-for", "[2001:db8::7]:4711")],
                "2001:db8::7",
            ),
            (
                vec![(
                    "forwarded",
                    "for=198.51.100.1;proto=http, For=\"[2001:db8::7]:4711\";by=10.0.0.1;proto=https",
                )],
                "2001:db8::7",
            ),
            (
                vec![(
                    "forwarded",
                    "for=198.51.100.1,proto=https;for=203.0.113.9;host=\"a,b\"",
                )],
                "203.0.113.9",
            ),
            (
                vec![
                    ("forwarded", "for=203.0.113.9"),
                    ("x-forwarded-for", "203.0.113.9"),
                ],
                "203.0.113.9",
            ),
        ] {
            assert_eq!(client("10.0.0.3", &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_is_not_understood_names_nobody() {
        for headers in [
            vec![("x-forwarded-for", "203.0.113.9, unknown")],
            vec![("x-forwarded-for", "203.0.113.9,")],
            vec![("x-forwarded-for", "203.0.113.9 198.51.100.1")],
            vec![("x-forwarded-for", "203.0.113.9\u{e9}")],
            vec![("forwarded", "for=_hidden")],
            vec![("forwarded", "for=203.0.113.9, proto=https")],
            vec![("forwarded", "for=203.0.113.9;for=198.51.100.1")],
            vec![("forwarded", "for=\"203.0.113.9")],
            vec![
                ("forwarded", "for=203.0.113.9"),
                ("x-forwarded-for", "198.51.100.1"),
            ],
        ] {
            assert_eq!(client("10.0.0.3", &headers), "0.0.0.0", "{headers:?}");
        }
        let open_quote = [("x-forwarded-for", "\", 203.0.113.9")];
        assert_eq!(client("10.0.0.3", &open_quote), "203.0.113.9");
    }

    #[test]
    fn a_header_of_the_proxys_own_is_read_from_a_proxy_alone() {
        let name = HeaderName::from_static("x-forwarded-host");
        let headers: HeaderMap = [(name.clone(), HeaderValue::from_static("vault.example"))]
            .into_iter()
            .collect();
        let mut arrival = Arrival {
            client: Ipv4Addr::LOCALHOST.into(),
            is_by_proxy: true,
        };
        assert_eq!(
            arrival.told_by_proxy(&headers, &name),
            Some("vault.example")
        );
        arrival.is_by_proxy = false;
        assert_eq!(arrival.told_by_proxy(&headers, &name), None);
    }

    #[test]
    fn a_setting_that_is_no_address_is_refused() {
        for good in ["192.0.2.1", "10.1.2.3/8", "2001:db8::/32", "::1"] {
            proxies(&[good]).expect(good);
        }
        for bad in [
            "",
            "nginx",
            "10.0.0.0/33",
            "10.0.0.1:80",
            "10.0.0",
            " 10.0.0.1",
        ] {
            let error = proxies(&["192.0.2.1", bad]).expect_err(bad);
            assert!(error.contains("write 192.0.2.1, 10.0.0.0/8"), "{error}");
        }
        for everybody in ["0.0.0.0/0", "::/0"] {
            let error = proxies(&[everybody]).expect_err(everybody);
            assert!(error.contains("would trust every client"), "{error}");
        }
    }
}

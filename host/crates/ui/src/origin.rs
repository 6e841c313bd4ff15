//! Checks where a form comes from, by the browser's headers: from a page of this host, or from
//! elsewhere.
//!
//! `Sec-Fetch-Site` compares the sites as the browser sees them, so it works behind any proxy, and
//! no page can set it. If a browser sends only `Origin`, the host must compare, and needs the name
//! that the browser used.

use axum::extract::OriginalUri;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;

use tavora_server::HostNames;

/// Why a form is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// Another site sent the form, or the browser did not say which.
    Elsewhere,
    /// The browser names another host than the request: another site sent the form, or a proxy
    /// changed the name.
    OtherName {
        /// The origin of the page, as the browser names it.
        origin: String,
        /// This host, as the request names it.
        host: String,
    },
}

/// Accepts a form that a page of this host sent. A form without both headers is refused: every
/// up-to-date browser sends at least one of them.
pub(super) fn check(parts: &Parts, names: &HostNames) -> Result<(), Stranger> {
    let mut sites = parts.headers.get_all("sec-fetch-site").iter().peekable();
    if sites.peek().is_some() {
        return match sites.all(|site| site == "same-origin") {
            true => Ok(()),
            false => Err(Stranger::Elsewhere),
        };
    }
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return Err(Stranger::Elsewhere);
    };
    let origin = origin.to_str().unwrap_or_default();
    let (Some((scheme, authority)), Some(host)) = (origin.split_once("://"), host(parts)) else {
        return Err(Stranger::Elsewhere);
    };
    if authority.eq_ignore_ascii_case(&host) || names.has_page_at(scheme, authority) {
        return Ok(());
    }
    Err(Stranger::OtherName {
        origin: origin.to_owned(),
        host,
    })
}

/// Returns the name and port that the request is for.
fn host(parts: &Parts) -> Option<String> {
    let of_header = |headers: &HeaderMap| Some(headers.get(HOST)?.to_str().ok()?.to_owned());
    // In HTTP/2 the target has the name.
    let of_target = || {
        let uri = parts.extensions.get::<OriginalUri>()?;
        Some(uri.authority()?.to_string())
    };
    of_header(&parts.headers).or_else(of_target)
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;
    use tavora_server::ServerConfig;

    const HERE: (&str, &str) = ("host", "vault.example:8443");

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/admin/apps");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(axum::body::Body::empty()).expect("valid");
        request.into_parts().0
    }

    fn names(hosts: &str) -> HostNames {
        let listed = serde_json::from_str(&format!("[{hosts}]")).expect("valid");
        HostNames::new(listed, &ServerConfig::default().listen)
    }

    fn passes(headers: &[(&str, &str)]) -> bool {
        check(&parts(headers), &names("")).is_ok()
    }

    #[test]
    fn a_form_must_come_from_this_host() {
        for headers in [
            vec![HERE, ("origin", "https://vault.example:8443")],
            vec![HERE, ("origin", "https://VAULT.example:8443")],
            vec![HERE, ("sec-fetch-site", "same-origin")],
        ] {
            assert!(passes(&headers), "{headers:?}");
        }
        for headers in [
            vec![HERE],
            vec![HERE, ("origin", "null")],
            vec![HERE, ("origin", "")],
            vec![HERE, ("origin", "https://vault.example")],
            vec![HERE, ("origin", "https://evil.example")],
            vec![HERE, ("origin", "https://vault.example:8443.evil.example")],
            vec![HERE, ("sec-fetch-site", "")],
            vec![HERE, ("sec-fetch-site", "same-site")],
            vec![HERE, ("sec-fetch-site", "cross-site")],
            vec![HERE, ("sec-fetch-site", "none")],
            vec![
                HERE,
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            vec![
                HERE,
                ("origin", "https://vault.example:8443"),
                ("origin", "https://evil.example"),
            ],
            vec![
                HERE,
                ("origin", "https://vault.example:8443"),
                ("sec-fetch-site", "cross-site"),
            ],
            vec![
                HERE,
                ("origin", "https://vault.example:8443"),
                ("sec-fetch-site", "same-site"),
            ],
            vec![("origin", "https://vault.example:8443")],
        ] {
            assert!(!passes(&headers), "{headers:?}");
        }
    }

    #[test]
    fn behind_a_proxy_that_changes_the_name_the_browsers_own_word_counts() {
        let upstream = ("host", "127.0.0.1:8080");
        let origin = ("origin", "https://vault.example");
        assert!(passes(&[
            upstream,
            origin,
            ("sec-fetch-site", "same-origin")
        ]));
        // A proxy may make browsers send no origin.
        let none = ("origin", "null");
        assert!(passes(&[upstream, none, ("sec-fetch-site", "same-origin")]));
        assert_eq!(
            check(&parts(&[upstream, origin]), &names("")),
            Err(Stranger::OtherName {
                origin: "https://vault.example".to_owned(),
                host: "127.0.0.1:8080".to_owned(),
            })
        );
    }

    #[test]
    fn a_listed_name_is_this_hosts_and_its_neighbours_are_not() {
        let names = names("\"vault.example\", \"*.example\"");
        let from = |origin| check(&parts(&[("host", "backend"), ("origin", origin)]), &names);
        assert_eq!(from("https://vault.example"), Ok(()));
        for neighbour in [
            "https://shop.example",
            "https://vault.example:8443",
            "https://vault.example.evil.example",
            "null",
        ] {
            assert!(from(neighbour).is_err(), "{neighbour}");
        }
    }

    #[test]
    fn over_http_2_the_host_is_in_the_target() {
        let mut parts = parts(&[("origin", "https://vault.example")]);
        let target = "https://vault.example/admin/apps".parse().expect("valid");
        parts.extensions.insert(OriginalUri(target));
        assert_eq!(check(&parts, &names("")), Ok(()));
    }
}

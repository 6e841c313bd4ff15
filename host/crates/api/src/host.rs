//! Checks the name that a request uses for this host. A request for another host is refused before
//! anything else of it is examined.

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tavora_server::{HostNames, host_of};

use crate::ApiError;

/// Middleware that passes requests for this host only.
pub(crate) async fn check_host(
    State(names): State<HostNames>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&names, request.uri(), request.headers()) {
        Some(refusal) => refusal.for_path(request.uri()).into_response(),
        None => next.run(request).await,
    }
}

/// The target may also name the host, as it does in HTTP/2. A request without any name does not
/// come from a browser.
fn refusal(names: &HostNames, uri: &Uri, headers: &HeaderMap) -> Option<ApiError> {
    let target = uri.authority().cloned().map(Ok);
    let named = headers
        .get_all(HOST)
        .into_iter()
        .filter(|it| !it.is_empty());
    let named = named.map(|it| Authority::try_from(it.as_bytes()));
    for authority in target.into_iter().chain(named) {
        let Some(host) = authority.as_ref().ok().and_then(host_of) else {
            return Some(ApiError::bad_request(
                "invalid_host",
                "the header Host is not the name of a host with or without a port; correct it",
            ));
        };
        if !names.answers_to(host) {
            tracing::warn!(
                name = ?host,
                "a request for a name that is not in [server] hosts was refused"
            );
            return Some(ApiError::new(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
                format!(
                    "this host does not answer to the name {host:?}; its operator lists the names that it answers to in [server] hosts; a proxy in front must pass on the name that clients use (nginx: `proxy_set_header Host $http_host;`)"
                ),
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tavora_server::HostName;

    use super::*;

    fn names(listen: &str, hosts: &[&str]) -> HostNames {
        let hosts = hosts.iter().map(|it| (*it).to_owned());
        let listed = hosts.map(|it| HostName::try_from(it).expect("a name"));
        HostNames::new(listed.collect(), &listen.parse().expect("an address"))
    }

    /// Returns the status for a request with this `Host`. 200 means that it passes.
    fn status(names: &HostNames, host: &str) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a header's value"));
        let refusal = refusal(names, &Uri::from_static("/metrics"), &headers);
        refusal.map_or(200, |it| it.status().as_u16())
    }

    #[test]
    fn on_loopback_only_names_of_loopback_and_addresses_are_answered() {
        let names = names("127.0.0.1:8080", &[]);
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "vault.localhost:1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "10.0.0.7",
            "",
        ] {
            assert_eq!(status(&names, host), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "[::1].evil.example",
        ] {
            assert!([400, 421].contains(&status(&names, host)), "{host}");
        }
        assert_eq!(status(&names, "evil.example"), 421);
        assert_eq!(status(&names, "a b"), 400);
    }

    #[test]
    fn the_refusal_says_what_a_proxy_must_send() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "backend".parse().expect("a value"));
        let names = names("127.0.0.1:8080", &[]);
        let refused = refusal(&names, &Uri::from_static("/v1/models"), &headers);
        let said = refused.expect("another name").message().to_owned();
        assert!(said.contains("proxy_set_header Host $http_host;"), "{said}");
        assert!(said.contains("[server] hosts"), "{said}");
    }

    #[test]
    fn on_the_network_every_name_is_answered_until_some_are_listed() {
        assert_eq!(status(&names("0.0.0.0:80", &[]), "vault.example"), 200);
        for listen in ["0.0.0.0:80", "[::]:80", "127.0.0.1:80"] {
            let names = names(
                listen,
                &["vault.example", "*.inner.example", "a.example:8443"],
            );
            for (host, expected) in [
                ("vault.example", 200),
                ("Vault.Example.:81", 200),
                ("a.example", 200),
                ("b.inner.example", 200),
                ("c.b.inner.example", 200),
                ("10.1.2.3:80", 200),
                ("localhost", 200),
                ("inner.example", 421),
                ("evilinner.example", 421),
                ("x.vault.example", 421),
                ("example", 421),
            ] {
                assert_eq!(status(&names, host), expected, "{listen} {host}");
            }
        }
        assert_eq!(status(&names("127.0.0.1:80", &["*"]), "any.example"), 200);
    }

    #[test]
    fn the_name_in_the_target_counts_as_well() {
        let names = names("127.0.0.1:8080", &[]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().expect("a value"));
        let target = Uri::from_static("http://evil.example/metrics");
        assert!(refusal(&names, &target, &headers).is_some());
        assert!(refusal(&names, &target, &HeaderMap::new()).is_some());
        let target = Uri::from_static("https://localhost/metrics");
        assert!(refusal(&names, &target, &HeaderMap::new()).is_none());
    }
}

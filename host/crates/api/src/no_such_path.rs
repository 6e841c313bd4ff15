//! Answers requests for unknown paths. Most of them come from OpenAI's clients with a wrong base
//! URL.

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName};
use tavora_server::{Arrival, IsTls};

use super::ApiError;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Parts of paths that OpenAI's clients request.
const OPENAI: [&str; 12] = [
    "/v1/",
    "/openai/",
    "/audio",
    "/batches",
    "/completions",
    "/embeddings",
    "/engines",
    "/files",
    "/images",
    "/models",
    "/moderations",
    "/responses",
];

/// Ends of paths that only OpenAI's clients request, under any base URL.
const ROUTES: [&str; 5] = [
    "/chat/completions",
    "/completions",
    "/models",
    "/embeddings",
    "/responses",
];

/// Returns the error for an unknown path. It has OpenAI's fields too, because a client with a wrong
/// base URL can request any path.
pub fn refusal(request: &Request) -> ApiError {
    let path = request.uri().path();
    let advice = match OPENAI.iter().any(|part| path.contains(part)) {
        true => {
            let scheme = scheme(request.extensions(), request.headers());
            format!(
                "clients of OpenAI's have the base URL {scheme}://HOST/v1, where there are /chat/completions and /models"
            )
        }
        false => "/openapi.json lists what there is".to_owned(),
    };
    ApiError::not_found(format!("there is nothing at this path; {advice}")).for_openai()
}

/// Whether a path ends in a route of OpenAI's API.
pub fn is_for_openai(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.contains("/v1/models/") || ROUTES.iter().any(|route| path.ends_with(route))
}

/// Returns the scheme that the client used, as a trusted proxy reports it, or as the socket has it.
fn scheme(extensions: &Extensions, headers: &HeaderMap) -> &'static str {
    let told = Arrival::of(extensions).told_by_proxy(headers, &X_FORWARDED_PROTO);
    let is_tls = match told {
        Some(told) => told.eq_ignore_ascii_case("https"),
        None => extensions.get::<IsTls>().is_some(),
    };
    if is_tls { "https" } else { "http" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_the_clients() {
        let proxied = |is_by_proxy| Arrival {
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            is_by_proxy,
        };
        let request = |told: &str, is_by_proxy, is_tls: bool| {
            let mut request = Request::new(axum::body::Body::empty());
            request.extensions_mut().insert(proxied(is_by_proxy));
            if is_tls {
                request.extensions_mut().insert(IsTls);
            }
            let told = told.parse().expect("a value");
            request.headers_mut().insert(X_FORWARDED_PROTO, told);
            *request.uri_mut() = "/models".parse().expect("a path");
            refusal(&request).message().contains("https://HOST/v1")
        };
        assert!(request("https", true, false));
        assert!(!request("http", true, true));
        assert!(
            !request("https", false, false),
            "a stranger is not believed"
        );
        assert!(request("http", false, true));
    }

    #[test]
    fn a_route_of_openais_is_known_by_its_end() {
        for path in [
            "/admin/chat/completions",
            "/admin/v1/chat/completions",
            "/v1/chat/completions/",
            "/admin/models",
            "/admin/v1/models/gpt-4o",
            "/admin/embeddings",
            "/admin/responses",
        ] {
            assert!(is_for_openai(path), "{path}");
        }
        for path in ["/admin/apps", "/admin/model", "/admin/kek", "/admin/chat"] {
            assert!(!is_for_openai(path), "{path}");
        }
    }
}

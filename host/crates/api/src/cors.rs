//! Which web pages may use the app's routes from a browser: none, unless the operator lists their
//! origins.
//!
//! The operator's routes and the page at `/admin` are never opened. A program outside a browser is
//! not held up by any of this.

use axum::http::header::{
    AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use tavora_egress::Origin;
use tavora_telemetry::request_id::REQUEST_ID_HEADER;

/// The layer for these origins; nothing for none, so that answers say nothing of cross-origin use.
pub fn layer(allowed: &[Origin]) -> Option<CorsLayer> {
    if allowed.is_empty() {
        return None;
    }
    let origins = allowed.iter().map(|origin| {
        HeaderValue::try_from(origin.to_string()).expect("an origin is visible ASCII")
    });
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            HeaderName::from_static("x-api-key"),
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            REQUEST_ID_HEADER,
        ])
        .expose_headers([CONTENT_DISPOSITION, ETAG, REQUEST_ID_HEADER, RETRY_AFTER]);
    Some(layer)
}

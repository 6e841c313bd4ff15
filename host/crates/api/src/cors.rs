//! Lets web pages of the listed origins use the app's routes from a browser. By default there are
//! none.
//!
//! The operator's routes and the page at `/admin` are never opened to other origins. Programs
//! outside a browser are not affected.

use axum::http::header::{
    AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use tavora_egress::Origin;
use tavora_telemetry::request_id::REQUEST_ID_HEADER;

/// Returns the layer for these origins. Without origins there is no layer, and answers have no CORS
/// headers.
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

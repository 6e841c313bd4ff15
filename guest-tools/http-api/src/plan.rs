//! The request that an operation makes, before the credential is in it.

use crate::body::Body;
use crate::path::Path;
use crate::query::Query;

/// A request without its credential.
#[derive(Debug)]
pub struct Plan {
    /// The method, in capitals.
    pub method: String,
    /// The path below `base_url`.
    pub path: Path,
    /// The query.
    pub query: Query,
    /// The headers that the agent set. Their names are declared.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Body>,
    /// Whether the result tells links and rate limits beside the body.
    pub wants_meta: bool,
}

//! The HTTP API. What of it is not a route of its own is in the files below.

pub mod request_id;

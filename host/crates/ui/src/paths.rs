//! Where the pages are that others lead to.

/// Where the page is; its cookies go nowhere else.
pub const ROOT: &str = "/admin";

/// The page about the platform's keys.
pub(super) const KEK: &str = "/admin/kek";

//! Paths of pages that other pages link to.

/// The path of the whole page. Its cookies are limited to this path.
pub const ROOT: &str = "/admin";

/// The page about the platform's keys.
pub(super) const KEK: &str = "/admin/kek";

//! The address and the name of Brave Search.

use trusted_tool::request::BaseUrl;
use trusted_tool::{ToolError, setting};

/// The name of the upstream in errors.
pub const UPSTREAM: &str = "Brave Search";

/// The base URL without a setting.
pub const DEFAULT_BASE_URL: &str = "https://api.search.brave.com";

/// The setting `base_url`, or Brave's own address.
///
/// # Errors
/// `tool_failed`: the setting is no such URL.
pub fn base_url() -> Result<BaseUrl, ToolError> {
    let text = setting::text("base_url")?;
    BaseUrl::parse(text.as_deref().unwrap_or(DEFAULT_BASE_URL)).ok_or_else(|| {
        setting::invalid(
            "base_url",
            "an http or https URL without user, query and fragment",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_base_url_parses() {
        let base = BaseUrl::parse(DEFAULT_BASE_URL).expect("valid");
        assert_eq!(base.origin(), DEFAULT_BASE_URL);
    }
}

//! A tool's settings: what the operator wrote in `[tools.NAME.config]`, read through `wasi:config`.
//! Credentials are never settings; they come only from the vault.

use crate::ToolError;
use crate::bindings::wasi::config::store;
use crate::tool_error;
use std::ops::RangeInclusive;

/// The setting `key`, or `None` when it is not set.
///
/// # Errors
/// `tool_failed` when the configuration cannot be read.
pub fn text(key: &str) -> Result<Option<String>, ToolError> {
    store::get(key).map_err(|_| {
        tool_error(
            "tool_failed",
            format!("the tool's setting \"{key}\" cannot be read; tell the operator"),
        )
    })
}

/// The whole number under `key`, or `default` when it is not set.
///
/// # Errors
/// `tool_failed` when it is no whole number or lies outside `range`.
pub fn number(key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, ToolError> {
    match text(key)? {
        Some(text) => parse_number(key, &text, range),
        None => Ok(default),
    }
}

/// The error for an unusable setting; `expected` says what is usable.
pub fn invalid(key: &str, expected: &str) -> ToolError {
    tool_error(
        "tool_failed",
        format!("the tool's setting \"{key}\" is not {expected}; the operator must correct it"),
    )
}

fn parse_number(key: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, ToolError> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            invalid(key, &expected)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_and_in_its_range() {
        assert_eq!(parse_number("k", " 7 ", 1..=9).ok(), Some(7));
        for wrong in ["0", "10", "-1", "7.0", "", "seven"] {
            let error = parse_number("k", wrong, 1..=9).expect_err(wrong);
            assert_eq!(error.code, "tool_failed");
            assert_eq!(
                error.message,
                "the tool's setting \"k\" is not a whole number from 1 to 9; \
                 the operator must correct it"
            );
        }
    }
}

//! The headers that an agent may set. The entry or the document declares them. Headers that say who
//! asks, or whom, are not among them, and no value contains the end of a line.

use trusted_tool::ToolError;

use crate::input::invalid;

/// Limits the value of a header, in bytes.
pub const MAX_VALUE_BYTES: usize = 4_096;

/// Returns the value, if it can stand in a header.
///
/// # Errors
/// `invalid_input` naming the header: the value would end the line, or is too long.
pub fn checked(name: &str, value: String) -> Result<String, ToolError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(invalid(format!(
            "the header {name:?} has more than {MAX_VALUE_BYTES} bytes"
        )));
    }
    let is_visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !value.bytes().all(is_visible) {
        return Err(invalid(format!(
            "the header {name:?} holds a line end, a control character, or what is not ASCII"
        )));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_would_be_more_than_a_value_is_refused() {
        assert!(checked("x", "W/\"a b\"".to_owned()).is_ok());
        assert!(checked("x", "a".repeat(MAX_VALUE_BYTES)).is_ok());
        for wrong in ["a\r\nHost: b", "a\nb", "a\0", "a\tb", "é"] {
            let error = checked("x", wrong.to_owned()).expect_err(wrong);
            assert_eq!(error.code, "invalid_input");
        }
        assert!(checked("x", "a".repeat(MAX_VALUE_BYTES + 1)).is_err());
    }
}

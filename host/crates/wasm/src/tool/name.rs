//! The name of a tool.

use schemars::JsonSchema;
use serde::Deserialize;

/// The name of a tool: 1 to 64 characters of `a-z 0-9 - _`, beginning with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct ToolName(String);

impl ToolName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ToolName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_well && name.len() <= 64 && name.chars().all(plain) {
            Ok(Self(name))
        } else {
            Err(format!(
                "{name:?} is not a tool's name: 1 to 64 characters of a-z, 0-9, - and _, a letter first"
            ))
        }
    }
}

//! Writes values and sentences in the form of the generated files. Holds names that several files
//! use.

use serde_json::Value;

/// The command that generates the files. Each file and their test name it.
pub const COMMAND: &str = "cargo xtask reference";

/// The path of the schema from the root of the repository.
pub(super) const SCHEMA: &str = "docs/tavora.schema.json";

/// Returns a value as TOML, on one line.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Number(number) => grouped(&number.to_string()),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(toml).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{key} = {}", toml(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        // A JSON string is also a basic string of TOML.
        other => other.to_string(),
    }
}

/// Puts an underscore between groups of three digits.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// Returns a value of this kind in a larger unit, such as `4 MiB` or `30 min`. Returns `None` if
/// the number would not be whole.
pub(super) fn in_larger_unit(kind: &str, value: &Value) -> Option<String> {
    let units: &[(u64, &str)] = match kind {
        "bytes" => &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")],
        "milliseconds" => &[(3_600_000, "h"), (60_000, "min"), (1_000, "s")],
        _ => return None,
    };
    let value = value.as_u64().filter(|value| *value > 0)?;
    let (size, unit) = units.iter().find(|(size, _)| value % size == 0)?;
    Some(format!("{} {unit}", value / size))
}

/// Splits a text into lines of at most `width` characters, between words.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns a text as a cell of a Markdown table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_toml_reads_them() {
        let value = json!({ "a": [1_234_567, 999], "b": "say \"no\"", "c": { "d": true } });
        let text = toml(&value);
        assert_eq!(
            text,
            r#"{ a = [1_234_567, 999], b = "say \"no\"", c = { d = true } }"#
        );
        let read: Value = toml::from_str(&format!("it = {text}")).expect("it is TOML");
        assert_eq!(read["it"], value);
    }

    #[test]
    fn only_whole_numbers_have_a_larger_unit() {
        for (kind, value, expected) in [
            ("bytes", 4 << 20, Some("4 MiB")),
            ("bytes", 65_535, None),
            ("milliseconds", 1_800_000, Some("30 min")),
            ("milliseconds", 500, None),
            ("milliseconds", 0, None),
            ("number", 1_024, None),
        ] {
            let found = in_larger_unit(kind, &json!(value));
            assert_eq!(found.as_deref(), expected, "{value} {kind}");
        }
    }

    #[test]
    fn lines_are_as_wide_as_they_may_be() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible", 7), ["incomprehensible"]);
    }
}

//! Reads YAML (1.2, core schema) as JSON values, from the events of a parser. An alias is written
//! out at its place. The copy counts with all its values, so that a few lines of aliases of aliases
//! end at `limits.openapi.max_nodes`.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use crate::DocumentLimits;
use crate::budget::{Budget, DocumentError};

/// The key under which a map takes over the fields of other maps (YAML 1.1).
const MERGE: &str = "<<";

/// A list or a map whose end is not read yet.
struct Open {
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Map {
        fields: Map<String, Value>,
        key: Option<String>,
        merged: Vec<Value>,
    },
}

struct Composer<'b> {
    budget: &'b Budget,
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    root: Option<Value>,
}

/// Reads the first YAML document of a text.
pub(crate) fn read(text: &str, limits: &DocumentLimits) -> Result<Value, DocumentError> {
    let budget = Budget::new(limits);
    let mut composer = Composer {
        budget: &budget,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = (error.marker().line(), error.marker().col() + 1);
            let message = error.info();
            DocumentError::Syntax(format!("line {line}, column {column}: {message}"))
        })?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        composer.take(event).map_err(|fault| match fault {
            Fault::Limit(error) => error,
            Fault::Text(message) => {
                let line = span.start.line();
                DocumentError::Syntax(format!("line {line}: {message}"))
            }
        })?;
    }
    Ok(composer.root.unwrap_or(Value::Null))
}

enum Fault {
    Limit(DocumentError),
    Text(String),
}

impl Composer<'_> {
    fn take(&mut self, event: Event<'_>) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count()?;
                let is_text = tag.as_ref().is_some_and(|tag| tag.suffix == "str");
                let value = match style {
                    ScalarStyle::Plain if !is_text => plain(&text),
                    _ => Value::from(text.into_owned()),
                };
                self.add(value, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(
                anchor,
                Kind::Map {
                    fields: Map::new(),
                    key: None,
                    merged: Vec::new(),
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Err(Fault::Text("something ends that did not begin".to_owned()));
                };
                self.add(open.kind.finished(), open.anchor)
            }
            Event::Alias(anchor) => {
                let Some(value) = self.anchors.get(&anchor) else {
                    return Err(Fault::Text(
                        "an alias stands for what has not ended yet".to_owned(),
                    ));
                };
                count_all(value, self.budget, self.open.len())?;
                let value = value.clone();
                self.add(value, 0)
            }
            _ => Ok(()),
        }
    }

    fn count(&self) -> Result<(), Fault> {
        self.budget.take(self.open.len()).map_err(Fault::Limit)
    }

    fn begin(&mut self, anchor: usize, kind: Kind) -> Result<(), Fault> {
        self.count()?;
        self.open.push(Open { anchor, kind });
        Ok(())
    }

    /// Puts a finished value into the list or the map that it belongs to.
    fn add(&mut self, value: Value, anchor: usize) -> Result<(), Fault> {
        if anchor > 0 {
            // The copy takes from the budget like any other value.
            count_all(&value, self.budget, self.open.len())?;
            self.anchors.insert(anchor, value.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(list) => list.push(value),
            Kind::Map {
                fields,
                key,
                merged,
            } => match key.take() {
                None => *key = Some(as_key(value)?),
                Some(name) if name == MERGE => merged.push(value),
                Some(name) => {
                    if fields.contains_key(&name) {
                        let shown: String = name.chars().take(64).collect();
                        return Err(Fault::Text(format!("the key {shown:?} is here twice")));
                    }
                    fields.insert(name, value);
                }
            },
        }
        Ok(())
    }
}

impl Kind {
    fn finished(self) -> Value {
        match self {
            Self::List(list) => Value::Array(list),
            Self::Map {
                mut fields, merged, ..
            } => {
                let sources = merged.into_iter().flat_map(|value| match value {
                    Value::Array(list) => list,
                    value => vec![value],
                });
                for source in sources {
                    let Value::Object(source) = source else {
                        continue;
                    };
                    for (name, value) in source {
                        fields.entry(name).or_insert(value);
                    }
                }
                Value::Object(fields)
            }
        }
    }
}

/// Counts a value with all values within it, as a copy at this depth.
fn count_all(value: &Value, budget: &Budget, depth: usize) -> Result<(), Fault> {
    budget.take(depth).map_err(Fault::Limit)?;
    match value {
        Value::String(text) => budget.take_text(text.len()).map_err(Fault::Limit),
        Value::Array(list) => list
            .iter()
            .try_for_each(|value| count_all(value, budget, depth + 1)),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            budget.take_text(key.len()).map_err(Fault::Limit)?;
            count_all(value, budget, depth + 1)
        }),
        _ => Ok(()),
    }
}

/// Returns the name of a field. A number or a boolean becomes text: responses are often named by
/// numbers.
fn as_key(value: Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(_) | Value::Object(_) => {
            Err(Fault::Text("a key is a list or a map".to_owned()))
        }
        other => Ok(other.to_string()),
    }
}

/// Returns the value of a plain scalar by the core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_decimal = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if is_decimal(digits) {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = unsigned.parse::<i64>() {
            return number.into();
        }
        if let Ok(number) = unsigned.parse::<u64>() {
            return number.into();
        }
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        let number = text.strip_prefix(prefix);
        if let Some(number) = number.and_then(|it| i64::from_str_radix(it, radix).ok()) {
            return number.into();
        }
    }
    let looks_like_a_number = digits.starts_with(|it: char| it.is_ascii_digit() || it == '.')
        && digits
            .bytes()
            .all(|it| it.is_ascii_digit() || b".eE+-".contains(&it));
    let number = text
        .parse()
        .ok()
        .filter(|_| looks_like_a_number)
        .and_then(Number::from_f64);
    number.map_or_else(|| Value::from(text), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Value {
        read(text, &DocumentLimits::default()).expect(text)
    }

    #[test]
    fn scalars_are_read_by_the_core_schema() {
        for (text, expected) in [
            ("a: 7", json!({"a": 7})),
            ("a: -7", json!({"a": -7})),
            ("a: 1.5e3", json!({"a": 1500.0})),
            ("a: 0x1f", json!({"a": 31})),
            ("a: true", json!({"a": true})),
            ("a: yes", json!({"a": "yes"})),
            ("a: on", json!({"a": "on"})),
            ("a: '7'", json!({"a": "7"})),
            ("a: \"true\"", json!({"a": "true"})),
            ("a: !!str 7", json!({"a": "7"})),
            ("a: 1.2.3", json!({"a": "1.2.3"})),
            ("a: 2024-01-01", json!({"a": "2024-01-01"})),
            ("a: .", json!({"a": "."})),
            (
                "a: 18446744073709551615",
                json!({"a": 18_446_744_073_709_551_615_u64}),
            ),
            ("a:", json!({"a": null})),
            ("a: ~", json!({"a": null})),
            ("200: ok", json!({"200": "ok"})),
            ("a: |\n  x\n  y\n", json!({"a": "x\ny\n"})),
            ("- 1\n- [2, {b: c}]", json!([1, [2, {"b": "c"}]])),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn aliases_and_merges_are_written_out() {
        let text =
            "base: &b {x: 1, y: 2}\nsame: *b\nmore:\n  <<: *b\n  y: 3\nlist:\n  <<: [*b, {z: 4}]\n";
        assert_eq!(
            value(text),
            json!({
                "base": {"x": 1, "y": 2}, "same": {"x": 1, "y": 2},
                "more": {"y": 3, "x": 1}, "list": {"x": 1, "y": 2, "z": 4},
            })
        );
    }

    #[test]
    fn aliases_of_aliases_end_at_the_limit() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..40 {
            let alias = format!("*a{}", at - 1);
            let list = vec![alias; 9].join(", ");
            text.push_str(&format!("a{at}: &a{at} [{list}]\n"));
        }
        let refusal = read(&text, &DocumentLimits::default()).expect_err("a bomb");
        assert_eq!(refusal, DocumentError::TooManyNodes(2_000_000));
    }

    #[test]
    fn aliases_of_long_text_end_at_the_limit() {
        let limits = DocumentLimits {
            max_document_bytes: 10_000,
            ..DocumentLimits::default()
        };
        let text = |aliases: usize| {
            let list = vec!["*a"; aliases].join(", ");
            format!("a: &a {}\nb: [{list}]\n", "x".repeat(1_000))
        };
        read(&text(8), &limits).expect("it is within the limit");
        let refusal = read(&text(100), &limits).expect_err("a bomb");
        assert_eq!(refusal, DocumentError::TooMuchText(10_000));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (text, message) in [
            ("a: 1\nb: [", "line 3"),
            ("a: 1\na: 2", "the key \"a\" is here twice"),
            ("a: &x [*x]", "an alias stands for what has not ended yet"),
            ("[a]: 1", "a key is a list or a map"),
            ("a: *nowhere", "line 1"),
        ] {
            let refusal = read(text, &DocumentLimits::default()).expect_err(text);
            let refusal = refusal.to_string();
            assert!(refusal.contains(message), "{text}: {refusal}");
        }
    }
}

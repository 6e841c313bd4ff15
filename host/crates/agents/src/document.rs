//! Reads JSON with comments and trailing commas, key by key, and gives every fault a position.
//!
//! The keys and their meaning belong to `declaration`. All faults are collected, not only the
//! first, so that a file can be corrected in one go.

use std::fmt;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::Serialize;
use vault_core::is_invisible;

use super::agent::shortened;
use tavora_trust::nearest::nearest;

/// A fault in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    pub line: usize,
    pub column: usize,
    /// The fault, and the correction.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// JSON (RFC 8259) plus comments and trailing commas, and nothing else.
const SYNTAX: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The text of a file, and the faults found in it so far.
pub(super) struct Document<'a> {
    text: &'a str,
    pub faults: Vec<Fault>,
}

/// A value of the file, with its position.
#[derive(Clone, Copy)]
pub(super) struct Node<'v> {
    value: &'v Value<'v>,
}

/// The keys of one object that were not read yet.
pub(super) struct Fields<'v> {
    /// The name of the object in messages.
    what: &'static str,
    place: Range,
    left: Vec<Field<'v>>,
    known: Vec<&'static str>,
}

struct Field<'v> {
    name: String,
    place: Range,
    value: &'v Value<'v>,
}

impl<'a> Document<'a> {
    /// Parses `text` and passes its value to `read`. Faults are sorted by position.
    pub(super) fn read<T>(
        text: &'a str,
        read: impl FnOnce(&mut Self, Node<'_>) -> Option<T>,
    ) -> Result<T, Vec<Fault>> {
        let mut document = Self {
            text,
            faults: Vec::new(),
        };
        let mut found = None;
        match parse_to_ast(text, &CollectOptions::default(), &SYNTAX) {
            Err(error) => {
                let said = error.kind().to_string();
                let message = document.odd_character(error.range()).unwrap_or(said);
                document.fault(error.range(), message);
            }
            Ok(parsed) => match &parsed.value {
                None => document.fault(Range::new(0, 0), "the file is empty".to_owned()),
                Some(value) => found = read(&mut document, Node { value }),
            },
        }
        document.faults.sort();
        match found {
            Some(found) if document.faults.is_empty() => Ok(found),
            _ => Err(document.faults),
        }
    }

    /// Returns the line and the column of a value.
    pub(super) fn place(&self, node: Node<'_>) -> (usize, usize) {
        self.place_at(node.value.range())
    }

    /// Records a fault of a value.
    pub(super) fn wrong(&mut self, node: Node<'_>, message: impl Into<String>) {
        self.fault(node.value.range(), message.into());
    }

    /// Returns the fields of an object and records duplicate keys. `what` is its name in messages.
    pub(super) fn fields<'v>(&mut self, node: Node<'v>, what: &'static str) -> Option<Fields<'v>> {
        let Value::Object(object) = node.value else {
            self.expected(node, &format!("{what} must be an object"));
            return None;
        };
        let left = self.distinct(object);
        Some(Fields {
            what,
            place: object.range,
            left,
            known: Vec::new(),
        })
    }

    /// Returns the value of a required key.
    pub(super) fn required<'v>(
        &mut self,
        fields: &mut Fields<'v>,
        name: &'static str,
    ) -> Option<Node<'v>> {
        let found = self.optional(fields, name);
        if found.is_none() {
            let place = Range::new(fields.place.start, fields.place.start);
            self.fault(place, format!("{} has no \"{name}\"", fields.what));
        }
        found
    }

    /// Returns the value of an optional key.
    pub(super) fn optional<'v>(
        &mut self,
        fields: &mut Fields<'v>,
        name: &'static str,
    ) -> Option<Node<'v>> {
        fields.known.push(name);
        let at = fields.left.iter().position(|field| field.name == name)?;
        let value = fields.left.swap_remove(at).value;
        Some(Node { value })
    }

    /// Records every key that was not read as unknown.
    pub(super) fn end(&mut self, fields: Fields<'_>) {
        for field in &fields.left {
            let suggestion = nearest(&field.name, fields.known.iter().copied())
                .map(|known| format!("; did you mean \"{known}\"?"))
                .unwrap_or_else(|| format!("; it has {}", quoted(&fields.known)));
            let message = format!(
                "{} has no key {}{suggestion}",
                fields.what,
                shown(&field.name)
            );
            self.fault(field.place, message);
        }
    }

    /// Returns a string value.
    pub(super) fn text(&mut self, node: Node<'_>, what: &str) -> Option<String> {
        match node.value {
            Value::StringLit(text) => Some(text.value.to_string()),
            _ => {
                self.expected(node, &format!("{what} must be a string"));
                None
            }
        }
    }

    /// Returns a string value that `parse` accepts.
    pub(super) fn parsed<T, E: fmt::Display>(
        &mut self,
        node: Node<'_>,
        what: &str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        let hidden = invisible_in(&text);
        match (parse(text), hidden) {
            (Ok(parsed), _) => Some(parsed),
            (Err(error), None) => {
                self.wrong(node, error.to_string());
                None
            }
            (Err(error), Some(hidden)) => {
                self.wrong(node, format!("{error}; it {hidden}"));
                None
            }
        }
    }

    /// Returns the keys of an object that may have any keys, each with its value.
    pub(super) fn entries<'v>(&mut self, node: Node<'v>, what: &str) -> Vec<(String, Node<'v>)> {
        let Value::Object(object) = node.value else {
            self.expected(node, &format!("{what} must be an object"));
            return Vec::new();
        };
        let fields = self.distinct(object).into_iter();
        fields
            .map(|field| (field.name, Node { value: field.value }))
            .collect()
    }

    /// The elements of an array.
    pub(super) fn elements<'v>(&mut self, node: Node<'v>, what: &str) -> Vec<Node<'v>> {
        match node.value {
            Value::Array(array) => array.elements.iter().map(|value| Node { value }).collect(),
            _ => {
                self.expected(node, &format!("{what} must be an array"));
                Vec::new()
            }
        }
    }

    /// Names the character at a syntax error, if it is invisible or looks like another one.
    fn odd_character(&self, place: Range) -> Option<String> {
        let c = self.text.get(place.start..)?.chars().next()?;
        let code = u32::from(c);
        if matches!(c, '\n' | '\r' | '\t') || c.is_ascii_graphic() {
            None
        } else if is_invisible(c) {
            Some(format!(
                "the invisible character U+{code:04X} stands here; delete it"
            ))
        } else if c.is_ascii() {
            None
        } else {
            Some(format!(
                "the character {c} (U+{code:04X}) is no part of JSON; delete it or write it in ASCII"
            ))
        }
    }

    fn distinct<'v>(&mut self, object: &'v Object<'v>) -> Vec<Field<'v>> {
        let mut distinct: Vec<Field<'v>> = Vec::new();
        for property in &object.properties {
            let name = property.name.as_str().to_owned();
            let place = property.name.range();
            if distinct.iter().any(|field| field.name == name) {
                self.fault(place, format!("the key {} is here twice", shown(&name)));
            } else {
                distinct.push(Field {
                    name,
                    place,
                    value: &property.value,
                });
            }
        }
        distinct
    }

    fn expected(&mut self, node: Node<'_>, message: &str) {
        let kind = match node.value {
            Value::StringLit(_) => "a string",
            Value::NumberLit(_) => "a number",
            Value::BooleanLit(_) => "true or false",
            Value::Object(_) => "an object",
            Value::Array(_) => "an array",
            Value::NullKeyword(_) => "null",
        };
        self.wrong(node, format!("{message}, and is {kind}"));
    }

    fn fault(&mut self, place: Range, message: String) {
        let (line, column) = self.place_at(place);
        self.faults.push(Fault {
            line,
            column,
            message,
        });
    }

    fn place_at(&self, range: Range) -> (usize, usize) {
        let start = self.text.floor_char_boundary(range.start);
        let before = &self.text[..start];
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// Names the first invisible character in a text and its position.
pub(super) fn invisible_in(text: &str) -> Option<String> {
    let mut characters = (1..).zip(text.chars());
    let (position, c) = characters.find(|(_, c)| is_invisible(*c))?;
    let code = u32::from(c);
    Some(format!(
        "has an invisible character (U+{code:04X}) at position {position}; delete that"
    ))
}

/// Quotes a name for a message and shortens it. Characters that would steer a terminal or begin a
/// new line of a log are escaped.
fn shown(name: &str) -> String {
    format!("{:?}", shortened(name))
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}

//! Decodes the fields of a form or a query strictly. Text that is not UTF-8 is refused and never
//! repaired: a credential that was changed on the way would be stored as if it were correct.
//!
//! The type that a page parses a field into decides what the field may hold.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use super::problem::Problem;

/// The most fields in a form or a query. The longest form has seven.
const MAX_FIELDS: usize = 32;

/// Names and values. Values are cleared when dropped, because one may be a credential.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// Decodes `application/x-www-form-urlencoded`.
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Problem> {
        let mut fields = Vec::new();
        for pair in encoded
            .split(|byte| *byte == b'&')
            .filter(|it| !it.is_empty())
        {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match at {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[pair.len()..]),
            };
            let name = decode(name)?.to_string();
            if fields.len() == MAX_FIELDS {
                return Err(Problem::bad_form("it has too many fields"));
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(Problem::bad_form("it has a field twice"));
            }
            fields.push((name, decode(value)?));
        }
        Ok(Self(fields))
    }

    /// Whether a field with this name was sent.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Takes a credential out of the fields, so that no copy stays here.
    pub(super) fn take(&mut self, name: &str) -> Zeroizing<String> {
        let field = self.0.iter_mut().find(|(known, _)| known == name);
        field.map_or_else(Default::default, |(_, value)| std::mem::take(value))
    }

    /// Returns a field's text, or an empty text if the field is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map_or("", |(_, value)| value)
    }

    /// Returns a field's text without surrounding blanks, or nothing if it is blank.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }
}

/// Parses a field for date and time: UTC, to the minute or finer.
pub(super) fn utc_time(text: &str) -> Result<Timestamp, NotATime> {
    let with_zone = text.parse::<Timestamp>();
    with_zone.or_else(|_| {
        let civil: DateTime = text.parse().map_err(|_| NotATime)?;
        let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| NotATime)?;
        Ok(zoned.timestamp())
    })
}

/// The text is not a time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no date and time; write it like 2030-12-31T23:59")]
pub(super) struct NotATime;

fn decode(encoded: &[u8]) -> Result<Zeroizing<String>, Problem> {
    let spaced: Zeroizing<Vec<u8>> = Zeroizing::new(
        encoded
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect(),
    );
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(Problem::bad_form("it is not UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let fields =
            Fields::parse(b"a=1+2%2B3&b=%C3%BC&empty=&bare&sum==x").unwrap_or_else(|_| panic!());
        assert_eq!(fields.text("a"), "1 2+3");
        assert_eq!(fields.text("b"), "ü");
        assert_eq!(fields.text("empty"), "");
        assert_eq!(fields.text("bare"), "");
        assert_eq!(fields.text("sum"), "=x");
        assert_eq!(fields.text("absent"), "");
        assert_eq!(fields.given("empty"), None);
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let at = |text| utc_time(text).map(|at| at.to_string());
        assert_eq!(
            at("2030-12-31T23:59"),
            Ok("2030-12-31T23:59:00Z".to_owned())
        );
        assert_eq!(
            at("2030-12-31T23:59+02:00"),
            Ok("2030-12-31T21:59:00Z".to_owned())
        );
        assert_eq!(at("tomorrow"), Err(NotATime));
    }

    #[test]
    fn what_is_not_utf_8_there_twice_or_too_much_is_refused() {
        let many = |fields: usize| (0..fields).map(|n| format!("f{n}=&")).collect::<String>();
        for bad in ["a=%FF", "%FF=a", "a=1&a=2", &many(33)] {
            assert!(Fields::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Fields::parse(many(32).as_bytes()).is_ok());
    }
}

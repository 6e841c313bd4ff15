//! Numbers in JSON that JavaScript's numbers cannot hold.
//!
//! JavaScript has doubles. Integers that would lose digits, such as identifiers of 64 bits, and
//! numbers beyond every double become strings. So the program gets all digits and can pass them on.
//! A decimal fraction stays a number, because programs calculate with it. The first one that is
//! rounded is reported.
//!
//! The JSON is assumed to be valid. The parser refuses what is not.

use std::borrow::Cow;

/// Numbers up to this length always fit if they have no exponent: a double holds every 15 digits.
const SURELY_FITS: usize = 15;

/// The most significant digits that a double has, written out to its last one.
const MAX_DIGITS_OF_A_DOUBLE: usize = 767;

/// A JSON text that JavaScript can hold.
pub struct Settled<'a> {
    pub json: Cow<'a, str>,
    /// The first number that became a string.
    pub as_text: Option<&'a str>,
    /// The first number that the parser will round.
    pub rounded: Option<&'a str>,
}

enum Verdict {
    Fits,
    Rounded,
    IsText,
}

/// Replaces numbers in `json` that would lose digits by strings.
pub fn settle(json: &str) -> Settled<'_> {
    let mut settled = Settled {
        json: Cow::Borrowed(json),
        as_text: None,
        rounded: None,
    };
    let mut copied = 0;
    for (start, number) in numbers(json) {
        match judge(number) {
            Verdict::Fits => {}
            Verdict::Rounded => {
                settled.rounded.get_or_insert(number);
            }
            Verdict::IsText => {
                if settled.as_text.is_none() {
                    settled.as_text = Some(number);
                    settled.json = Cow::Owned(String::with_capacity(json.len() + 64));
                }
                let text = settled.json.to_mut();
                text.push_str(&json[copied..start]);
                text.push('"');
                text.push_str(number);
                text.push('"');
                copied = start + number.len();
            }
        }
    }
    if let Cow::Owned(text) = &mut settled.json {
        text.push_str(&json[copied..]);
    }
    settled
}

/// The first number in a program that becomes another one, and its line. Texts, comments and
/// `BigInt` are left out, and so are decimal fractions, because programs calculate with those.
pub fn rounded_in_program(code: &str) -> Option<(usize, &str)> {
    let bytes = code.as_bytes();
    let is_of_a_word =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_$#".contains(byte) || *byte >= 0x80;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            quote @ (b'"' | b'\'' | b'`') => at = after_quote(bytes, at + 1, *quote),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = after(code, at, "\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = after(code, at + 2, "*/"),
            byte if is_of_a_word(byte) => {
                let start = at;
                let is_part = |at: usize| {
                    let is_sign = at > start
                        && matches!(bytes[at], b'+' | b'-')
                        && bytes[start].is_ascii_digit()
                        && !code[start..].starts_with("0x")
                        && bytes[at - 1] | 0x20 == b'e';
                    is_of_a_word(&bytes[at])
                        || is_sign
                        || bytes[at] == b'.' && bytes[start].is_ascii_digit()
                };
                while at < bytes.len() && is_part(at) {
                    at += 1;
                }
                let word = &code[start..at];
                if byte.is_ascii_digit() && changes(word) {
                    return Some((code[..start].matches('\n').count() + 1, word));
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Whether a number as JavaScript writes it is an integer that loses digits, or is too large.
fn changes(number: &str) -> bool {
    let plain = number.replace('_', "").to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = plain.strip_prefix(prefix) {
            let value = u128::from_str_radix(digits, radix);
            return value.is_ok_and(|value| value as f64 as u128 != value);
        }
    }
    matches!(judge(&plain), Verdict::IsText)
}

fn after(text: &str, at: usize, end: &str) -> usize {
    let found = text.get(at..).and_then(|rest| rest.find(end));
    found.map_or(text.len(), |found| at + found + end.len())
}

fn after_quote(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at + 1,
            // A quote in a regular expression begins no text that could go on in the next line.
            b'\n' if quote != b'`' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The numbers that are long enough to matter, each with its position.
fn numbers(json: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => at = after_string(bytes, at + 1),
                b'-' | b'0'..=b'9' => {
                    let start = at;
                    let mut has_exponent = false;
                    while let Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') = bytes.get(at) {
                        has_exponent |= bytes[at] | 0x20 == b'e';
                        at += 1;
                    }
                    if has_exponent || at - start > SURELY_FITS {
                        return Some((start, &json[start..at]));
                    }
                }
                _ => at += 1,
            }
        }
        None
    })
}

fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn judge(number: &str) -> Verdict {
    let Ok(double) = number.parse::<f64>() else {
        return Verdict::Fits;
    };
    if double.is_infinite() {
        return Verdict::IsText;
    }
    let (digits, exponent) = significant(number);
    // This is what JavaScript writes for the double.
    if significant(&format!("{double:e}")) == (digits.clone(), exponent) {
        return Verdict::Fits;
    }
    if !number.contains(['.', 'e', 'E']) {
        return Verdict::IsText;
    }
    // The sender wrote a double with more digits than it needs, as C's `%.17g` does.
    let count = digits.len();
    if count > 0
        && count <= MAX_DIGITS_OF_A_DOUBLE
        && significant(&format!("{double:.*e}", count - 1)) == (digits, exponent)
    {
        return Verdict::Fits;
    }
    Verdict::Rounded
}

/// The digits from the first to the last that is not zero, and the power of ten of the first one.
fn significant(number: &str) -> (String, i64) {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (number, 0),
    };
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    if significant.is_empty() {
        return (String::new(), 0);
    }
    let power = exponent + whole.len() as i64 - 1 - leading as i64;
    (significant.trim_end_matches('0').to_owned(), power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_javascript_has_it(json: &str) -> String {
        settle(json).json.into_owned()
    }

    #[test]
    fn an_integer_that_would_lose_digits_is_a_text() {
        for number in [
            "2047948614742839297",
            "-9223372036854775808",
            "9007199254740993",
            "18446744073709551616",
            "123456789012345678901234567890",
            "1e400",
            "-1e400",
        ] {
            let json = format!(r#"{{"id": {number}, "ids":[1,{number}]}}"#);
            let expected = format!(r#"{{"id": "{number}", "ids":[1,"{number}"]}}"#);
            let settled = settle(&json);
            assert_eq!(settled.json, expected);
            assert_eq!(settled.as_text, Some(number));
            assert_eq!(as_javascript_has_it(number), format!("\"{number}\""));
        }
    }

    #[test]
    fn a_number_that_fits_is_left_as_it_is() {
        for number in [
            "0",
            "-0",
            "-0.0",
            "0e0",
            "1e3",
            "9007199254740992",
            "-9007199254740991",
            "100000000000000000000",
            "1e300",
            "1.7976931348623157e308",
            "5e-324",
            "0.1",
            "0.30000000000000004",
            "0.10000000000000001",
            "0.1000000000000000055511151231257827021181583404541015625",
            "1.0000000000000000",
        ] {
            let settled = settle(number);
            assert!(matches!(settled.json, Cow::Borrowed(_)), "{number}");
            assert_eq!((settled.as_text, settled.rounded), (None, None), "{number}");
        }
    }

    #[test]
    fn a_fraction_with_more_digits_than_a_double_is_reported_and_stays_a_number() {
        for number in [
            "12345678901234567.89",
            "0.12345678901234567",
            "3.14159265358979323846",
            "2047948614742839297.0",
            "2047948614742839297e0",
            "1e-400",
        ] {
            let settled = settle(number);
            assert_eq!(settled.json, number);
            assert_eq!(settled.rounded, Some(number));
        }
    }

    #[test]
    fn what_stands_in_a_text_is_no_number() {
        let json =
            r#"{"2047948614742839297":"\"2047948614742839297","\\":"é 2047948614742839297 \\"}"#;
        let settled = settle(json);
        assert_eq!(settled.json, json);
        assert!(settled.as_text.is_none());
    }

    #[test]
    fn a_number_in_a_program_that_becomes_another_one_is_found() {
        for (code, found) in [
            ("return 2047948614742839297", (1, "2047948614742839297")),
            (
                "\nf(-9_007_199_254_740_993, 'é')",
                (2, "9_007_199_254_740_993"),
            ),
            ("x = 0x20000000000001", (1, "0x20000000000001")),
            ("const é = \"'\"; return 1e400", (1, "1e400")),
            (
                "s.replace(/'/g, '')\nreturn [9007199254740993]",
                (2, "9007199254740993"),
            ),
            ("/* ' */ 1.5 + 1e+400", (1, "1e+400")),
        ] {
            assert_eq!(rounded_in_program(code), Some(found), "{code}");
        }
        for code in [
            "",
            "return 2047948614742839297n",
            "'2047948614742839297' + \"2047948614742839297\" + `\n2047948614742839297`",
            "// 2047948614742839297\n/* 2047948614742839297 */",
            "id2047948614742839297 + 0.1234567890123456789 + 3.14159265358979323846",
            "9007199254740992 + 1e300 + 0xff + 1_000 + 100000000000000000000",
            "/* open 2047948614742839297",
            "'open \\",
        ] {
            assert_eq!(rounded_in_program(code), None, "{code}");
        }
    }

    #[test]
    fn what_is_no_json_is_left_to_the_parser() {
        for text in [
            "",
            "-",
            "--1e",
            "\"\\",
            "{",
            "1.2.3.4.5.6.7.8.9.10",
            "eeeeeee",
            "\"é",
        ] {
            assert_eq!(as_javascript_has_it(text), text);
        }
    }
}

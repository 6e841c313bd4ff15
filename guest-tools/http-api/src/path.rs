//! The path of a request below `base_url`. Each segment is checked in every form in which a server
//! may read it, and is sent in one form.
//!
//! No segment is empty, `.` or `..`, and none holds a slash or a backslash, whether it is written
//! plainly, percent-encoded, or percent-encoded more than once.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Limits how often a text is decoded in the search for a hidden slash or dot. Text that is encoded
/// more often is refused.
const MAX_DECODINGS: usize = 4;

/// The characters that are encoded: all but those that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Characters that may stand in a segment as they are, besides the unreserved ones. A semicolon is
/// not among them, because some servers cut a segment there.
const PLAIN_IN_SEGMENT: &str = "!$&'()*+,=:@";

/// A path that cannot leave `base_url`.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    segments: Vec<Segment>,
    ends_with_slash: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Segment {
    decoded: String,
    written: String,
}

impl Path {
    /// Parses a path that an agent wrote. Characters that no path can have are encoded.
    ///
    /// # Errors
    /// The fault, as the end of a sentence that begins with the path's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("does not begin with /".to_owned());
        };
        if text.contains(['?', '#']) {
            return Err("holds ? or #; put what belongs to the query into \"query\"".to_owned());
        }
        Self::of(rest, |segment| Ok((decode(segment)?, rewritten(segment))))
    }

    /// Fills the template of an operation, such as `/repos/{owner}/issues`. `value` returns the
    /// text for a name in braces.
    ///
    /// # Errors
    /// The fault, as the end of a sentence that begins with the path's name.
    pub fn fill(template: &str, value: impl Fn(&str) -> String) -> Result<Self, String> {
        let Some(rest) = template.strip_prefix('/') else {
            return Err("does not begin with /".to_owned());
        };
        Self::of(rest, |segment| {
            let (mut decoded, mut written) = (String::new(), String::new());
            let mut rest = segment;
            while let Some((literal, after)) = rest.split_once('{') {
                let (name, after) = after
                    .split_once('}')
                    .ok_or("has a { without its }".to_owned())?;
                let value = value(name);
                decoded.push_str(&decode(literal)?);
                decoded.push_str(&value);
                written.push_str(&rewritten(literal));
                written.extend(utf8_percent_encode(&value, RESERVED));
                rest = after;
            }
            decoded.push_str(&decode(rest)?);
            written.push_str(&rewritten(rest));
            Ok((decoded, written))
        })
    }

    fn of(
        rest: &str,
        parse: impl Fn(&str) -> Result<(String, String), String>,
    ) -> Result<Self, String> {
        let mut parts: Vec<&str> = rest.split('/').collect();
        let ends_with_slash = parts.last() == Some(&"") && parts.len() > 1;
        if ends_with_slash || parts == [""] {
            parts.pop();
        }
        let mut segments = Vec::new();
        for part in parts {
            let (decoded, written) = parse(part)?;
            check(&decoded)?;
            segments.push(Segment { decoded, written });
        }
        Ok(Self {
            segments,
            ends_with_slash,
        })
    }

    /// Returns the segments as a server reads them.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> {
        self.segments.iter().map(|it| it.decoded.as_str())
    }

    /// Returns the path as it stands in a request.
    pub fn written(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            path.push_str(&segment.written);
        }
        if self.ends_with_slash || path.is_empty() {
            path.push('/');
        }
        path
    }
}

/// Refuses a segment that some server may read as something else than one name.
fn check(decoded: &str) -> Result<(), String> {
    if decoded.is_empty() {
        return Err("has an empty segment (//)".to_owned());
    }
    let mut text = decoded.to_owned();
    for _ in 0..MAX_DECODINGS {
        // Some servers drop what follows a semicolon before they read a segment.
        let name = text.split(';').next().unwrap_or_default().trim();
        if name == "." || name == ".." {
            return Err("has a segment \"..\" or \".\", which would leave its place".to_owned());
        }
        if text.contains(['/', '\\']) {
            return Err("has a slash or a backslash inside of a segment".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("holds a control character".to_owned());
        }
        let next = decode(&text)?;
        if next == text {
            return Ok(());
        }
        text = next;
    }
    Err("is percent-encoded too many times over".to_owned())
}

fn decode(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "has an escape that is no UTF-8".to_owned())?;
    Ok(decoded.into_owned())
}

/// Returns a segment in the form in which it is sent. Escapes are kept, except for characters that
/// need none.
fn rewritten(segment: &str) -> String {
    let mut written = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(next) = rest.chars().next() {
        let digits = rest.get(1..3).filter(|_| next == '%');
        let digits = digits.filter(|it| it.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = escaped {
            let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            match is_plain {
                true => written.push(char::from(byte)),
                false => written.push_str(&format!("%{byte:02X}")),
            }
            rest = &rest[3..];
            continue;
        }
        let (character, after) = rest.split_at(next.len_utf8());
        match PLAIN_IN_SEGMENT.contains(next) {
            true => written.push(next),
            false => written.extend(utf8_percent_encode(character, RESERVED)),
        }
        rest = after;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_in_one_form() {
        for (text, written) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/b/", "/a/b/"),
            ("/chat.postMessage", "/chat.postMessage"),
            ("/a b/é", "/a%20b/%C3%A9"),
            ("/%61%2d/%c3%a9", "/a-/%C3%A9"),
            ("/v1/x:cancel", "/v1/x:cancel"),
            ("/v1/x%3acancel", "/v1/x%3Acancel"),
            ("/100%", "/100%25"),
            ("/%+1", "/%25+1"),
            ("/a;b=1", "/a%3Bb=1"),
            ("/...", "/..."),
            ("/a..b", "/a..b"),
        ] {
            let path = Path::parse(text).expect(text);
            assert_eq!(path.written(), written, "{text}");
        }
    }

    #[test]
    fn no_path_leaves_its_place_in_any_form() {
        const WAYS: [(&str, &str); 29] = [
            ("", "does not begin"),
            ("admin", "does not begin"),
            ("http://attacker.test/", "does not begin"),
            ("//attacker.test/x", "empty segment"),
            ("/a//b", "empty segment"),
            ("/a//", "empty segment"),
            ("/../admin", "\"..\""),
            ("/a/../../admin", "\"..\""),
            ("/a/..", "\"..\""),
            ("/./a", "\"..\" or \".\""),
            ("/%2e%2e/admin", "\"..\""),
            ("/%2E./admin", "\"..\""),
            ("/.%2e/admin", "\"..\""),
            ("/%252e%252e/admin", "\"..\""),
            ("/%25252e%25252e/admin", "\"..\""),
            ("/..;/admin", "\"..\""),
            ("/..%3bx/admin", "\"..\""),
            ("/.. /admin", "\"..\""),
            ("/..%20/admin", "\"..\""),
            ("/a%2fb", "slash"),
            ("/a%2F..%2Fb", "slash"),
            ("/a%252fb", "slash"),
            ("/a\\b", "backslash"),
            ("/a%5c..%5cb", "backslash"),
            ("/a%0d%0aX: 1", "control"),
            ("/a\r\nX: 1", "control"),
            ("/a%00", "control"),
            ("/%c0%ae%c0%ae/a", "no UTF-8"),
            ("/a?key=1", "query"),
        ];
        for (text, message) in WAYS {
            let fault = Path::parse(text).expect_err(text);
            assert!(fault.contains(message), "{text}: {fault}");
        }
        let deep = format!("/%{}2e", "25".repeat(9));
        let fault = Path::parse(&deep).expect_err("encoded ten times");
        assert!(fault.contains("too many times"), "{fault}");
    }

    #[test]
    fn what_stands_for_a_name_is_one_segment_and_fully_encoded() {
        let filled = |template: &str, value: &str| Path::fill(template, |_| value.to_owned());
        for (template, value, written) in [
            ("/repos/{owner}/issues", "a b", "/repos/a%20b/issues"),
            ("/users/{id}:cancel", "x", "/users/x:cancel"),
            ("/users/{id}", "x:cancel", "/users/x%3Acancel"),
            ("/f/{id}.json", "?&#;=", "/f/%3F%26%23%3B%3D.json"),
            ("/f/{id}/", "é", "/f/%C3%A9/"),
            ("/{a}-{b}", "x", "/x-x"),
            ("/f/{id}", "%41", "/f/%2541"),
        ] {
            let path = filled(template, value).expect(value);
            assert_eq!(path.written(), written, "{template} {value}");
        }
        for value in [
            "",
            ".",
            "..",
            "../admin",
            "a/b",
            "a\\b",
            "%2e%2e",
            "%2e%2e%2fadmin",
            "%252e%252e",
            "..;x",
            "a\r\nb",
            "\u{0}",
        ] {
            assert!(filled("/f/{id}", value).is_err(), "{value}");
        }
        // The two values together make the segment `..`.
        assert!(filled("/f/{a}{b}", ".").is_err());
    }
}

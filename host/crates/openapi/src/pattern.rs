//! The lines of `allow`: each names a method and a path that an API's entry lets through. Paths are
//! compared segment by segment.
//!
//! The component `http-api` checks each request against these lines. This module parses them and
//! compares them with the paths of a document.

use std::fmt;

use serde::Deserialize;

/// The methods that a line can allow.
pub const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Limits the part of a line that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// A line of `allow`, such as `GET /repos/*/issues`. A `*` stands for one segment or a part of one.
/// A `**` at the end stands for any number of further segments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern {
    /// The index of the method in [`METHODS`].
    method: usize,
    path: String,
}

/// Why a line is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} is not a pattern of allow: {fault}")]
pub struct PatternError {
    line: String,
    fault: Fault,
}

/// The fault of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it reads METHOD /path, as in \"GET /repos/*/issues\"")]
    Form,
    #[error("the method is one of GET, HEAD, POST, PUT, PATCH and DELETE, in capitals")]
    Method,
    #[error("the path begins with / and stands below base_url")]
    Path,
    #[error("the query is no part of it; a pattern allows every query")]
    Query,
    #[error("the path has no empty segment and none that is . or ..")]
    Segment,
    #[error("** stands for the rest of the path, so nothing follows it")]
    Rest,
    #[error("a segment has one *; ** is a segment of its own at the end")]
    Star,
    #[error("a parameter is written as *, without braces")]
    Braces,
    #[error("write characters as they are, without percent signs and backslashes")]
    Escape,
    #[error("it has a blank at an end, or a control character")]
    Blank,
}

impl Pattern {
    pub fn method(&self) -> &'static str {
        METHODS[self.method]
    }

    /// Whether the line can admit some request of an operation. Each parameter of a template such
    /// as `/repos/{owner}` may become any text.
    pub fn may_admit(&self, method: &str, template: &str) -> bool {
        if self.method() != method {
            return false;
        }
        let segments = |path: &str| -> Vec<String> {
            let path = path.trim_start_matches('/');
            let path = path.strip_suffix('/').unwrap_or(path);
            let parts = path.split('/').filter(|_| !path.is_empty());
            parts.map(str::to_owned).collect()
        };
        let (mut own, theirs) = (segments(&self.path), segments(template));
        let is_open = own.last().is_some_and(|last| last == "**");
        if is_open {
            own.pop();
        }
        let fits_in_length = match is_open {
            true => theirs.len() >= own.len(),
            false => theirs.len() == own.len(),
        };
        fits_in_length
            && own
                .iter()
                .zip(&theirs)
                .all(|(own, theirs)| may_be(own, theirs))
    }
}

/// Whether some text fits both a segment of a pattern and a segment of a template.
fn may_be(own: &str, template: &str) -> bool {
    let fixed = |text: &str| -> Option<(String, String)> {
        let (start, end) = (text.find('{')?, text.rfind('}')?);
        Some((text[..start].to_owned(), text[end + 1..].to_owned()))
    };
    let star = own.split_once('*');
    match (star, fixed(template)) {
        (None, None) => own == template,
        (Some((before, after)), None) => {
            let middle = template.strip_prefix(before);
            let middle = middle.and_then(|rest| rest.strip_suffix(after));
            middle.is_some_and(|middle| !middle.is_empty())
        }
        (None, Some((before, after))) => {
            let middle = own.strip_prefix(before.as_str());
            let middle = middle.and_then(|rest| rest.strip_suffix(after.as_str()));
            middle.is_some_and(|middle| !middle.is_empty())
        }
        // Both segments are open in the middle, so only their ends can contradict each other.
        (Some((before, after)), Some((their_before, their_after))) => {
            (before.starts_with(&their_before) || their_before.starts_with(before))
                && (after.ends_with(&their_after) || their_after.ends_with(after))
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(line: String) -> Result<Self, PatternError> {
        parse(&line).map_err(|fault| PatternError {
            line: line.chars().take(MAX_SHOWN_CHARS).collect(),
            fault,
        })
    }
}

fn parse(line: &str) -> Result<Pattern, Fault> {
    if line.trim() != line || line.chars().any(char::is_control) {
        return Err(Fault::Blank);
    }
    let (method, path) = line.split_once(' ').ok_or(Fault::Form)?;
    let method = METHODS.iter().position(|known| *known == method);
    let method = method.ok_or(Fault::Method)?;
    let rest = path.strip_prefix('/').ok_or(Fault::Path)?;
    if rest.contains(['?', '#']) {
        return Err(Fault::Query);
    }
    if rest.contains(['%', '\\']) {
        return Err(Fault::Escape);
    }
    if rest.contains(['{', '}']) {
        return Err(Fault::Braces);
    }
    let mut segments: Vec<&str> = rest.split('/').collect();
    // A slash at the end of the path makes no difference.
    if segments.last() == Some(&"") {
        segments.pop();
    }
    let last = segments.len().saturating_sub(1);
    for (at, segment) in segments.iter().enumerate() {
        match *segment {
            "" | "." | ".." => return Err(Fault::Segment),
            "**" if at < last => return Err(Fault::Rest),
            "**" => {}
            segment if segment.matches('*').count() > 1 => return Err(Fault::Star),
            _ => {}
        }
    }
    Ok(Pattern {
        method,
        path: format!("/{}", segments.join("/")),
    })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(line: &str) -> Result<Pattern, String> {
        Pattern::try_from(line.to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_has_one_form() {
        for (line, shown) in [
            ("GET /", "GET /"),
            ("GET /a/*/b", "GET /a/*/b"),
            ("POST /a/", "POST /a"),
            ("DELETE /a/**", "DELETE /a/**"),
            ("PATCH /*:cancel", "PATCH /*:cancel"),
            ("PUT /a b", "PUT /a b"),
        ] {
            assert_eq!(pattern(line).expect(line).to_string(), shown);
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_told_why() {
        for (line, message) in [
            ("", "it reads METHOD /path"),
            ("GET", "it reads METHOD /path"),
            ("/a", "it reads METHOD /path"),
            ("get /a", "in capitals"),
            ("* /a", "in capitals"),
            ("CONNECT /a", "in capitals"),
            ("GET a", "begins with /"),
            ("GET https://api.example.com/a", "begins with /"),
            ("GET  /a", "begins with /"),
            ("GET /a?b=1", "the query is no part"),
            ("GET /a#b", "the query is no part"),
            ("GET /a//b", "no empty segment"),
            ("GET //a", "no empty segment"),
            ("GET /../a", "no empty segment"),
            ("GET /a/.", "no empty segment"),
            ("GET /**/a", "nothing follows it"),
            ("GET /a/x**", "a segment has one *"),
            ("GET /a/*x*", "a segment has one *"),
            ("GET /a/{id}", "without braces"),
            ("GET /a%20b", "without percent signs"),
            ("GET /a\\b", "without percent signs"),
            ("GET /a\r\n", "a blank at an end, or a control character"),
            (" GET /a", "a blank at an end"),
        ] {
            let error = pattern(line).expect_err(line);
            assert!(error.contains("is not a pattern of allow"), "{error}");
            assert!(error.contains(message), "{line}: {error}");
        }
        let long = pattern(&"x".repeat(1_000)).expect_err("too long");
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn an_operation_is_admitted_where_one_of_its_requests_may_be() {
        for (line, method, template, expected) in [
            (
                "GET /repos/*/*/issues",
                "GET",
                "/repos/{owner}/{repo}/issues",
                true,
            ),
            (
                "GET /repos/acme/*/issues",
                "GET",
                "/repos/{owner}/{repo}/issues",
                true,
            ),
            (
                "GET /repos/*/*/issues",
                "POST",
                "/repos/{owner}/{repo}/issues",
                false,
            ),
            (
                "GET /repos/*/*/pulls",
                "GET",
                "/repos/{owner}/{repo}/issues",
                false,
            ),
            ("GET /repos/*", "GET", "/repos/{owner}/{repo}", false),
            ("GET /repos/**", "GET", "/repos/{owner}/{repo}", true),
            ("GET /**", "GET", "/", true),
            ("GET /users/", "GET", "/users", true),
            ("GET /users", "GET", "/users/", true),
            ("POST /v1/*:cancel", "POST", "/v1/{name}:cancel", true),
            ("POST /v1/*:cancel", "POST", "/v1/{name}:delete", false),
            ("POST /v1/*:cancel", "POST", "/v1/{name}", true),
            ("GET /v1/*.json", "GET", "/v1/all.json", true),
            ("GET /v1/x.json", "GET", "/v1/{id}.json", true),
            ("GET /v1/.json", "GET", "/v1/{id}.json", false),
        ] {
            let admitted = pattern(line).expect(line).may_admit(method, template);
            assert_eq!(admitted, expected, "{line} {method} {template}");
        }
    }
}

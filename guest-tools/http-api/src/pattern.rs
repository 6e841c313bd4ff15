//! The lines of `allow`: each has a method and a path, which is compared segment by segment.

use crate::path::Path;

/// One line of `allow`, as the host has checked it: `GET /repos/*/issues`, `GET /files/**`.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern {
    method: String,
    segments: Vec<Matcher>,
    /// Whether the pattern ends with `**`, which stands for any further segments.
    is_open: bool,
    text: String,
}

/// One segment of a pattern.
#[derive(Debug, PartialEq, Eq)]
enum Matcher {
    Text(String),
    /// A `*`, which stands for one or more characters, with the text around it.
    Star {
        before: String,
        after: String,
    },
}

impl Pattern {
    /// Parses a line. The host has already refused lines that are wrong.
    pub fn parse(line: &str) -> Option<Self> {
        let (method, path) = line.split_once(' ')?;
        let mut parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        // A slash at the end of the path makes no difference.
        if parts.last() == Some(&"") {
            parts.pop();
        }
        let is_open = parts.last() == Some(&"**");
        if is_open {
            parts.pop();
        }
        let matcher = |part: &str| match part.split_once('*') {
            None => Matcher::Text(part.to_owned()),
            Some((before, after)) => Matcher::Star {
                before: before.to_owned(),
                after: after.to_owned(),
            },
        };
        Some(Self {
            method: method.to_owned(),
            segments: parts.into_iter().map(matcher).collect(),
            is_open,
            text: line.to_owned(),
        })
    }

    /// Returns the line as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this line allows a request.
    pub fn admits(&self, method: &str, path: &Path) -> bool {
        let mut segments = path.segments();
        let fits_in_length = match self.is_open {
            true => segments.len() >= self.segments.len(),
            false => segments.len() == self.segments.len(),
        };
        self.method == method
            && fits_in_length
            && self.segments.iter().all(|matcher| {
                let segment = segments.next();
                segment.is_some_and(|segment| matcher.admits(segment))
            })
    }
}

impl Matcher {
    fn admits(&self, segment: &str) -> bool {
        match self {
            Self::Text(text) => segment == text,
            Self::Star { before, after } => {
                let middle = segment.strip_prefix(before.as_str());
                let middle = middle.and_then(|rest| rest.strip_suffix(after.as_str()));
                middle.is_some_and(|middle| !middle.is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_allows_one_method_and_paths_by_segments() {
        for (line, method, path, expected) in [
            ("GET /a", "GET", "/a", true),
            ("GET /a", "GET", "/a/", true),
            ("GET /a/", "GET", "/a", true),
            ("GET /a", "POST", "/a", false),
            ("GET /a", "HEAD", "/a", false),
            ("GET /a", "GET", "/a/b", false),
            ("GET /a", "GET", "/A", false),
            ("GET /", "GET", "/", true),
            ("GET /", "GET", "/a", false),
            ("GET /a/*", "GET", "/a/b", true),
            ("GET /a/*", "GET", "/a", false),
            ("GET /a/*", "GET", "/a/b/c", false),
            ("GET /*/*/c", "GET", "/a/b/c", true),
            ("GET /*/*/c", "GET", "/a/b/d", false),
            ("GET /a/**", "GET", "/a", true),
            ("GET /a/**", "GET", "/a/b/c", true),
            ("GET /a/**", "GET", "/ab/c", false),
            ("GET /**", "GET", "/", true),
            ("POST /*:cancel", "POST", "/x:cancel", true),
            ("POST /*:cancel", "POST", "/:cancel", false),
            ("POST /*:cancel", "POST", "/x:delete", false),
            ("GET /*.json", "GET", "/x.json", true),
            ("GET /a b", "GET", "/a%20b", true),
        ] {
            let pattern = Pattern::parse(line).expect(line);
            let path = Path::parse(path).expect(path);
            assert_eq!(
                pattern.admits(method, &path),
                expected,
                "{line} {method} {path:?}"
            );
        }
    }
}

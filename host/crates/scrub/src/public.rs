//! Public parts of a value: the prefix of a vendor's keys, the scheme of a URL, the lines around a
//! key. A text that repeats only such a part reveals nothing, and is left alone.

use std::ops::Range;

use super::bounds::RUN_CHARS;

/// Vendors' key prefixes that have [`RUN_CHARS`] characters or more.
const VENDORS: [&str; 17] = [
    "github_pat_",
    "pk_live_",
    "pk_test_",
    "rk_live_",
    "rk_test_",
    "sk-admin-",
    "sk-ant-admin01-",
    "sk-ant-api03-",
    "sk-ant-oat01-",
    "sk-lf-",
    "sk-or-v1-",
    "sk-proj-",
    "sk-svcacct-",
    "sk_live_",
    "sk_test_",
    "shpat_",
    "whsec_",
];
/// Words that precede a credential.
const WORDS: [&str; 4] = ["Bearer ", "Basic ", "Token ", "token "];

/// A public part of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Public {
    pub(super) range: Range<usize>,
    /// The number of characters after this part that a text must repeat as well to be a find. One
    /// is enough after a vendor's prefix. After a part that many other texts have too, a full
    /// [`RUN_CHARS`] are needed.
    pub(super) beyond_chars: usize,
}

/// Returns the public parts of `value`, in their order.
pub(super) fn parts(value: &str) -> Vec<Public> {
    let public = |range, beyond_chars| Public {
        range,
        beyond_chars,
    };
    let common = |end| vec![public(0..end, RUN_CHARS)];
    if let Some(vendor) = VENDORS.iter().find(|it| value.starts_with(**it)) {
        return vec![public(0..vendor.len(), 1)];
    }
    if let Some(word) = WORDS.iter().find(|it| value.starts_with(**it)) {
        return common(word.len());
    }
    if let Some(end) = scheme_end(value).or_else(|| token_header_end(value)) {
        return common(end);
    }
    armour(value)
        .map(|range| public(range, RUN_CHARS))
        .collect()
}

/// Returns the end of `https://` or another scheme (RFC 3986 section 3.1).
fn scheme_end(value: &str) -> Option<usize> {
    let (scheme, _) = value.split_once("://")?;
    let is_one = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_one.then_some(scheme.len() + "://".len())
}

/// Returns the end of a JSON Web Token's header, which is the same for all tokens of one kind.
fn token_header_end(value: &str) -> Option<usize> {
    let is_token = value.starts_with("eyJ") && value.matches('.').count() == 2;
    is_token.then(|| value.find('.').map(|dot| dot + 1))?
}

/// Returns the lines around a key (RFC 7468).
fn armour(value: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    value.split_inclusive('\n').filter_map(move |line| {
        let range = at..at + line.len();
        at = range.end;
        let text = line.trim_end();
        let is_armour = (text.starts_with("-----BEGIN ") || text.starts_with("-----END "))
            && text.ends_with("-----");
        is_armour.then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_knows_of_a_value_is_told_from_the_rest() {
        let known = |value: &str| -> Vec<String> {
            let parts = parts(value);
            parts
                .iter()
                .map(|it| value[it.range.clone()].to_owned())
                .collect()
        };
        let none: [&str; 0] = [];
        assert_eq!(known("sk-ant-api03-abcdefgh"), ["sk-ant-api03-"]);
        assert_eq!(known("https://a.example/x://y"), ["https://"]);
        assert_eq!(known("Bearer abc"), ["Bearer "]);
        assert_eq!(
            known("eyJhbGciOiJIUzI1NiJ9.e30.AbCd"),
            ["eyJhbGciOiJIUzI1NiJ9."]
        );
        assert_eq!(known("eyJhbGciOiJIUzI1NiJ9"), none);
        assert_eq!(
            known("-----BEGIN KEY-----\nMIIB\n-----END KEY-----"),
            ["-----BEGIN KEY-----\n", "-----END KEY-----"]
        );
        for all_of_it in ["", "canary-7f3d1c9ab2e84655", "1://x", "a b://c"] {
            assert_eq!(known(all_of_it), none, "{all_of_it}");
        }
    }
}

//! A credential for the length of one call. It is resolved at each call and wiped when it is
//! dropped. There is no cache, and nothing here can print it.
//!
//! The credential is usually a stand-in, which the host replaces in the outgoing request. For a
//! secret that the operator reveals, it is the value itself. The code is the same for both.

use crate::ToolError;
use crate::bindings::tavora::platform::secrets::{ResolveError, resolve};
use crate::request::BaseUrl;
use crate::tool_error;
use zeroize::Zeroizing;

/// The value of one secret.
pub struct Credential {
    name: String,
    value: Zeroizing<String>,
}

impl Credential {
    /// Resolves the secret `name`. The host decides whether the tool may have it, and from which
    /// vault.
    ///
    /// # Errors
    /// One code and one sentence for each cause that `secrets.resolve` knows.
    pub fn resolve(name: &str) -> Result<Self, ToolError> {
        match resolve(name) {
            Ok(value) => Ok(Self {
                name: name.to_owned(),
                value: Zeroizing::new(value),
            }),
            Err(cause) => Err(refusal(name, cause)),
        }
    }

    /// The name of the secret, which may be shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A header value: `prefix` (such as `Bearer `, or nothing) and the credential. It is wiped
    /// when it is dropped. Parts that are never meant are left out: blanks and invisible characters
    /// around the value, and the prefix where it was stored together with the value.
    ///
    /// # Errors
    /// `unusable_secret` when the value holds a character that no such header can carry (RFC 9110
    /// section 5.5, RFC 6750 section 2.1). The error names the kind of character.
    pub fn header_value(&self, prefix: &str) -> Result<Zeroizing<Vec<u8>>, ToolError> {
        header_value(&self.name, prefix, &self.value)
    }

    /// The value without blanks around it, for a secret that is an address.
    pub fn place(&self) -> &str {
        plain(&self.value)
    }

    /// The credential as a base URL with `path` at its end, for a secret that is an address. `None`
    /// when it is none.
    pub fn base_url(&self, path: &str) -> Option<BaseUrl> {
        let url = Zeroizing::new(format!("{}{path}", self.place().trim_end_matches('/')));
        BaseUrl::parse(&url)
    }

    /// An upstream's words without parts of the credential, as in "Incorrect key: sk-a***4f". The
    /// host removes the whole credential, and records that.
    pub fn hidden_in(&self, words: &str) -> String {
        hidden_in(&self.value, words)
    }
}

/// The header by which the host tells a tool what is odd about a credential that was refused. The
/// host removes this header from the answers of upstreams.
pub const ODDITY_HEADER: &str = "tavora-credential-oddity";

/// Returns the host's hint about a credential for an error message: `; look at the value: …`, or an
/// empty text.
pub fn oddity(told: Option<&str>) -> String {
    match told {
        Some(odd) => format!("; look at the value: it {odd}"),
        None => String::new(),
    }
}

/// The beginning of every stand-in.
const STAND_IN: &str = "tvs_";

/// Whether a character is invisible and comes along when text is copied: byte order marks,
/// characters without width, marks of direction, control characters.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}

/// The value without blanks and invisible characters around it.
fn plain(value: &str) -> &str {
    value.trim_matches(|char: char| char.is_whitespace() || is_invisible(char))
}

/// The value without `prefix`, which is a scheme and a blank, and without the name of its header.
fn without_scheme<'v>(prefix: &str, value: &'v str) -> &'v str {
    let scheme = prefix.trim();
    let mut value = value;
    if scheme.is_empty() {
        return value;
    }
    for start in ["authorization:", scheme, scheme] {
        let Some((head, rest)) = value.split_at_checked(start.len()) else {
            continue;
        };
        let is_apart = start.ends_with(':') || rest.starts_with(char::is_whitespace);
        if head.eq_ignore_ascii_case(start) && is_apart && !plain(rest).is_empty() {
            value = plain(rest);
        }
    }
    value
}

fn header_value(name: &str, prefix: &str, value: &str) -> Result<Zeroizing<Vec<u8>>, ToolError> {
    let value = without_scheme(prefix, plain(value));
    let unusable = |what: &str| {
        Err(tool_error(
            "unusable_secret",
            format!(
                "secret \"{name}\" cannot be sent in an HTTP header: it {what}; store it again without"
            ),
        ))
    };
    let is_lost = |char: char| char != '\t' && char.is_ascii_control();
    if value.is_empty() {
        return unusable("holds nothing that can be seen");
    }
    if value.contains(is_lost) {
        return unusable("holds a line break or another control character");
    }
    if !prefix.is_empty() && !value.is_ascii() {
        return unusable(
            "holds a character that is not ASCII, such as an invisible one or a typographic dash",
        );
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(prefix.len() + value.len()));
    bytes.extend_from_slice(prefix.as_bytes());
    bytes.extend_from_slice(value.as_bytes());
    Ok(bytes)
}

/// Whether a word is a credential that somebody shortened to show it.
fn is_shortened(word: &str) -> bool {
    ["**", "\u{2022}\u{2022}", "\u{2026}", "..."]
        .into_iter()
        .any(|mark| word.contains(mark) && word.chars().any(char::is_alphanumeric))
}

fn hidden_in(value: &str, words: &str) -> String {
    if value.starts_with(STAND_IN) {
        return without_shortened(words);
    }
    /// The shortest part of a credential that is hidden. Shorter parts can be words of any
    /// sentence.
    const SHORTEST: usize = 4;
    let is_part = |part: &str| {
        part.len() >= SHORTEST && value.contains(part) && part != plain(value) && part != value
    };
    let is_between = |char: char| !(char.is_ascii_alphanumeric() || "_-".contains(char));
    let mut clean = String::with_capacity(words.len());
    for piece in words.split_inclusive(is_between) {
        let part = piece.trim_end_matches(is_between);
        match is_part(part) {
            true => {
                clean.push('\u{2026}');
                clean.push_str(&piece[part.len()..]);
            }
            false => clean.push_str(piece),
        }
    }
    clean
}

/// Returns the words without credentials that somebody shortened to show them. The tool does not
/// know the value here, so every such word is removed.
fn without_shortened(words: &str) -> String {
    let is_between = |char: char| char.is_whitespace() || "\"'`,;:()<>[]{}".contains(char);
    let mut clean = String::with_capacity(words.len());
    for piece in words.split_inclusive(is_between) {
        let word = piece.trim_end_matches(is_between);
        match is_shortened(word.trim_end_matches(['.', '\u{2026}'])) {
            true => {
                clean.push('\u{2026}');
                clean.push_str(&piece[word.len()..]);
            }
            false => clean.push_str(piece),
        }
    }
    clean
}

/// The contract's words for each cause, from `wit/secrets.wit` and `wit/types.wit`.
fn refusal(name: &str, cause: ResolveError) -> ToolError {
    match cause {
        ResolveError::NoVaultDesignated => {
            tool_error("no_vault_designated", "app has no vault designated")
        }
        ResolveError::NotFound => tool_error(
            "secret_not_found",
            format!("secret \"{name}\" is not in the app's vault"),
        ),
        ResolveError::NotGranted => tool_error(
            "secret_not_granted",
            format!("secret \"{name}\" is not granted to this tool"),
        ),
        ResolveError::Unavailable => tool_error("vault_unavailable", "the vault is unavailable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_the_words_of_the_contract() {
        let contract = concat!(
            include_str!("../../../wit/secrets.wit"),
            include_str!("../../../wit/types.wit")
        );
        for cause in [
            ResolveError::NoVaultDesignated,
            ResolveError::NotFound,
            ResolveError::NotGranted,
            ResolveError::Unavailable,
        ] {
            let error = refusal("<name>", cause);
            for word in [&error.code, &error.message] {
                assert!(contract.contains(&format!("`{word}`")), "{word}");
            }
        }
    }

    fn sent(prefix: &str, value: &str) -> String {
        let bytes = header_value("k", prefix, value).expect(value);
        String::from_utf8(bytes.to_vec()).expect("ASCII")
    }

    #[test]
    fn a_header_value_carries_prefix_and_value() {
        assert_eq!(sent("Bearer ", "abc"), "Bearer abc");
        assert_eq!(sent("", "abc"), "abc");
        assert_eq!(sent("", "caf\u{e9}"), "caf\u{e9}");
    }

    #[test]
    fn what_came_along_with_a_credential_is_not_sent() {
        for value in [
            "\u{feff}abc",
            "abc\u{200b}",
            "\u{2060}\u{200e} abc\t",
            "abc\n",
            "abc\r\n",
            " abc ",
            "\u{a0}abc\u{ad}",
            "\0abc\u{7f}\u{85}",
        ] {
            assert_eq!(sent("", value), "abc", "{value:?}");
            assert_eq!(sent("Bearer ", value), "Bearer abc", "{value:?}");
        }
        for value in [
            "Bearer abc",
            "bearer  abc",
            "\u{feff}BEARER\tabc\n",
            "Bearer Bearer abc",
            "Authorization: Bearer abc",
            "authorization:abc",
        ] {
            assert_eq!(sent("Bearer ", value), "Bearer abc", "{value:?}");
        }
        // Another header may need the value unchanged, and a credential may begin with any letters.
        assert_eq!(sent("", "Bearer abc"), "Bearer abc");
        assert_eq!(sent("Bearer ", "bearerabc"), "Bearer bearerabc");
        assert_eq!(sent("Bearer ", "Bearer"), "Bearer Bearer");
    }

    #[test]
    fn what_no_header_can_carry_is_named_and_not_shown() {
        for (prefix, value, named) in [
            ("", "can\nary", "line break"),
            ("", "can\0ary", "control character"),
            ("", "\u{feff}\n ", "nothing that can be seen"),
            ("Bearer ", "can\u{200b}ary", "not ASCII"),
            ("Bearer ", "can\u{2013}ary", "not ASCII"),
        ] {
            let error = header_value("brave_api_key", prefix, value).expect_err(value);
            assert_eq!(error.code, "unusable_secret");
            for part in ["\"brave_api_key\"", named] {
                assert!(error.message.contains(part), "{}", error.message);
            }
            assert!(!error.message.contains("ary"), "{}", error.message);
        }
    }

    #[test]
    fn a_credential_that_nobody_here_knows_is_hidden_where_it_was_shortened() {
        for (words, clean) in [
            (
                "Incorrect API key provided: sk-cana***4655.",
                "Incorrect API key provided: \u{2026}",
            ),
            ("key \"sk-...4655\" is bad", "key \"\u{2026}\" is bad"),
            ("ask again, please... ***", "ask again, please... ***"),
            ("", ""),
        ] {
            assert_eq!(hidden_in("tvs_0", words), clean);
        }
    }

    #[test]
    fn parts_of_a_credential_are_hidden_and_the_whole_is_the_hosts() {
        let value = "sk-canary-0123456789";
        for (words, clean) in [
            (
                "Incorrect API key: sk-canary***6789.",
                "Incorrect API key: \u{2026}***\u{2026}.",
            ),
            (
                "bad key sk-canary-0123456789",
                "bad key sk-canary-0123456789",
            ),
            ("the key is not valid", "the key is not valid"),
            ("0123456789", "\u{2026}"),
            ("", ""),
        ] {
            assert_eq!(hidden_in(value, words), clean);
        }
    }
}

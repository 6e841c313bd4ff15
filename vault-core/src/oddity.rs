//! Oddities of a text that should be a credential: what a copy, an editor or a shell added to it.
//!
//! An oddity says what is there and where, and nothing of the credential itself. The receiver of
//! the text decides whether to remove, report or refuse it.

/// The length from which a value is reliably found in answers. A shorter value could be any word,
/// so it is found only where it stands alone.
pub const SECRET_VALUE_SHORT_BYTES: usize = 8;

/// Something that a credential hardly ever has. Its text continues a subject: "the value …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// The byte order mark U+FEFF at the beginning, as editors of Windows write it.
    #[error("begins with a byte order mark, which nobody sees")]
    ByteOrderMark,
    /// Blanks or line ends around the text.
    #[error("has blanks or line ends around it")]
    Blanks,
    /// More than one line, in a text that is neither PEM nor JSON.
    #[error("has several lines")]
    Lines,
    /// An invisible character or a control character.
    #[error("has an invisible character (U+{code:04X}) at position {position}")]
    Invisible {
        /// The position of the character, from 1.
        position: usize,
        /// The code point of the character.
        code: u32,
    },
    /// Quotation marks around the text.
    #[error("stands in quotation marks")]
    Quoted,
    /// The start of a header, such as `Bearer `.
    #[error("begins with {0:?}, as in a header")]
    Scheme(&'static str),
    /// A document that holds the credential among other things: `JSON` or `PEM`.
    #[error("is {0}, where the bare credential belongs")]
    Document(&'static str),
    /// A mark of the notation, such as `0x`.
    #[error("begins with {0:?}, which is no part of it")]
    Notation(&'static str),
    /// Colons between the digits, as some programs write hex.
    #[error("has colons between its digits")]
    Colons,
    /// `NAME=value`, as in a file of variables.
    #[error("begins with NAME=, as in a file of variables")]
    Assignment,
    /// The two characters `\n` at the end.
    #[error("ends with a backslash and a letter, as a line end that was written out")]
    WrittenLineEnd,
    /// A variable or a template that nobody filled in.
    #[error("looks like a variable or a template that nobody filled in")]
    Template,
    /// Dots or asterisks, as pages show a credential.
    #[error("has dots or asterisks, as where a page hides a credential")]
    Masked,
    /// A file reference, `file://…`.
    #[error("looks like the place of a file, which is not read here")]
    File,
    /// A typographic or foreign character in a text that is otherwise ASCII.
    #[error("has a character at position {position} that is not ASCII")]
    NotAscii {
        /// The position of the character, from 1.
        position: usize,
    },
    /// A text of fewer than [`SECRET_VALUE_SHORT_BYTES`].
    #[error(
        "has {bytes} bytes: one with fewer than {SECRET_VALUE_SHORT_BYTES} is not reliably taken out of answers"
    )]
    Short {
        /// The length of the text.
        bytes: usize,
    },
}

const SCHEMES: [&str; 8] = [
    "Bearer ",
    "Basic ",
    "Token ",
    "ApiKey ",
    "Authorization:",
    "Proxy-Authorization:",
    "X-API-Key:",
    "X-Vault-Token:",
];

const QUOTES: [(char, char); 7] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('“', '”'),
    ('‘', '’'),
    ('«', '»'),
    ('„', '“'),
];

/// Whether a character is invisible: a control character, one without width, one that turns the
/// direction of text, or a blank that no keyboard has.
pub fn is_invisible(c: char) -> bool {
    let is_odd_blank = c.is_whitespace() && !c.is_ascii();
    c.is_control()
        || is_odd_blank
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Removes invisible characters around a text: blanks, line ends, a byte order mark.
pub fn without_surroundings(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// All oddities of a credential, one of each kind. Most credentials have none.
///
/// ```
/// use vault_core::{Oddity, oddities};
/// assert!(oddities("sk-0123456789").is_empty());
/// assert_eq!(oddities("Bearer sk-0123456789\n"), [Oddity::Blanks, Oddity::Scheme("Bearer ")]);
/// ```
pub fn oddities(text: &str) -> Vec<Oddity> {
    let mut found = Vec::new();
    let bare = without_surroundings(text);
    // A PEM key has lines and ends with a line end. JSON has whatever its author liked.
    let is_document = bare.starts_with("-----BEGIN ") || bare.starts_with(['{', '[']);
    let unmarked = text.trim_start_matches('\u{feff}');
    if unmarked.len() < text.len() {
        found.push(Oddity::ByteOrderMark);
    }
    let inner = unmarked.trim();
    if !is_document && inner.len() < unmarked.len() {
        found.push(Oddity::Blanks);
    }
    if !is_document && bare.contains(['\n', '\r']) {
        found.push(Oddity::Lines);
    }
    let skipped = text.chars().count() - unmarked.trim_start().chars().count();
    let mut characters = inner.chars().enumerate();
    let invisible =
        |c: char| is_invisible(c) && !matches!(c, '\n' | '\r') && !(is_document && c == '\t');
    if let Some((at, c)) = characters.find(|(_, c)| invisible(*c)) {
        found.push(Oddity::Invisible {
            position: skipped + at + 1,
            code: c.into(),
        });
    }
    if !is_document {
        found.extend(worded(bare));
        let hides = |c: char| matches!(c, '•' | '●' | '∙' | '·' | '…' | '*');
        let is_masked = bare.contains("***") || bare.chars().any(|c| hides(c) && c != '*');
        let foreign = |c: char| !c.is_ascii() && !is_invisible(c);
        if is_masked {
            found.push(Oddity::Masked);
        } else if let Some(at) = inner.chars().position(foreign)
            // A passphrase in another script is no typing mistake.
            && inner.chars().filter(|c| foreign(*c)).count() * 4 <= inner.chars().count()
        {
            found.push(Oddity::NotAscii {
                position: skipped + at + 1,
            });
        }
    }
    if bare.len() < SECRET_VALUE_SHORT_BYTES {
        found.push(Oddity::Short { bytes: bare.len() });
    }
    found
}

/// The oddity of a credential that is one word, such as a token: a document is odd too. Its length
/// is not.
///
/// ```
/// use vault_core::{Oddity, token_oddity};
/// assert_eq!(token_oddity("{\"token\": \"hvs.CAESI\"}"), Some(Oddity::Document("JSON")));
/// assert_eq!(token_oddity("hvs.CAESI"), None);
/// ```
pub fn token_oddity(text: &str) -> Option<Oddity> {
    let bare = without_surroundings(text);
    if bare.starts_with("-----BEGIN ") {
        return Some(Oddity::Document("PEM"));
    }
    if bare.starts_with(['{', '[']) {
        return Some(Oddity::Document("JSON"));
    }
    let is_of_token = |oddity: &Oddity| !matches!(oddity, Oddity::Short { .. });
    oddities(text).into_iter().find(is_of_token)
}

/// The oddity that the words of a text show.
fn worded(bare: &str) -> Option<Oddity> {
    let begins = |start: &str| {
        bare.get(..start.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    let between = |(open, close): &(char, char)| {
        let rest = bare.strip_prefix(*open);
        rest.is_some_and(|rest| rest.ends_with(*close))
    };
    let is_template = [
        ("${", "}"),
        ("$(", ")"),
        ("{{", "}}"),
        ("<", ">"),
        ("%", "%"),
    ]
    .iter()
    .any(|(open, close)| {
        bare.len() > open.len() && bare.starts_with(open) && bare.ends_with(close)
    });
    let is_variable = bare.strip_prefix('$').is_some_and(is_variable_name);
    if QUOTES.iter().any(between) {
        Some(Oddity::Quoted)
    } else if let Some(scheme) = SCHEMES.into_iter().find(|scheme| begins(scheme)) {
        Some(Oddity::Scheme(scheme))
    } else if is_template || is_variable {
        Some(Oddity::Template)
    } else if begins("file:/") {
        Some(Oddity::File)
    } else if is_assignment(bare) {
        Some(Oddity::Assignment)
    } else if ["\\n", "\\r", "\\t"].iter().any(|end| bare.ends_with(end)) {
        Some(Oddity::WrittenLineEnd)
    } else {
        None
    }
}

/// `NAME=value` or `export NAME=value`. Base64 that ends with `=` does not count.
fn is_assignment(text: &str) -> bool {
    let text = text.strip_prefix("export ").unwrap_or(text);
    text.split_once('=').is_some_and(|(name, value)| {
        name.len() > 2 && is_variable_name(name) && !value.trim_matches('=').is_empty()
    })
}

fn is_variable_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-canary-1234567890";

    #[test]
    fn what_is_ordinary_is_not_odd() {
        for text in [
            KEY,
            "a password with blanks",
            "fbf0f1f2f3f4f5f6==",
            "QUJDREVGRw==",
            "http://127.0.0.1:11434/v1",
            "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
            "{\n\t\"type\": \"service_account\"\n}\n",
            "пароль от базы",
            "a=b=c-12345",
        ] {
            let found = oddities(text);
            assert!(found.is_empty(), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn what_was_copied_along_is_named_with_its_place() {
        use Oddity::*;
        for (text, expected) in [
            (format!("\u{feff}{KEY}"), vec![ByteOrderMark]),
            (format!(" {KEY}"), vec![Blanks]),
            (format!("{KEY}\r\n"), vec![Blanks]),
            (format!("{KEY}\nand more"), vec![Lines]),
            (
                format!("{KEY}\u{200b}"),
                vec![Invisible {
                    position: 21,
                    code: 0x200b,
                }],
            ),
            (
                format!("sk\u{a0}{KEY}"),
                vec![Invisible {
                    position: 3,
                    code: 0xa0,
                }],
            ),
            (
                format!("sk\u{202e}{KEY}"),
                vec![Invisible {
                    position: 3,
                    code: 0x202e,
                }],
            ),
            (format!("\"{KEY}\""), vec![Quoted]),
            (format!("bearer {KEY}"), vec![Scheme("Bearer ")]),
            (
                format!("Authorization: Bearer {KEY}"),
                vec![Scheme("Authorization:")],
            ),
            (format!("export OPENAI_API_KEY={KEY}"), vec![Assignment]),
            (format!("{KEY}\\n"), vec![WrittenLineEnd]),
            ("${OPENAI_API_KEY}".to_owned(), vec![Template]),
            ("<your API key>".to_owned(), vec![Template]),
            ("sk-••••••••7890".to_owned(), vec![Masked]),
            ("file:///run/secrets/key".to_owned(), vec![File]),
            (
                "sk–canary-1234567890".to_owned(),
                vec![NotAscii { position: 3 }],
            ),
            ("true".to_owned(), vec![Short { bytes: 4 }]),
        ] {
            assert_eq!(oddities(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn no_sentence_holds_any_of_the_credential() {
        for text in [
            format!("\u{feff} Bearer {KEY}\n"),
            format!("KEY={KEY}"),
            format!("'{KEY}'"),
            format!("{KEY}\u{200b}–"),
        ] {
            for oddity in oddities(&text) {
                let said = format!("{oddity} {oddity:?}");
                assert!(!said.contains("canary"), "{said}");
            }
        }
    }
}

//! A fast path for escapes: most of them have one meaning, or none.

use super::{MAX_DEPTH, Spelled, begins_escape, can_begin};

/// The result of a glance at one place.
pub(in super::super) enum Glance {
    /// No escape begins here.
    Plain,
    /// The only meaning of an escape here. Two or more backslashes can also mean a backslash.
    One(Spelled),
    /// Only a full reading can tell.
    Unknown,
}

/// Returns the meaning of an escape at `at`, faster than [`spellings`] and never with fewer
/// meanings.
pub(in super::super) fn glance(text: &[u8], at: usize) -> Glance {
    match text[at] {
        b'+' => Glance::One(Spelled::byte(b' ', at + 1)),
        b'%' => match text.get(at + 1) {
            Some(b'u' | b'U') => Glance::Unknown,
            _ => glance_at_digits(text, at + 1, 2),
        },
        b'=' => match text.get(at + 1) {
            Some(b'\n') => Glance::Unknown,
            _ => glance_at_digits(text, at + 1, 2),
        },
        b'\r' => match text.get(at + 1) {
            Some(b'\n') => Glance::One(Spelled::byte(b'\n', at + 2)),
            _ if can_go_on(text, at + 1) => Glance::Unknown,
            _ => Glance::Plain,
        },
        b'&' if can_begin(&text[at..]) => Glance::Unknown,
        b'\\' => glance_at_backslashes(text, at),
        _ => Glance::Plain,
    }
}

fn glance_at_backslashes(text: &[u8], mut at: usize) -> Glance {
    /// A row of this many backslashes can only mean backslashes.
    const DEEP: [u8; 1 << MAX_DEPTH] = [b'\\'; 1 << MAX_DEPTH];
    if text[at..].starts_with(&DEEP) {
        return Glance::Plain;
    }
    let first = at;
    while text.get(at) == Some(&b'\\') {
        at += 1;
    }
    let one = |byte| Glance::One(Spelled::byte(byte, at + 1));
    match text.get(at) {
        Some(&byte @ (b'/' | b'"' | b'\'')) => one(byte),
        Some(b'n') => one(b'\n'),
        Some(b'r') => one(b'\r'),
        Some(b't') => one(b'\t'),
        Some(b'b') => one(0x08),
        Some(b'f') => one(0x0c),
        Some(kind @ (b'x' | b'u')) if text.get(at + 1) != Some(&b'{') => {
            let digits = if *kind == b'x' { 2 } else { 4 };
            match glance_at_digits(text, at + 1, digits) {
                // After another backslash, this character can be the kind of a further escape.
                Glance::One(spelled) if at - first > 1 && spelled.ascii().is_some() => {
                    Glance::Unknown
                }
                other => other,
            }
        }
        Some(b'u' | b'U' | b'0'..=b'7') => Glance::Unknown,
        _ if can_go_on(text, at) => Glance::Unknown,
        _ => Glance::Plain,
    }
}

/// Reads the character or the byte that these hex digits stand for.
fn glance_at_digits(text: &[u8], at: usize, digits: usize) -> Glance {
    let mut code = 0;
    for at in at..at + digits {
        match text.get(at).and_then(|&byte| char::from(byte).to_digit(16)) {
            Some(digit) => code = code << 4 | digit,
            None if can_go_on(text, at) && !is_other_percent(&text[at..]) => {
                return Glance::Unknown;
            }
            None => return Glance::Plain,
        }
    }
    let end = at + digits;
    match char::from_u32(code) {
        Some(character) if character.is_ascii() && begins_escape(code as u8) => Glance::Unknown,
        Some(character) if digits == 4 => Glance::One(Spelled::character(character, end)),
        Some(_) => Glance::One(Spelled::byte(code as u8, end)),
        None => Glance::Unknown,
    }
}

/// Whether the text begins with a percent-encoded character that continues no escape: `=%20` is a
/// parameter and a space.
fn is_other_percent(text: &[u8]) -> bool {
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    match (text.first(), digit(1), digit(2)) {
        (Some(b'%'), Some(high), Some(low)) => {
            let byte = (high << 4 | low) as u8;
            !byte.is_ascii_hexdigit() && !begins_escape(byte) && !b"\n{".contains(&byte)
        }
        _ => false,
    }
}

/// Whether the text at `at` can be an escaped character of an outer escape, or is still to come.
fn can_go_on(text: &[u8], at: usize) -> bool {
    match text.get(at..) {
        None | Some([]) => true,
        Some(rest) => begins_escape(rest[0]) && can_begin(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::super::spellings;
    use super::*;

    #[test]
    fn a_glance_never_says_less_than_reading() {
        const PARTS: [&str; 30] = [
            "\\", "\\", "\\", "%", "%", "&", "=", "+", "\r", "\n", "u", "U", "x", "n", "b", "0",
            "00", "20", "0a", "7b", "%5c", "5C", "5c", "6e", "7", "#", ";", "{", "amp;", "é",
        ];
        let mut seed = 1_u64;
        let mut below = |end: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % end
        };
        for _ in 0..50_000 {
            let text: String = (0..below(16)).map(|_| PARTS[below(PARTS.len())]).collect();
            let text = text.as_bytes();
            for at in 0..text.len() {
                let all = spellings(text, at);
                let said = match glance(text, at) {
                    Glance::Unknown => continue,
                    Glance::Plain => None,
                    Glance::One(spelled) => Some(spelled),
                };
                let context = format!("at {at} of {}", text.escape_ascii());
                assert!(!all.is_cut, "{context}");
                for more in &all.as_slice()[1..] {
                    let is_said =
                        said.is_some_and(|it| (it.bytes(), it.end) == (more.bytes(), more.end));
                    let is_slash = more.bytes() == b"\\" && text[at..].starts_with(b"\\\\");
                    assert!(is_said || is_slash, "{:?} {context}", more.bytes());
                }
            }
        }
    }
}

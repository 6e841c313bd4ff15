//! The forms in which a secret is looked for. It only writes them down; finding
//! them is the next file's work.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::WHOLE_TOKEN_BELOW_BYTES;

/// The bytes of one form; zeroed when dropped.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// Every form of `value`, some of them more than once.
pub(super) fn forms(value: &str) -> Vec<Form> {
    let mut forms = vec![copy_of(value.as_bytes())];
    if value.contains('\n') && !value.contains('\r') {
        forms.push(copy_of(
            Zeroizing::new(value.replace('\n', "\r\n")).as_bytes(),
        ));
    }
    percent_forms(value.as_bytes(), &mut forms);
    json_forms(value, &mut forms);
    hex_forms(value.as_bytes(), &mut forms);
    base64_forms(value.as_bytes(), &mut forms);
    forms
}

fn copy_of(bytes: &[u8]) -> Form {
    Zeroizing::new(bytes.to_vec())
}

/// RFC 3986 section 2.3: what no encoder ever needs to escape.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Percent-encodings differ in what they leave alone; these are the sets in use.
fn percent_forms(value: &[u8], forms: &mut Vec<Form>) {
    let none: fn(u8) -> bool = |_| false;
    let alphanumeric: fn(u8) -> bool = |b| b.is_ascii_alphanumeric();
    let unreserved: fn(u8) -> bool = is_unreserved;
    // WHATWG form encoding.
    let form: fn(u8) -> bool = |b| b.is_ascii_alphanumeric() || b"*-._".contains(&b);
    // encodeURIComponent, encodeURI.
    let component: fn(u8) -> bool = |b| is_unreserved(b) || b"!*'()".contains(&b);
    let whole: fn(u8) -> bool = |b| is_unreserved(b) || b"!*'();/?:@&=+$,#".contains(&b);
    // Path segments that keep their slashes.
    let slashes: fn(u8) -> bool = |b| is_unreserved(b) || b == b'/';
    // WHATWG path and query.
    let query: fn(u8) -> bool = |b| b.is_ascii_graphic() && !b"\"#<>'".contains(&b);
    let path: fn(u8) -> bool = |b| b.is_ascii_graphic() && !b"\"#<>?`{}^".contains(&b);

    let mut encode = |keep: fn(u8) -> bool, plus: bool| {
        for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
            let mut form = Zeroizing::new(Vec::with_capacity(value.len() * 3));
            for &byte in value {
                match byte {
                    b' ' if plus => form.push(b'+'),
                    byte if keep(byte) => form.push(byte),
                    byte => form.extend([b'%', high(byte, digits), low(byte, digits)]),
                }
            }
            forms.push(form);
        }
    };
    encode(none, false);
    if value.iter().all(u8::is_ascii_alphanumeric) {
        return;
    }
    for (keep, plus) in [
        (alphanumeric, false),
        (unreserved, false),
        (unreserved, true),
        (form, true),
        (component, false),
        (whole, false),
        (slashes, false),
        (query, false),
        (path, false),
    ] {
        encode(keep, plus);
    }
}

/// What an encoder of JSON strings escapes beyond what RFC 8259 asks for.
#[derive(Clone, Copy)]
struct JsonStyle {
    every_character: bool,
    slash: bool,
    html: bool,
    non_ascii: bool,
    digits: &'static [u8; 16],
}

fn json_forms(value: &str, forms: &mut Vec<Form>) {
    let mut add = |style| {
        let once = json_escaped(value, style);
        let twice = json_escaped_again(&once);
        forms.extend([once, twice]);
    };
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let style = JsonStyle {
            every_character: true,
            slash: false,
            html: false,
            non_ascii: true,
            digits,
        };
        add(style);
        if value.bytes().all(is_unreserved) {
            continue;
        }
        for choice in 0..8_u8 {
            add(JsonStyle {
                every_character: false,
                slash: choice & 1 != 0,
                html: choice & 2 != 0,
                non_ascii: choice & 4 != 0,
                digits,
            });
        }
    }
}

fn json_escaped(value: &str, style: JsonStyle) -> Form {
    // Six bytes for each unit of UTF-16 is the longest that there is.
    let mut form = Zeroizing::new(Vec::with_capacity(value.len() * 6));
    for character in value.chars() {
        let short = match character {
            '"' => Some(b'"'),
            '\\' => Some(b'\\'),
            '\u{8}' => Some(b'b'),
            '\u{c}' => Some(b'f'),
            '\n' => Some(b'n'),
            '\r' => Some(b'r'),
            '\t' => Some(b't'),
            '/' if style.slash => Some(b'/'),
            _ => None,
        };
        let long = style.every_character
            || character < ' '
            || (style.html && "<>&'\u{2028}\u{2029}\u{7f}".contains(character))
            || (style.non_ascii && !character.is_ascii());
        match short {
            Some(short) if !style.every_character => form.extend([b'\\', short]),
            _ if long => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let [first, second] = unit.to_be_bytes();
                    form.extend([b'\\', b'u']);
                    for byte in [first, second] {
                        form.extend([high(byte, style.digits), low(byte, style.digits)]);
                    }
                }
            }
            _ => form.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    form
}

/// A form inside a JSON text that is itself inside a JSON string.
fn json_escaped_again(once: &[u8]) -> Form {
    let mut form = Zeroizing::new(Vec::with_capacity(once.len() * 2));
    for &byte in once {
        if matches!(byte, b'"' | b'\\') {
            form.push(b'\\');
        }
        form.push(byte);
    }
    form
}

fn hex_forms(value: &[u8], forms: &mut Vec<Form>) {
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let mut form = Zeroizing::new(Vec::with_capacity(value.len() * 2));
        for &byte in value {
            form.extend([high(byte, digits), low(byte, digits)]);
        }
        forms.push(form);
    }
}

/// Base64 of any text that has the value in it shows, depending on how many
/// bytes stand before it, one of three strings; between them and the neighbours
/// a character can be shared, and that one is left out. Where the text ends with
/// the value, the last character is known, and padding may follow.
fn base64_forms(value: &[u8], forms: &mut Vec<Form>) {
    let alignments = if value.len() < WHOLE_TOKEN_BELOW_BYTES {
        // As a whole token, a short value can only stand alone.
        0..1
    } else {
        0..3
    };
    for before in alignments {
        let mut text = Zeroizing::new(vec![0; before]);
        text.reserve_exact(value.len());
        text.extend_from_slice(value);
        let first = (before * 8).div_ceil(6);
        let end = text.len() * 8 / 6;
        let padding = (3 - text.len() % 3) % 3;
        for alphabet in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = Zeroizing::new(alphabet.encode(&*text));
            let known = &encoded.as_bytes()[first..];
            if value.len() >= WHOLE_TOKEN_BELOW_BYTES {
                forms.push(copy_of(&encoded.as_bytes()[first..end]));
            }
            forms.push(copy_of(known));
            let mut padded = Zeroizing::new(Vec::with_capacity(known.len() + padding));
            padded.extend_from_slice(known);
            padded.extend(std::iter::repeat_n(b'=', padding));
            forms.push(padded);
        }
    }
}

fn high(byte: u8, digits: &[u8; 16]) -> u8 {
    digits[usize::from(byte >> 4)]
}

fn low(byte: u8, digits: &[u8; 16]) -> u8 {
    digits[usize::from(byte & 15)]
}

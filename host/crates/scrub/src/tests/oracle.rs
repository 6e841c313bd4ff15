//! Random credentials in random spellings, split at random. An independent decoder decodes the
//! output, which must hold no part of a credential.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose as b64;
use bytes::Bytes;

use super::{RUN_CHARS, Scrubber, StreamScrubber};

const ALPHABETS: [&str; 7] = [
    "0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=",
    "abcXYZ019-_.~!*'();:@&=+$,/?#[]% \"\\<>{}|^`",
    "\"\\/%+=&;un00aAfF\t\n41",
    "aZ9 éßж中😀𝄞\u{2028}-_",
];

/// xorshift64*: the same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn text(&mut self, alphabet: &str, chars: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..chars).map(|_| self.pick(&alphabet)).collect()
    }

    /// A hexadecimal number with digits of both cases.
    fn hex(&mut self, number: u32, digits: usize) -> String {
        let lower = format!("{number:0digits$x}");
        let digit = |c: char| {
            if self.one_in(2) {
                c.to_ascii_uppercase()
            } else {
                c
            }
        };
        lower.chars().map(digit).collect()
    }

    fn credential(&mut self) -> String {
        loop {
            let alphabet = self.pick(&ALPHABETS);
            let chars = RUN_CHARS + self.below(60);
            let value = self.text(alphabet, chars);
            if value.trim() == value && value.chars().count() >= RUN_CHARS {
                return value;
            }
        }
    }
}

/// Spellings of one character in which encoders differ. A text uses one or several of them.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Json,
    Percent,
    Html,
    Quoted,
    Braces,
}

fn spell(random: &mut Random, text: &str, styles: &[Style]) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match random.pick(styles) {
            Style::Plain => out.push(character),
            Style::Json => match character {
                '"' | '\\' | '/' if random.one_in(2) => {
                    out.push('\\');
                    out.push(character);
                }
                '\n' if random.one_in(2) => out.push_str("\\n"),
                '\t' if random.one_in(2) => out.push_str("\\t"),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{}", random.hex(u32::from(*unit), 4));
                    }
                }
            },
            Style::Percent if character == ' ' && random.one_in(2) => out.push('+'),
            style @ (Style::Percent | Style::Quoted) => {
                let sign = if style == Style::Percent { '%' } else { '=' };
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "{sign}{}", random.hex(u32::from(byte), 2));
                }
            }
            Style::Html => match character {
                '&' if random.one_in(2) => out.push_str("&amp;"),
                '<' if random.one_in(2) => out.push_str("&lt;"),
                '"' if random.one_in(2) => out.push_str("&quot;"),
                _ if random.one_in(2) => {
                    let _ = write!(out, "&#{};", u32::from(character));
                }
                _ => {
                    let _ = write!(out, "&#x{};", random.hex(u32::from(character), 2));
                }
            },
            Style::Braces => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    out
}

/// Writes `value` in one notation and a random spelling, perhaps nested inside another text or two.
fn echo(random: &mut Random, value: &str) -> String {
    const STYLES: [Style; 6] = [
        Style::Plain,
        Style::Json,
        Style::Percent,
        Style::Html,
        Style::Quoted,
        Style::Braces,
    ];
    let written = match random.below(4) {
        0 => hex(random, value),
        1 => base64(random, value),
        _ => value.to_owned(),
    };
    let mut styles = vec![Style::Plain, random.pick(&STYLES)];
    if random.one_in(2) {
        styles.push(random.pick(&STYLES));
    }
    if random.one_in(3) {
        styles.remove(0);
    }
    let mut echo = spell(random, &written, &styles);
    for _ in 0..random.below(3) {
        echo = match random.below(3) {
            0 => serde_json::Value::from(echo).to_string(),
            1 => spell(random, &echo, &[Style::Plain, Style::Percent]),
            _ => format!("{echo:?}"),
        };
    }
    echo
}

fn hex(random: &mut Random, value: &str) -> String {
    let gap = random.pick(&["", ":", "-", " ", ", 0x", "\n", "\r\n  "]);
    let bytes: Vec<String> = value
        .bytes()
        .map(|byte| random.hex(u32::from(byte), 2))
        .collect();
    bytes.join(gap)
}

fn base64(random: &mut Random, value: &str) -> String {
    let (before, after) = (random.below(4), random.below(4));
    let text = format!("{}{value}{}", "user"[..before].to_owned(), &":end"[..after]);
    let engine = random.pick(&[&b64::STANDARD, &b64::URL_SAFE, &b64::STANDARD_NO_PAD]);
    let encoded = engine.encode(text);
    if random.one_in(2) {
        return encoded;
    }
    let width = 2 + random.below(20);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(width)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    lines.join(random.pick(&["\n", "\r\n", "\n  "]))
}

/// Returns all meanings of a text: each decoder over the whole text, in any order, some levels
/// deep.
fn meanings(text: &str) -> BTreeSet<Vec<u8>> {
    const LEVELS: usize = 3;
    type Decoder = fn(&[u8]) -> Vec<u8>;
    let decoders: [Decoder; 5] = [unbackslash, unpercent, unplus, unhtml, unquote];
    let mut all = BTreeSet::from([text.as_bytes().to_vec()]);
    let mut last = all.clone();
    for _ in 0..LEVELS {
        let next = last
            .iter()
            .flat_map(|text| decoders.map(|decode| decode(text)));
        last = next.filter(|text| !all.contains(text)).collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn number(text: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    u32::from_str_radix(text, radix).ok().filter(|_| is_plain)
}

/// Replaces each place for which `at` returns a meaning and a length.
fn replaced(text: &[u8], at: impl Fn(&[u8]) -> Option<(Vec<u8>, usize)>) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(&first) = rest.first() {
        let (meaning, len) = at(rest).unwrap_or((vec![first], 1));
        out.extend(meaning);
        rest = &rest[len..];
    }
    out
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    char::from_u32(code).map(|c| c.to_string().into_bytes())
}

fn unbackslash(text: &[u8]) -> Vec<u8> {
    replaced(text, |rest| {
        let unit = |at: usize| number(rest.get(at..at + 4)?, 16);
        match rest {
            [b'\\', b'n', ..] => Some((vec![b'\n'], 2)),
            [b'\\', b't', ..] => Some((vec![b'\t'], 2)),
            [b'\\', b'r', ..] => Some((vec![b'\r'], 2)),
            [b'\\', it @ (b'"' | b'\\' | b'/' | b'\''), ..] => Some((vec![*it], 2)),
            [b'\\', b'u', b'{', ..] => {
                let end = rest.iter().position(|&b| b == b'}')?;
                Some((utf8(number(&rest[3..end], 16)?)?, end + 1))
            }
            [b'\\', b'u', ..] => {
                let first = unit(2)?;
                if !(0xd800..0xdc00).contains(&first) {
                    return Some((utf8(first)?, 6));
                }
                let second = unit(8)?.checked_sub(0xdc00)?;
                Some((utf8(0x10000 + ((first - 0xd800) << 10) + second)?, 12))
            }
            _ => None,
        }
    })
}

fn unpercent(text: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(text).collect()
}

fn unplus(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|&b| if b == b'+' { b' ' } else { b })
        .collect();
    unpercent(&spaced)
}

fn unquote(text: &[u8]) -> Vec<u8> {
    replaced(text, |rest| match rest {
        [b'=', ..] => Some((vec![number(rest.get(1..3)?, 16)? as u8], 3)),
        _ => None,
    })
}

fn unhtml(text: &[u8]) -> Vec<u8> {
    replaced(text, |rest| {
        if rest[0] != b'&' {
            return None;
        }
        let end = rest.iter().position(|&b| b == b';')?;
        let meaning = match &rest[1..end] {
            b"amp" => vec![b'&'],
            b"lt" => vec![b'<'],
            b"quot" => vec![b'"'],
            [b'#', b'x', digits @ ..] => utf8(number(digits, 16)?)?,
            [b'#', digits @ ..] => utf8(number(digits, 10)?)?,
            _ => return None,
        };
        Some((meaning, end + 1))
    })
}

/// Decodes the notations other than plain, wherever in the text they may begin.
fn notations(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text).replace("0x", "");
    let hex: Vec<u8> = text
        .bytes()
        .filter(|byte| !b":-, \r\n".contains(byte))
        .collect();
    let mut all: Vec<Vec<u8>> = (0..2)
        .map(|from| {
            let pairs = hex.get(from..).unwrap_or_default().chunks(2);
            pairs
                .map(|pair| number(pair, 16).map_or(0, |it| it as u8))
                .collect()
        })
        .collect();
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !b"\r\n ".contains(byte))
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte if byte.is_ascii_alphanumeric() || b"+/".contains(&byte) => byte,
            _ => b'A',
        })
        .collect();
    for from in 0..4 {
        let quads = digits.get(from..).unwrap_or_default();
        let whole = &quads[..quads.len() / 4 * 4];
        all.push(b64::STANDARD.decode(whole).expect("only its digits"));
    }
    all
}

/// Returns a part of the value that the text still holds, in any form.
fn leaked(text: &str, value: &str) -> Option<String> {
    let chars: Vec<char> = value.chars().collect();
    let parts: Vec<String> = chars
        .windows(RUN_CHARS)
        .map(|part| part.iter().collect())
        // A part that begins with a line break does not count.
        .filter(|part: &String| !part.starts_with('\n'))
        .collect();
    let has = |text: &[u8]| {
        let is_in = |part: &&String| memmem(text, part.as_bytes());
        parts.iter().find(is_in).cloned()
    };
    meanings(text)
        .iter()
        .find_map(|text| has(text).or_else(|| notations(text).iter().find_map(|it| has(it))))
}

fn memmem(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn streamed(random: &mut Random, scrubber: &Arc<Scrubber>, text: &str) -> String {
    let mut stream = StreamScrubber::new(Arc::clone(scrubber));
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    let longest = random.pick(&[1, 2, 7, 50, 1000]);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((1 + random.below(longest)).min(rest.len()));
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(chunk)));
        assert!(stream.held_bytes() <= scrubber.max_held_bytes());
        rest = after;
    }
    out.extend_from_slice(&stream.finish());
    String::from_utf8(out).expect("UTF-8 stays UTF-8")
}

#[test]
fn no_eight_characters_of_a_credential_come_through_in_any_spelling() {
    let mut random = Random(20_260_727);
    for round in 0..200 {
        let value = random.credential();
        let scrubber = Arc::new(Scrubber::new([("key", value.as_str())]));
        let chars: Vec<char> = value.chars().collect();
        let (mut from, mut to) = (0, chars.len());
        if random.one_in(2) {
            // Cut the value on one side or on both.
            from = random.below(chars.len() - RUN_CHARS + 1);
            to = from + RUN_CHARS + random.below(chars.len() - from - RUN_CHARS + 1);
        }
        let part: String = chars[from..to].iter().collect();
        let echo = echo(&mut random, &part);
        let around = [
            ("", ""),
            ("{\"error\":\"", "\"}"),
            ("data: ", "\n\n"),
            ("é", "é"),
            ("key=", "…, try again"),
        ];
        let (before, after) = random.pick(&around);
        let text = format!("{before}{echo}{after}");
        let whole = scrubber.scrub(&text);
        let context = format!("round {round}: {value:?} in {text:?} gave {:?}", whole.text);
        assert_eq!(leaked(&whole.text, &value), None, "{context}");
        let stream = streamed(&mut random, &scrubber, &text);
        assert_eq!(
            leaked(&stream, &value),
            None,
            "{context}; a stream {stream:?}"
        );
    }
}

#[test]
fn a_text_with_less_than_eight_characters_of_a_credential_passes_byte_for_byte() {
    let mut random = Random(7);
    for round in 0..100 {
        let value = random.credential();
        let scrubber = Arc::new(Scrubber::new([("key", value.as_str())]));
        let chars: Vec<char> = value.chars().collect();
        let mut text = String::new();
        for _ in 0..6 {
            let from = random.below(chars.len() - RUN_CHARS + 1);
            let part: String = chars[from..from + RUN_CHARS - 1].iter().collect();
            // The separator occurs in no alphabet above, no notation and no escape.
            text.push_str(&part);
            text.push('§');
        }
        let scrubbed = scrubber.scrub(&text);
        assert_eq!(scrubbed.text, text, "round {round}: {value:?}");
        assert_eq!(
            streamed(&mut random, &scrubber, &text),
            text,
            "round {round}"
        );
    }
}

//! Tests of the scrubber. Wherever possible, another library than the one under test makes the
//! encodings.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose as b64;
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::*;

const KEY: &str = "sk-Plain_0123456789";
const ODD: &str = "a/b+c \"d\\e\u{1}é<&>😀%41\tz";
const PEM: &str = "-----BEGIN KEY-----\nMIIB/abc+def==\nAAAA\n-----END KEY-----\n";
const TOKEN: &str = "pin-42";

const SPACE_AND_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\'');

fn scrubber() -> Scrubber {
    Scrubber::new([("key", KEY), ("odd", ODD), ("pem", PEM), ("token", TOKEN)])
}

/// Texts that carry one of the secrets, as an upstream might echo it.
fn echoes() -> Vec<(&'static str, Vec<u8>)> {
    let mut echoes = Vec::new();
    let mut add = |name, text: String| echoes.push((name, text.into_bytes()));
    for (name, value) in [("key", KEY), ("odd", ODD), ("pem", PEM.trim_end())] {
        add(name, format!("x{value}y"));
        add(
            name,
            format!("?q={}&", utf8_percent_encode(value, NON_ALPHANUMERIC)),
        );
        add(
            name,
            format!("?q={}&", utf8_percent_encode(value, SPACE_AND_QUERY)),
        );
        add(
            name,
            url::form_urlencoded::Serializer::new(String::new())
                .append_pair("q", value)
                .finish(),
        );
        let every: String = value.bytes().map(|b| format!("%{b:02x}")).collect();
        add(name, format!("{every}{}", every.to_uppercase()));
        add(name, format!("..{}..", hex::encode(value)));
        add(name, format!("..{}..", hex::encode_upper(value)));
        for before in ["", "u", "us", "use", "user:"] {
            for after in ["", "!", "!!", ":pass", "\n"] {
                let text = format!("{before}{value}{after}");
                for engine in [
                    &b64::STANDARD,
                    &b64::STANDARD_NO_PAD,
                    &b64::URL_SAFE,
                    &b64::URL_SAFE_NO_PAD,
                ] {
                    add(name, format!("Basic {} end", engine.encode(&text)));
                }
            }
        }
        let json = serde_json::json!({ "v": value }).to_string();
        add(name, json.clone());
        add(name, json.replace('/', "\\/"));
        add(name, serde_json::json!({ "inner": json }).to_string());
        let units: String = value
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect();
        add(name, format!("\"{units}\""));
        add(
            name,
            format!("\"{}\"", units.replace("\\u", "\\\\u").to_lowercase()),
        );
    }
    add("token", format!("PIN ({TOKEN})"));
    add("token", format!("token={TOKEN}"));
    add("token", format!("{} ", hex::encode(TOKEN)));
    add("token", format!("Bearer {}", b64::STANDARD.encode(TOKEN)));
    echoes
}

#[test]
fn every_form_is_replaced_and_named() {
    let scrubber = scrubber();
    for (name, echo) in echoes() {
        let scrubbed = scrubber.scrub_bytes(&echo);
        let text = String::from_utf8_lossy(&echo);
        assert_eq!(scrubbed.blocked, [name], "in {text}");
        let marker = format!("[redacted:{name}]");
        assert!(
            String::from_utf8_lossy(&scrubbed.bytes).contains(&marker),
            "in {text}"
        );
        assert_eq!(
            scrubber.contains(&scrubbed.bytes),
            None,
            "something is left of {text}"
        );
        assert_eq!(scrubber.contains(&echo), Some(name), "in {text}");
    }
}

#[test]
fn what_is_around_a_secret_stays() {
    let scrubbed = scrubber();
    let text = format!("é{KEY}é {KEY}{KEY}");
    let scrubbed = scrubbed.scrub(&text);
    assert_eq!(
        scrubbed.text,
        "é[redacted:key]é [redacted:key][redacted:key]"
    );
}

#[test]
fn a_standalone_encoding_goes_as_a_whole() {
    let scrubber = scrubber();
    for value in [KEY, &KEY[1..], &KEY[2..]] {
        let scrubber_of_it = Scrubber::new([("k", value)]);
        for engine in [&b64::STANDARD, &b64::STANDARD_NO_PAD] {
            let text = format!("<{}>", engine.encode(value));
            assert_eq!(scrubber_of_it.scrub(&text).text, "<[redacted:k]>");
        }
    }
    let json = serde_json::json!({ "v": ODD }).to_string();
    assert_eq!(scrubber.scrub(&json).text, r#"{"v":"[redacted:odd]"}"#);
}

#[test]
fn unrelated_text_is_borrowed_and_unchanged() {
    let scrubber = scrubber();
    for text in [
        "",
        "a plain sentence about sk-Plai keys, %20 and \\u00e9 and c2stUGxh",
        "-----BEGIN KEY-----\nanother one\n-----END KEY-----",
    ] {
        let scrubbed = scrubber.scrub(text);
        assert!(matches!(scrubbed.text, Cow::Borrowed(t) if t == text));
        assert!(scrubbed.blocked.is_empty());
    }
}

#[test]
fn short_secrets_match_only_as_whole_tokens() {
    let scrubber = Scrubber::new([("pin", "1234"), ("seven", "abcdefg"), ("eight", "hijklmno")]);
    let text = "1234 51234 12345 x1234 1234-5 _1234 (1234) 1234, abcdefgh, hijklmnop";
    assert_eq!(
        scrubber.scrub(text).text,
        "[redacted:pin] 51234 12345 x1234 1234-5 _1234 ([redacted:pin]) [redacted:pin], \
         abcdefgh, [redacted:eight]p"
    );
}

#[test]
fn the_leftmost_and_longest_wins_and_the_first_name_of_equal_values() {
    let scrubber = Scrubber::new([
        ("short", "secret-value"),
        ("long", "secret-value-and-more"),
        ("twin", "secret-value"),
    ]);
    assert_eq!(
        scrubber.scrub("secret-value-and-more secret-value").text,
        "[redacted:long] [redacted:short]"
    );
}

#[test]
fn a_stored_line_end_does_not_hide_a_secret() {
    let scrubber = Scrubber::new([("key", "0123456789\n")]);
    assert_eq!(scrubber.scrub("<0123456789>").text, "<[redacted:key]>");
    assert!(Scrubber::new([("empty", "")]).is_empty());
    assert_eq!(Scrubber::new([("empty", "")]).scrub("text").text, "text");
}

#[test]
fn a_spelling_that_can_be_read_in_two_ways_is_read_in_both() {
    let scrubber = Scrubber::new([("key", "bbnnttrr")]);
    let double: String = "bbnnttrr"
        .chars()
        .map(|c| format!("%5C\\u{:04x}", u32::from(c)))
        .collect();
    assert_eq!(scrubber.scrub(&double).text, "[redacted:key]");

    let scrubber = Scrubber::new([("key", KEY)]);
    let hex: Vec<String> = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    for between in [
        "+",
        "%3A",
        "+%0A+",
        ", 0x",
        "%2C+%30%78",
        "\\n",
        "\\\\u000a  ",
    ] {
        let text = format!("({})", hex.join(between));
        assert_eq!(scrubber.scrub(&text).text, "([redacted:key])", "{text}");
    }
    let base64: Vec<String> = b64::STANDARD_NO_PAD
        .encode(KEY)
        .as_bytes()
        .chunks(2)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    for between in [
        "\n",
        "\r\n  ",
        "%0A++",
        "%0D%0A+%20",
        "\\n",
        "\\\\n ",
        "&#10;&#32;",
    ] {
        let text = format!("({})", base64.join(between));
        assert_eq!(scrubber.scrub(&text).text, "([redacted:key])", "{text}");
    }
}

/// Cuts the text in two at each position, and compares the output of the stream.
fn cut_anywhere(new: impl Fn() -> StreamScrubber, text: &str, expected: &str) {
    for cut in 0..text.len() {
        let mut stream = new();
        let (first, second) = text.as_bytes().split_at(cut);
        let mut out = stream.push(Bytes::copy_from_slice(first)).to_vec();
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(second)));
        out.extend_from_slice(&stream.finish());
        assert_eq!(String::from_utf8_lossy(&out), expected, "cut at {cut}");
    }
}

#[test]
fn a_stream_waits_behind_a_line_end_among_digits() {
    let scrubber = Arc::new(Scrubber::new([("key", "0123456789")]));
    let forms = [
        b64::STANDARD.encode("0123456789"),
        hex::encode("0123456789"),
    ];
    for (form, line_end) in forms
        .iter()
        .flat_map(|form| ["\\n", "\n", "\r\n"].map(|it| (form, it)))
    {
        let text = format!("\"{}{line_end}{}\"", &form[..1], &form[1..]);
        let new = || StreamScrubber::new(scrubber.clone());
        cut_anywhere(new, &text, "\"[redacted:key]\"");
    }
}

#[test]
fn a_stream_of_json_has_a_text_where_a_number_was() {
    // A bot's token has this form: its first part is the bot's id.
    let scrubber = Arc::new(Scrubber::new([(
        "bot",
        "1234567890:AAF-x0yZ1w2V3u4T5s6R7q8P9o",
    )]));
    let new = || StreamScrubber::of_json(scrubber.clone());
    let text = r#"{"id":1234567890,"other":[1234567890],"short":1234567}"#;
    let expected = text.replace("1234567890", r#""[redacted:bot]""#);
    cut_anywhere(new, text, &expected);
    let text = "data: \"x\rdata: {\"a\":1234567890}\r\r";
    let expected_of_event = "data: \"x\rdata: {\"a\":\"[redacted:bot]\"}\r\r";
    cut_anywhere(new, text, expected_of_event);
    // The whole number is replaced, except for the part that was already passed on.
    let text = r#"{"id":1234567890,"other":[1234567890],"short":1234567}"#;
    let text = text.replace("1234567890", "-51234567890.5e3");
    let mut stream = new();
    let out = [stream.push(Bytes::from(text)), stream.finish()].concat();
    assert_eq!(out, expected.as_bytes());
    // The sign belongs to the number, even when the find does not include it.
    let minus = Arc::new(Scrubber::new([(
        "bot",
        "bot-1234567:AAF-x0yZ1w2V3u4T5s6R7q8P9o",
    )]));
    let mut stream = StreamScrubber::of_json(minus);
    let out = [
        stream.push(Bytes::from_static(b"[-1234567]")),
        stream.finish(),
    ]
    .concat();
    assert_eq!(out, br#"["[redacted:bot]"]"#);
    cut_anywhere(
        new,
        r#"{"id":"no 1234567890"}"#,
        r#"{"id":"no [redacted:bot]"}"#,
    );
}

/// All echoes in one text. The text between them resembles beginnings of finds.
fn long_stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for (_, echo) in echoes() {
        stream.extend_from_slice(b"sk-Plain_0123 -----BEGIN pin-4 xpin-42 %73 c2stU ");
        stream.extend_from_slice(&echo);
        stream.extend_from_slice(&echo[..echo.len() / 2]);
    }
    stream
}

#[test]
fn any_split_of_a_stream_gives_the_same_as_the_whole() {
    let scrubber = Arc::new(scrubber());
    let whole = long_stream();
    let expected = scrubber.scrub_bytes(&whole);
    assert_eq!(expected.blocked, ["key", "odd", "pem", "token"]);
    let mut random = 1_u64;
    for round in 0..4 {
        let mut stream = StreamScrubber::new(scrubber.clone());
        let mut out = Vec::new();
        let mut rest = whole.as_slice();
        while !rest.is_empty() {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let longest = [1, 3, 40, 1000][round % 4];
            let len = (random >> 33) as usize % longest + 1;
            let (chunk, after) = rest.split_at(len.min(rest.len()));
            out.extend_from_slice(&stream.push(Bytes::copy_from_slice(chunk)));
            assert!(stream.held_bytes() <= scrubber.max_held_bytes());
            rest = after;
        }
        out.extend_from_slice(&stream.finish());
        assert!(out == *expected.bytes, "round {round} differs");
        assert_eq!(stream.blocked().collect::<Vec<_>>(), expected.blocked);
    }
}

#[test]
fn a_stream_holds_back_nothing_that_cannot_become_a_secret() {
    let mut stream = StreamScrubber::new(Arc::new(scrubber()));
    let chunk = Bytes::from_static(b"data: {\"text\":\"hello\"}\n\n");
    let out = stream.push(chunk.clone());
    assert_eq!(out, chunk);
    assert_eq!(out.as_ptr(), chunk.as_ptr(), "passed on without a copy");
    assert_eq!(stream.push(Bytes::from_static(b"!! sk-Pl")), "!! ");
    assert_eq!(stream.held_bytes(), 5);
    assert_eq!(stream.push(Bytes::from_static(b"u.")), "sk-Plu.");
    assert_eq!(stream.push(Bytes::from_static(b" sk-Pl")), " ");
    assert_eq!(stream.finish(), "sk-Pl");
}

#[test]
fn digits_without_end_are_looked_at_a_few_times_each() {
    // If each find read the whole number, so many digits would take an hour.
    let digits = format!("{{\"a\":{}}}", "12345678".repeat(500_000));
    let scrubber = Arc::new(Scrubber::new([("pin", "12345678")]));
    let mut stream = StreamScrubber::of_json(scrubber.clone());
    let mut out = Vec::new();
    for chunk in digits.as_bytes().chunks(70_000) {
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(chunk)));
        assert!(stream.held_bytes() <= scrubber.max_held_bytes());
    }
    out.extend_from_slice(&stream.finish());
    assert!(!out.windows(8).any(|eight| eight == b"12345678"));
}

#[test]
fn spellings_of_other_languages_are_read() {
    let (secret, mut forms) = ("sk-proj-Xy7fQ2bM9v", vec![String::new(); 4]);
    for byte in secret.bytes() {
        forms[0] += &format!("\\{byte:03o}");
        forms[1] += &format!("%u{byte:04x}");
        forms[2] += &format!("&#{byte}");
        forms[3] += &format!("&#x{byte:X}");
    }
    let scrubber = Arc::new(Scrubber::new([("key", secret)]));
    for form in forms {
        let text = format!("it is ({form})");
        let new = || StreamScrubber::new(scrubber.clone());
        cut_anywhere(new, &text, "it is ([redacted:key])");
    }
    for text in ["C:\\0137\\1", "%union %u", "a &#", "&#12", "\\9\\8"] {
        assert_eq!(scrubber.scrub(text).text, text);
    }
}

#[test]
fn a_secret_released_during_a_stream_is_found_from_there_on() {
    let mut stream = StreamScrubber::new(Arc::new(Scrubber::new([])));
    assert_eq!(
        stream.push(Bytes::from_static(b"nothing yet ")),
        "nothing yet "
    );
    stream.set_scrubber(Arc::new(Scrubber::new([("key", KEY)])));
    assert_eq!(
        stream.push(Bytes::from_static(KEY.as_bytes())),
        "[redacted:key]"
    );
}

#[test]
fn a_detector_passes_on_nothing_of_a_secret_however_it_is_split() {
    let scrubber = Arc::new(scrubber());
    for (name, echo) in echoes() {
        for step in [1, 2, 7, echo.len()] {
            let mut detector = SecretDetector::new(scrubber.clone());
            let mut sent = Vec::new();
            let mut leak = None;
            for chunk in echo.chunks(step) {
                match detector.push(Bytes::copy_from_slice(chunk)) {
                    Ok(bytes) => sent.extend_from_slice(&bytes),
                    Err(found) => {
                        leak = Some(found);
                        break;
                    }
                }
            }
            let leak = leak.or_else(|| detector.finish().err());
            let text = String::from_utf8_lossy(&echo);
            assert_eq!(leak.expect("a leak").name, name, "in {text}");
            let before = scrubber.scrub_bytes(&echo).bytes;
            assert!(
                before.starts_with(&sent),
                "part of the secret was sent from {text}"
            );
        }
    }
}

#[test]
fn a_detector_passes_everything_else() {
    let mut detector = SecretDetector::new(Arc::new(scrubber()));
    let mut sent = Vec::new();
    for chunk in b"sk-Plai_ and -----BEGIN and so on sk-".chunks(3) {
        sent.extend_from_slice(&detector.push(Bytes::copy_from_slice(chunk)).expect("clean"));
    }
    sent.extend_from_slice(&detector.finish().expect("clean"));
    assert_eq!(sent, b"sk-Plai_ and -----BEGIN and so on sk-");
}

mod oracle;

//! Removes secrets from a tool's JSON answer, and keeps it JSON. In keys and numbers, only values
//! that are too long to be there by accident are removed.

use std::collections::HashMap;

use tavora_scrub::{Scrubbed, Scrubber};

/// Returns the JSON without the secrets, and the names of those secrets. Returns nothing if there
/// were none. The input must be JSON.
pub(super) fn scrub(scrubber: &Scrubber, json: &str) -> Option<(String, Vec<String>)> {
    if scrubber.scrub(json).blocked.is_empty() {
        return None;
    }
    let mut answer = Answer {
        json: String::with_capacity(json.len()),
        blocked: Vec::new(),
        keys: Vec::new(),
    };
    let mut rest = json;
    while let Some(first) = rest.bytes().next() {
        let (token, after) = rest.split_at(token_len(rest));
        match first {
            b'"' if after.trim_start().starts_with(':') => {
                let name = answer.cleaned(scrubber.scrub_name(inside(token)));
                answer.key(name, inside(token));
            }
            b'"' => {
                let text = answer.cleaned(scrubber.scrub(inside(token)));
                answer.quoted(&text);
            }
            b'-' | b'0'..=b'9' => {
                let number = answer.cleaned(scrubber.scrub_name(token));
                match number == token {
                    true => answer.json.push_str(token),
                    false => answer.quoted(&number),
                }
            }
            b'{' | b'[' => {
                answer.keys.push(HashMap::new());
                answer.json.push_str(token);
            }
            b'}' | b']' => {
                answer.keys.pop();
                answer.json.push_str(token);
            }
            _ => answer.json.push_str(token),
        }
        rest = after;
    }
    let across = scrubber.scrub_name(&answer.json);
    if !across.blocked.is_empty() {
        // The secret is spread over several texts, so the whole answer becomes one scrubbed text.
        let text = serde_json::Value::String(across.text.into_owned()).to_string();
        answer.blocked.extend(across.blocked);
        answer.json = text;
    }
    answer.blocked.sort();
    answer.blocked.dedup();
    (!answer.blocked.is_empty()).then_some((answer.json, answer.blocked))
}

/// The state of a key in an object.
struct Key {
    /// Whether a secret was removed from the key.
    has_changed: bool,
    /// The suffix for the next key that has become equal to this one.
    next_number: u32,
}

struct Answer {
    json: String,
    blocked: Vec<String>,
    /// The keys of each open object.
    keys: Vec<HashMap<String, Key>>,
}

impl Answer {
    fn cleaned(&mut self, scrubbed: Scrubbed<'_>) -> String {
        self.blocked.extend(scrubbed.blocked);
        scrubbed.text.into_owned()
    }

    fn quoted(&mut self, text: &str) {
        self.json.push('"');
        self.json.push_str(text);
        self.json.push('"');
    }

    /// Writes a key. Keys that became equal get different suffixes, so that neither hides the
    /// other's value.
    fn key(&mut self, name: String, before: &str) {
        let has_changed = name != before;
        let mut key = name.clone();
        if let Some(keys) = self.keys.last_mut() {
            let mut number = keys.get(&name).map_or(2, |known| known.next_number);
            while keys
                .get(&key)
                .is_some_and(|known| has_changed || known.has_changed)
            {
                key = format!("{name} ({number})");
                number += 1;
            }
            if let Some(known) = keys.get_mut(&name) {
                known.next_number = number;
            }
            let known = keys.entry(key.clone()).or_insert(Key {
                has_changed,
                next_number: 2,
            });
            known.has_changed = has_changed;
        }
        self.quoted(&key);
    }
}

/// Returns the length of the next string, number or other character.
fn token_len(json: &str) -> usize {
    let bytes = json.as_bytes();
    let number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    match bytes[0] {
        b'"' => {
            let mut is_escaped = false;
            let end = bytes[1..].iter().position(|&byte| {
                let is_end = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                is_end
            });
            end.map_or(bytes.len(), |end| end + 2)
        }
        b'-' | b'0'..=b'9' => bytes.iter().take_while(|byte| number(byte)).count(),
        _ => json.chars().next().map_or(0, char::len_utf8),
    }
}

fn inside(string: &str) -> &str {
    &string[1..string.len() - 1]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "canary-7f3d1c9ab2e84655";

    fn scrubbed(value: &str, json: &str) -> Value {
        let scrubber = Scrubber::new([("tok", value)]);
        let clean = scrub(&scrubber, json).map_or(json.to_owned(), |(clean, _)| clean);
        serde_json::from_str(&clean).unwrap_or_else(|error| panic!("{value}: {error}: {clean}"))
    }

    #[test]
    fn a_short_value_is_taken_out_of_texts_and_nothing_else() {
        let answer = json!({
            "name": "admin", "n": 200, "t": true, "x": null, "test": "a test of test-mode", "id": 1,
            "list": [1, 200, false, -1.5e3, "1"],
        });
        for value in [
            "true", "null", "false", "1", "200", "name", "test", "id", "-1.5e3", "{", "}", ":",
            ",", "\"", "[", "admin", "e", "a",
        ] {
            let clean = scrubbed(value, &answer.to_string());
            for field in ["n", "t", "x", "id"] {
                assert_eq!(clean[field], answer[field], "{value}: {clean}");
            }
            assert_eq!(clean.as_object().expect("an object").len(), 7, "{value}");
            assert_eq!(clean["list"][3], -1500.0);
        }
        assert_eq!(
            scrubbed("admin", &answer.to_string())["name"],
            "[redacted:tok]"
        );
        assert_eq!(
            scrubbed("test", &answer.to_string())["test"],
            "a [redacted:tok] of test-mode"
        );
        assert_eq!(
            scrubbed("1", &answer.to_string())["list"][4],
            "[redacted:tok]"
        );
    }

    #[test]
    fn a_long_value_is_taken_out_everywhere_and_no_key_is_lost() {
        let number = "9007199254740993123";
        let json = format!(
            r#"{{"{KEY}":1,"{}":2,"[redacted:tok]":3,"a":{{"{KEY}":"{KEY}"}},"b":1.50}}"#,
            hex::encode(KEY)
        );
        let scrubber = Scrubber::new([("tok", KEY)]);
        let (clean, blocked) = scrub(&scrubber, &json).expect("something is in it");
        assert_eq!(
            clean,
            r#"{"[redacted:tok]":1,"[redacted:tok] (2)":2,"[redacted:tok] (3)":3,"a":{"[redacted:tok]":"[redacted:tok]"},"b":1.50}"#
        );
        assert_eq!(blocked, ["tok"]);
        assert_eq!(
            scrubbed(number, &format!("[{number}, 12.50, {{\"n\": {number}}}]")),
            json!(["[redacted:tok]", 12.5, { "n": "[redacted:tok]" }])
        );
    }

    #[test]
    fn a_value_that_is_spread_over_texts_is_taken_out_too() {
        for (value, json) in [
            (
                r#"{"user":"admin","pass":"hunter2"}"#,
                r#"{"a":{"user":"admin","pass":"hunter2"},"b":1}"#,
            ),
            ("[1,2,3,4,5,6]", r#"{"list":[1,2,3,4,5,6]}"#),
        ] {
            let scrubber = Scrubber::new([("tok", value)]);
            let (clean, blocked) = scrub(&scrubber, json).expect("something is in it");
            assert!(scrubber.contains(clean.as_bytes()).is_none(), "{clean}");
            assert!(serde_json::from_str::<Value>(&clean).is_ok(), "{clean}");
            assert_eq!(blocked, ["tok"]);
        }
    }

    #[test]
    fn what_is_taken_out_takes_no_half_of_an_escape_with_it() {
        for (value, json) in [
            ("nsecret-value", r#"{"a":"x\nsecret-value"}"#),
            ("0041abcdefgh", r#"{"a":"\u0041abcdefgh"}"#),
            ("abcdefgh\\", r#"{"a":"abcdefgh\\","b":"abcdefgh\"c"}"#),
            (
                "\"quoted\\value\"",
                r#"{"a":"\"quoted\\value\"","b":"\\\"quoted\\\\value\\\""}"#,
            ),
            (
                "{\"key\":\"a value of many\"}",
                r#"{"key":"a value of many"}"#,
            ),
            (
                "secret😀value",
                "{\"a\":\"secret\\ud83d\\ude00value\\ud83d\"}",
            ),
        ] {
            let scrubber = Scrubber::new([("tok", value)]);
            let (clean, _) = scrub(&scrubber, json).unwrap_or_else(|| panic!("{value} in {json}"));
            let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&clean).is_ok();
            assert!(is_json, "{value}: {clean}");
            assert!(clean.contains("[redacted:tok]"), "{value}: {clean}");
        }
    }
}

//! Removes what people copy along with a credential: invisible characters around it, and the scheme
//! of the header in which it stood. Invisible characters are removed for every tool. The scheme is
//! removed where the host writes the credential. The scrubber knows the value without its scheme,
//! too, because tools remove it as well.

/// Returns the value without the invisible characters around it. White space stays, except for line
/// ends.
pub fn plain(value: &str) -> &str {
    let plain = value.trim_matches(is_invisible);
    if plain.is_empty() { value } else { plain }
}

/// Returns the value without white space and invisible characters around it.
pub(super) fn without_blanks(value: &str) -> &str {
    value.trim_matches(is_around)
}

/// Returns the value also without the scheme of its header, for a slot that has text before the
/// credential.
pub(super) fn bare(value: &str) -> &str {
    sent_as(value)
        .pop()
        .unwrap_or_default()
        .trim_matches(is_around)
}

fn is_around(char: char) -> bool {
    char.is_whitespace() || is_invisible(char)
}

/// Returns each form in which a tool may send the value. The stored value comes first.
pub fn sent_as(value: &str) -> Vec<&str> {
    let mut forms = vec![value];
    let mut add = |form| {
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    add(plain(value));
    let mut rest = value.trim_matches(is_around);
    add(rest);
    for scheme in ["authorization:", "bearer", "basic", "token", "bearer"] {
        let Some((head, after)) = rest.split_at_checked(scheme.len()) else {
            continue;
        };
        let is_apart = scheme.ends_with(':') || after.starts_with(char::is_whitespace);
        let after = after.trim_matches(is_around);
        if head.eq_ignore_ascii_case(scheme) && is_apart && !after.is_empty() {
            rest = after;
            add(rest);
        }
    }
    forms.retain(|form| !form.is_empty());
    forms
}

/// Returns the feature by which a value does not look like a credential, if there is one.
pub(super) fn oddity(value: &str) -> Option<&'static str> {
    let value = without_blanks(value);
    let is_quote =
        |char: char| "\"'`\u{201c}\u{201d}\u{2018}\u{2019}\u{201e}\u{ab}\u{bb}".contains(char);
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-. ".contains(&b))
    };
    let starts_with = |start: &str| {
        value
            .split_at_checked(start.len())
            .is_some_and(|(head, rest)| {
                head.eq_ignore_ascii_case(start) && rest.starts_with(char::is_whitespace)
            })
    };
    let assigned = value.split_once('=').filter(|(name, rest)| {
        is_name(name) && name.contains('_') && !rest.trim_matches('=').is_empty()
    });
    if value.is_empty() {
        Some("holds nothing that can be seen")
    } else if value.starts_with(is_quote) || value.ends_with(is_quote) {
        Some("begins or ends with a quote")
    } else if ["bearer", "basic", "token"].into_iter().any(starts_with) {
        Some("begins with the name of a scheme, such as \"Bearer \"")
    } else if assigned.is_some() {
        Some("has the form NAME=value; the part after the sign is the credential")
    } else if value
        .split_once(": ")
        .is_some_and(|(name, _)| is_name(name))
    {
        Some("has the form \"Name: value\"; the part after the colon is the credential")
    } else if value.contains(is_invisible) {
        Some("holds an invisible character")
    } else if value.contains(char::is_whitespace) {
        Some("holds white space")
    } else if !value.is_ascii() {
        Some("holds a character that is not ASCII")
    } else if value.ends_with([',', ';']) {
        Some("ends with a comma or a semicolon")
    } else if value.contains("***") || value.ends_with("...") {
        Some("looks like a credential that was shortened to be shown")
    } else {
        None
    }
}

/// Whether a character is invisible: byte order marks, characters without width, marks of
/// direction, control characters.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_taken_off_and_what_is_seen_stays() {
        for value in [
            "\u{feff}key",
            "key\r\n",
            "\u{200b}\u{2060}key\0\u{7f}",
            "\u{202a}key\u{202c}",
        ] {
            assert_eq!(plain(value), "key", "{value:?}");
        }
        for value in ["key", " key ", "k\u{200b}ey", "\u{feff}\n"] {
            assert_eq!(plain(value), value, "{value:?}");
        }
    }

    #[test]
    fn what_is_odd_about_a_value_is_told_without_it() {
        for (value, told) in [
            ("\"canary\"", "quote"),
            ("\u{201c}canary\u{201d}", "quote"),
            ("Bearer canary", "scheme"),
            ("OPENAI_API_KEY=canary", "NAME=value"),
            ("export OPENAI_API_KEY=canary", "NAME=value"),
            ("x-api-key: canary", "Name: value"),
            ("can\u{200b}ary", "invisible"),
            ("can ary", "white space"),
            ("can\u{430}ry", "not ASCII"),
            ("canary,", "comma"),
            ("sk-***ary", "shortened"),
            ("\u{feff}", "nothing"),
        ] {
            let odd = oddity(value).expect(value);
            assert!(odd.contains(told) && !odd.contains("ary"), "{value}: {odd}");
        }
        for value in [
            "sk-proj-abc_123",
            "YWJj=",
            "YWJjZA==",
            "a=b",
            "abc.def.ghi",
            "\u{feff}abc\n",
        ] {
            assert_eq!(oddity(value), None, "{value}");
        }
    }

    #[test]
    fn each_form_that_is_sent_is_known() {
        assert_eq!(sent_as("key"), ["key"]);
        assert_eq!(sent_as("\u{feff} key\n"), ["\u{feff} key\n", " key", "key"]);
        assert_eq!(sent_as("Bearer key"), ["Bearer key", "key"]);
        assert_eq!(
            sent_as("Authorization: bearer Bearer key"),
            [
                "Authorization: bearer Bearer key",
                "bearer Bearer key",
                "Bearer key",
                "key"
            ]
        );
        assert_eq!(sent_as("Bearer "), ["Bearer ", "Bearer"]);
    }
}

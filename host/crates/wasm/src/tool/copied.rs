//! What comes along when a credential is copied: characters that nobody sees around it, and the
//! scheme of the header in which it stood. The first is taken off for every tool; the second is
//! known to the scrubber, as tools take it off.

/// The value without the invisible characters around it. White space that somebody can see stays,
/// but for line ends.
pub(super) fn plain(value: &str) -> &str {
    let plain = value.trim_matches(is_invisible);
    if plain.is_empty() { value } else { plain }
}

/// Each form in which a tool sends the value, as it was stored first.
pub(super) fn sent_as(value: &str) -> Vec<&str> {
    let mut forms = vec![value];
    let mut add = |form| {
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    add(plain(value));
    let around = |char: char| char.is_whitespace() || is_invisible(char);
    let mut rest = value.trim_matches(around);
    add(rest);
    for scheme in ["authorization:", "bearer", "basic", "token", "bearer"] {
        let Some((head, after)) = rest.split_at_checked(scheme.len()) else {
            continue;
        };
        let is_apart = scheme.ends_with(':') || after.starts_with(char::is_whitespace);
        let after = after.trim_matches(around);
        if head.eq_ignore_ascii_case(scheme) && is_apart && !after.is_empty() {
            rest = after;
            add(rest);
        }
    }
    forms.retain(|form| !form.is_empty());
    forms
}

/// Byte order marks, characters without width, marks of direction, control characters.
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

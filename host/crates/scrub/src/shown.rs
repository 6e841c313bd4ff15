//! Makes text from others safe to show to people: on a terminal, in a message, in a spreadsheet.
//!
//! Shown text must not move a cursor, reverse the direction of writing, begin a line, or become a
//! formula. Text for programs is not changed here.

use std::fmt::Write as _;

/// The longest name that a message repeats, in characters.
const MAX_NAME_CHARS: usize = 160;

/// Returns `text` with invisible characters and terminal controls escaped. Tabs stay.
pub fn visible(text: &str) -> String {
    written_out(text, |c, shown| {
        shown.extend(c.escape_default());
    })
}

/// Returns `text` from a component or a peer in a form for one line of a message: as [`visible`],
/// with quotes and tabs escaped, and of bounded length.
pub fn name(text: &str) -> String {
    let shortened: String = text.chars().take(MAX_NAME_CHARS).collect();
    let mut shown: String = shortened.chars().flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_NAME_CHARS).is_some() {
        shown.push('…');
    }
    visible(&shown)
}

/// Returns the same JSON in a form that is safe on a terminal. Control characters can occur only in
/// strings, where JSON has escapes for them.
pub fn terminal_json(json: &str) -> String {
    written_out(json, |c, shown| match c {
        '\n' => shown.push(c),
        // Outside of strings, a carriage return is white space.
        '\r' => shown.push(' '),
        c => {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(shown, "\\u{unit:04x}").expect("a string takes it");
            }
        }
    })
}

/// Returns `text` for a spreadsheet cell: a formula becomes plain text.
pub fn cell(text: String) -> String {
    const FORMULAS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let first = text
        .chars()
        .find(|c| !c.is_whitespace() && !is_hidden(*c) && *c != '\u{a0}');
    let begins_hidden = text.starts_with(|c: char| c.is_control());
    match begins_hidden || first.is_some_and(|c| FORMULAS.contains(&c)) {
        true => format!("'{text}"),
        false => text,
    }
}

fn written_out(text: &str, write: impl Fn(char, &mut String)) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c != '\t' && is_hidden(c) {
            true => write(c, &mut shown),
            false => shown.push(c),
        }
    }
    shown
}

/// Whether a character is a control, changes the direction of writing, ends a line, or is
/// invisible. Joiners that some scripts need are not hidden.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of each kind: they would steer a terminal, or be invisible.
    const HIDDEN: [&str; 10] = [
        "\u{1b}[8m",
        "\u{9b}8m",
        "\u{85}",
        "\n",
        "\r",
        "\u{7f}",
        "\u{202e}",
        "\u{2066}",
        "\u{2028}",
        "\u{e0041}",
    ];

    #[test]
    fn what_would_steer_a_terminal_is_written_out() {
        for hidden in HIDDEN {
            let text = format!("a{hidden}b");
            for shown in [visible(&text), name(&text)] {
                assert!(!shown.chars().any(is_hidden), "{shown:?}");
                assert!(shown.starts_with('a') && shown.contains('\\'), "{shown:?}");
            }
        }
        assert_eq!(visible("日本 👩‍🚀 ز\u{200c}ا\tx"), "日本 👩‍🚀 ز\u{200c}ا\tx");
        assert_eq!(
            name("tavora:platform/tools@0.1.0"),
            "tavora:platform/tools@0.1.0"
        );
        assert_eq!(name(&"x".repeat(500)).chars().count(), MAX_NAME_CHARS + 1);
    }

    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        for hidden in HIDDEN {
            let value = serde_json::Value::String(format!("a{hidden}b"));
            // JSON requires only a few escapes, so a program's output may hold the other characters
            // unescaped.
            let json = value.to_string();
            let shown = terminal_json(&json);
            assert!(!shown.chars().any(is_hidden), "{shown:?}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).ok(),
                Some(value)
            );
        }
        assert_eq!(terminal_json("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "\r\n@x",
            " =1",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            "\u{200b}=1",
            "\u{feff}=1",
            "\u{a0}=1",
            "\u{3000}＝1",
            "\tplain",
        ] {
            assert_eq!(cell(formula.to_owned()), format!("'{formula}"));
        }
        for plain in ["plain=text", "", "日本", r#"{"a":1}"#] {
            assert_eq!(cell(plain.to_owned()), plain);
        }
    }
}

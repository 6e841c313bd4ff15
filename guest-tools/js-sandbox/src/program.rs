//! The text of a program as a model sends it. It is taken out of a Markdown fence, and searched
//! where an error points.

/// The shortest fence of each kind.
const FENCES: [&str; 2] = ["```", "~~~"];

/// The number of characters that an error shows of an expression.
const MAX_SHOWN_CHARS: usize = 64;

/// The program in `code`: the text within a fence that encloses all of it, on the same lines, or
/// else `code` itself.
pub fn without_fence(code: &str) -> String {
    let text =
        code.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    inside(text).map_or_else(
        || code.to_owned(),
        |inside| {
            let before = code.len()
                - code
                    .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
                    .len();
            let lines = code[..before].matches('\n').count() + 1;
            format!("{}{inside}", "\n".repeat(lines))
        },
    )
}

/// The text inside a fence that opens with the first line and closes with the last.
fn inside(text: &str) -> Option<&str> {
    let (first, rest) = text.split_once('\n')?;
    let (inside, last) = rest.rsplit_once('\n').unwrap_or(("", rest));
    let sign = FENCES
        .into_iter()
        .find(|sign| first.starts_with(sign))?
        .chars()
        .next()?;
    let fence = first.len() - first.trim_start_matches(sign).len();
    let language = &first[fence..];
    let closes = |line: &str| {
        let line = line.trim();
        line.len() >= fence && line.chars().all(|character| character == sign)
    };
    let is_whole = !language.contains(sign) && closes(last) && !inside.lines().any(closes);
    is_whole.then_some(inside)
}

/// The line with the first fence, counted from 1.
pub fn line_of_fence(code: &str) -> Option<usize> {
    let is_fence = |line: &str| {
        FENCES
            .iter()
            .any(|fence| line.trim_start().starts_with(fence))
    };
    code.lines().position(is_fence).map(|at| at + 1)
}

/// The expressions that are called at a place, counted from 1: `tools.foo` of `tools.foo(1)`. The
/// engine points at the last thing that it looked at before the call, which may be among the
/// arguments. So every call that is open there is possible. The innermost is the first.
pub fn called_at(code: &str, line: usize, column: usize) -> Vec<String> {
    let text: Vec<char> = code.chars().collect();
    let Some(place) = place_of(&text, line, column) else {
        return Vec::new();
    };
    let mut end = place;
    if text.get(end) == Some(&'.') {
        end += 1;
    }
    while text.get(end).copied().is_some_and(is_of_a_name) {
        end += 1;
    }
    let after: String = text[end..].iter().take(3).collect();
    let is_called = ["(", "?.(", "`"]
        .iter()
        .any(|sign| after.trim_start().starts_with(sign));
    let here = is_called.then_some(end);
    let around = open_calls(&text[..place]);
    let ends = here.into_iter().chain(around);
    ends.filter_map(|end| {
        let start = chain_before(&text, end);
        let shown: String = text[start..end].iter().collect();
        (start < end).then(|| shorter(&shown))
    })
    .collect()
}

fn place_of(text: &[char], line: usize, column: usize) -> Option<usize> {
    let mut breaks = text
        .iter()
        .enumerate()
        .filter(|(_, sign)| **sign == '\n')
        .map(|(at, _)| at + 1);
    let start = match line.checked_sub(1)? {
        0 => 0,
        before => breaks.nth(before - 1)?,
    };
    let place = start + column.checked_sub(1)?;
    (place <= text.len()).then_some(place)
}

/// The positions of the opening brackets of the calls whose arguments `text` ends in, the innermost
/// first.
fn open_calls(text: &[char]) -> Vec<usize> {
    // Open brackets, and `>` for the body of an arrow function, which is no argument.
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let next = text.get(at + 1).copied();
        match text[at] {
            quote @ ('"' | '\'' | '`') => at = after_quote(text, at + 1, quote),
            '/' if next == Some('/') => {
                while text.get(at).is_some_and(|sign| *sign != '\n') {
                    at += 1;
                }
            }
            '/' if next == Some('*') => {
                at += 2;
                while at < text.len() && !(text[at] == '*' && text.get(at + 1) == Some(&'/')) {
                    at += 1;
                }
                at += 2;
            }
            '=' if next == Some('>') => {
                open.push(('>', at));
                at += 2;
            }
            sign @ ('(' | '[' | '{') => {
                open.push((sign, at));
                at += 1;
            }
            sign @ (')' | ']' | '}' | ',') => {
                while open.last().is_some_and(|(last, _)| *last == '>') {
                    open.pop();
                }
                if sign != ',' {
                    open.pop();
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    let is_argument = |(sign, at): &&(char, usize)| match sign {
        '>' => false,
        // This is a block or the body of a function. An object stands behind other characters.
        '{' => !text[..*at]
            .iter()
            .rev()
            .find(|it| !it.is_whitespace())
            .is_none_or(|it| ");>{}".contains(*it)),
        _ => true,
    };
    let arguments = open.iter().rev().take_while(is_argument);
    arguments
        .filter(|(sign, _)| *sign == '(')
        .map(|(_, at)| *at)
        .collect()
}

fn after_quote(text: &[char], mut at: usize, quote: char) -> usize {
    while let Some(sign) = text.get(at) {
        match sign {
            '\\' => at += 2,
            sign if *sign == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The start of the chain of names, calls and indices that ends before `end`.
fn chain_before(line: &[char], end: usize) -> usize {
    let mut start = end;
    loop {
        let before = start;
        while start > 0 && is_of_a_name(line[start - 1]) {
            start -= 1;
        }
        if start == before {
            // The link is no name but something in brackets, if they open on this line.
            match start.checked_sub(1).map(|last| line[last]) {
                Some(')') => match opening(line, start - 1, '(', ')') {
                    Some(at) => start = at,
                    None => return before,
                },
                Some(']') => match opening(line, start - 1, '[', ']') {
                    Some(at) => start = at,
                    None => return before,
                },
                _ => return before,
            }
            continue;
        }
        match start.checked_sub(1).map(|last| line[last]) {
            Some('.')
                if start >= 2
                    && (is_of_a_name(line[start - 2]) || ")]?".contains(line[start - 2])) =>
            {
                start -= if line[start - 2] == '?' { 2 } else { 1 };
            }
            _ => return start,
        }
    }
}

fn opening(line: &[char], close: usize, open_sign: char, close_sign: char) -> Option<usize> {
    let mut depth = 0;
    for at in (0..=close).rev() {
        if line[at] == close_sign {
            depth += 1;
        } else if line[at] == open_sign {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

fn is_of_a_name(character: char) -> bool {
    character.is_alphanumeric() || "_$#".contains(character)
}

/// Returns the end of a long expression, which names the called function.
fn shorter(expression: &str) -> String {
    let count = expression.chars().count();
    if count <= MAX_SHOWN_CHARS {
        return expression.to_owned();
    }
    let kept: String = expression.chars().skip(count - MAX_SHOWN_CHARS).collect();
    format!("…{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_around_the_whole_program_is_no_part_of_it() {
        for (code, program) in [
            ("```js\nreturn 1\n```", "\nreturn 1"),
            ("```javascript\r\nreturn 1\r\n```\r\n", "\nreturn 1\r"),
            ("\n\n  ```\nreturn 1\n  ```  \n", "\n\n\nreturn 1"),
            ("~~~\nreturn `\n```\n`\n~~~", "\nreturn `\n```\n`"),
            ("````js title=\"a\"\nreturn 1\n````", "\nreturn 1"),
            ("\u{feff}```js\nreturn 1\n```", "\nreturn 1"),
            ("```\n```", "\n"),
        ] {
            assert_eq!(without_fence(code), program, "{code}");
        }
    }

    #[test]
    fn any_other_text_stays_as_it_is() {
        for code in [
            "",
            "return 1",
            "Here it is:\n```js\nreturn 1\n```",
            "```js\nreturn 1\n```\nThis returns 1.",
            "```js\nreturn 1",
            "```js\nreturn 1\n```\n\n```js\nreturn 2\n```",
            "```js return 1```",
            "```",
            "return `\n```\n`",
        ] {
            assert_eq!(without_fence(code), code);
        }
        assert_eq!(line_of_fence("Here:\n  ```js\nreturn 1"), Some(2));
        assert_eq!(line_of_fence("return 1"), None);
    }

    #[test]
    fn what_is_called_is_found() {
        for (code, column, called) in [
            ("tools.foo(1)", 7, &["tools.foo"][..]),
            ("tools.foo(1)", 6, &["tools.foo"]),
            ("tools.foo(1)", 10, &["tools.foo"]),
            ("x = foo (1)", 5, &["foo"]),
            ("ai('a').then(f)", 9, &["ai('a').then"]),
            ("ai('a').then(r => r)", 14, &["ai('a').then"]),
            ("a?.b?.(1)", 4, &["a?.b"]),
            ("rows[0].x()", 9, &["rows[0].x"]),
            ("f(é.map(g))", 5, &["é.map", "f"]),
            ("f({a: [g(1)]})", 8, &["g", "f"]),
            ("a.map(x => s.foo(x))", 14, &["s.foo"]),
            ("a.map(x => x, s.foo(x))", 17, &["s.foo", "a.map"]),
            ("a.map(function () { s.foo() })", 23, &["s.foo"]),
            ("f(')', \"(\", `(`, /* ( */ g())", 26, &["g", "f"]),
            ("'x)'.foo(1)", 6, &["foo"]),
            ("a + b", 1, &[]),
            ("", 1, &[]),
            ("x", 9, &[]),
        ] {
            assert_eq!(called_at(code, 1, column), called, "{code}");
        }
        assert_eq!(called_at("a\nb()", 2, 1), ["b"]);
        assert_eq!(called_at("s.foo({\n  a: g(1),\n})", 2, 6), ["g", "s.foo"]);
        assert!(called_at("a", 7, 1).is_empty());
        let long = format!("{}.foo()", "a".repeat(100));
        assert_eq!(called_at(&long, 1, 102)[0].chars().count(), 65);
    }
}

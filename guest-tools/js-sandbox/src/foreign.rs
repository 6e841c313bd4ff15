//! Programs that are not JavaScript: what their text seems to be, so that the author can mend it.
//! The questions are asked only of programs that the engine refused, so a sign may be rough where
//! no JavaScript has it.

use crate::program;
use crate::rules::{IMPORT, RESULT};

const TYPESCRIPT: &str = "this looks like TypeScript; programs are JavaScript: leave the types out";

/// Words of Python with which a line begins that ends with a colon.
const PYTHON: [&str; 12] = [
    "def", "for", "if", "elif", "else", "while", "class", "try", "except", "finally", "with",
    "async",
];

/// Commands of a shell that programs are given by mistake.
const COMMANDS: [&str; 12] = [
    "curl", "wget", "echo", "npm", "npx", "pip", "cd", "ls", "cat", "sudo", "node", "bash",
];

/// Characters that people's editors write in the place of those that JavaScript has.
const LOOKALIKES: [(char, &str); 22] = [
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{201e}', "\""),
    ('\u{201f}', "\""),
    ('\u{ab}', "\""),
    ('\u{bb}', "\""),
    ('\u{2018}', "'"),
    ('\u{2019}', "'"),
    ('\u{201a}', "'"),
    ('\u{2032}', "'"),
    ('\u{b4}', "'"),
    ('\u{2013}', "-"),
    ('\u{2014}', "-"),
    ('\u{2212}', "-"),
    ('\u{2026}', "..."),
    ('\u{d7}', "*"),
    ('\u{ff08}', "("),
    ('\u{ff09}', ")"),
    ('\u{ff0c}', ","),
    ('\u{ff1a}', ":"),
    ('\u{ff1b}', ";"),
    ('\u{ff1d}', "="),
];

/// Names the probable language of a text that is not JavaScript. `line` is the line at which the
/// engine gave up, if that is known.
pub fn for_syntax(code: &str, line: Option<usize>) -> Option<String> {
    if let Some(at) = program::line_of_fence(code) {
        return Some(fence_in(at));
    }
    if let Some(words) = wrapped(code) {
        return Some(words);
    }
    // Other lines may be parts of a text or a comment, in which everything is right.
    let at = line?;
    let line = code.lines().nth(at.checked_sub(1)?)?;
    let plain = without_texts(line);
    let is_typescript = || looks_like_typescript(&plain);
    odd_character(at, line)
        .or_else(|| hash_comment(at, line))
        .or_else(|| module(line))
        .or_else(|| other_language(&plain))
        .or_else(|| is_typescript().then(|| TYPESCRIPT.to_owned()))
}

/// The words about a Markdown fence in a line.
pub fn fence_in(line: usize) -> String {
    format!("line {line} has a Markdown fence: send the code alone, without the text around it")
}

/// Names the tags or the JSON object around a program.
fn wrapped(code: &str) -> Option<String> {
    let text = code.trim();
    if let Some(name) = member_of_json(text) {
        return Some(format!(
            "this is a JSON object whose first member is {name:?}: send the text of the program alone"
        ));
    }
    // A text within the program may have any tag.
    let mut lines = code
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty());
    let (first, last) = (lines.next()?, lines.last());
    let opening = opening_tag(first.1).map(|tag| (first.0, tag));
    let (at, tag) = opening.or_else(|| {
        let (at, line) = last.unwrap_or(first);
        closing_tag(line).map(|tag| (at, tag))
    })?;
    Some(format!(
        "line {at} has the tag {tag}: send the code alone, without the tags around it"
    ))
}

/// The name of the first member, if a text is a JSON object.
fn member_of_json(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?.trim_start().strip_prefix('"')?;
    let (name, rest) = inside.split_once('"')?;
    let is_member = rest.trim_start().starts_with(':') && text.ends_with('}');
    (is_member && name.len() <= 64 && !name.contains(['\\', '\n'])).then_some(name)
}

/// The tag that a line begins with.
fn opening_tag(line: &str) -> Option<&str> {
    let name = line.strip_prefix('<')?;
    let name = name.strip_prefix('/').unwrap_or(name);
    let end = line.find('>')?;
    let is_named = name.starts_with(|it: char| it.is_ascii_alphabetic());
    (is_named && end <= 64).then(|| &line[..=end])
}

/// The end tag that a line ends with.
fn closing_tag(line: &str) -> Option<&str> {
    let tag = &line[line.rfind("</")?..];
    let name = tag.strip_prefix("</")?.strip_suffix('>')?;
    let is_name = |it: char| it.is_ascii_alphanumeric() || "_-".contains(it);
    (!name.is_empty() && name.chars().all(is_name)).then_some(tag)
}

/// A character outside texts that JavaScript does not have, or that nobody sees.
fn odd_character(at: usize, line: &str) -> Option<String> {
    without_texts(line).chars().find_map(|char| {
        let code = u32::from(char);
        let meant = LOOKALIKES.iter().find(|(odd, _)| *odd == char);
        if let Some((_, meant)) = meant {
            return Some(format!(
                "line {at} has the character U+{code:04X} ({char}): write {meant} instead"
            ));
        }
        is_unseen(char)
            .then(|| format!("line {at} has the invisible character U+{code:04X}: take it out"))
    })
}

/// Whether a character is invisible and no white space of JavaScript.
fn is_unseen(char: char) -> bool {
    char.is_control() && !"\t\u{b}\u{c}\r".contains(char)
        || matches!(char, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffc}')
}

/// A comment as Python and shells have it. A private name of a class begins with `#` too, and has
/// no blank after it.
fn hash_comment(at: usize, line: &str) -> Option<String> {
    let line = line.trim_start();
    let is_comment = line == "#" || ["# ", "##", "#!"].iter().any(|it| line.starts_with(it));
    is_comment.then(|| {
        format!(
            "line {at} begins with #, as comments of Python and shells do; programs are \
             JavaScript, where a comment begins with //"
        )
    })
}

fn module(line: &str) -> Option<String> {
    match words_of(line).first().copied() {
        Some("import" | "from") => Some(IMPORT.to_owned()),
        Some("export") => Some(format!("there is no export: {RESULT}")),
        _ => None,
    }
}

/// Names Python or a shell command, if the line is one.
fn other_language(line: &str) -> Option<String> {
    let line = line.trim();
    let words = words_of(line);
    let first = *words.first()?;
    let is_block = PYTHON.contains(&first) && line.ends_with(':');
    let is_definition = first == "def" && line.contains('(');
    if is_block || is_definition {
        return Some("this looks like Python; programs are JavaScript".to_owned());
    }
    let rest = line.strip_prefix(first)?;
    let has_argument = rest.starts_with(' ')
        && rest
            .trim_start()
            .starts_with(|it: char| it.is_alphanumeric() || "-\"'/.~$".contains(it));
    (COMMANDS.contains(&first) && has_argument)
        .then(|| "this looks like a command of a shell; programs are JavaScript".to_owned())
}

fn words_of(line: &str) -> Vec<&str> {
    line.split(|it: char| !(it.is_alphanumeric() || "_$".contains(it)))
        .filter(|word| !word.is_empty())
        .collect()
}

/// A line without its quoted texts and its comment.
fn without_texts(line: &str) -> String {
    let mut code = String::new();
    let mut quote = None;
    let mut signs = line.chars().peekable();
    while let Some(sign) = signs.next() {
        match quote {
            None if sign == '/' && signs.peek() == Some(&'/') => break,
            None => {
                quote = ['"', '\'', '`'].contains(&sign).then_some(sign);
                code.push(sign);
            }
            Some(_) if sign == '\\' => {
                signs.next();
            }
            Some(open) if sign == open => {
                quote = None;
                code.push(sign);
            }
            Some(_) => {}
        }
    }
    code
}

/// Whether a line has something that only TypeScript has. Asked only of programs that are not
/// JavaScript.
fn looks_like_typescript(line: &str) -> bool {
    let line = line.trim();
    let words = words_of(line);
    let declares = [
        "interface",
        "enum",
        "namespace",
        "declare",
        "abstract",
        "type",
    ];
    let is_declaration = match words.as_slice() {
        ["type", _, ..] => line.contains('='),
        ["const", "enum", ..] => true,
        [first, second, ..] => {
            declares.contains(first) && second.starts_with(|it: char| it.is_alphabetic())
        }
        _ => false,
    };
    let implements = words.contains(&"class") && words.contains(&"implements");
    let is_cast = words.windows(2).any(|pair| {
        ["as", "satisfies"].contains(&pair[0]) && (pair[1] == "const" || is_type(pair[1]))
    });
    is_declaration || implements || is_cast || has_modifier(line) || has_annotation(line)
}

/// Whether a line has a modifier that only TypeScript knows, before a member of a class or a
/// parameter: `private x`, `public constructor`, `constructor(readonly x)`.
fn has_modifier(line: &str) -> bool {
    const MODIFIERS: [&str; 6] = [
        "private",
        "public",
        "protected",
        "readonly",
        "override",
        "abstract",
    ];
    const OPERATORS: [&str; 3] = ["in", "of", "instanceof"];
    MODIFIERS.iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].trim_end();
            let rest = &line[at + word.len()..];
            let next = words_of(rest).first().copied().unwrap_or_default();
            let is_before_a_name = rest.starts_with(char::is_whitespace)
                && rest.trim_start().starts_with(next)
                && !next.is_empty()
                && !OPERATORS.contains(&next);
            let begins = before.is_empty()
                || before.ends_with(['{', '(', ',', ';', '}'])
                || MODIFIERS.iter().any(|word| before.ends_with(word))
                || before.ends_with("static");
            begins && is_before_a_name
        })
    })
}

/// Whether a colon stands where JavaScript has none: before a type, whose end no value could have.
fn has_annotation(line: &str) -> bool {
    let declares = ["const ", "let ", "var "];
    let declared = declares.iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let name = line[at + word.len()..].trim_start();
            if name.starts_with(['{', '[']) {
                return after_brackets(name).trim_start().starts_with(':');
            }
            let rest =
                name.trim_start_matches(|it: char| it.is_alphanumeric() || "_$".contains(it));
            rest.len() < name.len() && rest.trim_start().starts_with([':', '!'])
        })
    });
    let returned = line.match_indices(')').any(|(at, _)| {
        let rest = line[at + 1..].trim_start();
        rest.starts_with(':') && (line.ends_with('{') || rest.contains("=>") || rest.contains('{'))
    });
    let parameter = line.match_indices(':').any(|(at, _)| {
        let is_of_a_name = |it: char| it.is_alphanumeric() || "_$?".contains(it);
        let before = line[..at].trim_end();
        let list = before.trim_end_matches(is_of_a_name);
        let is_in_list = list.len() < before.len()
            && list.trim_end().ends_with(['(', ','])
            && list.matches('{').count() == list.matches('}').count();
        let after = line[at + 1..].trim_start();
        let word: String = after
            .chars()
            .take_while(|it| it.is_alphanumeric() || *it == '_')
            .collect();
        let rest = after[word.len()..].trim_start();
        is_in_list && is_type(&word) && rest.starts_with([')', ',', '=', '[', '<', '|'])
    });
    let asserted = ["!.", "![", "!;", "!)"].iter().any(|sign| {
        line.match_indices(sign).any(|(at, _)| {
            line[..at].ends_with(|it: char| it.is_alphanumeric() || "_$)]".contains(it))
        })
    });
    let generic = [
        "<string", "<number", "<boolean", "<any", "<unknown", "<T>", "Record<", "Array<",
        "Promise<",
    ]
    .iter()
    .any(|sign| line.contains(sign));
    let optional = line
        .match_indices("?:")
        .any(|(at, _)| line[..at].ends_with(|it: char| it.is_alphanumeric() || "_$".contains(it)));
    let function = line.match_indices("function ").any(|(at, word)| {
        let name = line[at + word.len()..].trim_start();
        let rest = name.trim_start_matches(|it: char| it.is_alphanumeric() || "_$".contains(it));
        rest.starts_with('<')
    });
    declared
        || returned
        || parameter
        || asserted
        || generic
        || optional
        || function
        || has_field(line)
}

/// Whether a line has a field of a class with its type: `x: number = 1`, `rows: Row[] = []`.
fn has_field(line: &str) -> bool {
    line.match_indices(':').any(|(at, _)| {
        let before = line[..at].trim_end();
        let name = words_of(before).last().copied().unwrap_or_default();
        let is_first = before
            .strip_suffix(name)
            .is_some_and(|it| it.trim().is_empty() || it.trim_end().ends_with(['{', ';', '}']));
        let after = line[at + 1..].trim_start();
        let word = words_of(after).first().copied().unwrap_or_default();
        let Some(rest) = after.strip_prefix(word).filter(|_| !name.is_empty()) else {
            return false;
        };
        let is_list = rest.starts_with("[]");
        let rest = rest.trim_start_matches("[]").trim_start();
        let is_assigned =
            rest.starts_with('=') && !rest.starts_with("==") && !rest.starts_with("=>");
        let ends = rest.is_empty() || rest == "," || rest.starts_with([';', '|']);
        is_first && is_type(word) && (is_assigned || ends && (is_list || is_plain_type(word)))
    })
}

/// The rest of a text after the brackets that it begins with.
fn after_brackets(text: &str) -> &str {
    let mut depth = 0;
    for (at, sign) in text.char_indices() {
        match sign {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

fn is_plain_type(word: &str) -> bool {
    [
        "string", "number", "boolean", "any", "unknown", "void", "never", "object", "bigint",
        "symbol",
    ]
    .contains(&word)
}

fn is_type(word: &str) -> bool {
    is_plain_type(word) || word.starts_with(|it: char| it.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_no_javascript_is_named() {
        for (code, line, words) in [
            ("import x from 'y'; return 1", 1, "there is no import"),
            (
                "const a = 1\n  import { b } from 'b'",
                2,
                "there is no import",
            ),
            ("export default 1", 1, "there is no export"),
            (
                "Here is it:\n```js\nreturn 1\n```",
                1,
                "line 2 has a Markdown fence",
            ),
            ("const a: number = 1; return a", 1, "TypeScript"),
            ("let rows: Row[] = []", 1, "TypeScript"),
            ("interface Row { id: number }", 1, "TypeScript"),
            ("type Id = string;", 1, "TypeScript"),
            ("enum Color { Red }", 1, "TypeScript"),
            (
                "function f(a: string, b?: number): void {}",
                1,
                "TypeScript",
            ),
            ("const f = (a): Promise<void> => {}", 1, "TypeScript"),
            ("return x as any", 1, "TypeScript"),
            ("return rows.find(f)!.id", 1, "TypeScript"),
            ("return {a: 1} satisfies Row", 1, "TypeScript"),
            ("class A { private x = 1 }", 1, "TypeScript"),
            ("class A {\n  private y\n}", 2, "TypeScript"),
            ("class A { readonly x }", 1, "TypeScript"),
            ("class A { x: number = 1 }", 1, "TypeScript"),
            ("class A {\n  name: string;\n}", 2, "TypeScript"),
            ("class A {\n  rows: Row[] = []\n}", 2, "TypeScript"),
            ("class A {\n  x: number\n}", 2, "TypeScript"),
            ("class A { public constructor() {} }", 1, "TypeScript"),
            ("class A { constructor(private x) {} }", 1, "TypeScript"),
            (
                "class A { constructor(a, public readonly x) {} }",
                1,
                "TypeScript",
            ),
            ("class A { static readonly x = 1 }", 1, "TypeScript"),
            ("class A implements B {}", 1, "TypeScript"),
            ("const {a}: {a: string} = input", 1, "TypeScript"),
            ("const [a]: [string] = input", 1, "TypeScript"),
            ("function f(a?: Row) {}", 1, "TypeScript"),
            ("function f<T>(a) {}", 1, "TypeScript"),
            ("const enum Color { Red }", 1, "TypeScript"),
            ("#!/bin/sh\nls", 1, "line 1 begins with #"),
            ("# Get the rows\nreturn 1", 1, "line 1 begins with #"),
            ("def f():\n    return 1", 1, "Python"),
            ("for row in rows:\n    print(row)", 1, "Python"),
            ("from json import loads", 1, "there is no import"),
            ("curl -s 'https://example.com'", 1, "shell"),
            ("<code>return 1</code>", 1, "line 1 has the tag <code>"),
            ("<execute>\nreturn 1\n</execute>", 1, "the tag <execute>"),
            (
                "<script type=\"module\">\nreturn 1",
                1,
                "the tag <script type=\"module\">",
            ),
            ("return 1</execute>", 1, "the tag </execute>"),
            ("{ \"code\": \"return 1\" }", 1, "member is \"code\""),
            (
                "return \u{201c}a\u{201d}",
                1,
                "character U+201C (\u{201c}): write \" instead",
            ),
            ("return \u{2018}a\u{2019}", 1, "U+2018"),
            ("const a\u{200b} = 1", 1, "invisible character U+200B"),
            ("f(1\u{ff0c} 2)", 1, "U+FF0C"),
            ("a \u{2013} b", 1, "U+2013"),
            ("const m = new Map<string, number>()", 1, "TypeScript"),
        ] {
            let said = for_syntax(code, Some(line)).unwrap_or_default();
            assert!(said.contains(words), "{code}: {said}");
        }
    }

    #[test]
    fn a_mere_mistake_is_not_taken_for_another_language() {
        for code in [
            "return {a: 1, b: String(2)",
            "const a = {type: Number, x: y;",
            "if (a ? b : c {",
            "switch (a) { case 1: return f() case 2: return",
            "const a = ];",
            "return `a: ${b}",
            "return 'known as Paris' // read as JSON\" +",
            "return !a || b != c && (!d.e",
            "return 'it is \u{201c}quoted\u{201d}' + ",
            "class A { #x = 1; x( }",
            "return ];\nconst page = `\n<h1>\n# Title\n</h1>`",
            "const readonly = 1; if (readonly in a {",
            "return {public: 1, private: 2",
            "return a < b > c + ;",
            "x ? y : number +",
            "const o = {a: number, b: [",
            "{ \"use strict\"; return ] }",
        ] {
            assert_eq!(for_syntax(code, Some(1)), None, "{code}");
        }
        for line_before in [
            "/* it\u{2019}s private x */",
            " * for each row:",
            "const page = `<h1>\n# Title`",
        ] {
            let code = format!("{line_before}\nconst a = ];");
            assert_eq!(
                for_syntax(&code, Some(code.lines().count())),
                None,
                "{code}"
            );
        }
    }
}

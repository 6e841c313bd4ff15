//! Additions to the engine's own words, so that the author of a program can mend it: a replacement
//! for what is missing here, and existing names that may be meant.

use crate::program;

/// The largest number of names in a list.
const MAX_LISTED: usize = 24;

/// The largest number of names in a proposal.
const MAX_PROPOSED: usize = 3;

const OWN_GLOBALS: [&str; 7] = [
    "search",
    "ai",
    "tools",
    "require",
    "console",
    "input",
    "ToolError",
];

const NETWORK: &str = "a program has no network of its own; tools reach it: see tools.list(), and require(NAME) for an MCP server";
const TIMERS: &str =
    "there are no timers, and nothing to wait for: calls of tools give their result at once";
const SYSTEM: &str = "a program has no system, no files and no environment; what it is given is in input, and credentials stay with the tools";
const PAGE: &str = "a program runs in no browser";
const LOCALES: &str = "there are no locales and no time zones here: Date works in UTC, and text is to be formatted by the program";
const IMPORT: &str = "there is no import: a program is the body of an async function. MCP servers are modules: const server = require(NAME); \
                      other tools are called with tools.call(tool, operation, input)";
const RESULT: &str = "a program is the body of a function; its result is what it returns";
const TYPESCRIPT: &str = "a type of TypeScript? programs are JavaScript: leave the types out";

/// The advice for a global that does not exist.
pub fn for_missing(name: &str) -> String {
    match name {
        "fetch" | "XMLHttpRequest" | "WebSocket" | "EventSource" | "axios" | "Request"
        | "Response" | "Headers" | "FormData" | "http" | "https" => NETWORK.to_owned(),
        "setTimeout"
        | "setInterval"
        | "setImmediate"
        | "clearTimeout"
        | "clearInterval"
        | "clearImmediate"
        | "requestAnimationFrame"
        | "sleep"
        | "delay" => TIMERS.to_owned(),
        "process" | "Deno" | "Bun" | "fs" | "os" | "path" | "child_process" | "env"
        | "__dirname" | "__filename" => SYSTEM.to_owned(),
        "window" | "document" | "navigator" | "location" | "localStorage" | "sessionStorage"
        | "alert" | "prompt" | "confirm" | "self" => PAGE.to_owned(),
        "Intl" | "Temporal" => LOCALES.to_owned(),
        "module" | "exports" => RESULT.to_owned(),
        "string" | "number" | "boolean" | "any" | "unknown" => TYPESCRIPT.to_owned(),
        "Buffer" | "TextEncoder" | "TextDecoder" | "Blob" | "File" | "atob" | "btoa" => {
            "there are texts and typed arrays alone here, such as Uint8Array".to_owned()
        }
        "URL" | "URLSearchParams" => {
            "take addresses apart with texts, and use encodeURIComponent".to_owned()
        }
        "crypto" => {
            "there is no cryptography here; Math.random() has random numbers that are no secrets"
                .to_owned()
        }
        "performance" => {
            "there is no clock to measure with; Date has the time at which the run began".to_owned()
        }
        "structuredClone" => "use JSON.parse(JSON.stringify(value))".to_owned(),
        "global" => "use globalThis".to_owned(),
        "WebAssembly" | "Worker" | "SharedArrayBuffer" => {
            "a program is one JavaScript program".to_owned()
        }
        name => match near(name, OWN_GLOBALS, false).as_slice() {
            [] => String::new(),
            names => format!("{}?", proposal(names)),
        },
    }
}

/// The advice for an import.
pub fn for_import() -> String {
    IMPORT.to_owned()
}

/// The advice for a call of something that is no function.
pub fn for_call(expression: &str, code: &str) -> String {
    // JavaScript reads a fence as a template tagged by a template, which calls something that is no
    // function.
    if let (true, Some(at)) = (expression.is_empty(), program::line_of_fence(code)) {
        return fence_in(at);
    }
    let (object, method) = expression.rsplit_once('.').unwrap_or(("", expression));
    match (object.trim_end_matches('?'), method) {
        (_, "then" | "catch" | "finally") => {
            "calls of tools, search and ai give their result at once: there is no promise".to_owned()
        }
        ("globalThis", name) => for_missing(name),
        ("tools", _) => {
            "tools has list(), call(tool, operation, input) and all(calls); tools.list() names the tools of this run".to_owned()
        }
        ("", "input") => "input is what the run was given: a value".to_owned(),
        _ => String::new(),
    }
}

/// What a text that is not JavaScript seems to be. `line` is where the engine gave up, if that is
/// known.
pub fn for_syntax(code: &str, line: Option<usize>) -> Option<String> {
    if let Some(at) = program::line_of_fence(code) {
        return Some(fence_in(at));
    }
    let line = line
        .and_then(|line| code.lines().nth(line.checked_sub(1)?))
        .unwrap_or_default();
    let first_word = |line: &str| -> String {
        line.trim_start()
            .chars()
            .take_while(|it| it.is_ascii_alphanumeric())
            .collect()
    };
    match first_word(line).as_str() {
        "import" => return Some(for_import()),
        "export" => return Some(format!("there is no export: {RESULT}")),
        _ => {}
    }
    looks_like_typescript(&without_texts(line)).then(|| {
        "this looks like TypeScript; programs are JavaScript: leave the types out".to_owned()
    })
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

fn fence_in(line: usize) -> String {
    format!("line {line} has a Markdown fence: send the code alone, without the text around it")
}

/// Whether a line has something that only TypeScript has. Asked only of programs that are not
/// JavaScript.
fn looks_like_typescript(line: &str) -> bool {
    let line = line.trim();
    let words: Vec<&str> = line
        .split(|it: char| !(it.is_alphanumeric() || "_$".contains(it)))
        .filter(|word| !word.is_empty())
        .collect();
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
        [first, second, ..] => {
            declares.contains(first) && second.starts_with(|it: char| it.is_alphabetic())
        }
        _ => false,
    };
    let is_member = matches!(
        words.first(),
        Some(&("private" | "public" | "protected" | "readonly"))
    );
    let is_cast = words.windows(2).any(|pair| {
        ["as", "satisfies"].contains(&pair[0]) && (pair[1] == "const" || is_type(pair[1]))
    });
    is_declaration || is_member || is_cast || has_annotation(line)
}

/// Whether a colon stands where JavaScript has none: before a type, whose end no value could have.
fn has_annotation(line: &str) -> bool {
    let declares = ["const ", "let ", "var "];
    let declared = declares.iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let name = line[at + word.len()..].trim_start();
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
    declared || returned || parameter || asserted || generic
}

fn is_type(word: &str) -> bool {
    [
        "string", "number", "boolean", "any", "unknown", "void", "never", "object", "bigint",
        "symbol",
    ]
    .contains(&word)
        || word.starts_with(|it: char| it.is_ascii_uppercase())
}

/// Why a program that ended well has no result, if its text shows the reason.
pub fn for_nothing(code: &str) -> String {
    let mut words =
        "the program returned nothing, so its result is null: a result is given with `return`"
            .to_owned();
    if let Some(name) = never_called(code) {
        words.push_str(&format!(
            "; {name} is never called: end with `return await {name}()`"
        ));
    }
    words
}

/// A function that the program declares and never names again.
fn never_called(code: &str) -> Option<&str> {
    let is_of_a_name = |it: char| it.is_alphanumeric() || "_$".contains(it);
    let words: Vec<&str> = code
        .split(|it| !is_of_a_name(it))
        .filter(|word| !word.is_empty())
        .collect();
    let declared = words
        .windows(2)
        .filter_map(|pair| (pair[0] == "function").then_some(pair[1]));
    let assigned = words.windows(3).filter_map(|three| {
        let is_function = three[2] == "async" || three[2] == "function";
        (["const", "let", "var"].contains(&three[0]) && is_function).then_some(three[1])
    });
    let mut candidates = declared.chain(assigned);
    candidates.find(|name| words.iter().filter(|word| *word == name).count() == 1)
}

/// Says that the name does not exist, which names are near, and which exist.
pub fn for_unknown(place: &str, kind: &str, name: &str, known: &[String]) -> String {
    let proposed = proposed(name, known);
    format!(
        "{place} has no {kind} {name:?}{proposed}; it has: {}",
        listed(known)
    )
}

/// The names, or as many of them as are useful.
pub fn listed(known: &[String]) -> String {
    match known {
        [] => "none".to_owned(),
        known if known.len() > MAX_LISTED => {
            format!(
                "{} and {} more",
                known[..MAX_LISTED].join(", "),
                known.len() - MAX_LISTED
            )
        }
        known => known.join(", "),
    }
}

/// A question in brackets, if there are near names.
pub fn proposed(name: &str, known: &[String]) -> String {
    match near(name, known.iter().map(String::as_str), true).as_slice() {
        [] => String::new(),
        names => format!(" ({}?)", proposal(names)),
    }
}

fn proposal(names: &[&str]) -> String {
    format!("did you mean {}", names.join(" or "))
}

/// The names that may be meant, the nearest first. Names that contain `name`, or that it contains,
/// count as near.
fn near<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    with_parts: bool,
) -> Vec<&'a str> {
    let plain = |name: &str| -> Vec<char> {
        let letters = name.chars().filter(|it| it.is_alphanumeric());
        letters.flat_map(char::to_lowercase).take(64).collect()
    };
    let wanted = plain(name);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|known| {
            let other = plain(known);
            let shorter = wanted.len().min(other.len());
            let distance = distance(&wanted, &other);
            let is_part =
                with_parts && shorter > 3 && (holds(&wanted, &other) || holds(&other, &wanted));
            let is_near = distance <= shorter / 3 || is_part;
            is_near.then_some((distance, known))
        })
        .collect();
    found.sort_by_key(|(distance, _)| *distance);
    found
        .into_iter()
        .map(|(_, name)| name)
        .take(MAX_PROPOSED)
        .collect()
}

fn holds(long: &[char], short: &[char]) -> bool {
    short.len() <= long.len() && long.windows(short.len()).any(|part| part == short)
}

/// The number of letters to change, insert or remove (Levenshtein).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to, with) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != with);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_proposed() {
        let known: Vec<String> = ["list_tasks", "create_task", "get", "search_repositories"]
            .map(str::to_owned)
            .into();
        for (name, expected) in [
            ("listTasks", " (did you mean list_tasks?)"),
            ("lsit_tasks", " (did you mean list_tasks?)"),
            ("create-tasks", " (did you mean create_task?)"),
            ("search", " (did you mean search_repositories?)"),
            ("got", " (did you mean get?)"),
            ("weather", ""),
            ("", ""),
        ] {
            assert_eq!(proposed(name, &known), expected, "{name}");
        }
        let many: Vec<String> = (0..100).map(|at| format!("tool{at}")).collect();
        assert!(listed(&many).ends_with("tool23 and 76 more"));
        assert_eq!(listed(&[]), "none");
    }

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
            ("class A { private x = 1 }\nprivate y", 2, "TypeScript"),
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
        ] {
            assert_eq!(for_syntax(code, Some(1)), None, "{code}");
        }
    }

    #[test]
    fn a_function_that_nobody_calls_is_named() {
        assert!(for_nothing("async function main() { return 1 }").contains("main is never called"));
        assert!(for_nothing("const run = async () => 1").contains("run is never called"));
        for code in [
            "1 + 1",
            "async function main() {} main()",
            "(async () => 1)()",
        ] {
            assert!(!for_nothing(code).contains("never called"), "{code}");
        }
    }
}

//! Additions to the engine's own words, so that the author of a program can mend it: a replacement
//! for what is missing here, and existing names that may be meant.

use crate::rules::{IMPORT, RESULT};
use crate::{foreign, program};

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
    // JavaScript reads the fence of a code block as nested template calls. They call a value that
    // is no function.
    if let (true, Some(at)) = (expression.is_empty(), program::line_of_fence(code)) {
        return foreign::fence_in(at);
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

//! The hostile guests of `tests/guests/`: each file says what it does and what has to happen to it, and every
//! file is a test. What inspection refuses is checked here; the others run on a real platform.
//!
//! The header of a file is its first lines, each `;; key: value`:
//!
//! ```text
//! ;; what: one sentence                                (once, first)
//! ;; load-as: agent | tool                             (once)
//! ;; expect: refused "…" | not-a-component "…"         (once; inspection says so, with these words)
//!            not-loaded "…"                            (the engine says so, with these words)
//!            limit <key in tavora.toml>                (this limit ends the run, or the loading of a tool)
//!            error <code> [<words>]                    (a tool's call ends with this code; its message has these
//!                                                       words: for `limit_exceeded`, the key in tavora.toml)
//!            threw <name> | trapped | invalid-result   (an agent's run ends so)
//!            ok <json>                                 (this is the result)
//! ;; vault: <name>                                     (a tool's app has this secret)
//! ;; grant: <name>                                     (the tool is granted it)
//! ;; call: <operation> <json>                          (calls of a tool, each in a run of its own; the last
//!                                                       one is what `expect` is about)
//! ```

mod compile_time;
mod runner;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tavora_host::runtime::LoadError;
use tavora_host::runtime::inspection::{
    Class, Inspection, InspectionLimits, NotAComponent, inspect,
};
use tavora_host::runtime::limits::Limits;
use tavora_host::runtime::worker::Worker;
use tavora_tests::fixture::worker;

use runner::{load_guest, run_guest, start_fixture};

/// Fewer files than this mean that the folder was not found or was emptied.
const LEAST_CASES: usize = 24;

/// One file of the folder.
struct Case {
    name: String,
    /// The file as a binary.
    bytes: Vec<u8>,
    load_as: Class,
    expect: Expectation,
    /// Secrets that the tool's app has.
    vault: Vec<String>,
    /// Secrets that the tool is granted.
    grants: Vec<String>,
    /// Calls of the tool: operation and input.
    calls: Vec<(String, String)>,
}

/// What has to happen to a guest.
#[derive(Debug, PartialEq)]
enum Expectation {
    /// Inspection refuses it, with these words.
    Refused(String),
    /// Inspection does not take it for a component, with these words.
    NotAComponent(String),
    /// It is loaded, or the engine refuses it, and this comes of it.
    Runs(Outcome),
}

/// What came of a guest that inspection let through.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The engine refused it; in a header, the words that have to be in the reason.
    NotLoaded(String),
    /// A limit ended it: the key in `tavora.toml`.
    Limit(String),
    /// The call of a tool ended with this code; in a header, the words that have to be in the message.
    Error(String, String),
    /// The agent threw an error of this name.
    Threw(String),
    /// The guest trapped.
    Trapped,
    /// The agent's result is not JSON.
    InvalidResult,
    /// The result.
    Ok(Value),
}

#[test]
fn refused_guests_are_refused_by_name() {
    let mut refused = 0;
    for case in cases() {
        let inspected = inspect(&case.bytes, &InspectionLimits::default());
        match &case.expect {
            Expectation::Refused(words) => {
                refused += 1;
                assert_says(&case, &refusal(&case, inspected), words);
            }
            Expectation::NotAComponent(words) => {
                refused += 1;
                let fault = inspected.map(|it| it.class).expect_err(&case.name);
                assert_says(&case, &fault.to_string(), words);
            }
            // Otherwise a runtime test would only test the inspection once more.
            Expectation::Runs(_) => {
                let inspection = inspected.unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
                if let Some(refusal) = inspection.refusal_for(case.load_as) {
                    panic!("{}: {refusal}", case.name);
                }
            }
        }
    }
    assert!(
        refused >= LEAST_CASES,
        "only {refused} guests are there to be refused"
    );
}

// The inspection is of no use if nobody asks it, or if the compiler sees the component first.
#[tokio::test(flavor = "multi_thread")]
async fn refused_guests_are_not_loaded() {
    let fixture = start_fixture().await;
    let mut wrong = Vec::new();
    for case in cases() {
        let loaded = match case.expect {
            Expectation::Runs(_) => continue,
            Expectation::Refused(_) | Expectation::NotAComponent(_) => {
                load_guest(&fixture, &case).await
            }
        };
        let is_right = match (&case.expect, &loaded) {
            (Expectation::Refused(words), Err(LoadError::Refused(refusal))) => {
                refusal.to_string().contains(words)
            }
            (Expectation::NotAComponent(words), Err(LoadError::NotAComponent(fault))) => {
                fault.to_string().contains(words)
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{}: {loaded:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_guests_end_as_their_files_say() {
    let fixture = start_fixture().await;
    let mut wrong = Vec::new();
    for case in cases() {
        let Expectation::Runs(expected) = &case.expect else {
            continue;
        };
        let outcome = run_guest(&fixture, &case).await;
        let is_right = match (expected, &outcome) {
            (Outcome::NotLoaded(words), Outcome::NotLoaded(reason)) => reason.contains(words),
            (Outcome::Error(code, words), Outcome::Error(found, message)) => {
                code == found && message.contains(words)
            }
            (expected, outcome) => expected == outcome,
        };
        if !is_right {
            wrong.push(format!(
                "{}: {outcome:?} instead of {expected:?}",
                case.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// What an agent is told that it has must be what it gets.
#[tokio::test(flavor = "multi_thread")]
async fn what_inspection_calls_an_agent_or_a_tool_is_loaded() {
    let inspector = Worker::new(&worker(), &Limits::default());
    for case in cases() {
        let is_loaded = match &case.expect {
            Expectation::Runs(Outcome::NotLoaded(_)) => false,
            Expectation::Runs(_) => true,
            Expectation::Refused(_) | Expectation::NotAComponent(_) => continue,
        };
        let inspection = inspector.inspect(case.bytes.clone()).await;
        let inspection = inspection.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let refusal = inspection.refusal_for(case.load_as);
        assert_eq!(refusal.is_none(), is_loaded, "{}: {refusal:?}", case.name);
        if let (Expectation::Runs(Outcome::NotLoaded(words)), Some(refusal)) =
            (&case.expect, refusal)
        {
            assert_says(&case, &refusal.to_string(), words);
        }
    }
}

/// Every file of the folder. A file that is no case, or says nothing that can be checked, fails.
fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder is readable").path())
        .collect();
    paths.sort();
    assert!(
        paths.len() >= LEAST_CASES,
        "only {} files in {}",
        paths.len(),
        folder.display()
    );
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name in UTF-8");
    assert!(
        name.ends_with(".wat"),
        "{name} is in tests/guests/ and no test picks it up"
    );
    let text = std::fs::read_to_string(path).expect(name);
    let header = Header::parse(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    Case {
        name: name.to_owned(),
        bytes: wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")),
        load_as: header.load_as,
        expect: header.expect,
        vault: header.vault,
        grants: header.grants,
        calls: header.calls,
    }
}

struct Header {
    load_as: Class,
    expect: Expectation,
    vault: Vec<String>,
    grants: Vec<String>,
    calls: Vec<(String, String)>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map_while(|line| line.strip_prefix(";; "));
        let mut once = |key: &str| {
            let line = lines.next().unwrap_or_default();
            line.strip_prefix(key)
                .and_then(|rest| rest.strip_prefix(": "))
                .map(str::to_owned)
                .ok_or_else(|| format!("expected `;; {key}: …`, found {line:?}"))
        };
        let what = once("what")?;
        if !what.ends_with('.') {
            return Err(format!("`what` is no sentence: {what:?}"));
        }
        let load_as = match once("load-as")?.as_str() {
            "agent" => Class::Agent,
            "tool" => Class::Tool,
            other => return Err(format!("`load-as` is {other:?}")),
        };
        let mut header = Self {
            load_as,
            expect: parse_expectation(&once("expect")?)?,
            vault: Vec::new(),
            grants: Vec::new(),
            calls: Vec::new(),
        };
        for line in lines {
            match line.split_once(": ") {
                Some(("vault", name)) => header.vault.push(name.to_owned()),
                Some(("grant", name)) => header.grants.push(name.to_owned()),
                Some(("call", call)) => {
                    let (operation, input) = call.split_once(' ').ok_or("`call` has no input")?;
                    header.calls.push((operation.to_owned(), input.to_owned()));
                }
                _ => return Err(format!("unknown line {line:?}")),
            }
        }
        match (&header.expect, load_as) {
            (Expectation::Runs(Outcome::Limit(_) | Outcome::NotLoaded(_)), _)
            | (Expectation::Refused(_) | Expectation::NotAComponent(_), _) => {}
            (
                Expectation::Runs(Outcome::Threw(_) | Outcome::Trapped | Outcome::InvalidResult),
                Class::Tool,
            ) => {
                return Err("a tool ends with `error` or `ok`".to_owned());
            }
            (Expectation::Runs(_), Class::Tool) if header.calls.is_empty() => {
                return Err("a tool that runs needs a `call`".to_owned());
            }
            (Expectation::Runs(Outcome::Error(..)), Class::Agent) => {
                return Err("an agent ends with `threw`, `trapped`, `limit` or `ok`".to_owned());
            }
            (Expectation::Runs(_), _) => {}
        }
        if load_as == Class::Agent && !(header.calls.is_empty() && header.vault.is_empty()) {
            return Err("`vault`, `grant` and `call` are for tools".to_owned());
        }
        Ok(header)
    }
}

fn parse_expectation(text: &str) -> Result<Expectation, String> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let quoted = || {
        rest.strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .filter(|words| !words.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| format!("`{kind}` needs words in quotes"))
    };
    let word = || match rest {
        "" => Err(format!("`{kind}` needs a word")),
        word => Ok(word.to_owned()),
    };
    let outcome = match kind {
        "refused" => return Ok(Expectation::Refused(quoted()?)),
        "not-a-component" => return Ok(Expectation::NotAComponent(quoted()?)),
        "not-loaded" => Outcome::NotLoaded(quoted()?),
        "limit" => Outcome::Limit(word()?),
        "error" => match word()?.split_once(' ') {
            None if rest == "limit_exceeded" => {
                return Err("`error limit_exceeded` needs the limit's key".to_owned());
            }
            None => Outcome::Error(rest.to_owned(), String::new()),
            Some((code, words)) => Outcome::Error(code.to_owned(), words.to_owned()),
        },
        "threw" => Outcome::Threw(word()?),
        "trapped" if rest.is_empty() => Outcome::Trapped,
        "invalid-result" if rest.is_empty() => Outcome::InvalidResult,
        "ok" => Outcome::Ok(serde_json::from_str(rest).map_err(|error| error.to_string())?),
        _ => return Err(format!("unknown expectation {text:?}")),
    };
    Ok(Expectation::Runs(outcome))
}

fn refusal(case: &Case, inspected: Result<Inspection, NotAComponent>) -> String {
    inspected
        .unwrap_or_else(|fault| panic!("{}: {fault}", case.name))
        .refusal_for(case.load_as)
        .unwrap_or_else(|| panic!("{} was let through", case.name))
        .to_string()
}

fn assert_says(case: &Case, message: &str, words: &str) {
    assert!(
        message.contains(words),
        "{}: {message:?} does not say {words:?}",
        case.name
    );
}

#[test]
fn a_header_that_does_not_hold_to_the_format_fails() {
    let header = |lines: &str| Header::parse(lines).map(|_| ());
    let good = ";; what: A guest.\n;; load-as: agent\n;; expect: trapped\n(component)";
    assert_eq!(header(good), Ok(()));
    for (from, to) in [
        ("what", "why"),
        ("A guest.", "A guest"),
        ("agent", "agents"),
        ("trapped", "trapped now"),
        ("trapped", "fine"),
        ("trapped", "refused"),
        ("trapped", "refused \"\""),
        ("trapped", "limit"),
        ("trapped", "ok {"),
        ("trapped", "error no_such_thing"),
        (
            "agent\n;; expect: trapped",
            "tool\n;; expect: error limit_exceeded\n;; call: act {}",
        ),
        ("trapped", "trapped\n;; expect: trapped"),
        ("trapped", "trapped\n;; call: act {}"),
        (";; load-as: agent\n", ""),
        ("agent", "tool"),
    ] {
        let bad = good.replace(from, to);
        assert!(header(&bad).is_err(), "{bad}");
    }
}

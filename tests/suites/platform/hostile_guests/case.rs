//! A guest and the header of its file.
//!
//! The header of a file is its first lines, each `;; key: value`:
//!
//! ```text
//! ;; what: one sentence                                (once, first)
//! ;; load-as: agent | tool                             (once)
//! ;; expect: refused "…" | not-a-component "…"         (once; inspection says so, in these words)
//!            not-loaded "…"                            (the engine says so, in these words)
//!            limit <key in tavora.toml>                (this limit ends the run, or the loading)
//!            error <code> [<words>]                    (a tool's call ends with this code; its
//!                                                      message has these words: the key in
//!                                                      tavora.toml for `limit_exceeded`)
//!            threw <name> | trapped | invalid-result   (an agent's run ends so)
//!            ok <json>                                 (this is the result)
//! ;; vault: <name>                                     (a tool's app has this secret)
//! ;; grant: <name>                                     (the tool is granted it)
//! ;; call: <operation> <json>                          (a call of a tool, in a run of its own;
//!                                                      `expect` is about the last one)
//! ```

use std::path::{Path, PathBuf};

use serde_json::Value;
use tavora_host::runtime::inspection::Class;

/// Fewer files than this mean that the folder was not found or was emptied.
pub(super) const LEAST_CASES: usize = 24;

/// One file of the folder.
pub(super) struct Case {
    pub(super) name: String,
    /// The file as a binary.
    pub(super) bytes: Vec<u8>,
    pub(super) load_as: Class,
    pub(super) expect: Expectation,
    /// The secrets of the tool's app.
    pub(super) vault: Vec<String>,
    /// The secrets that the tool is granted.
    pub(super) grants: Vec<String>,
    /// The calls of the tool: operation and input.
    pub(super) calls: Vec<(String, String)>,
}

/// The expected end of a guest.
#[derive(Debug, PartialEq)]
pub(super) enum Expectation {
    /// Inspection refuses the guest, with these words.
    Refused(String),
    /// Inspection does not accept the guest as a component, with these words.
    NotAComponent(String),
    /// Inspection accepts the guest, and this is the outcome.
    Runs(Outcome),
}

/// The outcome of a guest that inspection accepted.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The engine refused the guest. In a header these are words of the reason.
    NotLoaded(String),
    /// A limit ended the guest. The text is the limit's key in `tavora.toml`.
    Limit(String),
    /// The call of a tool ended with this code. In a header the second text has words of the
    /// message.
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

/// All files of the folder. A file that is no case, or that says nothing checkable, fails.
pub(super) fn cases() -> Vec<Case> {
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

//! What a program can do to the world, and what its run leaves behind while it goes on.

use crate::bindings::exports::tavora::platform::agent::RunError;
use crate::bindings::tavora::platform::tools::{ToolCall, ToolError, ToolInfo};
use crate::numbers;
use crate::random::Random;
use rquickjs::{Persistent, Value};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// How much of a number is repeated in the log.
const MAX_SHOWN_DIGITS: usize = 64;

/// All that a program can do to the world.
pub trait Platform {
    /// The tools granted to this run.
    fn list(&self) -> Vec<ToolInfo>;
    /// One call; waits for its outcome.
    fn call(&self, call: &ToolCall) -> Result<String, ToolError>;
    /// Calls done at once; the outcomes are in the order of the calls.
    fn call_all(&self, calls: &[ToolCall]) -> Vec<Result<String, ToolError>>;
    /// Adds one line to the log of the run.
    fn log(&self, line: &str);
}

/// What the run leaves behind while it goes on.
pub struct State {
    pub platform: Rc<dyn Platform>,
    pub random: Random,
    /// The program, for errors that say what it wrote.
    pub program: RefCell<String>,
    /// The lines about numbers that are in the log already.
    pub told: RefCell<BTreeSet<String>>,
    pub outcome: RefCell<Option<Result<String, RunError>>>,
    /// Rejected promises that nothing handles so far, with what they were
    /// rejected with.
    pub unhandled: RefCell<Vec<(SavedValue, SavedValue)>>,
}

/// A value that outlives the context's borrow.
pub type SavedValue = Persistent<Value<'static>>;

impl State {
    /// JSON that comes in, as JavaScript can hold it; the log says what is another than it was.
    pub fn settle<'a>(&self, json: &'a str, from: impl Fn() -> String) -> Cow<'a, str> {
        let settled = numbers::settle(json);
        if let Some(number) = settled.as_text {
            self.tell(
                &from(),
                number,
                "they are texts here, with all their digits",
            );
        }
        if let Some(number) = settled.rounded {
            self.tell(&from(), number, "they are rounded here");
        }
        settled.json
    }

    /// JSON that a program parses by itself, which rounds as the language says: the log says so.
    pub fn settle_read(&self, json: &str) {
        let settled = numbers::settle(json);
        if let Some(number) = settled.as_text.or(settled.rounded) {
            self.tell(
                "a text that JSON.parse read",
                number,
                "they are rounded here",
            );
        }
    }

    /// Logs once for each source that it has numbers which JavaScript does not hold.
    fn tell(&self, from: &str, number: &str, consequence: &str) {
        let first = number.chars().take(MAX_SHOWN_DIGITS);
        let shown: String = first.collect();
        let more = if shown.len() < number.len() {
            "…"
        } else {
            ""
        };
        if self
            .told
            .borrow_mut()
            .insert(format!("{from}: {consequence}"))
        {
            self.platform.log(&format!(
                "{from} has numbers that JavaScript does not hold exactly, such as {shown}{more}: {consequence}"
            ));
        }
    }
}

//! The door of a program to the world, and the state that its run collects.

use crate::bindings::exports::tavora::platform::agent::RunError;
use crate::bindings::tavora::platform::tools::{ToolCall, ToolError, ToolInfo};
use crate::numbers;
use crate::random::Random;
use rquickjs::{Persistent, Value};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The number of digits that the log shows of a number.
const MAX_SHOWN_DIGITS: usize = 64;

/// Everything that a program can do to the world.
pub trait Platform {
    /// The tools granted to this run.
    fn list(&self) -> Vec<ToolInfo>;
    /// Makes one call and waits for its outcome.
    fn call(&self, call: &ToolCall) -> Result<String, ToolError>;
    /// Makes several calls at once. The outcomes are in the order of the calls.
    fn call_all(&self, calls: &[ToolCall]) -> Vec<Result<String, ToolError>>;
    /// Adds one line to the log of the run.
    fn log(&self, line: &str);
}

/// The state that a run collects.
pub struct State {
    pub platform: Rc<dyn Platform>,
    pub random: Random,
    /// The text of the program, which errors quote.
    pub program: RefCell<String>,
    /// The lines about numbers that the log already has.
    pub told: RefCell<BTreeSet<String>>,
    pub outcome: RefCell<Option<Result<String, RunError>>>,
    /// Rejected promises that nothing handles so far, each with the value that it was rejected
    /// with.
    pub unhandled: RefCell<Vec<(SavedValue, SavedValue)>>,
}

/// A value that outlives a borrow of the context.
pub type SavedValue = Persistent<Value<'static>>;

impl State {
    /// Converts incoming JSON to values that JavaScript can hold. The log names numbers that
    /// changed.
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

    /// Logs the numbers that JavaScript rounds when a program parses JSON itself.
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

    /// Logs the first number in a program that the engine reads as another one.
    pub fn settle_program(&self, code: &str) {
        if let Some((line, number)) = numbers::rounded_in_program(code) {
            self.tell(
                &format!("line {line} of the program"),
                number,
                "they are rounded here; write them as texts",
            );
        }
    }

    /// Logs once for each source that it has numbers which JavaScript cannot hold.
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

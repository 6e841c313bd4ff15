//! The Rust functions that the platform's scripts get, and how the scripts are installed.

use super::compile;
use super::state::State;
use crate::bindings::tavora::platform::tools::{ToolCall, ToolError};
use crate::run_error::{self, PLATFORM_FILE};
use crate::{well_formed, words};
use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Function, IntoJs, Object, Persistent, Value};
use std::rc::Rc;

const SCRIPT: &str = include_str!("../platform/platform.js");

/// The other scripts, by the names that the main script has for them.
const PARTS: [(&str, &str); 6] = [
    ("language", include_str!("../platform/language.js")),
    ("console", include_str!("../platform/console.js")),
    ("losses", include_str!("../platform/losses.js")),
    ("modules", include_str!("../platform/modules.js")),
    ("errors", include_str!("../platform/errors.js")),
    ("locale", include_str!("../platform/locale.js")),
];

/// The function that starts a program, and the one that reports an error no one waits for.
pub type Entry = (Persistent<Function<'static>>, Persistent<Function<'static>>);

/// Runs the platform's scripts with the functions that they build upon.
pub fn install(ctx: &Ctx<'_>, state: &Rc<State>) -> rquickjs::Result<Entry> {
    let host = Object::new(ctx.clone())?;
    let door = Door {
        ctx,
        host: &host,
        state,
    };
    door.add_tools()?;
    door.add_words()?;
    door.add_run()?;

    let parts = Object::new(ctx.clone())?;
    for (name, script) in PARTS {
        parts.set(name, evaluate(ctx, script)?)?;
    }
    let entry: Object = evaluate(ctx, SCRIPT)?.call((host, parts))?;
    let function = |name: &str| entry.get::<_, Function>(name);
    Ok((
        Persistent::save(ctx, function("start")?),
        Persistent::save(ctx, function("report")?),
    ))
}

fn evaluate<'js>(ctx: &Ctx<'js>, script: &str) -> rquickjs::Result<Function<'js>> {
    let mut options = EvalOptions::default();
    options.filename = Some(PLATFORM_FILE.to_owned());
    ctx.eval_with_options(script, options)
}

struct Door<'a, 'js> {
    ctx: &'a Ctx<'js>,
    host: &'a Object<'js>,
    state: &'a Rc<State>,
}

impl<'js> Door<'_, 'js> {
    fn add(&self, name: &str, function: impl IntoJs<'js>) -> rquickjs::Result<()> {
        self.host.set(name, function)
    }

    fn add_tools(&self) -> rquickjs::Result<()> {
        let state = Rc::clone(self.state);
        self.add(
            "list",
            Function::new(self.ctx.clone(), move || rows(&state))?,
        )?;
        let state = Rc::clone(self.state);
        self.add(
            "call",
            Function::new(
                self.ctx.clone(),
                move |tool: String, operation: String, input: String| {
                    let call = made(tool, operation, &input);
                    parts(&state, &call, state.platform.call(&call))
                },
            )?,
        )?;
        let state = Rc::clone(self.state);
        self.add(
            "all",
            Function::new(self.ctx.clone(), move |calls: Vec<Vec<String>>| {
                let calls: Vec<ToolCall> = calls.into_iter().filter_map(tool_call).collect();
                let outcomes = state.platform.call_all(&calls);
                let outcomes = calls.iter().zip(outcomes);
                outcomes
                    .map(|(call, outcome)| parts(&state, call, outcome))
                    .collect::<Vec<_>>()
            })?,
        )?;
        let state = Rc::clone(self.state);
        self.add(
            "log",
            Function::new(self.ctx.clone(), move |text: String| {
                text.split('\n').for_each(|line| state.platform.log(line));
            })?,
        )
    }

    fn add_words(&self) -> rquickjs::Result<()> {
        let ctx = self.ctx;
        let frames = |stack: String| run_error::frames_of_the_program(&stack);
        self.add("frames", Function::new(ctx.clone(), frames)?)?;
        let well_formed = |json: String| well_formed::json(&json).into_owned();
        self.add("wellFormed", Function::new(ctx.clone(), well_formed)?)?;
        let state = Rc::clone(self.state);
        let called_at = move |file: String, line: usize, column: usize| {
            compile::called_at(&state, &file, line, column)
        };
        self.add("calledAt", Function::new(ctx.clone(), called_at)?)?;
        let state = Rc::clone(self.state);
        let is_named_at = move |file: String, line: usize, name: String| {
            compile::is_named_at(&state, &file, line, &name)
        };
        self.add("isNamedAt", Function::new(ctx.clone(), is_named_at)?)?;
        let for_missing = |name: String| words::for_missing(&name);
        self.add("forMissing", Function::new(ctx.clone(), for_missing)?)?;
        let state = Rc::clone(self.state);
        let for_call =
            move |expression: String| words::for_call(&expression, &state.program.borrow());
        self.add("forCall", Function::new(ctx.clone(), for_call)?)?;
        self.add("forImport", Function::new(ctx.clone(), words::for_import)?)?;
        let unknown = |place: String, kind: String, name: String, known: Vec<String>| {
            words::for_unknown(&place, &kind, &name, &known)
        };
        self.add("unknown", Function::new(ctx.clone(), unknown)?)?;
        let proposed = |name: String, known: Vec<String>| words::proposed(&name, &known);
        self.add("proposed", Function::new(ctx.clone(), proposed)?)?;
        let listed = |known: Vec<String>| words::listed(&known);
        self.add("listed", Function::new(ctx.clone(), listed)?)
    }

    fn add_run(&self) -> rquickjs::Result<()> {
        let ctx = self.ctx;
        let state = Rc::clone(self.state);
        let compile = move |ctx: Ctx<'js>, code: String| compile::compile(&ctx, &state, &code);
        self.add("compile", Function::new(ctx.clone(), compile)?)?;
        let state = Rc::clone(self.state);
        let random = Function::new(ctx.clone(), move || state.random.next_fraction())?;
        self.add("random", random.with_name("random")?)?;
        let state = Rc::clone(self.state);
        // JSON that a program reads itself is rounded, as the language says.
        let read = move |ctx: Ctx<'js>, text: Value<'js>| match text.get::<String>() {
            Ok(text) => state.settle_read(&text),
            // The text holds half of a surrogate pair, or there is no memory for a copy. JavaScript
            // reads it all the same.
            Err(_) => drop(ctx.catch()),
        };
        self.add("read", Function::new(ctx.clone(), read)?)?;
        let state = Rc::clone(self.state);
        let nothing = move || {
            let words = words::for_nothing(&state.program.borrow());
            state.platform.log(&words);
        };
        self.add("returnedNothing", Function::new(ctx.clone(), nothing)?)?;
        let state = Rc::clone(self.state);
        self.add(
            "succeed",
            Function::new(ctx.clone(), move |result: String| {
                let result = well_formed::json(&result).into_owned();
                state.outcome.replace(Some(Ok(result)));
            })?,
        )?;
        let state = Rc::clone(self.state);
        self.add(
            "fail",
            Function::new(
                ctx.clone(),
                move |name: String, code: Option<String>, message: String, stack: String| {
                    let error = run_error::thrown(name, code, message, &stack);
                    state.outcome.replace(Some(Err(error)));
                },
            )?,
        )
    }
}

/// The tools as rows of tool, operation, description and schema. A tool without operations is a row
/// of its name alone.
fn rows(state: &State) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for tool in state.platform.list() {
        if tool.operations.is_empty() {
            rows.push(vec![tool.name.clone()]);
        }
        for operation in tool.operations {
            rows.push(vec![
                tool.name.clone(),
                operation.name,
                operation.description,
                operation.input_schema,
            ]);
        }
    }
    rows
}

/// An outcome in the script's form: `[json]`, or `[code, message]`.
fn parts(state: &State, call: &ToolCall, outcome: Result<String, ToolError>) -> Vec<String> {
    match outcome {
        Ok(result) => {
            let from = || format!("the answer of {:?} to {}", call.tool, call.operation);
            vec![state.settle(&result, from).into_owned()]
        }
        Err(ToolError { code, message }) => vec![code, message],
    }
}

/// A call in the script's form: `[tool, operation, input]`.
fn tool_call(parts: Vec<String>) -> Option<ToolCall> {
    let [tool, operation, input] = parts.try_into().ok()?;
    Some(made(tool, operation, &input))
}

fn made(tool: String, operation: String, input: &str) -> ToolCall {
    ToolCall {
        tool,
        operation,
        input: well_formed::json(input).into_owned(),
    }
}

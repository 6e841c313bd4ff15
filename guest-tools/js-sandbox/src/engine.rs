//! A QuickJS engine that runs one program. What a program can call beyond
//! ECMAScript is in `platform.js` and, below it, the [`Platform`]; this file knows
//! no tool and decides no grant.

use crate::bindings::exports::tavora::platform::agent::{RunError, RunInput};
use crate::bindings::tavora::platform::tools::{ToolCall, ToolError, ToolInfo};
use crate::clock;
use crate::random::Random;
use crate::run_error::{self, PLATFORM_FILE};
use rquickjs::context::EvalOptions;
use rquickjs::promise::PromiseState;
use rquickjs::{
    Coerced, Context, Ctx, Error, Exception, Function, Object, Persistent, Promise, Runtime, Value,
    qjs,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How much of the stack JavaScript may use. Native frames of the engine are up
/// to 24 times as large, and the host's stack must hold those: beyond this a
/// program gets a RangeError that it can catch.
const MAX_STACK_BYTES: usize = 128 * 1024;

/// How much memory JavaScript may use. The host ends an instance at 128 MiB; below
/// that, a program gets an error that it can catch.
const MAX_MEMORY_BYTES: usize = 100 * 1024 * 1024;

/// The name that frames and syntax errors of the program carry.
const PROGRAM_FILE: &std::ffi::CStr = c"agent.js";

const PLATFORM_SCRIPT: &str = include_str!("platform.js");

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

/// A booted engine. It runs one program and is then thrown away with its
/// memory; nothing here is freed.
pub struct Engine {
    runtime: Runtime,
    context: Context,
    start: Persistent<Function<'static>>,
    report: Persistent<Function<'static>>,
    state: Rc<State>,
    is_used: Cell<bool>,
}

/// What the run leaves behind while it goes on.
struct State {
    random: Random,
    outcome: RefCell<Option<Result<String, RunError>>>,
    /// Rejected promises that nothing handles so far, with what they were
    /// rejected with.
    unhandled: RefCell<Vec<(SavedValue, SavedValue)>>,
}

type SavedValue = Persistent<Value<'static>>;
type SavedPromise = Persistent<Promise<'static>>;

impl Engine {
    /// Boots an engine whose programs call `platform`. Calls nothing of it.
    pub fn boot(platform: Rc<dyn Platform>) -> Self {
        let runtime = Runtime::new().expect("an empty memory has room for the engine");
        runtime.set_max_stack_size(MAX_STACK_BYTES);
        runtime.set_memory_limit(MAX_MEMORY_BYTES);
        let context = Context::full(&runtime).expect("an empty memory has room for the context");
        let state = Rc::new(State {
            random: Random::new(0),
            outcome: RefCell::new(None),
            unhandled: RefCell::new(Vec::new()),
        });
        track_rejections(&runtime, &state);
        let (start, report) = context
            .with(|ctx| install_platform(&ctx, platform, &state))
            .expect("the platform's own script runs in a fresh context");
        Self {
            runtime,
            context,
            start,
            report,
            state,
            is_used: Cell::new(false),
        }
    }

    /// Runs a program to its end: until its promise and every job that it left
    /// behind are done.
    ///
    /// # Errors
    /// What the program threw, a syntax error included; or that it ended while it
    /// awaited something; or that this engine has run a program before, whose
    /// globals the next one must not see.
    pub fn run(&self, input: &RunInput) -> Result<String, RunError> {
        if self.is_used.replace(true) {
            return Err(run_error::second_run());
        }
        clock::begin(input.now_ms);
        self.state.random.begin(input.seed);
        let started = self.context.with(|ctx| -> rquickjs::Result<SavedPromise> {
            let start = self.start.clone().restore(&ctx)?;
            let ended: Promise = start.call((input.code.as_str(), input.input.as_str()))?;
            Ok(Persistent::save(&ctx, ended))
        });
        self.drain_jobs();
        self.report_unhandled();
        match (self.state.outcome.take(), started) {
            (Some(outcome), _) => outcome,
            (None, Ok(ended)) if self.is_pending(&ended) => Err(run_error::never_settles()),
            // The platform's script handles every error but the lack of memory to do so.
            (None, _) => Err(run_error::out_of_memory()),
        }
    }

    fn is_pending(&self, promise: &SavedPromise) -> bool {
        self.context.with(|ctx| {
            promise
                .clone()
                .restore(&ctx)
                .is_ok_and(|promise| promise.state() == PromiseState::Pending)
        })
    }

    fn drain_jobs(&self) {
        while self.runtime.is_job_pending() {
            if let Err(failed) = self.runtime.execute_pending_job() {
                failed.0.with(|ctx| {
                    let thrown = ctx.catch();
                    self.report(&ctx, thrown);
                });
            }
        }
    }

    /// An error that no one waits for must not vanish: it goes to the log.
    fn report_unhandled(&self) {
        let unhandled = self.state.unhandled.take();
        self.context.with(|ctx| {
            for (_, reason) in unhandled {
                if let Ok(reason) = reason.restore(&ctx) {
                    self.report(&ctx, reason);
                }
            }
        });
    }

    fn report<'js>(&self, ctx: &Ctx<'js>, thrown: Value<'js>) {
        let reported = self
            .report
            .clone()
            .restore(ctx)
            .and_then(|report| report.call::<_, ()>((thrown,)));
        if reported.is_err() {
            // Without the memory to describe it there is nothing to add to the log.
            ctx.catch();
        }
    }
}

fn track_rejections(runtime: &Runtime, state: &Rc<State>) {
    let state = Rc::clone(state);
    runtime.set_host_promise_rejection_tracker(Some(Box::new(
        move |ctx, promise, reason, is_handled| {
            let promise = Persistent::save(&ctx, promise);
            let mut unhandled = state.unhandled.borrow_mut();
            if is_handled {
                unhandled.retain(|(known, _)| *known != promise);
            } else {
                unhandled.push((promise, Persistent::save(&ctx, reason)));
            }
        },
    )));
}

type Entry = (Persistent<Function<'static>>, Persistent<Function<'static>>);

/// Runs `platform.js` with the functions that it builds upon; gives the function
/// that starts a program and the one that reports an error no one waits for.
fn install_platform(
    ctx: &Ctx<'_>,
    platform: Rc<dyn Platform>,
    state: &Rc<State>,
) -> rquickjs::Result<Entry> {
    let host = Object::new(ctx.clone())?;
    add_tool_functions(ctx, &host, platform)?;
    add_run_functions(ctx, &host, state)?;

    let mut options = EvalOptions::default();
    options.filename = Some(PLATFORM_FILE.to_owned());
    let install: Function = ctx.eval_with_options(PLATFORM_SCRIPT, options)?;
    let entry: Object = install.call((host,))?;
    let function = |name: &str| entry.get::<_, Function>(name);
    Ok((
        Persistent::save(ctx, function("start")?),
        Persistent::save(ctx, function("report")?),
    ))
}

fn add_tool_functions<'js>(
    ctx: &Ctx<'js>,
    host: &Object<'js>,
    platform: Rc<dyn Platform>,
) -> rquickjs::Result<()> {
    let listing = Rc::clone(&platform);
    host.set(
        "list",
        Function::new(ctx.clone(), move || {
            // One row an operation: tool, operation, description, schema; a
            // tool without operations is a row of its name alone.
            let mut rows = Vec::new();
            for tool in listing.list() {
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
        })?,
    )?;
    let calling = Rc::clone(&platform);
    host.set(
        "call",
        Function::new(
            ctx.clone(),
            move |tool: String, operation: String, input: String| {
                parts(calling.call(&ToolCall {
                    tool,
                    operation,
                    input,
                }))
            },
        )?,
    )?;
    let calling_all = Rc::clone(&platform);
    host.set(
        "all",
        Function::new(ctx.clone(), move |calls: Vec<Vec<String>>| {
            let calls: Vec<ToolCall> = calls.into_iter().filter_map(tool_call).collect();
            let outcomes = calling_all.call_all(&calls).into_iter();
            outcomes.map(parts).collect::<Vec<_>>()
        })?,
    )?;
    host.set(
        "log",
        Function::new(ctx.clone(), move |text: String| {
            text.split('\n').for_each(|line| platform.log(line));
        })?,
    )
}

fn add_run_functions<'js>(
    ctx: &Ctx<'js>,
    host: &Object<'js>,
    state: &Rc<State>,
) -> rquickjs::Result<()> {
    host.set("compile", Function::new(ctx.clone(), compile)?)?;
    let frames = |stack: String| run_error::frames_of_the_program(&stack);
    host.set("frames", Function::new(ctx.clone(), frames)?)?;
    let numbers = Rc::clone(state);
    let random = Function::new(ctx.clone(), move || numbers.random.next_fraction())?;
    host.set("random", random.with_name("random")?)?;
    let succeeding = Rc::clone(state);
    host.set(
        "succeed",
        Function::new(ctx.clone(), move |result: String| {
            succeeding.outcome.replace(Some(Ok(result)));
        })?,
    )?;
    let failing = Rc::clone(state);
    host.set(
        "fail",
        Function::new(
            ctx.clone(),
            move |name: String, code: Option<String>, message: String, stack: String| {
                let error = run_error::thrown(name, code, message, &stack);
                failing.outcome.replace(Some(Err(error)));
            },
        )?,
    )
}

/// The program as a function: its text is the body of an async function in strict
/// mode. Lines and columns in errors are those of the text.
#[allow(unsafe_code)]
fn compile<'js>(ctx: Ctx<'js>, code: String) -> rquickjs::Result<Function<'js>> {
    let function = format!("async function () {{\n\n{code}\n}}");
    let source = format!("({function})\0");
    let mut options = qjs::JSEvalOptions {
        version: qjs::JS_EVAL_OPTIONS_VERSION as i32,
        eval_flags: (qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_STRICT) as i32,
        filename: PROGRAM_FILE.as_ptr(),
        // The text begins two lines further down; 0 would mean 1 here.
        line_num: -1,
    };
    // SAFETY: the context is alive as long as `ctx`; the source ends with a NUL
    // that its length does not count, as the engine asks; the options outlive the
    // call; and the value that it gives is owned here, from then on by `Value`.
    let compiled = unsafe {
        let value = qjs::JS_Eval2(
            ctx.as_raw().as_ptr(),
            source.as_ptr().cast(),
            (source.len() - 1) as _,
            &raw mut options,
        );
        Value::from_raw(ctx.clone(), value)
    };
    if compiled.is_exception() {
        return Err(Error::Exception);
    }
    // A text that closes the function and opens another is no body of one.
    let Coerced::<String>(text) = compiled.get()?;
    match compiled.into_function() {
        Some(program) if text == function => Ok(program),
        _ => Err(Exception::throw_syntax(
            &ctx,
            "the program closes a bracket that it did not open",
        )),
    }
}

/// An outcome as the script takes it: `[json]`, or `[code, message]`.
fn parts(outcome: Result<String, ToolError>) -> Vec<String> {
    match outcome {
        Ok(result) => vec![result],
        Err(ToolError { code, message }) => vec![code, message],
    }
}

/// A call as the script gives it: `[tool, operation, input]`.
fn tool_call(parts: Vec<String>) -> Option<ToolCall> {
    let [tool, operation, input] = parts.try_into().ok()?;
    Some(ToolCall {
        tool,
        operation,
        input,
    })
}

#[cfg(test)]
mod tests;

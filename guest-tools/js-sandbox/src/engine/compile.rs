//! Compiles a program to a function.

use super::state::State;
use crate::{foreign, program};
use rquickjs::{Coerced, Ctx, Error, Exception, Function, Value, qjs};

/// The file name in frames and syntax errors of the program.
const PROGRAM_FILE: &std::ffi::CStr = c"agent.js";

/// Compiles a program. Its text is the body of an async function in strict mode. Lines and columns
/// in errors are those of the text.
pub fn compile<'js>(ctx: &Ctx<'js>, state: &State, code: &str) -> rquickjs::Result<Function<'js>> {
    let code = program::without_fence(code);
    let compiled = function_of(ctx, &code).or_else(|error| explained(ctx, &code, error));
    if compiled.is_ok() {
        state.settle_program(&code);
    }
    *state.program.borrow_mut() = code;
    compiled
}

/// The expressions that may be called at a place of the program. Empty for places outside it.
pub fn called_at(state: &State, file: &str, line: usize, column: usize) -> Vec<String> {
    if PROGRAM_FILE.to_str() == Ok(file) {
        program::called_at(&state.program.borrow(), line, column)
    } else {
        Vec::new()
    }
}

/// Whether a line of the program contains a name.
pub fn is_named_at(state: &State, file: &str, line: usize, name: &str) -> bool {
    let program = state.program.borrow();
    let line = line.checked_sub(1).and_then(|at| program.lines().nth(at));
    PROGRAM_FILE.to_str() == Ok(file) && line.is_some_and(|line| line.contains(name))
}

/// Adds a guess at the language to the engine's words, if the text is not JavaScript.
fn explained<'js>(ctx: &Ctx<'js>, code: &str, error: Error) -> rquickjs::Result<Function<'js>> {
    if !error.is_exception() {
        return Err(error);
    }
    let thrown = ctx.catch();
    if let Some(error) = thrown.as_exception() {
        let line = line_of(&error.stack().unwrap_or_default());
        if let Some(words) = foreign::for_syntax(code, line) {
            let message = error.message().unwrap_or_default();
            error.set("message", format!("{message}: {words}"))?;
        }
    }
    Err(ctx.throw(thrown))
}

/// The line in the first frame of the program.
fn line_of(stack: &str) -> Option<usize> {
    let (_, place) = stack.split_once("agent.js:")?;
    place.split(':').next()?.parse().ok()
}

#[allow(unsafe_code)]
fn function_of<'js>(ctx: &Ctx<'js>, code: &str) -> rquickjs::Result<Function<'js>> {
    let function = format!("async function () {{\n\n{code}\n}}");
    let source = format!("({function})\0");
    let mut options = qjs::JSEvalOptions {
        version: qjs::JS_EVAL_OPTIONS_VERSION as i32,
        eval_flags: (qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_STRICT) as i32,
        filename: PROGRAM_FILE.as_ptr(),
        // The code begins on the third line of the source, and is to be line 1. With one line less
        // this would be 0, which the engine reads as 1.
        line_num: -1,
    };
    // SAFETY: The context is alive as long as `ctx`. The source ends with a NUL that its length
    // does not count, as the engine requires. The options outlive the call. The returned value is
    // owned here, and from then on by `Value`.
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
    // A text that closes the function and opens another is no function body.
    let Coerced::<String>(text) = compiled.get()?;
    match compiled.into_function() {
        Some(program) if text == function => Ok(program),
        _ => Err(Exception::throw_syntax(
            ctx,
            "the program closes a bracket that it did not open",
        )),
    }
}

//! A QuickJS engine that runs one program. The scripts of `platform/` and the [`Platform`] below
//! them define what a program can call beyond ECMAScript. This file knows no tool and decides no
//! grant.

mod compile;
mod door;
mod state;

use crate::bindings::exports::tavora::platform::agent::{RunError, RunInput};
use crate::random::Random;
use crate::{clock, run_error};
use rquickjs::promise::PromiseState;
use rquickjs::{Context, Ctx, Function, Persistent, Promise, Runtime, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub use state::Platform;
use state::State;

/// The stack that JavaScript may use. Native frames of the engine are up to 24 times as large, and
/// the host's stack must hold those. Beyond this limit a program gets a RangeError that it can
/// catch.
const MAX_STACK_BYTES: usize = 128 * 1024;

/// The memory that JavaScript may use. The host ends an instance at 128 MiB. Below that, a program
/// gets an error that it can catch.
const MAX_MEMORY_BYTES: usize = 100 * 1024 * 1024;

/// A booted engine. It runs one program and is thrown away with its memory, so nothing is freed.
pub struct Engine {
    runtime: Runtime,
    context: Context,
    start: Persistent<Function<'static>>,
    report: Persistent<Function<'static>>,
    state: Rc<State>,
    is_used: Cell<bool>,
}

type SavedPromise = Persistent<Promise<'static>>;

impl Engine {
    /// Boots an engine whose programs call `platform`. Booting itself calls nothing of it.
    pub fn boot(platform: Rc<dyn Platform>) -> Self {
        let runtime = Runtime::new().expect("an empty memory has room for the engine");
        runtime.set_max_stack_size(MAX_STACK_BYTES);
        runtime.set_memory_limit(MAX_MEMORY_BYTES);
        let context = Context::full(&runtime).expect("an empty memory has room for the context");
        let state = Rc::new(State {
            platform,
            random: Random::new(0),
            program: RefCell::default(),
            told: RefCell::default(),
            outcome: RefCell::new(None),
            unhandled: RefCell::new(Vec::new()),
        });
        track_rejections(&runtime, &state);
        let (start, report) = context
            .with(|ctx| door::install(&ctx, &state))
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

    /// Runs a program until its promise and every job that it started are done.
    ///
    /// # Errors
    /// The program threw, or has a syntax error. It ended while it awaited something. Or this
    /// engine has run a program before, whose globals the next one must not see.
    pub fn run(&self, input: &RunInput) -> Result<String, RunError> {
        if self.is_used.replace(true) {
            return Err(run_error::second_run());
        }
        clock::begin(input.now_ms);
        self.state.random.begin(input.seed);
        let started = self.context.with(|ctx| -> rquickjs::Result<SavedPromise> {
            let start = self.start.clone().restore(&ctx)?;
            let given = self
                .state
                .settle(&input.input, || "the input of the run".to_owned());
            let ended: Promise = start.call((input.code.as_str(), &*given))?;
            Ok(Persistent::save(&ctx, ended))
        });
        self.drain_jobs();
        self.report_unhandled();
        match (self.state.outcome.take(), started) {
            (Some(outcome), _) => outcome,
            (None, Ok(ended)) if self.is_pending(&ended) => Err(run_error::never_settles()),
            // The platform's script handles every error but the lack of memory for handling it.
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

    /// Logs errors that no one waits for, so that they do not vanish.
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
            // Without memory to describe the error, the log gets nothing.
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

#[cfg(test)]
mod tests;

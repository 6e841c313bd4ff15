//! The errors that end a run without a result. Their words are for the author of the program: they
//! say what happened and what to change.

use crate::bindings::exports::tavora::platform::agent::RunError;

/// The file name of the platform's own script. Its frames do not help the author of a program.
pub const PLATFORM_FILE: &str = "platform.js";

/// The error for something that the program threw, as the platform's script read it.
pub fn thrown(name: String, code: Option<String>, message: String, stack: &str) -> RunError {
    RunError {
        name,
        code,
        message,
        stack: frames_of_the_program(stack),
    }
}

/// The program's own frames in a stack, one a line.
pub fn frames_of_the_program(stack: &str) -> String {
    let own = [format!("({PLATFORM_FILE}:"), format!("at {PLATFORM_FILE}:")];
    let frames: Vec<&str> = stack
        .lines()
        .map(str::trim)
        .filter(|frame| !frame.is_empty() && !own.iter().any(|own| frame.contains(own.as_str())))
        .collect();
    frames.join("\n")
}

/// The program awaits something that can no longer happen.
pub fn never_settles() -> RunError {
    internal(
        "the program awaits a promise that nothing can settle: there are no timers, and tool \
         calls give their result at once",
    )
}

/// The engine had no memory left even to describe the error.
pub fn out_of_memory() -> RunError {
    internal("the program used all the memory of its run; keep less at once")
}

/// The error for an instance that has already run a program.
pub fn second_run() -> RunError {
    internal("this instance has run a program already; each run needs an instance of its own")
}

fn internal(message: &str) -> RunError {
    thrown("InternalError".to_owned(), None, message.to_owned(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_the_platform_are_left_out() {
        let stack =
            "    at call (platform.js:1:2)\n    at f (agent.js:3:4)\n    at platform.js:9:9\n";
        assert_eq!(frames_of_the_program(stack), "at f (agent.js:3:4)");
    }
}

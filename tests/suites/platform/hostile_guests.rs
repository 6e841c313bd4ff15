//! The hostile guests of `tests/guests/`. Each file says what it does and what must happen to it,
//! and every file is a test. Guests that inspection refuses are checked here. The others run on a
//! real platform.

mod case;
mod compile_time;
mod runner;

use tavora_host::runtime::LoadError;
use tavora_host::runtime::inspection::{Inspection, InspectionLimits, NotAComponent, inspect};
use tavora_host::runtime::limits::Limits;
use tavora_host::runtime::worker::Worker;
use tavora_tests::fixture::worker;

use case::{Case, Expectation, LEAST_CASES, Outcome, cases};
use runner::{load_guest, run_guest, start_fixture};

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
            // Otherwise a runtime test would only test the inspection again.
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

// The inspection is useless if nothing asks it, or if the compiler sees the component first.
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

// The platform must load a component as the class that inspection gave it.
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

fn refusal(case: &Case, inspected: Result<Inspection, NotAComponent>) -> String {
    inspected
        .unwrap_or_else(|fault| panic!("{}: {fault}", case.name))
        .refusal_for(case.load_as)
        .unwrap_or_else(|| panic!("inspection accepted {}", case.name))
        .to_string()
}

fn assert_says(case: &Case, message: &str, words: &str) {
    assert!(
        message.contains(words),
        "{}: {message:?} does not say {words:?}",
        case.name
    );
}

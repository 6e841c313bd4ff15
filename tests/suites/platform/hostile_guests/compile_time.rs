//! Components that agents supply to keep the compiler busy. Too large for files, so they are made here.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tavora_host::platform::AgentRun;
use tavora_tests::eventually::{PATIENCE, report};
use tavora_tests::fixture::Fixture;

/// An agent that fits its class, with another core module of one function beside what it needs.
fn agent_with(function: &str) -> Vec<u8> {
    let quiet = include_str!("../../../guests/quiet.wat");
    let start = quiet.find("(component").expect("it is a component");
    let (head, rest) = quiet[start..].split_at("(component".len());
    // What was compiled once is cached; this one never was.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nonce = now.expect("after 1970").as_nanos() as u64;
    let module = format!("(core module (func (drop (i64.const {nonce}))) (memory 1) {function})");
    wat::parse_str(format!("{head} {module} {rest}")).expect("it is valid")
}

/// Branches to a place where 50 variables meet.
fn meeting(branches: usize) -> String {
    let locals = "i32 ".repeat(50);
    let branches: String = (0..branches)
        .map(|n| format!("memory.size local.tee {} br_if 0 ", n % 50))
        .collect();
    let uses: String = (0..50).map(|n| format!("local.get {n} drop ")).collect();
    format!("(func (local {locals}) block {branches} end {uses})")
}

/// So many values, and only then what uses them.
fn values_at_once(values: usize) -> String {
    let (made, used) = ("memory.size ".repeat(values), "i32.add ".repeat(values - 1));
    format!("(func (result i32) {made} {used})")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_keep_the_compiler_busy_is_refused_at_once() {
    let fixture = Fixture::without_secret("").await;
    let large = format!(
        "(func (result i32) i32.const 1 {})",
        "i32.const 7 i32.add ".repeat(1_200_000)
    );
    let wide = meeting(30_000);
    let many = meeting(8_000).repeat(21);
    for (function, limit) in [
        (large, "limits.component.max_function_bytes"),
        (wide, "limits.component.max_agent_function_cost"),
        (many, "limits.component.max_agent_cost"),
    ] {
        let bytes = agent_with(&function);
        let started = Instant::now();
        let error = fixture.platform.load_agent(bytes).await.err();
        let took = started.elapsed();
        let error = error.expect("it is refused").to_string();
        assert!(error.contains(limit), "{error}");
        report(&format!("refusing a component by {limit}"), took);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_through_compiles_in_bounded_time() {
    let fixture = Fixture::without_secret("").await;
    // The first costs almost what a function may; the second has almost as many bytes, and all its values at once.
    for function in [meeting(8_500), values_at_once(166_000)] {
        let bytes = agent_with(&function);
        // The compiler that the tools get needs minutes. It is not waited for.
        let load = fixture.platform.load_agent(bytes);
        let started = Instant::now();
        let agent = tokio::time::timeout(PATIENCE, load).await;
        let agent = agent.expect("it is compiled in time");
        report("compiling the most that is let through", started.elapsed());
        let agent = agent.unwrap_or_else(|error| panic!("{error}"));
        let run = AgentRun::new(fixture.app.id, "");
        let outcome = fixture.platform.run_in(&agent, run).await.outcome;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// Which of two components is ready first when the slower one was there first.
async fn first_ready(config: &str) -> &'static str {
    let fixture = Fixture::without_secret(config).await;
    let (slow, quick) = (agent_with(&meeting(8_500)), agent_with(""));
    let (ready, mut order) = tokio::sync::mpsc::unbounded_channel();
    let load = async |bytes: Vec<u8>, name: &'static str| {
        let loaded = fixture.platform.load_agent(bytes).await;
        assert!(loaded.is_ok(), "{name}: {:?}", loaded.err());
        ready.send(name).expect("it is received");
    };
    tokio::join!(load(slow, "slow"), load(quick, "quick"));
    order.recv().await.expect("both are ready")
}

#[tokio::test(flavor = "multi_thread")]
async fn components_are_compiled_in_turn() {
    assert_eq!(first_ready("").await, "slow");
    let two = "[limits]\nmax_concurrent_compilations = 2\n";
    assert_eq!(first_ready(two).await, "quick");
}

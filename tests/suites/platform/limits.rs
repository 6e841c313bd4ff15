//! Every limit of `[limits]` ends what it should, and its error names it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tavora_host::platform::{AgentRun, RunError};
use tavora_tests::fixture::Fixture;
use tavora_tests::upstream::{Upstream, search_results};
use vault_core::AuditQuery;

/// The limit that ends `code` under the configuration `limits`.
async fn limit_hit(limits: &str, code: &str) -> &'static str {
    let fixture = Fixture::start(limits).await;
    match fixture.run(code).await.0.outcome {
        Err(RunError::Limit(hit)) => hit.limit,
        other => panic!("{limits}: {code}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_limits_end_its_run() {
    for (limits, code, limit) in [
        (
            "[limits.agent]\ncpu_ms = 50",
            "for (;;) {}",
            "limits.agent.cpu_ms",
        ),
        (
            "[limits.agent]\nwall_clock_ms = 50",
            "for (;;) {}",
            "limits.agent.wall_clock_ms",
        ),
        (
            "[limits.agent]\nmax_output_bytes = 1000",
            "return 'x'.repeat(1001)",
            "limits.agent.max_output_bytes",
        ),
        (
            "[limits.agent]\nmax_log_bytes = 1000",
            "for (;;) console.log('x'.repeat(100))",
            "limits.agent.max_log_bytes",
        ),
        (
            "[limits.agent]\nmax_tool_calls = 3",
            "for (;;) try { tools.call('a', 'b', {}) } catch {}",
            "limits.agent.max_tool_calls",
        ),
        (
            "[limits.agent]\nmax_tool_calls = 3",
            "return tools.all(Array(4).fill({tool: 'a', operation: 'b', input: {}}))",
            "limits.agent.max_tool_calls",
        ),
        // Errors count as answers too.
        (
            "[limits.agent]\nmax_answer_bytes = 150",
            "return tools.all(Array(4).fill({tool: 'a', operation: 'b', input: {}}))",
            "limits.agent.max_answer_bytes",
        ),
        (
            "[limits.agent]\nhostcall_fuel_bytes = 100000",
            "console.log('x'.repeat(200000))",
            "limits.agent.hostcall_fuel_bytes",
        ),
    ] {
        assert_eq!(limit_hit(limits, code).await, limit, "{limits}: {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allocation_bomb_is_a_javascript_error_or_the_memory_limit() {
    let fixture = Fixture::start("").await;
    let code = "try { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)) } catch (e) { return e.name }";
    assert_eq!(fixture.result(code).await, r#""InternalError""#);
    // With less memory than the engine's own limit the error is the same, from an allocation that
    // the host denied.
    let fixture = Fixture::start("[limits.agent]\nmax_memory_bytes = 8388608").await;
    assert_eq!(fixture.result(code).await, r#""InternalError""#);
    // With less memory than the engine needs at its start, it does not start.
    assert_eq!(
        limit_hit("[limits.agent]\nmax_memory_bytes = 65536", "return 1").await,
        "limits.agent.max_memory_bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_is_a_range_error() {
    let fixture = Fixture::start("").await;
    for (code, error) in [
        (
            "function f() { f() } f()",
            "RangeError: Maximum call stack size exceeded",
        ),
        (
            "let o = []; for (let i = 0; i < 1e5; i++) o = [o]; JSON.stringify(o)",
            "RangeError: Maximum call stack size exceeded",
        ),
        // To the engine this is an error in the expression.
        (
            "new RegExp('(?:'.repeat(1e5) + ')'.repeat(1e5))",
            "SyntaxError: stack overflow",
        ),
    ] {
        match fixture.run(code).await.0.outcome {
            Err(threw @ RunError::Threw { .. }) => assert_eq!(threw.to_string(), error, "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_refused_before_it_runs() {
    let fixture = Fixture::start("[limits.agent]\nmax_code_bytes = 1000").await;
    let outcome = fixture.run(&" ".repeat(1001)).await.0.outcome;
    assert!(
        matches!(outcome, Err(RunError::CodeTooLong { allowed: 1000 })),
        "{outcome:?}"
    );

    let fixture = Fixture::start("[limits.agent]\nmax_input_bytes = 1000").await;
    let mut run = AgentRun::new(fixture.app.id, "return 1");
    run.input = format!("{:1001}", 1);
    let outcome = fixture.platform.run(run).await.outcome;
    assert!(
        matches!(outcome, Err(RunError::InputTooLong { allowed: 1000 })),
        "{outcome:?}"
    );
    let (code, message) = fixture.tool_error("return search('x'.repeat(1001))").await;
    assert_eq!(code, "invalid_input");
    assert!(
        message.contains("limits.agent.max_input_bytes"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_tool_is_stopped_and_the_agent_is_told() {
    let upstream = Upstream::start(|_| {
        std::thread::sleep(Duration::from_millis(600));
        search_results(&[])
    })
    .await;
    let fixture = Fixture::start(&format!(
        "[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search.config]\nbase_url = {0:?}\n[limits.tool]\nwall_clock_ms = 100\n",
        upstream.url()
    ))
    .await;
    let (code, message) = fixture.tool_error("return search('x')").await;
    assert_eq!(code, "limit_exceeded");
    assert!(message.contains("limits.tool.wall_clock_ms"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_a_list_run_at_once() {
    // Neither call is answered before both have arrived.
    let both = Barrier::new(2);
    let upstream = Upstream::start(move |_| {
        both.wait();
        search_results(&["x"])
    })
    .await;
    let fixture = Fixture::searching(upstream.url()).await;
    let code = "return tools.all(Array.from({length: 2}, (_, n) => ({tool: 'brave-search', operation: 'search', input: {query: `${n}`}}))).filter(o => o.ok).length";
    assert_eq!(fixture.result(code).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_beyond_the_instances_of_the_host_are_told_to_try_again() {
    let fixture = Fixture::start("[limits]\nmax_instances = 1\n[limits.agent]\ncpu_ms = 500").await;
    let (one, other) = tokio::join!(fixture.run("for (;;) {}"), fixture.run("for (;;) {}"));
    let outcomes = [one.0.outcome, other.0.outcome].map(|outcome| match outcome {
        Err(error) => error.to_string(),
        Ok(json) => panic!("{json}"),
    });
    assert!(
        outcomes.iter().any(|it| it.contains("limits.agent.cpu_ms")),
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .iter()
            .any(|it| it.contains("limits.max_instances") && it.contains("try again")),
        "{outcomes:?}"
    );
    assert_eq!(fixture.result("return 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_beyond_the_instances_of_the_host_is_an_error_that_says_so() {
    // The run itself has the only instance.
    let fixture = Fixture::start("[limits]\nmax_instances = 1").await;
    let (code, message) = fixture.tool_error("return search('x')").await;
    assert_eq!(code, "limit_exceeded");
    assert!(message.contains("limits.max_instances"), "{message}");
}

/// The most concurrent requests of a run that makes six calls in a list.
async fn most_calls_at_once(max_concurrent_calls: usize) -> usize {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // No call is answered before the allowed number has arrived.
    let all = Barrier::new(max_concurrent_calls);
    let upstream = Upstream::start({
        let most = Arc::clone(&most);
        move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            all.wait();
            // If more calls were allowed at once, another would arrive in this time.
            std::thread::sleep(Duration::from_millis(100));
            now.fetch_sub(1, Ordering::SeqCst);
            search_results(&["x"])
        }
    })
    .await;
    let fixture = Fixture::start(&format!(
        "[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search.config]\nbase_url = {0:?}\n[limits.agent]\nmax_concurrent_calls = {max_concurrent_calls}\n",
        upstream.url()
    ))
    .await;
    let code = "return tools.all(Array.from({length: 6}, (_, n) => ({tool: 'brave-search', operation: 'search', input: {query: `${n}`}}))).filter(o => o.ok).length";
    assert_eq!(fixture.result(code).await, "6");
    most.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_those_at_once_wait() {
    assert_eq!(most_calls_at_once(1).await, 1);
    assert_eq!(most_calls_at_once(3).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_holds_too_many_resources_is_stopped() {
    let upstream = Upstream::start(|_| search_results(&[])).await;
    let with = |max_resources: u32| {
        format!(
            "[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search.config]\nbase_url = {0:?}\n[limits.tool]\nmax_resources = {max_resources}\n",
            upstream.url()
        )
    };
    let fixture = Fixture::start(&with(3)).await;
    let (code, message) = fixture.tool_error("return search('x')").await;
    assert_eq!(code, "limit_exceeded");
    assert!(
        message.contains("limits.tool.max_resources (3)"),
        "{message}"
    );
    let fixture = Fixture::start(&with(100)).await;
    assert_eq!(fixture.result("return search('x').length").await, "0");
}

/// The audit of a run whose one request was refused.
async fn denials_recorded(max_recorded_denials: usize) -> Vec<String> {
    let fixture = Fixture::start(&format!(
        "[tools.brave-search.config]\nbase_url = \"http://127.0.0.1:9\"\n[limits.tool]\nmax_recorded_denials = {max_recorded_denials}\n"
    ))
    .await;
    let (code, _) = fixture.tool_error("return search('x')").await;
    assert_eq!(code, "egress_denied");
    let query = AuditQuery {
        action: Some("egress.denied".to_owned()),
        limit: Some(10),
        ..AuditQuery::default()
    };
    let page = fixture.vaults().audit_entries(query).await;
    page.expect("the audit can be read")
        .entries
        .iter()
        .map(|entry| serde_json::to_string(entry).expect("an entry is JSON"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_beyond_those_recorded_are_counted() {
    let recorded = denials_recorded(1).await;
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    assert!(recorded[0].contains("127.0.0.1:9"), "{recorded:?}");
    assert!(!recorded[0].contains("\"more\""), "{recorded:?}");

    let counted = denials_recorded(0).await;
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert!(!counted[0].contains("127.0.0.1:9"), "{counted:?}");
    assert!(counted[0].contains("\"more\":1"), "{counted:?}");
}

//! The agent sandbox: what it offers. The credential is not part of that.

use std::collections::BTreeSet;

use tavora_host::config::Config;
use tavora_host::platform::{AgentRun, Platform, RunTools};
use tavora_tests::fixture::{CANARY, Fixture, component_cache, operator, worker};
use tavora_tests::upstream::{Upstream, search_results};
use vault_core::AuditQuery;

async fn fixture() -> (Fixture, Upstream) {
    let upstream = Upstream::start(|_| search_results(&["one", "two"])).await;
    (Fixture::searching(upstream.url()).await, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_carries_the_credential_and_returns_results() {
    let (fixture, upstream) = fixture().await;
    let titles = fixture
        .result("return search('wasm', {count: 2}).map(r => r.title)")
        .await;
    assert_eq!(titles, r#"["one","two"]"#);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].headers["x-subscription-token"], CANARY);
    assert_eq!(seen[0].uri.path(), "/res/v1/web/search");
    assert!(
        seen[0]
            .uri
            .query()
            .is_some_and(|query| query.contains("q=wasm") && query.contains("count=2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_works_as_agents_write_it() {
    let (fixture, _upstream) = fixture().await;
    for (code, result) in [
        ("return 1 + 1", "2"),
        ("", "null"),
        (
            "return await Promise.resolve({a: [1, 'x']})",
            r#"{"a":[1,"x"]}"#,
        ),
        ("return input", "null"),
        (
            "return tools.list().map(t => [t.name, t.operations.map(o => o.name)])",
            r#"[["brave-search",["search"]],["llm-router",["chat"]]]"#,
        ),
        (
            "return tools.call('brave-search', 'search', {query: 'x'}).results.length",
            "2",
        ),
        (
            "return tools.all([{tool: 'brave-search', operation: 'search', input: {query: 'a'}}, {tool: 'none', operation: 'x', input: {}}]).map(o => o.ok)",
            "[true,false]",
        ),
        (
            "return Math.abs(Date.now() - new Date('2020-01-01')) > 1e9",
            "true",
        ),
        (
            "try { search('') } catch (e) { return [e.name, e instanceof ToolError, e instanceof Error, e.code] }",
            r#"["ToolError",true,true,"invalid_input"]"#,
        ),
    ] {
        assert_eq!(fixture.result(code).await, result, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_has_its_own_randomness_and_nothing_of_the_last_one() {
    let (fixture, _upstream) = fixture().await;
    let code = "const before = globalThis.left; globalThis.left = 1; return [before === undefined, Math.random()]";
    let (first, second) = (fixture.result(code).await, fixture.result(code).await);
    assert!(
        first.starts_with("[true,") && second.starts_with("[true,"),
        "{first} {second}"
    );
    assert_ne!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_missing_credential_is_said_in_the_exact_words() {
    let upstream = Upstream::start(|_| search_results(&[])).await;
    let fixture = Fixture::without_secret(&format!(
        "[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search.config]\nbase_url = {0:?}\n",
        upstream.url()
    ))
    .await;
    let missing = fixture.tool_error("return search('x')").await;
    assert_eq!(
        missing,
        (
            "secret_not_found".to_owned(),
            "secret \"brave_api_key\" is not in the app's vault".to_owned()
        )
    );
    fixture
        .vaults()
        .designate(&operator(), fixture.app.id, None)
        .await
        .expect("clearing works");
    let none = fixture.tool_error("return search('x')").await;
    assert_eq!(
        none,
        (
            "no_vault_designated".to_owned(),
            "app has no vault designated".to_owned()
        )
    );
    assert!(
        upstream.seen().is_empty(),
        "the upstream was asked without a credential"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_deleted_a_moment_ago_is_not_released() {
    let (fixture, upstream) = fixture().await;
    fixture.result("return search('x').length").await;
    let name = "brave_api_key".parse().expect("valid");
    fixture
        .vaults()
        .delete_secret(&operator(), fixture.app.id, fixture.vault.id, &name)
        .await
        .expect("deleting works");
    let (code, _) = fixture.tool_error("return search('x')").await;
    assert_eq!(code, "secret_not_found");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_error_says_where() {
    let (fixture, _upstream) = fixture().await;
    for (code, name, message) in [
        ("null.x", "TypeError", "null"),
        ("return {", "SyntaxError", ""),
        ("throw 'plain'", "", "plain"),
        ("return 1n", "TypeError", "BigInt"),
        ("const a = {}; a.a = a; return a", "TypeError", "circular"),
        ("function f() { f() } f()", "RangeError", "stack"),
        ("await new Promise(() => {})", "", "nothing can settle"),
        ("require('secrets')", "Error", "there is no module"),
    ] {
        let (report, _) = fixture.run(code).await;
        match report.outcome {
            Err(tavora_host::platform::RunError::Threw {
                name: thrown,
                message: said,
                ..
            }) => {
                assert!(thrown.contains(name), "{code}: {thrown}: {said}");
                assert!(
                    said.to_lowercase().contains(&message.to_lowercase()),
                    "{code}: {thrown}: {said}"
                );
            }
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_has_no_tool_but_those_it_was_given() {
    let (fixture, upstream) = fixture().await;
    let code = "try { search('x') } catch (e) { return [tools.list().length, e.code] }";
    let mut run = AgentRun::new(fixture.app.id, code);
    run.tools = RunTools::Named(BTreeSet::from(["another".to_owned()]));
    let report = fixture.platform.run(run).await;
    assert_eq!(
        report.outcome.expect("a result").get(),
        r#"[0,"unknown_tool"]"#
    );
    assert_eq!(report.calls[0].error_code.as_deref(), Some("unknown_tool"));
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_that_a_run_made_up_are_kept_short() {
    let (fixture, _upstream) = fixture().await;
    let code = "for (const [t, o] of [['é'.repeat(1e5), 'x'], ['brave-search', 'é'.repeat(1e5)]]) \
                try { tools.call(t, o, {}) } catch (e) { if (e.message.length > 500) throw e }";
    let (report, _) = fixture.run(code).await;
    report.outcome.expect("short messages");
    let short = format!("{}…", "é".repeat(64));
    assert_eq!(report.calls.len(), 2);
    assert_eq!(report.calls[0].tool, short);
    assert_eq!(report.calls[1].operation, short);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_run_is_authorised_and_audited_afresh() {
    let (fixture, _upstream) = fixture().await;
    fixture
        .result("search('a'); search('b'); return search('c').length")
        .await;
    let query = AuditQuery {
        action: Some("secret.released".to_owned()),
        limit: Some(10),
        ..AuditQuery::default()
    };
    let page = fixture.vaults().audit_entries(query).await;
    assert_eq!(page.expect("readable").entries.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_gave_up_is_made_anew_for_the_next_call() {
    let fixture = Fixture::without_secret("").await;
    let component = fixture.folder.path().join("guest.wasm");
    let guest = include_str!("../../guests/tool-traps-on-request.wat");
    std::fs::write(&component, wat::parse_str(guest).expect("valid")).expect("writable");
    let config = Config::parse(&format!("[tools.guest]\ncomponent = {component:?}\n"));
    let mut config = config.expect("valid");
    config.worker = worker();
    let platform = Platform::start(fixture.vaults().clone(), &config, Some(&component_cache()))
        .await
        .expect("the guest loads");
    let code = "const call = input => tools.call('guest', 'act', input); \
                try { call({now: true}) } catch (e) { return [e.code, call({}), call({})] }";
    let report = platform.run(AgentRun::new(fixture.app.id, code)).await;
    assert_eq!(
        report.outcome.expect("a result").get(),
        r#"["tool_failed","quiet","quiet"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_models_write_runs_or_is_answered_with_what_to_change() {
    let (fixture, _upstream) = fixture().await;
    assert_eq!(fixture.result("```js\nreturn 1\n```").await, "1");
    assert_eq!(
        fixture.result("console.table([{a: 1}]); return 1").await,
        "1"
    );
    let (report, logged) = fixture.run("1 + 1").await;
    assert_eq!(report.outcome.expect("a result").get(), "null");
    assert!(logged.contains("returned nothing"), "{logged}");
    for (code, words) in [
        ("Here:\n```js\nreturn 1\n```", "Markdown fence"),
        ("import x from 'y'; return 1", "there is no import"),
        ("const a: number = 1; return a", "TypeScript"),
        (
            "setTimeout(() => 1)",
            "setTimeout is not defined: there are no timers",
        ),
        ("const x = {}; x.y()", "x.y is not a function"),
        (
            "return Intl.NumberFormat('de')",
            "Intl is not defined: there are no locales",
        ),
    ] {
        let (report, _) = fixture.run(code).await;
        let error = report.outcome.expect_err(code).to_string();
        assert!(error.contains(words), "{code}: {error}");
    }
    let (_, logged) = fixture
        .run("return new Date(0).toLocaleTimeString('en-US', {timeZone: 'America/New_York'})")
        .await;
    assert!(
        logged.contains("toLocaleTimeString gives the time in UTC"),
        "{logged}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_other_reader_could_take_does_not_leave_a_program() {
    let (fixture, upstream) = fixture().await;
    let (report, logged) = fixture
        .run("search('x\\ud83d'); console.log('\\ud83d'); return {a: '\\ud83d', '\\udc00': 1}")
        .await;
    assert_eq!(
        report.outcome.expect("a result").get(),
        "{\"a\":\"\u{fffd}\",\"\u{fffd}\":1}"
    );
    assert_eq!(logged, "\u{fffd}\n");
    let query = upstream.seen()[0].uri.query().map(str::to_owned);
    assert!(query.is_some_and(|query| query.contains("x%EF%BF%BD")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_of_a_run_keeps_its_digits() {
    let (fixture, _upstream) = fixture().await;
    let mut run = AgentRun::new(fixture.app.id, "return input");
    run.input = r#"{"id":9223372036854775807,"n":9007199254740991}"#.to_owned();
    let report = fixture.platform.run(run).await;
    assert_eq!(
        report.outcome.expect("a result").get(),
        r#"{"id":"9223372036854775807","n":9007199254740991}"#
    );
}

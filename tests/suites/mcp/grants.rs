//! An agent's file grants its tools and nothing else.

use std::sync::{Arc, Barrier};

use serde_json::json;
use tavora_host::platform::RunError;
use tavora_tests::fixture::Fixture;

use crate::fixture::{AGENT, WithAgents, agent_file};
use crate::scripted::{Scripted, legacy, result, text};

const TOOLS: &str = "return tools.list().map(tool => tool.name)";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_only_what_its_file_grants() {
    let agents = WithAgents::start(
        r#"{ "name": "tasks", "url": "https://tasks.example/mcp" }"#,
        &[],
    )
    .await;
    assert_eq!(agents.result(TOOLS).await, r#"["mcp:tasks"]"#);
    let said = agents.tool_error("search('x')").await;
    assert_eq!(said.0, "unknown_tool");

    let with_search = r#"{ "id": "two", "name": "Two", "tools": ["brave-search"] }"#;
    agents.declare("two", with_search);
    let listed = agents.run_as("two", TOOLS).await.outcome.expect("a result");
    assert_eq!(listed.get(), r#"["brave-search"]"#);
    let outcome = agents.run_as("two", "require('tasks')").await.outcome;
    assert!(
        matches!(&outcome, Err(RunError::Threw { message, .. }) if message.ends_with("are: brave-search")),
        "{outcome:?}"
    );

    // Without an agent there is every tool of the platform, and no server.
    let listed = agents.host.result(TOOLS).await;
    assert!(
        listed.contains("brave-search") && !listed.contains("mcp"),
        "{listed}"
    );
    let said = agents
        .host
        .tool_error("tools.call('mcp-client', 'list_tools', {})")
        .await;
    assert_eq!(said.0, "unknown_tool");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_names_no_url_and_no_secret() {
    let server = Scripted::start(|asked| legacy(asked, &["a"], |asked| text(asked, "x"))).await;
    let other = Scripted::start(|asked| text(asked, "gotten")).await;
    let agents = WithAgents::start(&server.declared("it", ""), &[&server.url, &other.url]).await;
    for key in ["url", "secret", "server", "headers"] {
        let code = format!(
            "tools.call('mcp:it', 'call_tool', {{name: 'a', {key}: {:?}}})",
            other.url
        );
        assert_eq!(agents.tool_error(&code).await.0, "invalid_input", "{key}");
        let code = format!(
            "tools.call('mcp:it', 'list_tools', {{{key}: {:?}}})",
            other.url
        );
        assert_eq!(agents.tool_error(&code).await.0, "invalid_input", "{key}");
    }
    assert!(other.asked().is_empty() && server.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_reach_a_server_at_once() {
    // No call is answered before all have arrived.
    let all = Arc::new(Barrier::new(5));
    let server = Scripted::start(move |asked| {
        legacy(asked, &["wait"], |asked| {
            all.wait();
            result(asked, &json!({ "content": [], "structuredContent": asked.message["params"]["arguments"] }))
        })
    })
    .await;
    let agents = WithAgents::start(&server.declared("it", ""), &[&server.url]).await;
    let code = "const call = (n) => ({tool: 'mcp:it', operation: 'call_tool', input: {name: 'wait', arguments: {n}}});
                const outcomes = tools.all([1, 2, 3, 4, 5].map(call));
                return outcomes.map(it => it.result.structuredContent.n)";
    let report = agents.run_as(AGENT, code).await;
    assert_eq!(report.outcome.expect("a result").get(), "[1,2,3,4,5]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_counts_from_the_next_run_on() {
    let agents = WithAgents::start("", &[]).await;
    assert_eq!(agents.result(TOOLS).await, "[]");
    let server = r#"{ "name": "tasks", "url": "https://tasks.example/mcp" }"#;
    agents.declare(AGENT, &agent_file(AGENT, server));
    assert_eq!(agents.result(TOOLS).await, r#"["mcp:tasks"]"#);
    agents.declare(AGENT, &agent_file(AGENT, &format!("{server}, {server}")));
    assert_eq!(
        agents.result(TOOLS).await,
        r#"["mcp:tasks"]"#,
        "the last good one is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_grants_the_client_nothing_for_all_servers() {
    use tavora_host::config::Config;
    use tavora_host::platform::{Platform, StartError};

    let fixture = Fixture::without_secret("").await;
    for grant in [
        "secrets = [\"a\"]",
        "reveal = [\"a\"]",
        "[tools.mcp-client.credentials.a]\nslot = \"bearer\"",
        "origins = [\"https://a.example\"]",
        "bind = { a = [\"https://a.example\"] }",
    ] {
        let config = Config::parse(&format!("[tools.mcp-client]\n{grant}")).expect("it is read");
        let started = Platform::start(fixture.vaults().clone(), &config, None).await;
        assert!(
            matches!(started, Err(StartError::ClientGrants(_))),
            "{grant}"
        );
    }
    let config = Config::parse("[agents]\ndir = \"/nowhere\"").expect("it is read");
    let started = Platform::start(fixture.vaults().clone(), &config, None).await;
    assert!(matches!(started, Err(StartError::Agents(_))));
}

//! The functions that a program gets from `require()` of a server, whatever the server's tools are
//! called and answer.

use axum::body::Body;
use axum::response::Response;
use tavora_host::platform::RunError;

use crate::fixture::{AGENT, WithAgents};
use crate::scripted::{Asked, Scripted, legacy, text, with_body};

async fn with(
    tools: &'static [&'static str],
    call: impl Fn(&Asked) -> Response<Body> + Clone + Send + Sync + 'static,
) -> WithAgents {
    let server = Scripted::start(move |asked| legacy(asked, tools, &call)).await;
    WithAgents::start(&server.declared("s", ""), &[&server.url]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_named_as_the_language_names_its_own_breaks_nothing() {
    let tools = &[
        "then",
        "toJSON",
        "toString",
        "constructor",
        "__proto__",
        "echo",
    ];
    let agents = with(tools, |asked| {
        text(
            asked,
            asked.message["params"]["name"].as_str().unwrap_or_default(),
        )
    })
    .await;
    for (code, result) in [
        (
            "const s = await require('s'); return Object.keys(s)",
            r#"["then","toJSON","toString","constructor","__proto__","echo"]"#,
        ),
        (
            "const s = await require('s'); return [s.then({}), s.toJSON(), s.toString(), s.constructor(), s['__proto__']()]",
            r#"["then","toJSON","toString","constructor","__proto__"]"#,
        ),
        (
            "const s = require('s'); return [`${s}`, JSON.stringify(s), s]",
            r#"["[module s]","{}",{}]"#,
        ),
    ] {
        assert_eq!(agents.result(code).await, result, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_a_server_does_not_have_is_told_with_those_that_it_has() {
    let agents = with(&["list_tasks", "add_task"], |asked| text(asked, "fine")).await;
    let report = agents
        .run_as(AGENT, "return require('s').listTasks({})")
        .await;
    let Err(RunError::Threw { name, message, .. }) = report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(name, "TypeError");
    assert_eq!(
        message,
        r#"require('s').listTasks is not a function: the MCP server "s" has no tool "listTasks" (did you mean list_tasks?); it has: list_tasks, add_task"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_64_bits_come_with_all_their_digits() {
    let agents = with(&["echo"], |asked| {
        let id = &asked.message["id"];
        with_body(
            200,
            "application/json",
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"structuredContent":{{"id":2047948614742839297,"max":18446744073709551615,"n":1}}}}}}"#
            ),
        )
    })
    .await;
    assert_eq!(
        agents.result("return require('s').echo({})").await,
        r#"{"id":"2047948614742839297","max":"18446744073709551615","n":1}"#
    );
}

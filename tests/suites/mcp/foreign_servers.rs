//! Foreign servers with each of their transports, used by agents' programs through the real
//! component.
//!
//! The servers are in `tests/mcp`. A server that is not installed is reported as skipped.

use std::path::Path;

use tavora_tests::fixture::CANARY;
use tavora_tests::requirement::are_there;

use crate::fixture::{AGENT, WithAgents, agent_file};
use crate::foreign::{Foreign, Way, get, node, npm, python, start_all};
use tavora_tests::eventually::until;

/// The name of the server at an index of a list.
fn name(at: usize) -> String {
    format!("s{at}")
}

/// A platform with an agent whose servers are these, called `s0`, `s1` and so on.
async fn with(servers: &[Foreign], besides: &str) -> WithAgents {
    let declared = servers.iter().enumerate().map(|(at, server)| {
        let (url, name) = (&server.url, name(at));
        let sse = if server.is_sse {
            r#", "transport": "sse""#
        } else {
            ""
        };
        format!("{{ \"name\": {name:?}, \"url\": {url:?}{sse}{besides} }}")
    });
    let origins: Vec<&str> = servers.iter().map(|server| &*server.origin).collect();
    let agents = WithAgents::start("", &origins).await;
    agents.declare(
        AGENT,
        &agent_file(AGENT, &declared.collect::<Vec<_>>().join(",\n")),
    );
    agents
}

/// Starts the servers, and checks the result of a program that has each server as `it`.
async fn check(ways: Vec<Way>, code: &str, expected: &str) -> (WithAgents, Vec<Foreign>) {
    let servers = start_all(ways);
    let agents = with(&servers, "").await;
    for (at, server) in servers.iter().enumerate() {
        let run = agents
            .run_as(
                AGENT,
                &format!("const it = require({:?}); {code}", name(at)),
            )
            .await;
        match run.outcome {
            Ok(json) => assert_eq!(json.get(), expected, "{server}"),
            Err(error) => panic!("{server}: {error}"),
        }
    }
    (agents, servers)
}

const NUMBERS: &str = "return [
    Object.keys(it), it.add({a: 2, b: 3}), it.greet({name: 'you'}), it.count({steps: 3}),
    it.long({length: 200000}).result.length,
    (() => { try { it.fail() } catch (e) { return e.code } })(),
    (() => { try { it.add({a: 'two'}) } catch (e) { return e instanceof ToolError } })(),
]";

const OF_NUMBERS: &str = r#"[["add","greet","fail","count","long"],{"result":5},{"result":["Hello,","you"]},{"result":3},200000,"mcp_tool_error",true]"#;

/// Tests the server of numbers in one Python environment, with the official library and with
/// fastmcp.
async fn numbers(environment: &str) {
    let ways = ["mcp", "fastmcp"].into_iter().flat_map(|library| {
        [("stream", "/mcp"), ("json", "/mcp"), ("sse", "/sse")]
            .map(|(way, path)| python(environment, &[library, way], path))
    });
    let Some(ways) = ways.collect::<Option<Vec<_>>>() else {
        return;
    };
    check(ways, NUMBERS, OF_NUMBERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_pythons_library_1_12_and_fastmcp_2() {
    numbers("mcp-1.12").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_pythons_library_1_26_and_the_last_fastmcp_2() {
    numbers("mcp-1.26").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_pythons_library_1_30_and_fastmcp_3() {
    numbers("mcp-1.30").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_pythons_library_2_and_fastmcp_4() {
    numbers("mcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_pythons_library_behind_pythons_proxy() {
    let Some(stdio) = python("mcp-1.30", &["mcp", "stdio"], "/mcp") else {
        return;
    };
    let ways = [
        ("/mcp", None),
        ("/mcp", Some("--stateless")),
        ("/sse", None),
    ];
    let ways = ways.map(|(path, option)| stdio.behind_pythons_proxy(path, option));
    check(ways.to_vec(), NUMBERS, OF_NUMBERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fastmcp_that_wants_a_token_on_every_python() {
    let mut ways = Vec::new();
    for environment in ["mcp-1.12", "mcp-1.26", "mcp-1.30", "mcp"] {
        for way in ["stream", "json"] {
            let Some(way) = python(environment, &["fastmcp", way], "/mcp") else {
                return;
            };
            ways.push(way.with_variable("TOKEN", CANARY));
        }
    }
    let servers = start_all(ways);
    let bearer = r#", "auth": { "type": "bearer", "tokenRef": "TOKEN" }"#;
    let agents = with(&servers, bearer).await;
    for (at, server) in servers.iter().enumerate() {
        let code = format!("return require({:?}).add({{a: 2, b: 3}})", name(at));
        agents
            .host
            .put("TOKEN", "another-token-than-it-wants")
            .await;
        let said = agents.tool_error(&code).await;
        assert_eq!(said.0, "upstream_auth", "{server}: {said:?}");
        assert!(said.1.contains("invalid_token"), "{server}: {said:?}");
        agents.host.put("TOKEN", CANARY).await;
        assert_eq!(agents.result(&code).await, r#"{"result":5}"#, "{server}");
    }
}

const EVERYTHING: &str = "
    const image = it['get-tiny-image']();
    return [
      it.echo({message: 'é\\n\"'}),
      it['get-sum']({a: 2, b: 3}),
      Object.keys(it['get-structured-content']({location: 'Chicago'})).sort(),
      image.map(part => part.type),
      it['trigger-long-running-operation']({duration: 1, steps: 2}),
      'trigger-sampling-request' in it,
      (() => { try { it['get-sum']({a: 'x'}) } catch (e) { return e.message.includes('expected number') } })(),
    ]";

const OF_EVERYTHING: &str = r#"["Echo: é\n\"","The sum of 2 and 3 is 5.",["conditions","humidity","temperature"],["text","image","text"],"Long running operation completed. Duration: 1 seconds, Steps: 2.",false,true]"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_everything_server_directly_and_behind_proxies() {
    let server = "@modelcontextprotocol/server-everything/dist/index.js";
    let direct = [("streamableHttp", "/mcp"), ("sse", "/sse")];
    let direct = direct.map(|(way, path)| npm(server, &[way], path));
    let Some(direct) = direct.into_iter().collect::<Option<Vec<_>>>() else {
        return;
    };
    let Some(stdio) = npm(server, &["stdio"], "/mcp") else {
        return;
    };
    let ways = [direct, stdio.behind_npms_proxies()].concat();
    let (agents, _servers) = check(ways, EVERYTHING, OF_EVERYTHING).await;
    let said = agents
        .tool_error("tools.call('mcp:s0', 'call_tool', {name: 'no such'})")
        .await;
    assert!(said.1.contains("no such"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_system_server_behind_proxies() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().canonicalize().expect("it is there");
    let path = folder.to_str().expect("plain");
    let server = "@modelcontextprotocol/server-filesystem/dist/index.js";
    let Some(stdio) = npm(server, &[path], "/mcp") else {
        return;
    };
    let code = format!(
        "it.write_file({{path: '{path}/a.txt', content: 'é'}});
         const read = it.read_text_file({{path: '{path}/a.txt'}});
         const outside = (() => {{ try {{ it.read_text_file({{path: '/etc/passwd'}}) }} catch (e) {{ return e.code }} }})();
         return [read.content ?? read, outside]"
    );
    check(
        stdio.behind_npms_proxies(),
        &code,
        r#"["é","mcp_tool_error"]"#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_server_behind_proxies() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("memory.jsonl");
    let server = "@modelcontextprotocol/server-memory/dist/index.js";
    let Some(stdio) = npm(server, &[], "/mcp") else {
        return;
    };
    let stdio = stdio.with_variable("MEMORY_FILE_PATH", file.to_str().expect("plain"));
    let code =
        "it.create_entities({entities: [{name: 'a', entityType: 'b', observations: ['c']}]});
         return it.read_graph({}).entities.map(one => one.name)";
    check(stdio.behind_npms_proxies(), code, r#"["a"]"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_behind_playwrights_server() {
    let chromium = "/usr/bin/chromium";
    if !are_there(&[("chromium", Path::new(chromium).exists())]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = [
        "--port",
        "{PORT}",
        "--host",
        "127.0.0.1",
        "--allowed-hosts",
        "*",
        "--headless",
        "--no-sandbox",
        "--isolated",
        "--output-dir",
        folder.path().to_str().expect("plain"),
        "--executable-path",
        chromium,
    ];
    let ways = ["/mcp", "/sse"].map(|path| npm("@playwright/mcp/cli.js", &arguments, path));
    let Some(ways) = ways.into_iter().collect::<Option<Vec<_>>>() else {
        return;
    };
    let code = "
        const page = it.browser_navigate({url: 'data:text/html,<title>Hello</title><button>Press</button>'});
        const seen = it.browser_snapshot({});
        return ['browser_click' in it, page.includes('Hello'), seen.includes('Press')]";
    check(ways, code, "[true,true,true]").await;
}

const RICH: &str = "
    const names = Object.keys(it);
    const got = JSON.stringify({a: 1});
    return [
        names.length, it['tool-299']({a: 1}) === `tool-299 got ${got}`,
        ['calendar.read', 'a/b', '日本', '__proto__', 'constructor', 'with space', 'é\"\\\\', '-']
            .every(name => it[name]({a: 1}) === `${name} got ${got}`),
        it.long({length: 1_900_000}).length,
        it.media().map(part => part.type), it.structured(), it.progress(),
        it.change(), 'added' in it, tools.call('mcp:' + NAME, 'call_tool', {name: 'added'}).content[0].text,
    ]";

const OF_RICH: &str = r#"[314,true,true,1900000,["image","audio","resource","resource_link"],{"list":[1,2.5,null],"nested":{"日本":true}},"told","changed",false,"added got {}"]"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_rich_server_on_both_sdks_of_typescript() {
    let ways = [
        ["1", "stream"],
        ["1", "json"],
        ["2", "stream"],
        ["2", "json"],
        ["2", "modern"],
    ];
    let ways = ways.map(|arguments| node("rich.mjs", &arguments, "/mcp"));
    let Some(ways) = ways.into_iter().collect::<Option<Vec<_>>>() else {
        return;
    };
    let code = RICH.replace("NAME", "it_name");
    let servers = start_all(ways);
    let agents = with(&servers, "").await;
    for (at, server) in servers.iter().enumerate() {
        let name = name(at);
        let code = format!("const it_name = {name:?}, it = require(it_name); {code}");
        assert_eq!(agents.result(&code).await, OF_RICH, "{server}");
    }
    // Each session ended with its run.
    for server in &servers {
        let address = server.origin.strip_prefix("http://").expect("an origin");
        until("ends its sessions", async || {
            get(address, "/sessions") == "0"
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_demands_a_bearer_token() {
    let Some(way) = node("bearer.mjs", &[], "/mcp") else {
        return;
    };
    let servers = start_all(vec![way.with_variable("TOKEN", CANARY)]);
    let bearer = r#", "auth": { "type": "bearer", "tokenRef": "TOKEN" }"#;
    let agent = with(&servers, bearer).await;
    let code = "return require('s0')['create-task.list']({name: 'Europe trip'})";
    let said = agent.tool_error(code).await;
    assert_eq!(said.1, "secret \"TOKEN\" is not in the app's vault");
    agent.host.put("TOKEN", "another-token-than-it-wants").await;
    assert_eq!(agent.tool_error(code).await.0, "upstream_auth");
    agent.host.put("TOKEN", CANARY).await;
    assert_eq!(agent.result(code).await, r#"{"id":7,"name":"Europe trip"}"#);
    let leaked = agent.result("return require('s0').leak()").await;
    assert_eq!(leaked, r#""the token is [redacted:TOKEN]""#);
    let said = agent.tool_error("require('s0').fail()").await;
    assert_eq!(said.0, "mcp_tool_error");
    assert!(said.1.contains("there is no room left"), "{said:?}");

    let header = r#", "auth": { "type": "header", "name": "X-Key", "valueRef": "TOKEN" }"#;
    let agent = with(&servers, header).await;
    agent.host.put("TOKEN", CANARY).await;
    assert_eq!(agent.result(code).await, r#"{"id":7,"name":"Europe trip"}"#);
}

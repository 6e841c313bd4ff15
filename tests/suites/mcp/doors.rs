//! Agents through every entry: the command line and the HTTP API of the real binary.

use std::path::Path;

use serde_json::{Value, json};
use tavora_tests::binary;
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;

use crate::scripted::{Scripted, legacy, text};

fn declare(folder: &Path, id: &str, text: &str) {
    let folder = folder.join("agents").join(id);
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::write(folder.join("agent.jsonc"), text).expect("writable");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_runs_agents_and_lists_their_tools() {
    let server =
        Scripted::start(|asked| legacy(asked, &["a"], |asked| text(asked, "called"))).await;
    let agents = tempfile::tempdir().expect("a temporary folder");
    let besides = r#", "auth": { "type": "bearer", "tokenRef": "TOKEN" }"#;
    let servers = format!(
        "{}, {}",
        server.declared("open", ""),
        server.declared("shut", besides)
    );
    declare(
        agents.path(),
        "one",
        &crate::fixture::agent_file("one", &servers),
    );
    declare(agents.path(), "broken", "{");
    let serving = Serving::start(&format!(
        "[agents]\ndir = {:?}\n[egress]\nallow_private_origins = [{:?}]\n",
        agents.path().join("agents"),
        server.url
    ));
    let app = serving.make_app("app");
    let ask = |request: Request| {
        let answer = serving.send(&request.header("x-api-key", &app.key));
        (answer.status, answer.json())
    };
    let execute = |agent: &str, code: &str| {
        let body = json!({ "agent": agent, "code": code });
        ask(Request::new("POST", "/api/sdk/sandbox/execute").json(&body))
    };
    let (status, ran) = execute("one", "return require('open').a()");
    assert_eq!((status, &ran["result"]), (200, &json!("called")), "{ran}");
    assert_eq!(ran["calls"][1]["tool"], "mcp:open");
    let (_, ran) = execute("one", "require('shut')");
    assert_eq!(
        ran["error"]["message"], "app has no vault designated",
        "{ran}"
    );
    for (agent, expected, code) in [
        ("none", 404, "not_found"),
        ("../one", 404, "not_found"),
        ("", 404, "not_found"),
        ("broken", 503, "agent_broken"),
    ] {
        let (status, said) = execute(agent, "return 1");
        assert_eq!((status, &said["code"]), (expected, &json!(code)), "{agent}");
        let (status, _) = ask(Request::new("GET", format!("/api/sdk/tools?agent={agent}")));
        assert_eq!(status, expected, "{agent}");
    }
    let (status, listed) = ask(Request::new("GET", "/api/sdk/tools?agent=one"));
    assert_eq!(status, 200);
    let tools = listed["tools"].as_array().expect("a list");
    let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["mcp:open", "mcp:shut"]);
    assert_eq!(tools[0]["credentials"], json!([]));
    assert_eq!(
        tools[1]["credentials"],
        json!([{ "name": "TOKEN", "present": false }])
    );
    let (_, listed) = ask(Request::new("GET", "/api/sdk/tools"));
    assert!(!listed.to_string().contains("mcp"), "{listed}");
    let log = serving.log();
    assert!(log.contains("broken/agent.jsonc:1:1: "), "{log}");
}

#[test]
fn the_operator_sees_the_client_of_mcp_servers_and_who_grants_it_what_it_has() {
    let serving = Serving::start("");
    let tools = serving.admin("GET", "/api/admin/tools", None).json();
    let tools = tools["tools"].as_array().expect("a list").clone();
    let shown =
        |field: &str| -> Vec<Value> { tools.iter().map(|tool| tool[field].clone()).collect() };
    assert_eq!(
        shown("name"),
        ["brave-search", "http-api", "llm-router", "mcp-client"]
    );
    assert_eq!(
        shown("granted_by"),
        ["manifest", "agent_file", "manifest", "agent_file"]
    );
    let imports = tools[3]["imports"].to_string();
    assert!(imports.contains("tavora:platform/secrets"), "{imports}");
    assert_eq!(tools[3]["secrets"], json!([]));

    let listed = serving.run(&["tool", "list"]).stdout;
    let line = listed.lines().find(|line| line.starts_with("mcp-client"));
    let line = line.expect("it is listed");
    assert!(line.contains("call_tool"), "{line}");
    assert!(line.contains("by each agent's file"), "{line}");
    // No run may call the tool under its own name.
    let app = serving.make_app("app");
    let ask = Request::new("GET", "/api/sdk/tools").header("x-api-key", &app.key);
    let offered = serving.send(&ask).text();
    assert!(!offered.contains("mcp"), "{offered}");
}

#[test]
fn a_check_says_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let check = |arguments: &[&str]| binary::run(path, &[&["agent", "check"], arguments].concat());
    let ended = check(&[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.stderr.contains("[agents]"), "{ended:?}");

    // This checks the example of the documentation. The model's router and the secrets come later.
    let example = tavora_tests::requirement::tests_folder().join("../examples/agents");
    let ended = check(&[example.to_str().expect("UTF-8")]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("fit for use: trip-planner"),
        "{ended:?}"
    );

    let token = r#"{ "name": "a", "url": "https://a.example", "auth": { "type": "bearer", "tokenRef": "TOKEN" } }"#;
    declare(path, "one", &crate::fixture::agent_file("one", token));
    let ended = check(&["agents"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("secrets were not looked up: there is no database"),
        "{ended:?}"
    );

    for command in [
        &["kek", "generate", "--out", ".tavora-kek"][..],
        &["app", "create", "app"],
        &["vault", "create", "main"],
        &["vault", "designate", "main"],
    ] {
        let ended = binary::run(path, command);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    let ended = check(&["agents"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let place =
        "agents/one/agent.jsonc:2:94: warning: the secret \"TOKEN\" is not in the designated vault";
    assert!(ended.stdout.contains(place), "{ended:?}");
    assert_eq!(check(&["agents/one"]).stdout, ended.stdout);

    declare(path, "two", "{ \"id\": \"two\",\n  \"nam\": 1, }");
    let ended = check(&["agents"]);
    assert_eq!(ended.status, 2, "{ended:?}");
    let place =
        "agents/two/agent.jsonc:2:3: error: an agent has no key \"nam\"; did you mean \"name\"?";
    assert!(ended.stdout.contains(place), "{ended:?}");
    let ended = check(&["agents", "--json"]);
    assert_eq!(ended.status, 2);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["agents"], json!(["one"]));
    let problems = report["problems"].as_array().expect("a list");
    let of = |severity: &str| {
        problems
            .iter()
            .filter(|it| it["severity"] == severity)
            .count()
    };
    assert_eq!((of("error"), of("warning")), (2, 1), "{report}");
    assert_eq!(problems[0]["path"], "agents/two/agent.jsonc");
    assert_eq!(problems[0]["line"], 1);

    std::fs::write(path.join("tavora.toml"), "[agents]\ndir = \"agents\"\n").expect("writable");
    assert_eq!(check(&[]).status, 2);
    let ended = binary::run(
        path,
        &["run", "--agent", "one", "-e", "return tools.list()[0].name"],
    );
    assert_eq!(
        (ended.status, ended.stdout.trim()),
        (0, "\"mcp:a\""),
        "{ended:?}"
    );
    let ended = binary::run(path, &["run", "--agent", "none", "-e", "return 1"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.contains("there is no agent \"none\""),
        "{ended:?}"
    );
    let ended = binary::run(path, &["run", "--agent", "two", "-e", "return 1"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.contains("agents/two/agent.jsonc:1:1: "),
        "{ended:?}"
    );
}

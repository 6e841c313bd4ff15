//! Tests of mistakes in the entry of an HTTP API and in its document. Each gets one sentence that
//! says what is wrong.

use std::path::Path;

use tavora_tests::binary::{Ended, run};

const DOCUMENT: &str = r#"{"openapi": "3.1.0", "paths": {
    "/items/{id}": {"get": {"operationId": "items/get",
        "parameters": [{"name": "id", "in": "path", "required": true}]}},
    "/items": {"post": {"requestBody": {"$ref": "https://example.com/bodies.yaml#/item"}}},
    "/files": {"put": {"requestBody": {"required": true, "content": {"multipart/form-data": {}}}}}
}}"#;

/// Creates a folder with the files that `tool list` needs.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join(".tavora")).expect("new");
    for arguments in [
        &["kek", "generate", "--out", ".tavora/kek"][..],
        &["app", "create", "shop"],
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    folder
}

fn list(folder: &Path, manifest: &str) -> Ended {
    std::fs::write(folder.join("tavora.toml"), manifest).expect("writable");
    run(folder, &["tool", "list", "--json"])
}

#[test]
fn a_document_that_is_a_link_out_of_the_agents_folder_is_not_read() {
    let folder = folder();
    let agent = folder.path().join("agents/mine");
    std::fs::create_dir_all(&agent).expect("new");
    let text = r#"{"id": "mine", "name": "Mine", "http": [{"name": "api", "base_url": "https://api.example.com",
        "allow": ["GET /items/*"], "openapi": "api.json"}]}"#;
    std::fs::write(agent.join("agent.jsonc"), text).expect("writable");
    std::fs::write(agent.join("real.json"), DOCUMENT).expect("writable");
    std::fs::write(folder.path().join("outside.json"), DOCUMENT).expect("writable");
    for (target, status) in [("real.json", 0), ("../../outside.json", 2)] {
        let link = agent.join("api.json");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).expect("new");
        let ended = run(folder.path(), &["agent", "check", "agents"]);
        assert_eq!(ended.status, status, "{target}: {ended:?}");
        let is_told = ended.stdout.contains("leads out") || ended.stderr.contains("leads out");
        assert_eq!(is_told, status == 2, "{target}: {ended:?}");
    }
}

#[test]
fn an_entry_that_is_wrong_is_told_what_is() {
    const ENTRY: &str = "[tools.api.http]\nbase_url = \"https://api.example.com\"\ncredential = { secret = \"token\", slot = \"bearer\" }\nallow = [\"GET /items/*\"]\n";
    let folder = folder();
    std::fs::write(folder.path().join("api.json"), DOCUMENT).expect("writable");
    std::fs::write(folder.path().join("old.json"), "{\"swagger\": \"2.0\"}").expect("writable");
    let with = |line: &str| format!("{ENTRY}{line}\n");
    for (manifest, says) in [
        (
            ENTRY.replace("https://", "http://"),
            "http:// is for loopback",
        ),
        (
            ENTRY.replace("https://", "https://me:pw@"),
            "no user name and no password",
        ),
        (ENTRY.replace(".com", ".com/?a=b"), "no query (?)"),
        (ENTRY.replace(".com", ".com/#a"), "no fragment (#)"),
        (
            ENTRY.replace("GET /items/*", "GET items"),
            "is not a pattern of allow",
        ),
        (
            ENTRY.replace("[\"GET /items/*\"]", "[]"),
            "[tools.api.http]: allow is empty",
        ),
        (
            ENTRY.replace("\"bearer\"", "\"cookie\""),
            "a slot is one of",
        ),
        (with("headers = { Cookie = \"a\" }"), "cannot be declared"),
        (
            with("agent_headers = [\"Authorization\"]"),
            "cannot be declared",
        ),
        (with("openapi = \"none.json\""), "[tools.api]: cannot read"),
        (
            with("openapi = \"old.json\""),
            "[tools.api.http]: the document is Swagger 2.0",
        ),
        (
            with("openapi = \"api.json\"").replace("GET /items/*", "PUT /files"),
            "the document has no operation that allow admits; left out: PUT /files: its body is neither",
        ),
        (
            with("[tools.api]\nsecrets = [\"token\"]"),
            "the entry says what is granted",
        ),
        (
            with("[tools.api]\ncomponent = \"a.wasm\""),
            "the entry says what is granted",
        ),
        (
            with("[tools.api.config]\nbase_url = \"https://b.example\""),
            "`config` cannot set \"base_url\"",
        ),
        (
            ENTRY.replace("tools.api.", "tools.brave-search."),
            "this tool is built in",
        ),
        (
            ENTRY.replace("tools.api.", "tools.http-api."),
            "this tool is built in",
        ),
        (
            "[tools.http-api]\nsecrets = [\"token\"]\n".to_owned(),
            "[tools.http-api]: its secrets and origins come from the files",
        ),
    ] {
        let ended = list(folder.path(), &manifest);
        assert_eq!(ended.status, 2, "{manifest}\n{ended:?}");
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
    }
}

#[test]
fn a_listed_api_shows_what_it_is_and_what_is_left_out() {
    let folder = folder();
    std::fs::write(folder.path().join("api.json"), DOCUMENT).expect("writable");
    let ended = list(
        folder.path(),
        "[tools.api.http]\nbase_url = \"https://api.example.com/v1\"\ncredential = { secret = \"token\", slot = { header = \"X-Key\" } }\nallow = [\"GET /**\", \"POST /**\"]\nopenapi = \"api.json\"\n",
    );
    assert_eq!(ended.status, 0, "{ended:?}");
    let tools: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let tools = tools.as_array().expect("a list");
    let api = tools.iter().find(|tool| tool["name"] == "api");
    let api = api.expect("it is listed");
    assert_eq!(api["secrets"], serde_json::json!(["token"]));
    assert_eq!(
        api["origins"],
        serde_json::json!(["https://api.example.com"])
    );
    assert_eq!(
        api["bind"]["token"],
        serde_json::json!(["https://api.example.com"])
    );
    assert_eq!(api["operations"][0]["name"], "items_get");
    assert_eq!(api["http"]["slot"], serde_json::json!({"header": "x-key"}));
    assert_eq!(api["http"]["left_out"][0]["path"], "/items");
    let component = tools.iter().find(|tool| tool["name"] == "http-api");
    assert_eq!(
        component.expect("it is listed")["secrets"],
        serde_json::json!([])
    );
    let text = run(folder.path(), &["tool", "list"]).stdout;
    assert!(text.contains("items_get"), "{text}");
}

#[test]
fn http_check_says_what_a_document_becomes() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("api.json"), DOCUMENT).expect("writable");
    let ended = run(path, &["tool", "http-check", "api.json"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    for line in [
        "items_get",
        "GET /items/*",
        "POST /items: it refers to another document, \"https://example.com/bodies.yaml#/item\"",
        "PUT /files: its body is neither JSON nor a form nor text, but \"multipart/form-data\"",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
    let ended = run(
        path,
        &[
            "tool",
            "http-check",
            "api.json",
            "--allow",
            "GET /**",
            "--json",
        ],
    );
    let check: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(check["not_allowed"], 2);
    assert_eq!(check["left_out"], serde_json::json!([]));

    std::fs::write(path.join("large.json"), vec![b' '; 50 * 1024 * 1024]).expect("writable");
    std::fs::write(
        path.join("page.html"),
        "<!doctype html>\n<title>404</title>",
    )
    .expect("writable");
    std::fs::write(path.join("bad.yaml"), "openapi: [3.0\n").expect("writable");
    let tree = r##"{"openapi": "3.0.0", "paths": {"/a": {"$ref": "#/paths/~1a"}}}"##;
    std::fs::write(path.join("loop.json"), tree).expect("writable");
    for (arguments, says) in [
        (&["none.json"][..], "cannot read none.json"),
        (
            &["large.json"],
            "limits.openapi.max_document_bytes (16777216)",
        ),
        (&["page.html"], "the document is not OpenAPI"),
        (&["bad.yaml"], "neither JSON nor YAML: line"),
        (&["loop.json"], "limits.openapi.max_ref_depth (16)"),
        (
            &["api.json", "--allow", "GET items"],
            "is not a pattern of allow",
        ),
        (
            &["api.json", "--allow", "GET /other"],
            "has no operation that can be called",
        ),
    ] {
        let ended = run(path, &[&["tool", "http-check"], arguments].concat());
        assert_eq!(ended.status, 2, "{arguments:?}: {ended:?}");
        assert!(
            ended.stderr.contains(says),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

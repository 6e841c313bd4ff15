//! Tests of HTTP APIs that the operator's file and agents' files declare. They are called from the
//! sandbox, and real servers on loopback play the APIs.

use std::path::Path;

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tavora_host::platform::{AgentRun, RunTools};
use tavora_tests::fixture::{CANARY, Fixture};
use tavora_tests::upstream::{Seen, Upstream, json as json_answer};

/// A part of GitHub's description of its API, in its style.
const GITHUB: &str = r##"
openapi: 3.0.3
paths:
  /repos/{owner}/{repo}/issues:
    parameters:
      - $ref: "#/components/parameters/owner"
      - { name: repo, in: path, required: true, schema: { type: string } }
    get:
      operationId: issues/list-for-repo
      summary: List issues
      parameters:
        - { name: labels, in: query, explode: false, schema: { type: array, items: { type: string } } }
        - { name: page, in: query, schema: { type: integer } }
    post:
      operationId: issues/create
      summary: Create an issue
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [title]
              properties:
                title: { type: string }
                body: { type: string }
                parent: { $ref: "#/components/schemas/issue" }
  /repos/{owner}/{repo}:
    delete:
      operationId: repos/delete
components:
  parameters:
    owner: { name: owner, in: path, required: true, schema: { type: string } }
  schemas:
    issue: { type: object, properties: { parent: { $ref: "#/components/schemas/issue" } } }
"##;

/// Starts a platform with one API, `api`, at `url`. [`CANARY`] is its credential.
async fn host(url: &str, entry: &str) -> Fixture {
    let host = Fixture::without_secret(&config(url, entry)).await;
    host.put("token", CANARY).await;
    host
}

fn config(url: &str, entry: &str) -> String {
    format!(
        "[egress]\nallow_private_origins = [{url:?}]\n[tools.api.http]\nbase_url = \"{url}/v1\"\n{entry}"
    )
}

fn header(seen: &Seen, name: &str) -> String {
    let value = seen.headers.get(name).map(|value| value.to_str());
    value.and_then(Result::ok).unwrap_or_default().to_owned()
}

const BEARER: &str = "credential = { secret = \"token\", slot = \"bearer\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_api_without_a_document_is_asked_by_tools_call_and_by_require() {
    let upstream = Upstream::start(|_| json_answer(200, r#"{"n": 12345678901234567}"#)).await;
    let host = host(
        upstream.url(),
        &format!(
            "{BEARER}allow = [\"GET /items/*\", \"POST /items\"]\nheaders = {{ x-version = \"7\" }}\nagent_headers = [\"If-Match\"]"
        ),
    )
    .await;
    let answer = host
        .result("return tools.call('api', 'request', {method: 'GET', path: '/items/a b', query: {q: ['x&y', 2]}})")
        .await;
    // An integer that a double cannot hold arrives as text.
    assert_eq!(answer, r#"{"n":"12345678901234567"}"#);
    host.result("return require('api').request({method: 'POST', path: '/items', body: {a: 1}, headers: {'If-Match': 'v1'}})").await;
    let [get, post] = &upstream.seen()[..] else {
        panic!("{:?}", upstream.seen())
    };
    assert_eq!(get.method, "GET");
    assert_eq!(get.uri.to_string(), "/v1/items/a%20b?q=x%26y&q=2");
    assert_eq!(header(get, "authorization"), format!("Bearer {CANARY}"));
    assert_eq!(header(get, "x-version"), "7");
    assert_eq!(post.method, "POST");
    assert_eq!(&post.body[..], br#"{"a":1}"#);
    assert_eq!(header(post, "content-type"), "application/json");
    assert_eq!(header(post, "if-match"), "v1");
}

/// An upstream that repeats the credential could return it in ranges too short for the scrubber.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_credential_asks_for_no_part_of_an_answer() {
    let upstream = Upstream::start(|_| json_answer(200, "{}")).await;
    let entry = "allow = [\"GET /items\"]\nagent_headers = [\"range\", \"if-range\"]";
    let code = "return tools.call('api', 'request', {method: 'GET', path: '/items', headers: {range: 'bytes=0-6', 'if-range': 'x'}})";
    host(upstream.url(), &format!("{BEARER}{entry}"))
        .await
        .result(code)
        .await;
    host(upstream.url(), entry).await.result(code).await;
    let [with, without] = &upstream.seen()[..] else {
        panic!("{:?}", upstream.seen())
    };
    assert_eq!(
        (header(with, "range"), header(with, "if-range")),
        Default::default()
    );
    assert_eq!(header(without, "range"), "bytes=0-6");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_input_of_an_agent_leaves_what_is_allowed() {
    let upstream = Upstream::start(|_| json_answer(200, "{}")).await;
    let host = host(
        upstream.url(),
        &format!("{BEARER}allow = [\"GET /items/*\"]"),
    )
    .await;
    let inputs = json!([
        {"path": "/admin"}, {"path": "/items/a/b"}, {"path": "/items"},
        {"path": "/items/../admin"}, {"path": "/items/%2e%2e"}, {"path": "/items/%252e%252e"},
        {"path": "/items/..%2fadmin"}, {"path": "/items/..\\admin"}, {"path": "/items/..;"},
        {"path": "//attacker.test/x"}, {"path": "/items//x"}, {"path": "http://attacker.test/"},
        {"path": "@attacker.test/"}, {"path": "/items/a?x=1"}, {"path": "/items/a#x"},
        {"path": "/items/a\r\nHost: attacker.test"}, {"path": "/items/a%0d%0aX: 1"},
        {"method": "POST"}, {"method": "get"}, {"method": "GET\r\nX: 1"}, {"method": "CONNECT"},
        {"host": "attacker.test"}, {"base_url": "http://attacker.test"}, {"secret": "other"},
        {"slot": {"header": "x"}}, {"url": "http://attacker.test"},
        {"headers": {"Authorization": "Bearer mine"}}, {"headers": {"Host": "attacker.test"}},
        {"headers": {"Cookie": "a=b"}}, {"headers": {"X-Forwarded-Host": "attacker.test"}},
        {"headers": {"X-HTTP-Method-Override": "DELETE"}}, {"query": {"_method": "DELETE"}},
        {"query": {"": "x"}}, {"body": {"a": 1}},
    ]);
    let code = format!(
        "return {inputs}.map(extra => {{
             try {{
                 return tools.call('api', 'request', {{method: 'GET', path: '/items/a', ...extra}})
             }} catch (e) {{ return e.code }}
         }})"
    );
    let came: Vec<Value> = serde_json::from_str(&host.result(&code).await).expect("JSON");
    for (input, came) in inputs.as_array().expect("a list").iter().zip(&came) {
        assert!(
            came == "invalid_input" || came == "egress_denied",
            "{input}: {came}"
        );
    }
    assert_eq!(upstream.seen().len(), 0, "{:?}", upstream.seen());
    host.result("return tools.call('api', 'request', {method: 'GET', path: '/items/a'})")
        .await;
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_stands_in_its_slot_and_nowhere_else() {
    let upstream = Upstream::start(|_| json_answer(200, "{}")).await;
    let basic = |pair: String| format!("Basic {}", BASE64_STANDARD.encode(pair));
    for (credential, name, value) in [
        (
            "slot = \"bearer\"",
            "authorization",
            format!("Bearer {CANARY}"),
        ),
        (
            "slot = \"basic\"",
            "authorization",
            basic(format!("{CANARY}:")),
        ),
        (
            "slot = \"basic\", user = \"me\"",
            "authorization",
            basic(format!("me:{CANARY}")),
        ),
        (
            "slot = \"basic\", password = \"x\"",
            "authorization",
            basic(format!("{CANARY}:x")),
        ),
        ("slot = { header = \"X-Key\" }", "x-key", CANARY.to_owned()),
        (
            "slot = { header = \"Authorization\", prefix = \"Token \" }",
            "authorization",
            format!("Token {CANARY}"),
        ),
    ] {
        let before = upstream.seen().len();
        let entry =
            format!("credential = {{ secret = \"token\", {credential} }}\nallow = [\"GET /**\"]");
        let host = host(upstream.url(), &entry).await;
        host.result("return require('api').request({method: 'GET', path: '/a'})")
            .await;
        let seen = &upstream.seen()[before];
        assert_eq!(header(seen, name), value);
        assert_eq!(seen.uri.to_string(), "/v1/a");
    }
    let entry =
        "credential = { secret = \"token\", slot = { query = \"key\" } }\nallow = [\"GET /**\"]";
    let host = host(upstream.url(), entry).await;
    let code = "require('api').request({method: 'GET', path: '/a', query: {a: 'b'}});
        return ['key', 'KEY', 'key[]', ' key '].map(name => {
            try { return require('api').request({method: 'GET', path: '/a', query: {[name]: 'x'}}) }
            catch (e) { return e.message.includes('carries the credential') } })";
    assert_eq!(host.result(code).await, "[true,true,true,true]");
    let seen = upstream.seen();
    let last = seen.last().expect("a request");
    assert_eq!(last.uri.to_string(), format!("/v1/a?a=b&key={CANARY}"));
}

fn answered(seen: &Seen) -> Response<Body> {
    let of = |status: u16, headers: &[(&str, &str)], body: Vec<u8>| {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Body::from(body)).expect("valid")
    };
    let told = header(seen, "authorization");
    let text = |status, headers: &[(&str, &str)], body: &str| of(status, headers, body.into());
    match seen.uri.path().trim_start_matches("/v1/") {
        "text" => text(200, &[("content-type", "text/csv")], "a,b"),
        "binary" => of(200, &[("content-type", "image/png")], b"\x89PNG".to_vec()),
        "large" => of(200, &[("content-type", "image/png")], vec![0xff; 2_000_000]),
        "huge" => of(
            200,
            &[("content-type", "text/plain")],
            vec![b'a'; 3_000_000],
        ),
        "none" => text(204, &[], ""),
        "echo" => json_answer(200, &json!({ "you": told }).to_string()),
        "error" => json_answer(
            400,
            &json!({ "message": format!("{told} may not") }).to_string(),
        ),
        "missing" => json_answer(404, r#"{"message":"Not Found"}"#),
        "unauthorised" => json_answer(401, r#"{"message":"Bad credentials"}"#),
        "forbidden" => json_answer(403, r#"{"message":"Resource not accessible"}"#),
        "limited" => text(429, &[("retry-after", "3600")], ""),
        "moved" => text(302, &[("location", "http://attacker.test/")], ""),
        "page" => text(
            200,
            &[
                ("content-type", "application/json"),
                (
                    "link",
                    "<https://api.example.com/page?page=2>; rel=\"next\"",
                ),
                ("x-ratelimit-remaining", "59"),
                ("set-cookie", "a=b"),
            ],
            "[1]",
        ),
        _ => json_answer(200, "{}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_json_text_or_base64_and_an_error_has_the_apis_words() {
    let upstream = Upstream::start(answered).await;
    let host = host(upstream.url(), &format!("{BEARER}allow = [\"GET /**\"]")).await;
    let get = |path: &str, more: &str| {
        format!("return require('api').request({{method: 'GET', path: '/{path}'{more}}})")
    };
    for (path, expected) in [
        ("text", r#""a,b""#),
        (
            "binary",
            r#"{"content_type":"image/png","base64":"iVBORw=="}"#,
        ),
        ("none", "null"),
        ("echo", r#"{"you":"Bearer [redacted:token]"}"#),
    ] {
        assert_eq!(host.result(&get(path, "")).await, expected);
    }
    for (path, code, says) in [
        ("large", "upstream_error", "max_binary_bytes (1048576)"),
        ("huge", "upstream_error", "2097152"),
        ("error", "upstream_error", "[redacted:token] may not"),
        ("missing", "upstream_error", "HTTP 404, \"Not Found\""),
        (
            "unauthorised",
            "upstream_auth",
            "refused the credential in secret \"token\" (HTTP 401, \"Bad credentials\")",
        ),
        (
            "forbidden",
            "upstream_auth",
            "HTTP 403, \"Resource not accessible\"",
        ),
        ("limited", "upstream_error", "try again in "),
        (
            "moved",
            "upstream_error",
            "to \"http://attacker.test/\", which is not followed",
        ),
    ] {
        let (found, message) = host.tool_error(&get(path, "")).await;
        assert_eq!(found, code, "{path}: {message}");
        assert!(message.contains(says), "{path}: {message}");
        assert!(message.starts_with("the API \"api\""), "{message}");
    }
    assert_eq!(
        host.result(&get("page", ", meta: true")).await,
        r#"{"status":200,"body":[1],"meta":{"links":{"next":{"url":"https://api.example.com/page?page=2","query":{"page":"2"}}},"headers":{"x-ratelimit-remaining":"59"}}}"#
    );
}

/// Writes a document to a file, and returns the entry's line that names it.
fn document(folder: &Path, text: &str) -> String {
    let file = folder.join("api.yaml");
    std::fs::write(&file, text).expect("writable");
    format!("openapi = {file:?}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_gives_an_operation_for_each_that_is_allowed() {
    let upstream = Upstream::start(|_| json_answer(201, r#"{"number":7}"#)).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let openapi = document(folder.path(), GITHUB);
    let host = host(
        upstream.url(),
        &format!(
            "{openapi}{BEARER}allow = [\"GET /repos/acme/*/issues\", \"POST /repos/*/*/issues\"]"
        ),
    )
    .await;
    let listed = host
        .result("return tools.list().find(tool => tool.name === 'api').operations.map(it => [it.name, Object.keys(it.inputSchema.properties), it.inputSchema.required])")
        .await;
    assert_eq!(
        listed,
        r#"[["issues_list_for_repo",["labels","page","owner","repo","meta"],["owner","repo"]],["issues_create",["owner","repo","title","body","parent","meta"],["owner","repo","title"]]]"#
    );
    let code = "const api = require('api');
        return [
            api.issues_create({owner: 'a b', repo: 'r', title: 'T'}).number,
            tools.call('api', 'issues_list_for_repo', {owner: 'acme', repo: 'r', labels: ['x', 'y']}).number,
        ]";
    assert_eq!(host.result(code).await, "[7,7]");
    let [create, list] = &upstream.seen()[..] else {
        panic!("{:?}", upstream.seen())
    };
    assert_eq!(create.uri.to_string(), "/v1/repos/a%20b/r/issues");
    assert_eq!(&create.body[..], br#"{"title":"T"}"#);
    assert_eq!(list.uri.to_string(), "/v1/repos/acme/r/issues?labels=x%2Cy");
    for (input, code, says) in [
        (
            "issues_list_for_repo({owner: 'other', repo: 'r'})",
            "egress_denied",
            "does not allow \"GET\" /repos/other/r/issues; it allows GET /repos/acme/*/issues",
        ),
        (
            "issues_create({owner: '../admin', repo: 'r', title: 'T'})",
            "invalid_input",
            "the field \"owner\" of issues_create has a slash",
        ),
        (
            "issues_create({owner: 'o', repo: 'r'})",
            "invalid_input",
            "issues_create needs a body: the field \"title\" is missing",
        ),
        (
            "issues_create({repo: 'r', title: 'T'})",
            "invalid_input",
            "the field \"owner\" of issues_create is missing",
        ),
        (
            "issues_create({owner: 'o', repo: 'r', titel: 'T', title: 'T'})",
            "invalid_input",
            "issues_create has no field \"titel\"; did you mean \"title\"?",
        ),
    ] {
        let (found, message) = host
            .tool_error(&format!("return require('api').{input}"))
            .await;
        assert_eq!(found, code, "{message}");
        assert!(message.contains(says), "{message}");
    }
    let (report, _) = host
        .run("return require('api').repos_delete({owner: 'o', repo: 'r'})")
        .await;
    let error = report.outcome.expect_err("not allowed").to_string();
    assert!(
        error.contains("the tool \"api\" has no operation"),
        "{error}"
    );
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn well_known_apis_are_asked_as_they_want_to_be() {
    // Each double refuses the same requests as the real API, by its documentation.
    let github = Upstream::start(|seen| {
        let is_right = header(seen, "authorization") == "Bearer ghp_fixture_of_the_test"
            && header(seen, "accept") == "application/vnd.github+json"
            && seen.headers.contains_key("user-agent");
        json_answer(
            if is_right { 201 } else { 403 },
            &json!({ "path": seen.uri.path() }).to_string(),
        )
    })
    .await;
    let stripe = Upstream::start(|seen| {
        let user = format!(
            "Basic {}",
            BASE64_STANDARD.encode("sk_fixture_of_the_test:")
        );
        let is_form = header(seen, "content-type") == "application/x-www-form-urlencoded";
        let is_right = header(seen, "authorization") == user && is_form;
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        json_answer(
            if is_right { 200 } else { 401 },
            &json!({ "body": body }).to_string(),
        )
    })
    .await;
    let slack = Upstream::start(|seen| {
        let is_right = header(seen, "authorization") == "Bearer xoxb-fixture-of-the-test"
            && header(seen, "content-type") == "application/json";
        json_answer(
            200,
            &json!({ "ok": is_right, "path": seen.uri.path() }).to_string(),
        )
    })
    .await;
    let google = Upstream::start(|seen| {
        let is_right = header(seen, "x-goog-api-key") == "AIza_fixture_of_the_test";
        json_answer(
            if is_right { 200 } else { 403 },
            &json!({ "path": seen.uri.path() }).to_string(),
        )
    })
    .await;
    let origins = [github.url(), stripe.url(), slack.url(), google.url()];
    let config = format!(
        r#"
[egress]
allow_private_origins = {origins:?}
[tools.github.http]
base_url = "{}"
credential = {{ secret = "github_token", slot = "bearer" }}
allow = ["POST /repos/*/*/issues"]
headers = {{ accept = "application/vnd.github+json" }}
[tools.stripe.http]
base_url = "{}/v1"
credential = {{ secret = "stripe_key", slot = "basic" }}
allow = ["POST /customers"]
[tools.slack.http]
base_url = "{}/api"
credential = {{ secret = "slack_bot_token", slot = "bearer" }}
allow = ["POST /chat.postMessage"]
[tools.youtube.http]
base_url = "{}/youtube/v3"
credential = {{ secret = "google_api_key", slot = {{ header = "X-Goog-Api-Key" }} }}
allow = ["GET /search"]
"#,
        github.url(),
        stripe.url(),
        slack.url(),
        google.url()
    );
    let host = Fixture::without_secret(&config).await;
    for (name, value) in [
        ("github_token", "ghp_fixture_of_the_test"),
        ("stripe_key", "sk_fixture_of_the_test"),
        ("slack_bot_token", "xoxb-fixture-of-the-test"),
        ("google_api_key", "AIza_fixture_of_the_test"),
    ] {
        host.put(name, value).await;
    }
    let code = "return [
        require('github').request({method: 'POST', path: '/repos/o/r/issues', body: {title: 'T'}}).path,
        require('stripe').request({method: 'POST', path: '/customers', form: {email: 'a@example.com', metadata: {id: 7}}}).body,
        require('slack').request({method: 'POST', path: '/chat.postMessage', body: {channel: 'C1', text: 'hi'}}),
        require('youtube').request({method: 'GET', path: '/search', query: {q: 'rust', part: 'snippet'}}).path,
    ]";
    assert_eq!(
        host.result(code).await,
        r#"["/repos/o/r/issues","email=a%40example.com&metadata%5Bid%5D=7",{"ok":true,"path":"/api/chat.postMessage"},"/youtube/v3/search"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_file_declares_apis_for_its_own_runs() {
    let upstream = Upstream::start(|_| json_answer(200, r#"{"number":7}"#)).await;
    let agents = tempfile::tempdir().expect("a temporary folder");
    let folder = agents.path().join("one");
    std::fs::create_dir(&folder).expect("writable");
    std::fs::write(folder.join("github.yaml"), GITHUB).expect("writable");
    let url = upstream.url();
    let declaration = format!(
        r#"{{ "id": "one", "name": "One", "http": [
            {{ "name": "github", "base_url": "{url}", "openapi": "github.yaml",
               "auth": {{ "type": "header", "name": "Authorization", "prefix": "token ", "tokenRef": "token" }},
               "allow": ["POST /repos/*/*/issues"] }},
            {{ "name": "open", "base_url": "{url}", "allow": ["GET /**"] }},
        ] }}"#
    );
    std::fs::write(folder.join("agent.jsonc"), declaration).expect("writable");
    let host = Fixture::without_secret(&format!(
        "[agents]\ndir = {:?}\n[egress]\nallow_private_origins = [{url:?}]\n[tools.http-api.config]\nmax_url_bytes = \"40\"",
        agents.path()
    ))
    .await;
    let run = async |code: &str| {
        let agent = host.platform.agent("one").await.expect("declared");
        let mut run = AgentRun::new(host.app.id, code);
        run.tools = RunTools::Of(agent);
        match host.platform.run(run).await.outcome {
            Ok(json) => json.get().to_owned(),
            Err(error) => error.to_string(),
        }
    };
    let create =
        "return require('github').issues_create({owner: 'o', repo: 'r', title: 'T'}).number";
    let missing = run(create).await;
    assert!(
        missing.contains("secret \"token\" is not in the app's vault"),
        "{missing}"
    );
    host.put("token", CANARY).await;
    assert_eq!(run(create).await, "7");
    assert_eq!(
        run("return tools.list().map(tool => tool.name)").await,
        r#"["http:github","http:open"]"#
    );
    assert_eq!(
        run("return require('open').request({method: 'GET', path: '/x'}).number").await,
        "7"
    );
    // The operator's settings hold for every API.
    let long =
        run("return require('open').request({method: 'GET', path: '/' + 'x'.repeat(40)})").await;
    assert!(long.contains("max_url_bytes (40)"), "{long}");
    let seen = upstream.seen();
    assert_eq!(header(&seen[0], "authorization"), format!("token {CANARY}"));
    assert_eq!(header(&seen[1], "authorization"), "");
    // The document is read again after a change.
    std::fs::write(
        folder.join("github.yaml"),
        GITHUB.replace("issues/create", "issues/make"),
    )
    .expect("writable");
    let renamed = create.replace("issues_create", "issues_make");
    assert_eq!(run(&renamed).await, "7");
    // A run without the agent cannot use the agent's APIs.
    let (report, _) = host.run("return require('github')").await;
    assert!(report.outcome.is_err());
}

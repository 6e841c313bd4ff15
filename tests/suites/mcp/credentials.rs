//! Tests of the places that a server's credential reaches, and of those that it does not reach.

use axum::body::Body;
use axum::response::Response;
use serde_json::json;
use tavora_tests::fixture::CANARY;
use vault_core::{Actor, AuditQuery};

use crate::fixture::{AGENT, WithAgents, agent_file};
use crate::scripted::{Asked, Scripted, event, legacy, reply_to, status, stream, text};

const BEARER: &str = r#", "auth": { "type": "bearer", "tokenRef": "TOKEN" }"#;
const CALL: &str = "return tools.call('mcp:a', 'call_tool', {name: 'a'}).content[0].text";

/// A server that answers calls with the credential that it received, and refuses calls without one.
fn echoing(asked: &Asked, header: &str) -> Response<Body> {
    match asked.header(header) {
        None => status(401),
        Some(credential) => legacy(asked, &["a"], |asked| text(asked, credential)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_sent_with_every_request_and_comes_back_to_nobody() {
    let server = Scripted::start(|asked| echoing(asked, "authorization")).await;
    let agents = WithAgents::start(&server.declared("a", BEARER), &[&server.url]).await;
    agents.host.put("TOKEN", CANARY).await;
    assert_eq!(agents.result(CALL).await, r#""Bearer [redacted:TOKEN]""#);
    let asked = server.asked();
    assert_eq!(asked.len(), 4, "{:?}", server.methods());
    let expected = format!("Bearer {CANARY}");
    let is_sent = |asked: &Asked| asked.header("authorization") == Some(&expected);
    assert!(asked.iter().all(is_sent), "{asked:?}");

    let server = Scripted::start(|asked| echoing(asked, "x-key")).await;
    let header = r#", "auth": { "type": "header", "name": "X-Key", "valueRef": "KEY" }"#;
    let agents = WithAgents::start(&server.declared("a", header), &[&server.url]).await;
    agents.host.put("KEY", CANARY).await;
    assert_eq!(agents.result(CALL).await, r#""[redacted:KEY]""#);
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.header("x-key") == Some(CANARY))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_refused_token_is_said_by_its_name() {
    let server = Scripted::start(|asked| echoing(asked, "nobody-sends-this")).await;
    let agents = WithAgents::start(&server.declared("a", BEARER), &[&server.url]).await;
    let said = agents.tool_error(CALL).await;
    assert_eq!(said.0, "secret_not_found");
    assert_eq!(said.1, "secret \"TOKEN\" is not in the app's vault");
    assert!(server.asked().is_empty());

    agents.host.put("TOKEN", CANARY).await;
    let said = agents.tool_error(CALL).await;
    assert_eq!(said.0, "upstream_auth");
    assert!(
        said.1.contains("\"TOKEN\"") && said.1.contains("HTTP 401"),
        "{said:?}"
    );

    let agents = WithAgents::start(&server.declared("a", ""), &[&server.url]).await;
    let said = agents.tool_error(CALL).await;
    assert_eq!(said.0, "upstream_auth");
    assert!(said.1.contains("must declare \"auth\""), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_stored_with_more_than_itself_works_or_is_said_to_be_odd() {
    let wanted = format!("Bearer {CANARY}");
    let server = Scripted::start(move |asked| match asked.header("authorization") {
        Some(sent) if sent == wanted => legacy(asked, &["a"], |asked| text(asked, "welcome")),
        _ => status(401),
    })
    .await;
    let agents = WithAgents::start(&server.declared("a", BEARER), &[&server.url]).await;
    for value in [
        format!("Bearer {CANARY}"),
        format!("\u{feff}{CANARY}\u{200b}"),
    ] {
        agents.host.put("TOKEN", &value).await;
        assert_eq!(agents.result(CALL).await, r#""welcome""#);
    }
    for (value, what) in [
        (format!("\"{CANARY}\""), "a quote"),
        (format!("MY_TOKEN={CANARY}"), "NAME=value"),
    ] {
        agents.host.put("TOKEN", &value).await;
        let (code, words) = agents.tool_error(CALL).await;
        assert_eq!(code, "upstream_auth");
        let odd = words.split_once("; look at the value: it ").expect(&words);
        assert!(odd.1.contains(what) && !words.contains(CANARY), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_follow_an_endpoint_to_another_origin() {
    let other = Scripted::start(|asked| text(asked, "gotten")).await;
    let to = format!("{}/post", other.url);
    let server = Scripted::start(move |_| {
        stream(vec![
            (0, format!("event: endpoint\ndata: {to}\n\n")),
            (2_000, String::new()),
        ])
    })
    .await;
    let sse = format!(", \"transport\": \"sse\"{BEARER}");
    let agents = WithAgents::start(&server.declared("a", &sse), &[&server.url, &other.url]).await;
    agents.host.put("TOKEN", CANARY).await;
    let said = agents.tool_error(CALL).await;
    assert!(said.1.contains("not of its own origin"), "{said:?}");
    assert!(other.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_with_servers_of_one_name_have_each_their_own_token() {
    let server = Scripted::start(|asked| echoing(asked, "authorization")).await;
    let of = |secret: &str| BEARER.replace("TOKEN", secret);
    let agents = WithAgents::start(&server.declared("a", &of("FIRST")), &[&server.url]).await;
    agents.declare(
        "two",
        &agent_file("two", &server.declared("a", &of("SECOND"))),
    );
    agents.host.put("FIRST", "the-first-of-two-tokens").await;
    agents.host.put("SECOND", "the-second-of-two-tokens").await;
    for (agent, secret, value) in [
        (AGENT, "FIRST", "the-first-of-two-tokens"),
        ("two", "SECOND", "the-second-of-two-tokens"),
    ] {
        let before = server.asked().len();
        let outcome = agents.run_as(agent, CALL).await.outcome.expect("a result");
        assert_eq!(outcome.get(), format!("\"Bearer [redacted:{secret}]\""));
        let expected = format!("Bearer {value}");
        let asked = &server.asked()[before..];
        assert!(
            asked
                .iter()
                .all(|asked| asked.header("authorization") == Some(&expected))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_settings_do_not_take_the_place_of_a_declaration() {
    let server = Scripted::start(|asked| echoing(asked, "authorization")).await;
    let open = Scripted::start(|asked| legacy(asked, &["a"], |asked| text(asked, "called"))).await;
    let settings = format!(
        "[tools.mcp-client.config]\nserver = \"b\"\nurl = {:?}\ntransport = \"sse\"\nsecret = \"OTHER\"\nauth_header = \"x-key\"\n",
        open.url
    );
    let origins = [&*server.url, &*open.url];
    let agents = WithAgents::start_with(&settings, &server.declared("a", BEARER), &origins).await;
    agents.host.put("TOKEN", CANARY).await;
    assert_eq!(agents.result(CALL).await, r#""Bearer [redacted:TOKEN]""#);
    // A server that declares no credential gets none.
    let agents = WithAgents::start_with(&settings, &open.declared("a", ""), &origins).await;
    assert_eq!(agents.result(CALL).await, r#""called""#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_audited_once_a_call_and_names_the_server_and_the_agent() {
    let server = Scripted::start(|asked| echoing(asked, "authorization")).await;
    let agents = WithAgents::start(&server.declared("a", BEARER), &[&server.url]).await;
    agents.host.put("TOKEN", CANARY).await;
    agents.result(CALL).await;
    let query = AuditQuery {
        action: Some("secret.released".to_owned()),
        ..Default::default()
    };
    let page = agents
        .host
        .vaults()
        .audit_entries(query)
        .await
        .expect("readable");
    assert_eq!(page.entries.len(), 1, "{:?}", page.entries);
    let entry = format!("{:?}", page.entries[0]);
    assert!(
        entry.contains("mcp:a") && entry.contains("TOKEN"),
        "{entry}"
    );

    // Outside an agent's run, the host attributes a request to no agent.
    agents.host.run("search('x')").await;
    let audit = agents.host.vaults().audit_entries(AuditQuery::default());
    let mut of_tools = Vec::new();
    for entry in audit.await.expect("readable").entries {
        if let Actor::Tool { name, .. } = &entry.actor {
            let agent = entry.detail.get("agent").and_then(|id| id.as_str());
            of_tools.push(format!("{} {name} {}", entry.action, agent.unwrap_or("-")));
        }
    }
    assert_eq!(
        of_tools,
        [
            "secret.released brave-search -",
            "leak.blocked mcp:a one",
            "secret.released mcp:a one",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_an_event_is_taken_out_too() {
    let server = Scripted::start(|asked| {
        legacy(asked, &["a"], |asked| {
            let credential = asked.header("authorization").unwrap_or_default();
            let content = json!([{ "type": "text", "text": credential }]);
            stream(vec![(
                0,
                event(&reply_to(asked, &json!({ "content": content }))),
            )])
        })
    })
    .await;
    let agents = WithAgents::start(&server.declared("a", BEARER), &[&server.url]).await;
    agents.host.put("TOKEN", CANARY).await;
    assert_eq!(agents.result(CALL).await, r#""Bearer [redacted:TOKEN]""#);
}

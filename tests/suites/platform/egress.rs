//! Outbound requests of a trusted tool, end to end: a forbidden request does not leave, and the
//! upstream there sees nothing. The host's unit tests cover the policy's own cases.

use axum::body::Body;
use axum::response::Response;
use tavora_tests::fixture::{Fixture, operator};
use tavora_tests::upstream::{Upstream, search_results};
use vault_core::{AuditQuery, Metadata};

/// A platform whose search tool uses `base_url`, and whose operator allows the private origins
/// `allowed`.
async fn pointed_at(base_url: &str, allowed: &[&str]) -> Fixture {
    Fixture::start(&format!(
        "[egress]\nallow_private_origins = {allowed:?}\n[tools.brave-search.config]\nbase_url = {base_url:?}\n"
    ))
    .await
}

/// The error code of a search, and the number of denials in the audit.
async fn denied(fixture: &Fixture) -> (String, usize) {
    let (code, _) = fixture.tool_error("return search('x')").await;
    let query = AuditQuery {
        action: Some("egress.denied".to_owned()),
        limit: Some(10),
        ..AuditQuery::default()
    };
    let entries = fixture
        .vaults()
        .audit_entries(query)
        .await
        .expect("the audit can be read")
        .entries;
    for entry in &entries {
        let text = serde_json::to_string(entry).expect("an entry is JSON");
        assert!(!text.contains("q=x"), "a query in the audit: {text}");
    }
    (code, entries.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_unless_the_operator_allows_that_origin() {
    let upstream = Upstream::start(|_| search_results(&["x"])).await;
    let port = upstream.port();
    for base in [
        upstream.url().to_owned(),
        format!("http://localhost:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f.1:{port}"),
        format!("http://0.0.0.0:{port}"),
        "http://169.254.169.254".to_owned(),
        "http://[fd00:ec2::254]".to_owned(),
        "http://10.0.0.1".to_owned(),
        "http://100.64.0.1".to_owned(),
    ] {
        let fixture = pointed_at(&base, &[]).await;
        assert_eq!(
            denied(&fixture).await,
            ("egress_denied".to_owned(), 1),
            "{base}"
        );
    }
    assert!(upstream.seen().is_empty());

    let fixture = pointed_at(upstream.url(), &[upstream.url()]).await;
    assert_eq!(fixture.result("return search('x').length").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn allowing_one_port_allows_no_other() {
    let (allowed, other) = (
        Upstream::start(|_| search_results(&[])).await,
        Upstream::start(|_| search_results(&[])).await,
    );
    let fixture = pointed_at(other.url(), &[allowed.url()]).await;
    assert_eq!(denied(&fixture).await.0, "egress_denied");
    assert!(other.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let target = Upstream::start(|_| search_results(&["stolen"])).await;
    let location = format!("{}/res/v1/web/search", target.url());
    let upstream = Upstream::start(move |_| {
        Response::builder()
            .status(302)
            .header("location", &location)
            .body(Body::empty())
            .expect("valid")
    })
    .await;
    let fixture = pointed_at(upstream.url(), &[upstream.url(), target.url()]).await;
    let (code, message) = fixture.tool_error("return search('x')").await;
    assert_eq!(code, "upstream_error", "{message}");
    assert_eq!((upstream.seen().len(), target.seen().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_cannot_add_a_header() {
    let upstream = Upstream::start(|_| search_results(&["x"])).await;
    let fixture = Fixture::searching(upstream.url()).await;
    fixture
        .result(r"return search('x\r\nX-Smuggled: 1\r\n\r\nGET / HTTP/1.1').length")
        .await;
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].headers.contains_key("x-smuggled"));
    assert_eq!(seen[0].headers["accept-encoding"], "identity");
    assert_eq!(seen[0].headers["host"], upstream.url()["http://".len()..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_secret_goes_to_its_own_origins_only() {
    let upstream = Upstream::start(|_| search_results(&["x"])).await;
    let config = |bind: &str| {
        format!(
            "[egress]\nallow_private_origins = [{0:?}]\n[tools.brave-search]\nbind = {{ brave_api_key = [{bind:?}] }}\n\
             [tools.brave-search.config]\nbase_url = {0:?}\n",
            upstream.url()
        )
    };
    let fixture = Fixture::start(&config("https://api.search.brave.com")).await;
    assert_eq!(denied(&fixture).await, ("egress_denied".to_owned(), 1));
    assert!(upstream.seen().is_empty());

    // The vault's metadata binds as well. Only origins in both lists are allowed.
    let fixture = Fixture::start(&config(upstream.url())).await;
    assert_eq!(fixture.result("return search('x').length").await, "1");
    let bind = |origin: &str| {
        let metadata = serde_json::json!({ "origins": { "brave_api_key": [origin] } });
        Metadata::parse(metadata).expect("valid")
    };
    for (origin, allowed) in [("https://elsewhere.example", false), (upstream.url(), true)] {
        fixture
            .vaults()
            .update_vault_metadata(&operator(), fixture.app.id, fixture.vault.id, bind(origin))
            .await
            .expect("the vault works");
        let (report, _) = fixture.run("return search('x').length").await;
        assert_eq!(report.outcome.is_ok(), allowed, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_other_end_is_a_clear_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let fixture = pointed_at(&url, &[&url]).await;
    let (code, _) = fixture.tool_error("return search('x')").await;
    assert_eq!(code, "upstream_unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn base_urls_and_nothing_else_of_the_configuration_are_granted() {
    let fixture = Fixture::start(
        "[tools.brave-search.config]\nbase_url = \"https://one.example/a?b\"\n\
         other_base_url = \"https://two.example:8443\"\nnote = \"https://three.example\"\n",
    )
    .await;
    let tool = fixture.platform.tools().next().expect("the search tool");
    let origins: Vec<String> = tool.origins.iter().map(ToString::to_string).collect();
    assert!(origins.contains(&"https://one.example".to_owned()));
    assert!(origins.contains(&"https://two.example:8443".to_owned()));
    assert!(!origins.contains(&"https://three.example".to_owned()));
}

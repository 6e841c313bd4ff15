//! An upstream that returns the credential. The agent does not get it in any form, and the audit
//! records it.

use axum::body::{Body, Bytes};
use axum::response::Response;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use futures::stream;
use tavora_tests::fixture::{CANARY, Fixture};
use tavora_tests::upstream::{Upstream, json, search_results};
use vault_core::AuditQuery;

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// All forms of the credential that an upstream might answer with.
fn forms() -> Vec<String> {
    vec![
        CANARY.to_owned(),
        percent(CANARY),
        percent(CANARY).to_lowercase(),
        hex::encode(CANARY),
        hex::encode(CANARY).to_uppercase(),
        BASE64_STANDARD.encode(CANARY),
        BASE64_URL_SAFE_NO_PAD.encode(CANARY),
        BASE64_STANDARD.encode(format!("u:{CANARY}")),
        BASE64_STANDARD.encode(format!("us:{CANARY}")),
        BASE64_STANDARD.encode(format!("user:{CANARY}@")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_in_a_result_is_taken_out_and_audited() {
    for form in forms() {
        let title = format!("your key is {form}, thanks");
        let upstream = Upstream::start(move |_| search_results(&[&title])).await;
        let fixture = Fixture::searching(upstream.url()).await;
        let result = fixture.result("return search('x')").await;
        assert!(
            result.contains("[redacted:brave_api_key]"),
            "{form}: {result}"
        );
        assert!(!result.contains(&form), "{form} was not removed");
        let entries = fixture
            .vaults()
            .audit_entries(AuditQuery {
                action: Some("leak.blocked".to_owned()),
                limit: Some(10),
                ..AuditQuery::default()
            })
            .await
            .expect("the audit can be read")
            .entries;
        assert_eq!(entries.len(), 1, "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_text_is_scrubbed_as_well() {
    for status in [400, 401, 403, 404, 422, 429, 500, 503] {
        let upstream = Upstream::start(move |_| {
            json(
                status,
                &format!(
                    r#"{{"error": {{"detail": "{CANARY} may not", "code": "{}"}}}}"#,
                    percent(CANARY)
                ),
            )
        })
        .await;
        let fixture = Fixture::searching(upstream.url()).await;
        let code = "try { search('x'); return 'no error' } catch (e) { return [e.code, e.message, e.stack, JSON.stringify(e)] }";
        let result = fixture.result(code).await;
        assert!(result.contains("upstream_"), "{status}: {result}");
        assert!(
            !result.contains("canary-7f3d") && !result.contains(&percent(CANARY)),
            "{status}: {result}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_split_over_chunks_is_taken_out() {
    for form in forms() {
        let body = format!(
            r#"{{"web":{{"results":[{{"title":"{form}","url":"https://example.com/","description":""}}]}}}}"#
        );
        let upstream = Upstream::start(move |_| {
            let chunks: Vec<Result<Bytes, std::io::Error>> = body
                .as_bytes()
                .chunks(3)
                .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
                .collect();
            Response::builder()
                .header("content-type", "application/json")
                .body(Body::from_stream(stream::iter(chunks)))
                .expect("valid")
        })
        .await;
        let fixture = Fixture::searching(upstream.url()).await;
        let result = fixture.result("return search('x')").await;
        assert!(
            result.contains("[redacted:brave_api_key]") && !result.contains(&form),
            "{form}: {result}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_credential_passes_unchanged() {
    let text = "ordinary text: 100 % of it, é, \"quoted\", dGVzdA==, canary";
    let upstream = Upstream::start(move |_| search_results(&[text])).await;
    let fixture = Fixture::searching(upstream.url()).await;
    let result = fixture.result("return search('x')[0].title").await;
    assert_eq!(result, serde_json::to_string(text).expect("a string"));
}

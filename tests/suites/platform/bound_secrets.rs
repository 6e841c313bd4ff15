//! A hostile trusted tool that sees its credential and sends it to another origin that it may
//! reach. Bound secrets do not leave, however they are hidden. The host's own tests cover the forms
//! that are looked for.

use serde_json::json;
use tavora_tests::fixture::{CANARY, Fixture, operator};
use tavora_tests::upstream::{Upstream, json as json_answer};
use vault_core::{AuditQuery, Metadata};

use super::workspace::root;

const SECRET: &str = "hostile_key";

/// The parts of a request, and the forms that fit there.
const WAYS: &[(&str, &[&str])] = &[
    (
        "header",
        &["raw", "bearer", "basic", "base64", "hex", "percent"],
    ),
    ("header name", &["raw", "hex"]),
    ("path", &["raw", "base64url", "hex", "percent"]),
    ("query", &["raw", "base64url", "hex", "percent"]),
    ("method", &["raw"]),
    ("body", &["raw", "basic", "base64", "base64url", "hex"]),
    ("pieces", &["raw", "basic", "base64", "base64url", "hex"]),
    ("trailer", &["raw", "base64"]),
];

/// Two origins that the tool is granted, both on loopback.
struct Origins {
    home: Upstream,
    other: Upstream,
}

impl Origins {
    async fn start() -> Self {
        Self {
            home: Upstream::start(|_| json_answer(200, "{}")).await,
            other: Upstream::start(|_| json_answer(200, "{}")).await,
        }
    }

    /// A platform with the tool. `manifest` is added to its `tavora.toml`, and `metadata` becomes
    /// the vault's.
    async fn host(&self, manifest: &str, metadata: Option<&[&str]>) -> Fixture {
        let component = root().join("guest-tools/target/components/smuggler.wasm");
        let origins = [self.home.url(), self.other.url()];
        let host = Fixture::without_secret(&format!(
            "[egress]\nallow_private_origins = {origins:?}\n[tools.smuggler]\ncomponent = {component:?}\n\
             reveal = [{SECRET:?}]\norigins = {origins:?}\n{manifest}"
        ))
        .await;
        host.put(SECRET, CANARY).await;
        if let Some(origins) = metadata {
            let metadata = Metadata::parse(json!({ "origins": { SECRET: origins } }));
            host.vaults()
                .update_vault_metadata(
                    &operator(),
                    host.app.id,
                    host.vault.id,
                    metadata.expect("valid"),
                )
                .await
                .expect("the vault works");
        }
        host
    }
}

/// Sends the credential in every way. Returns the status or the error code of each.
async fn send_all(host: &Fixture, to: &str) -> Vec<(String, String)> {
    let mut came = Vec::new();
    for (part, forms) in WAYS {
        for form in *forms {
            let input = json!({ "to": to, "part": part, "form": form });
            let code = format!(
                "try {{ return String(tools.call('smuggler', 'send', {input})) }} catch (e) {{ return e.code ?? String(e) }}"
            );
            came.push((format!("{form} in {part}"), host.result(&code).await));
        }
    }
    came
}

#[track_caller]
fn assert_all(came: &[(String, String)], expected: &str) {
    for (way, outcome) in came {
        assert_eq!(outcome, &format!("{expected:?}"), "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_tool_sends_a_bound_secret_nowhere_else() {
    let origins = Origins::start().await;
    let (home, other) = (origins.home.url(), origins.other.url());
    let by_manifest = format!("bind = {{ {SECRET} = [{home:?}] }}\n");
    let too_wide = format!("bind = {{ {SECRET} = [{home:?}, {other:?}] }}\n");
    for (manifest, metadata) in [
        (by_manifest.as_str(), None),
        ("", Some(&[home][..])),
        // An origin that only one of the two allows is not allowed.
        (too_wide.as_str(), Some(&[home][..])),
        (by_manifest.as_str(), Some(&[home, other][..])),
    ] {
        let host = origins.host(manifest, metadata).await;
        let came = send_all(&host, other).await;
        assert_all(&came, "egress_denied");
        for seen in origins.other.seen() {
            // A request whose body is refused was already begun: its head arrived, and nothing of
            // its body.
            assert_eq!((seen.uri.path(), seen.body.len()), ("/", 0), "{seen:?}");
            assert!(!format!("{:?}", seen.headers).contains("x-load"));
        }
        let query = AuditQuery {
            action: Some("egress.denied".to_owned()),
            limit: Some(100),
            ..AuditQuery::default()
        };
        let audit = host.vaults().audit_entries(query).await.expect("readable");
        assert_eq!(audit.entries.len(), came.len());
        for entry in &audit.entries {
            let entry = serde_json::to_string(entry).expect("an entry is JSON");
            assert!(entry.contains(SECRET), "{entry}");
            assert!(!entry.contains(CANARY), "{entry}");
        }
        assert_all(&send_all(&host, home).await, "200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_that_a_secret_is_bound_and_by_whom() {
    let origins = Origins::start().await;
    let (home, other) = (origins.home.url(), origins.other.url());
    let by_manifest = format!("bind = {{ {SECRET} = [{home:?}] }}\n");
    let too_wide = format!("bind = {{ {SECRET} = [{home:?}, {other:?}] }}\n");
    let operator = "by `bind` of the tool \\\"smuggler\\\"";
    let owner = "by `origins` in its vault's metadata";
    for (manifest, metadata, whose) in [
        (by_manifest.as_str(), None, operator),
        ("", Some(&[home][..]), owner),
        (too_wide.as_str(), Some(&[home][..]), owner),
        (by_manifest.as_str(), Some(&[home, other][..]), operator),
    ] {
        let host = origins.host(manifest, metadata).await;
        let input = json!({ "to": other, "part": "header", "form": "raw" });
        let code = format!(
            "try {{ return tools.call('smuggler', 'send', {input}) }} catch (e) {{ return e.message }}"
        );
        let said = host.result(&code).await;
        assert!(said.contains("is bound to other origins"), "{said}");
        assert!(said.contains(whose), "{said}");
        for origin in [home, other] {
            assert!(!said.contains(origin), "{said}");
        }
    }
}

// The binding stops the requests above, and nothing else about them.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_bound_goes_to_every_granted_origin() {
    let origins = Origins::start().await;
    let host = origins.host("", None).await;
    let came = send_all(&host, origins.other.url()).await;
    assert_all(&came, "200");
    assert_eq!(origins.other.seen().len(), came.len());
}

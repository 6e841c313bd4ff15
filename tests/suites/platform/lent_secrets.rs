//! Tests with a hostile trusted tool to which a secret is lent. The tool can use the secret where
//! the grant allows it. Every attempt to learn the value or to misdirect it fails.

use axum::body::Body;
use axum::http::HeaderName;
use axum::response::Response;
use serde_json::{Value, json};
use tavora_tests::fixture::{CANARY, Fixture};
use tavora_tests::upstream::{Seen, Upstream, json as json_answer};
use vault_core::{AuditEntry, AuditQuery};

use super::workspace::root;

const SECRET: &str = "hostile_key";

/// The usual grant of a test, besides the secret.
const BEARER: &str = "slot = \"bearer\"";
const BASIC: &str = "slot = \"basic\"";
const HEADER: &str = "slot = { header = \"X-Key\" }";
const TOKEN: &str = "slot = { header = \"Authorization\", prefix = \"Token \" }";
const QUERY: &str = "slot = { query = \"key\" }";

struct Stage {
    home: Upstream,
    other: Upstream,
    host: Fixture,
}

impl Stage {
    /// Starts a platform with a tool that may reach both origins. `credential` is the manifest's
    /// entry about the secret.
    async fn start(credential: &str) -> Self {
        let home = Upstream::start(repeat).await;
        let other = Upstream::start(repeat).await;
        let component = root().join("guest-tools/target/components/smuggler.wasm");
        let origins = [home.url(), other.url()];
        let config = format!(
            "[egress]\nallow_private_origins = {origins:?}\n[tools.smuggler]\ncomponent = {component:?}\n\
             secrets = [{SECRET:?}]\norigins = {origins:?}\n[tools.smuggler.credentials.{SECRET}]\n\
             {credential}\norigins = [{:?}]\n",
            home.url()
        );
        let host = Fixture::without_secret(&config).await;
        host.put(SECRET, CANARY).await;
        Self { home, other, host }
    }

    /// Has the tool send requests in one call. Returns the call's answer or its error.
    async fn sent(&self, input: &Value) -> String {
        let code = format!(
            "try {{ return JSON.stringify(tools.call('smuggler', 'request', {input})) }} \
             catch (e) {{ return `${{e.code}}: ${{e.message}}` }}"
        );
        let json = self.host.result(&code).await;
        serde_json::from_str(&json).expect("a text")
    }

    /// Has the tool send one request to the origin of the secret. Returns the call's answer or its
    /// error.
    async fn sent_home(&self, mut request: Value) -> String {
        request["to"] = self.home.url().into();
        self.sent(&json!({ "requests": [request] })).await
    }

    /// Returns everything that reached an upstream.
    fn arrived(&self) -> String {
        format!("{:?} {:?}", self.home.seen(), self.other.seen())
    }

    async fn audit(&self, action: &str) -> Vec<AuditEntry> {
        let query = AuditQuery {
            action: Some(action.to_owned()),
            limit: Some(100),
            ..AuditQuery::default()
        };
        let page = self.host.vaults().audit_entries(query).await;
        page.expect("readable").entries
    }
}

/// Repeats the whole request, like an upstream where anyone can have an account.
fn repeat(seen: &Seen) -> Response<Body> {
    let headers: Vec<String> = seen
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let sent = ["authorization", "x-key"]
        .into_iter()
        .find_map(|name| seen.headers.get(name)?.to_str().ok())
        .unwrap_or("nothing");
    let word = sent.rsplit(' ').next().unwrap_or_default();
    let body = json!({ "uri": seen.uri.to_string(), "headers": headers,
        "body": String::from_utf8_lossy(&seen.body), "word": word });
    let mut response = json_answer(200, &body.to_string());
    let headers = response.headers_mut();
    headers.insert("x-repeated", sent.parse().expect("it was a header"));
    headers.insert("location", format!("/?key={word}").parse().expect("text"));
    headers.insert("set-cookie", format!("a={word}").parse().expect("text"));
    let name: HeaderName = match word.contains('=') {
        true => "x-none".parse().expect("a name"),
        false => format!("x-{}", word.to_lowercase())
            .parse()
            .expect("a name"),
    };
    headers.insert(name, "1".parse().expect("text"));
    response
}

/// Asserts that the text contains the value neither as it is nor in the forms that the scrubber
/// does not find.
#[track_caller]
fn assert_unknown(way: &str, told: &str) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for form in [
        CANARY.to_owned(),
        CANARY.to_uppercase(),
        hex::encode(CANARY),
        STANDARD.encode(format!("user:{CANARY}")),
        STANDARD.encode(format!("{CANARY}:word")),
        STANDARD.encode(CANARY),
    ] {
        let backwards: String = form.chars().rev().collect();
        for form in [form, backwards] {
            assert!(!told.contains(&form), "{way}: {told}");
        }
    }
}

fn with_header(name: &str, value: &str) -> Value {
    json!({ "headers": [[name, value]] })
}

/// Returns ways to send a stand-in that are refused: the slot, the request, and the audit's word
/// for the refusal.
fn misdirections() -> Vec<(&'static str, Value, &'static str)> {
    let misplaced = "stand_in_misplaced";
    let not_alone = "stand_in_not_alone";
    let twice = "stand_in_twice";
    let made_up = format!("Bearer tvs_{}", "A".repeat(43));
    let mut ways = vec![
        // In other parts of the request.
        (BEARER, with_header("x-load", "{it}"), misplaced),
        (BEARER, with_header("cookie", "session={it}"), misplaced),
        (BEARER, with_header("user-agent", "{it}"), misplaced),
        (BEARER, with_header("referer", "https://a/{it}"), misplaced),
        (BEARER, with_header("x-{it}", "1"), misplaced),
        (BEARER, with_header("{lower}", "{it}"), misplaced),
        (BEARER, json!({ "path": "/{it}" }), misplaced),
        (BEARER, json!({ "path": "/a?key={it}" }), misplaced),
        (BEARER, json!({ "path": "/a?{it}=1" }), misplaced),
        (BEARER, json!({ "path": "/a?key=x&{it}" }), misplaced),
        (BEARER, json!({ "method": "{it}" }), misplaced),
        (BEARER, json!({ "body": "{it}" }), misplaced),
        (
            BEARER,
            json!({ "body": "before {it} after", "piece": 1 }),
            misplaced,
        ),
        (BEARER, json!({ "body": "{it}", "piece": 5 }), misplaced),
        (
            BEARER,
            json!({ "body": "{\"a\": \"{json}\"}", "piece": 7 }),
            misplaced,
        ),
        (BEARER, json!({ "body": "{base64}", "piece": 3 }), misplaced),
        (
            BEARER,
            json!({ "trailers": [["x-load", "{it}"]] }),
            misplaced,
        ),
        (
            BEARER,
            json!({ "trailers": [["authorization", "Bearer {it}"]] }),
            misplaced,
        ),
        // In other spellings.
        (BEARER, with_header("x-load", "{base64}"), misplaced),
        (BEARER, with_header("x-load", "{base64url}"), misplaced),
        (BEARER, with_header("x-load", "{hex}"), misplaced),
        (BEARER, with_header("x-load", "{html}"), misplaced),
        (BEARER, json!({ "path": "/{percent}" }), misplaced),
        (BEARER, json!({ "path": "/?a={percent twice}" }), misplaced),
        (BEARER, json!({ "path": "/?a={hex}" }), misplaced),
        // In the slot, but with more text beside it or in another form.
        (
            BEARER,
            with_header("authorization", "Bearer {it}x"),
            not_alone,
        ),
        (
            BEARER,
            with_header("authorization", "Bearer x{it}"),
            not_alone,
        ),
        (
            BEARER,
            with_header("authorization", "Bearer  {it}"),
            not_alone,
        ),
        (
            BEARER,
            with_header("authorization", "bearer {it}"),
            not_alone,
        ),
        (BEARER, with_header("authorization", "{it}"), not_alone),
        (
            BEARER,
            with_header("authorization", "Token {it}"),
            not_alone,
        ),
        (
            BEARER,
            with_header("authorization", "Bearer {it}, Basic x"),
            not_alone,
        ),
        (
            BEARER,
            with_header("authorization", "Bearer {it} {it}"),
            twice,
        ),
        (
            BEARER,
            with_header("authorization", "Bearer {base64}"),
            misplaced,
        ),
        (
            BEARER,
            with_header("authorization", "Bearer {hex}"),
            misplaced,
        ),
        (
            BEARER,
            with_header("authorization", "Basic {password}"),
            misplaced,
        ),
        (
            BEARER,
            json!({ "headers": [["authorization", "Bearer {it}"], ["authorization", "Bearer mine"]] }),
            not_alone,
        ),
        (
            BEARER,
            json!({ "headers": [["authorization", "Bearer {it}"], ["x-copy", "{it}"]] }),
            misplaced,
        ),
        (
            BEARER,
            json!({ "headers": [["authorization", "Bearer {it}"]], "body": "{it}" }),
            misplaced,
        ),
        (BASIC, with_header("authorization", "Basic {both}"), twice),
        (
            BASIC,
            with_header("authorization", "Basic {password and more}"),
            not_alone,
        ),
        (
            BASIC,
            with_header("authorization", "Basic {no pair}"),
            not_alone,
        ),
        (
            BASIC,
            with_header("authorization", "Bearer {it}"),
            not_alone,
        ),
        (HEADER, with_header("x-key", "a {it}"), not_alone),
        (HEADER, with_header("x-key", "{it},{it}"), twice),
        (HEADER, with_header("x-key-2", "{it}"), misplaced),
        (
            HEADER,
            with_header("authorization", "Bearer {it}"),
            misplaced,
        ),
        (
            TOKEN,
            with_header("authorization", "Bearer {it}"),
            not_alone,
        ),
        (
            TOKEN,
            with_header("authorization", "Token token={it}"),
            not_alone,
        ),
        (QUERY, json!({ "path": "/?key={it}&key=mine" }), not_alone),
        (QUERY, json!({ "path": "/?key={it}&key={it}" }), twice),
        (QUERY, json!({ "path": "/?key=a{it}" }), not_alone),
        (QUERY, json!({ "path": "/?other={it}" }), misplaced),
        (QUERY, json!({ "path": "/?ke%79={it}" }), misplaced),
        (QUERY, json!({ "path": "/?key={percent}" }), misplaced),
        (QUERY, json!({ "path": "/?key[]={it}" }), misplaced),
    ];
    ways.push((
        BEARER,
        with_header("authorization", &made_up),
        "stand_in_unknown",
    ));
    ways
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_tool_sends_a_lent_secret_nowhere_but_into_its_slot() {
    let ways = misdirections();
    assert!(ways.len() >= 40, "{}", ways.len());
    let mut stages: Vec<(&str, Stage)> = Vec::new();
    for (slot, request, reason) in ways {
        if !stages.iter().any(|(known, _)| *known == slot) {
            stages.push((slot, Stage::start(slot).await));
        }
        let found = stages.iter().find(|(known, _)| *known == slot);
        let stage = &found.expect("it was made").1;
        let before = stage.audit("egress.denied").await.len();
        let way = format!("{slot} {request}");
        let told = stage.sent_home(request).await;
        assert!(told.starts_with("egress_denied: "), "{way}: {told}");
        assert!(told.contains("the egress policy does not let"), "{told}");
        let audit = stage.audit("egress.denied").await;
        assert_eq!(audit.len(), before + 1, "{way}");
        assert_eq!(audit[0].detail["reason"], reason, "{way}");
        assert_unknown(&way, &told);
    }
    for (slot, stage) in &stages {
        // The body was stopped after the head was sent, and the slot in the head was right.
        let slot_filled = format!("\"authorization\": \"Bearer {CANARY}\"");
        let arrived = stage.arrived().replace(&slot_filled, "");
        assert!(!arrived.contains(CANARY), "{slot}: {arrived}");
        assert!(!arrived.contains("tvs_"), "{slot}: {arrived}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_repeats_a_request_tells_the_tool_nothing() {
    for (slot, request) in [
        (BEARER, with_header("authorization", "Bearer {it}")),
        (BASIC, with_header("authorization", "Basic {user}")),
        (BASIC, with_header("authorization", "Basic {password}")),
        (HEADER, with_header("x-key", "{it}")),
        (TOKEN, with_header("authorization", "Token {it}")),
        (QUERY, json!({ "path": "/?a=b&key={it}" })),
    ] {
        let stage = Stage::start(slot).await;
        let told = stage.sent_home(request).await;
        assert!(told.contains("\"status\":200"), "{slot}: {told}");
        assert!(told.contains("[redacted:hostile_key]"), "{slot}: {told}");
        assert_unknown(slot, &told);
        assert!(!told.contains("tvs_"), "{told}");
        let arrived = stage.arrived();
        assert!(!arrived.contains("tvs_"), "{arrived}");
        assert_eq!(stage.home.seen().len(), 1);
        assert!(!stage.audit("leak.blocked").await.is_empty());
        let released = stage.audit("secret.released").await;
        assert_eq!(released[0].detail["how"], "lent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_secret_goes_to_its_own_origin_alone() {
    let stage = Stage::start(BEARER).await;
    let ask = |to: &str| json!({ "requests": [{ "to": to, "headers": [["authorization", "Bearer {it}"]] }] });
    let told = stage.sent(&ask(stage.other.url())).await;
    assert!(told.contains("is bound to other origins"), "{told}");
    // Another name for the same address is a different origin.
    let renamed = stage.home.url().replace("127.0.0.1", "localhost");
    let told = stage.sent(&ask(&renamed)).await;
    assert!(told.starts_with("egress_denied"), "{told}");
    let with_user = stage.home.url().replace("http://", "http://user@");
    let told = stage.sent(&ask(&with_user)).await;
    assert!(!told.contains("200"), "{told}");
    assert_eq!(stage.arrived(), "[] []");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_that_was_kept_or_passed_on_is_worth_nothing() {
    let stage = Stage::start(BEARER).await;
    let to = stage.home.url();
    let ask =
        |value: &str| json!({ "requests": [{ "to": to, "headers": [["authorization", value]] }] });
    // Sent by the same instance, in the next call of the same run.
    let code = format!(
        "tools.call('smuggler', 'request', {}); \
         try {{ return JSON.stringify(tools.call('smuggler', 'request', {})) }} catch (e) {{ return e.message }}",
        ask("Bearer {it}"),
        ask("Bearer {kept}")
    );
    let told = stage.host.result(&code).await;
    assert!(told.contains("made for an earlier call"), "{told}");
    assert_eq!(stage.home.seen().len(), 1);

    // Sent in another run, to which the agent carries the stand-in in a form that the scrubber does
    // not find.
    let said = "return tools.call('smuggler', 'say', {form: 'backwards'})";
    let backwards: String = serde_json::from_str(&stage.host.result(said).await).expect("a text");
    let given: String = backwards.chars().rev().collect();
    assert!(given.starts_with("tvs_") && given.len() == 47, "{given}");
    for asks in [true, false] {
        let mut input = ask("Bearer {given}");
        input["given"] = backwards.as_str().into();
        input["asks"] = asks.into();
        let told = stage.sent(&input).await;
        assert!(
            told.contains("not made for this tool in this run"),
            "{told}"
        );
    }
    assert_eq!(stage.home.seen().len(), 1);
    let audit = stage.audit("egress.denied").await;
    let reasons: Vec<_> = audit.iter().map(|it| &it.detail["reason"]).collect();
    assert_eq!(
        reasons,
        ["stand_in_unknown", "stand_in_unknown", "stand_in_expired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_no_stand_in() {
    let stage = Stage::start(BEARER).await;
    for form in ["raw", "bearer", "base64", "hex", "percent"] {
        let code = format!("return tools.call('smuggler', 'say', {{form: {form:?}}})");
        let told = stage.host.result(&code).await;
        assert!(told.contains("[redacted:hostile_key]"), "{form}: {told}");
        assert!(!told.contains("tvs_"), "{form}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_without_a_slot_of_its_own_is_a_bearer_token_or_basic() {
    let home = Upstream::start(|_| json_answer(200, "{}")).await;
    let url = home.url();
    let component = root().join("guest-tools/target/components/smuggler.wasm");
    let host = Fixture::without_secret(&format!(
        "[egress]\nallow_private_origins = [{url:?}]\n[tools.smuggler]\ncomponent = {component:?}\n\
         secrets = [{SECRET:?}]\norigins = [{url:?}]\n"
    ))
    .await;
    host.put(SECRET, CANARY).await;
    let ask = |name: &str, value: &str| {
        let request = json!({ "to": url, "headers": [[name, value]] });
        format!(
            "return tools.call('smuggler', 'request', {})",
            json!({ "requests": [request] })
        )
    };
    host.result(&ask("authorization", "Bearer {it}")).await;
    host.result(&ask("authorization", "Basic {password}")).await;
    let seen = home.seen();
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {CANARY}"));
    let (code, message) = host.tool_error(&ask("x-key", "{it}")).await;
    assert_eq!(code, "egress_denied");
    let line = "`[tools.smuggler.credentials.hostile_key]` with `slot = { header = \"x-key\" }`";
    assert!(message.contains(line), "{message}");
    let body = json!({ "requests": [{ "to": url, "body": "{it}" }] });
    let code = format!("return tools.call('smuggler', 'request', {body})");
    let (_, message) = host.tool_error(&code).await;
    assert!(
        message.contains("`reveal = [\"hostile_key\"]` to [tools.smuggler]"),
        "{message}"
    );
    assert_eq!(seen.len(), 2);
}

//! Transit: an OpenBao server, its tokens and AppRoles, and the troubles that its refusals become.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tavora_tests::wire::Request;
use tempfile::TempDir;
use vault_core::{Dek, KekTrouble, Keyring};

use crate::conformance;
use crate::fixture::{IMPATIENT, expect, keks, keyring, works};
use crate::openbao::{OpenBao, ROOT_TOKEN};

/// The policy that docs/keys.md gives for a host.
pub const POLICY: &str = r#"
    path "transit/encrypt/tavora" { capabilities = ["update"] }
    path "transit/decrypt/tavora" { capabilities = ["update"] }
"#;

/// A table of `tavora.toml` whose token is in a file of `folder`.
pub fn table(name: &str, url: &str, folder: &Path, token: &str, more: &str) -> String {
    let path = folder.join(format!("token-of-{name}"));
    std::fs::write(&path, format!("{token}\n")).unwrap();
    format!(
        "[kek.transit.{name}]\naddress = {url:?}\ntoken = \"file://{}\"\n{more}\n",
        path.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn transit_keys_keep_the_contract() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = bao.token("tavora", POLICY);
    let table = |name, token, more| table(name, &bao.server.url(), folder.path(), token, more);
    let config = [
        "[kek]\nprovider = \"transit.first\"\n",
        IMPATIENT,
        &table("first", &token, "key = \"tavora\""),
        &table("second", &token, "key = \"tavora\"\nkey_version = 2"),
        &table("third", ROOT_TOKEN, "key = \"other\""),
    ]
    .concat();
    let keyring = keyring(&config, &[]);
    let keks = keks(&keyring);
    let [first, second, third] = keks[..] else {
        panic!("the keyring does not have three keys")
    };
    // Another version is another key, and so is another name.
    conformance::check(first, second).await;
    conformance::check(third, first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_transit_refuses_is_said_with_the_kek_id_and_what_to_do() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = bao.token("tavora", POLICY);
    let encrypt_only = bao.token(
        "encrypt-only",
        r#"path "transit/encrypt/tavora" { capabilities = ["update"] }"#,
    );
    let number = Cell::new(0);
    let one = |token: &str, more: &str| {
        // Each token has a file of its own, because tokens are read when they are used.
        let name = format!("number-{}", number.replace(number.get() + 1));
        let config = [
            "[kek]\nprovider = \"transit\"\n",
            IMPATIENT,
            &table(&name, &bao.server.url(), folder.path(), token, more),
        ];
        keyring(&config.concat(), &[])
    };
    let good = one(&token, "key = \"tavora\"");
    let wrapped = good.primary().wrap(&Dek::make(), b"place").await.unwrap();

    for (keyring, trouble) in [
        (one("no-such-token", "key = \"tavora\""), KekTrouble::Denied),
        (one("", "key = \"tavora\""), KekTrouble::NoCredential),
        (
            one("a\u{7f}b", "key = \"tavora\""),
            KekTrouble::NoCredential,
        ),
        // The token must also unwrap what it wraps, or the DEK would be lost.
        (one(&encrypt_only, "key = \"tavora\""), KekTrouble::Denied),
        // A token that may not make keys must not create one by a typo in the name.
        (one(&token, "key = \"tavora2\""), KekTrouble::Denied),
        (
            one(ROOT_TOKEN, "key = \"tavora\"\nkey_version = 3"),
            KekTrouble::Missing,
        ),
        (
            one(ROOT_TOKEN, "key = \"tavora\"\nmount = \"elsewhere\""),
            KekTrouble::Missing,
        ),
    ] {
        let error = keyring.primary().wrap(&Dek::make(), b"place").await;
        expect(&keyring, error.map(drop), trouble);
    }
    let missing = one(ROOT_TOKEN, "key = \"tavora3\"");
    let error = missing.primary().unwrap(&wrapped, b"place").await;
    expect(&missing, error.map(drop), KekTrouble::Missing);

    // The operator took this version out of use.
    bao.done(
        "/v1/transit/keys/tavora/config",
        &json!({ "min_decryption_version": 2, "min_encryption_version": 2 }),
    );
    let error = good.primary().unwrap(&wrapped, b"place").await;
    expect(&good, error.map(drop), KekTrouble::Disabled);
    let error = good.primary().wrap(&Dek::make(), b"place").await;
    expect(&good, error.map(drop), KekTrouble::Disabled);

    bao.seal();
    let error = good.primary().unwrap(&wrapped, b"place").await;
    expect(&good, error.map(drop), KekTrouble::Busy);
    bao.unseal();
    bao.done(
        "/v1/transit/keys/tavora/config",
        &json!({ "min_decryption_version": 1 }),
    );
    good.primary().unwrap(&wrapped, b"place").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_replaced_in_its_file_is_used_at_once() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let table = |token: &str| {
        let more = "key = \"tavora\"";
        table("only", &bao.server.url(), folder.path(), token, more)
    };
    let keyring = keyring(
        &[
            "[kek]\nprovider = \"transit\"\n",
            IMPATIENT,
            &table("expired"),
        ]
        .concat(),
        &[],
    );
    assert!(works(&keyring).await.is_err());
    table(ROOT_TOKEN);
    works(&keyring).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_that_was_copied_with_more_than_itself_is_told_as_that() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = bao.token("tavora", POLICY);
    for (content, said) in [
        (format!("VAULT_TOKEN={token}"), "begins with NAME="),
        (format!("export VAULT_TOKEN={token}"), "begins with NAME="),
        (format!("Bearer {token}"), "begins with \"Bearer \""),
        (
            format!("X-Vault-Token: {token}"),
            "begins with \"X-Vault-Token:\"",
        ),
        (format!("{{\"token\": \"{token}\"}}"), "is JSON"),
        (format!("{{\n  \"token\": \"{token}\"\n}}"), "is JSON"),
    ] {
        let more = "key = \"tavora\"";
        let table = table("odd", &bao.server.url(), folder.path(), &content, more);
        let config = ["[kek]\nprovider = \"transit\"\n", IMPATIENT, &table];
        let refused = works(&keyring(&config.concat(), &[])).await.unwrap_err();
        let shown = format!("{refused} {refused:?}");
        assert!(shown.contains(said), "{shown}");
        assert!(!shown.contains(&token), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approle_logs_in_again_when_its_token_ends_or_is_revoked() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    bao.token("tavora", POLICY);
    bao.done("/v1/sys/auth/approle", &json!({ "type": "approle" }));
    bao.done(
        "/v1/auth/approle/role/tavora",
        &json!({ "token_policies": ["tavora"], "token_ttl": "2s", "token_max_ttl": "2s" }),
    );
    let role_id = lookup(&bao, "/v1/auth/approle/role/tavora/role-id", "role_id");
    let made = bao.done("/v1/auth/approle/role/tavora/secret-id", &json!({}));
    let secret_id = made["data"]["secret_id"].as_str().unwrap().to_owned();
    let config = approle(&bao, &folder, &role_id, &secret_id);
    let role = keyring(&config, &[]);

    let before = accessors(&bao).len();
    works(&role).await.unwrap();
    works(&role).await.unwrap();
    assert_eq!(accessors(&bao).len(), before + 1, "one login is enough");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    works(&role).await.unwrap();

    let root = lookup(&bao, "/v1/auth/token/lookup-self", "accessor");
    for accessor in accessors(&bao).iter().filter(|it| **it != root) {
        let body = json!({ "accessor": accessor });
        bao.post("/v1/auth/token/revoke-accessor", &body);
    }
    works(&role).await.unwrap();

    let wrong = approle(&bao, &folder, &role_id, "no-such-secret-id");
    let wrong = keyring(&wrong, &[]);
    expect(&wrong, works(&wrong).await, KekTrouble::LoginRefused);
}

/// A role of the policy `tavora` with these settings, and a secret id with those.
fn role(bao: &OpenBao, folder: &TempDir, role: &Value, secret_id: &Value) -> Keyring {
    bao.token("tavora", POLICY);
    bao.post("/v1/sys/auth/approle", &json!({ "type": "approle" }));
    bao.done("/v1/auth/approle/role/tavora", role);
    let role_id = lookup(bao, "/v1/auth/approle/role/tavora/role-id", "role_id");
    let made = bao.done("/v1/auth/approle/role/tavora/secret-id", secret_id);
    let secret_id = made["data"]["secret_id"].as_str().unwrap();
    keyring(&approle(bao, folder, &role_id, secret_id), &[])
}

/// Uses the key without a pause for `duration`. Returns the number of tokens that this took.
async fn used_for(bao: &OpenBao, keyring: &Keyring, duration: Duration) -> usize {
    let before = accessors(bao).len();
    let mut most = before;
    let began = Instant::now();
    while began.elapsed() < duration {
        works(keyring).await.unwrap();
        most = most.max(accessors(bao).len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    most - before
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approle_whose_secret_id_logs_in_once_renews_its_token() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let keyring = role(
        &bao,
        &folder,
        &json!({ "token_policies": ["tavora"], "token_ttl": "3s", "token_max_ttl": "10m", "secret_id_num_uses": 1 }),
        &json!({}),
    );
    let tokens = used_for(&bao, &keyring, Duration::from_secs(8)).await;
    assert_eq!(tokens, 1, "one login is renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approle_that_may_not_renew_its_token_logs_in_again() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    for settings in [
        // Without the default policy a token may not renew itself.
        json!({ "token_policies": ["tavora"], "token_ttl": "2s", "token_no_default_policy": true }),
        // This token has a maximum life.
        json!({ "token_policies": ["tavora"], "token_ttl": "2s", "token_max_ttl": "3s" }),
        json!({ "token_policies": ["tavora"], "token_type": "batch", "token_ttl": "2s" }),
    ] {
        let keyring = role(&bao, &folder, &settings, &json!({}));
        used_for(&bao, &keyring, Duration::from_secs(6)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approle_whose_token_has_few_uses_logs_in_when_they_are_used_up() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let keyring = role(
        &bao,
        &folder,
        &json!({ "token_policies": ["tavora"], "token_ttl": "10m", "token_num_uses": 3 }),
        &json!({}),
    );
    for _ in 0..10 {
        works(&keyring).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approle_whose_secret_id_is_used_up_says_which_limits_there_are() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let keyring = role(
        &bao,
        &folder,
        &json!({ "token_policies": ["tavora"], "token_ttl": "10m", "token_num_uses": 4, "secret_id_num_uses": 1 }),
        &json!({}),
    );
    works(&keyring).await.unwrap();
    let mut outcome = Ok(());
    for _ in 0..4 {
        outcome = outcome.and(works(&keyring).await);
    }
    let said = outcome.unwrap_err().to_string();
    assert!(said.contains("secret_id_num_uses"), "{said}");
}

fn approle(bao: &OpenBao, folder: &TempDir, role_id: &str, secret_id: &str) -> String {
    let path = folder.path().join("secret-id");
    std::fs::write(&path, secret_id).unwrap();
    format!(
        "[kek]\nprovider = \"transit\"\n{IMPATIENT}\n[kek.transit.only]\naddress = {:?}\nkey = \"tavora\"\nrole_id = {role_id:?}\nsecret_id = \"file://{}\"\n",
        bao.server.url(),
        path.display()
    )
}

/// Returns a field of the data that root reads at a path.
fn lookup(bao: &OpenBao, path: &str, field: &str) -> String {
    let request = Request::new("GET", path).header("x-vault-token", ROOT_TOKEN);
    let answer = bao.server.send(&request).json();
    answer["data"][field].as_str().unwrap().to_owned()
}

/// The accessors of all tokens.
fn accessors(bao: &OpenBao) -> Vec<String> {
    let request =
        Request::new("LIST", "/v1/auth/token/accessors").header("x-vault-token", ROOT_TOKEN);
    let answer = bao.server.send(&request).json();
    let keys = answer["data"]["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key.as_str().unwrap().to_owned())
        .collect()
}

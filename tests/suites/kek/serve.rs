//! The binary with a KEK of an external provider: how it serves, how it moves there from the KEK in
//! the environment, and how it starts while the provider is unavailable.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tavora_tests::eventually::wait_until;
use tavora_tests::serving::{AppWithKey, Serving};
use tavora_tests::upstream::{Upstream, search_results};
use tavora_tests::wire::{Answer, Request};
use vault_core::LocalKek;

use crate::openbao::OpenBao;
use crate::transit::POLICY;

const CREDENTIAL: &str = "BSA-of-the-tests";

/// The table `[kek]` with a token from the environment.
fn kek(bao: &OpenBao) -> String {
    format!(
        "[kek]\nprovider = \"transit.main\"\n\
         [kek.transit.main]\naddress = {:?}\nkey = \"tavora\"\ntoken = \"env:BAO_TOKEN\"\n\
         [kek.limits]\nrequest_timeout_ms = 2_000\nmax_retries = 1\n",
        bao.server.url()
    )
}

fn searching(url: &str) -> String {
    format!(
        "[egress]\nallow_private_origins = [{url:?}]\n[tools.brave-search.config]\nbase_url = {url:?}\n"
    )
}

/// A vault that the app designates.
fn make_vault(host: &Serving, app: &AppWithKey) -> String {
    let vault = sdk(
        host,
        app,
        "POST",
        "/secret-vaults",
        &json!({ "name": "main" }),
    )
    .json();
    let id = vault["id"].as_str().unwrap().to_owned();
    let designated = sdk(host, app, "PUT", "/app/vault", &json!({ "vault_id": id }));
    assert!(designated.status < 300, "{}", designated.text());
    id
}

fn put(host: &Serving, app: &AppWithKey, vault: &str, name: &str) -> Answer {
    let path = format!("/secret-vaults/{vault}/secrets/{name}");
    sdk(host, app, "PUT", &path, &json!({ "value": CREDENTIAL }))
}

fn search(host: &Serving, app: &AppWithKey) -> Answer {
    let code = json!({ "code": "return search('rust').length" });
    sdk(host, app, "POST", "/sandbox/execute", &code)
}

fn sdk(host: &Serving, app: &AppWithKey, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::new(method, format!("/api/sdk{path}")).header("x-api-key", &app.key);
    host.send(&request.json(body))
}

fn status(host: &Serving, exit_status: i32) -> Value {
    let ended = host.run(&["kek", "status", "--json", "--config", "tavora.toml"]);
    assert_eq!(ended.status, exit_status, "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

fn rows(status: &Value) -> Vec<(bool, u64)> {
    let keks = status["keks"].as_array().unwrap();
    let primary = &status["primary"];
    let row = |kek: &Value| (kek["kek_id"] == *primary, kek["rows"].as_u64().unwrap());
    keks.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_moves_from_the_environments_key_to_transit_and_uses_both() {
    let Some(bao) = OpenBao::start() else { return };
    let upstream = Upstream::start(|_| search_results(&["a", "b"])).await;
    let token = bao.token("tavora", POLICY);
    let mut host = Serving::start_with(&searching(upstream.url()), |command| {
        command.env("BAO_TOKEN", &token);
    });
    let app = host.make_app("Shop");
    let vault = make_vault(&host, &app);
    let local = put(&host, &app, &vault, "brave_api_key");
    assert!(local.status < 300, "{}", local.text());
    assert_eq!(rows(&status(&host, 0)), [(true, 1)]);

    host.halt();
    let config = searching(upstream.url()) + &kek(&bao);
    std::fs::write(host.folder.path().join("tavora.toml"), config).unwrap();
    host.start_again();
    let remote = put(&host, &app, &vault, "other");
    assert!(remote.status < 300, "{}", remote.text());
    assert_ne!(local.json()["kek_id"], remote.json()["kek_id"]);
    let after = status(&host, 0);
    assert_eq!(after["state"], "ready");
    let mut found = rows(&after);
    found.sort_unstable();
    assert_eq!(found, [(false, 1), (true, 1)]);
    let keks = after["keks"].as_array().unwrap();
    let mut kinds: Vec<&str> = keks.iter().filter_map(|kek| kek["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["local", "transit"]);

    // Secrets that the old key wrapped still open. After they are stored again, the new key opens
    // them.
    for _ in 0..2 {
        let searched = search(&host, &app);
        assert_eq!(searched.status, 200, "{}", searched.text());
        assert_eq!(searched.json()["result"], 2, "{}", searched.text());
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.headers["x-subscription-token"], CREDENTIAL);
        assert!(put(&host, &app, &vault, "brave_api_key").status < 300);
    }
    let mut found = rows(&status(&host, 0));
    found.sort_unstable();
    assert_eq!(found, [(false, 0), (true, 2)]);
    let log = host.log();
    assert!(!log.contains(&token) && !log.contains(CREDENTIAL), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokens_file_is_read_as_any_editor_writes_it_and_told_of_once() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let token = bao.token("tavora", POLICY);
    std::fs::write(&file, format!("\u{feff}{token}\r\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let source = format!("token = \"file://{}\"", file.display());
    let config = kek(&bao).replace("token = \"env:BAO_TOKEN\"", &source) + "dek_lifetime_ms = 0\n";
    let host = Serving::start_with(&config, |command| {
        command.env_remove("TAVORA_SECRET_KEK");
    });
    let app = host.make_app("Shop");
    let vault = make_vault(&host, &app);
    for _ in 0..10 {
        let stored = put(&host, &app, &vault, "A");
        assert!(stored.status < 300, "{}", stored.text());
    }
    let told = host
        .log()
        .matches("other users can read this credential")
        .count();
    assert_eq!(told, 1, "{}", host.log());

    // The log says once what is odd in the file, and shows none of its content.
    std::fs::write(&file, format!("{token}\n{token}\n")).unwrap();
    for _ in 0..3 {
        assert_eq!(put(&host, &app, &vault, "A").status, 503);
    }
    let log = host.log();
    assert_eq!(log.matches("has several lines").count(), 1, "{log}");
    assert!(!log.contains(&token), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_starts_while_the_provider_is_away_and_recovers_by_itself() {
    let Some(bao) = OpenBao::start() else { return };
    let token = bao.token("tavora", POLICY);
    let mut host = Serving::start_with(&kek(&bao), |command| {
        command
            .env_remove("TAVORA_SECRET_KEK")
            .env("BAO_TOKEN", &token);
    });
    let app = host.make_app("Shop");
    let vault = make_vault(&host, &app);
    let stored = put(&host, &app, &vault, "A").json();
    host.halt();

    bao.seal();
    host.start_again();
    let ready = host.send(&Request::new("GET", "/readyz"));
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(ready.json()["code"], "kek_unavailable");
    assert_eq!(ready.json()["kek_id"], stored["kek_id"]);
    let refused = put(&host, &app, &vault, "B");
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (503, &json!("kek_unavailable"))
    );
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("sealed")
    );
    assert_eq!(status(&host, 4)["state"], "unavailable");

    bao.unseal();
    wait_until("is ready again", || {
        host.send(&Request::new("GET", "/readyz")).status == 200
    });
    assert!(put(&host, &app, &vault, "B").status < 300);
}

#[test]
fn what_does_not_fit_together_is_refused_at_the_start_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let with = |config: &str| {
        std::fs::write(folder.path().join("tavora.toml"), config).unwrap();
        let mut command = tavora_tests::binary::host(folder.path());
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("TAVORA_SECRET_KEK", LocalKek::make_text().as_str());
        let ended = tavora_tests::binary::end(command);
        assert_eq!(ended.status, 2, "{ended:?}");
        ended.stderr
    };
    let transit = |name: &str, more: &str| {
        format!(
            "[kek.transit.{name}]\naddress = \"https://bao.example\"\nkey = \"tavora\"\n{more}\n"
        )
    };
    let token = "token = \"env:BAO_TOKEN\"";
    for (config, said) in [
        ("[kek]\nprovider = \"gcp\"".to_owned(), "is no KEK provider"),
        ("[kek]\nprovider = \"local.a\"".to_owned(), "is no KEK provider"),
        (
            "[kek]\nprovider = \"transit.main\"".to_owned(),
            "there is no [kek.transit.main]; there is: local",
        ),
        (
            format!(
                "[kek]\nprovider = \"transit\"\n{}{}",
                transit("a", token),
                transit("b", &format!("key_version = 2\n{token}"))
            ),
            "name one of: transit.a, transit.b",
        ),
        (
            format!("{}{}", transit("a", token), transit("b", token)),
            "is in the keyring twice",
        ),
        (transit("a", ""), "[kek.transit.a]: give either `token`"),
        (
            transit("a", &format!("{token}\nrole_id = \"x\"")),
            "[kek.transit.a]: give either `token`",
        ),
        (transit("a", "token = \"hvs.CAESI\""), "file:///absolute/path"),
        (transit("a", "tokn = \"env:T\""), "unknown field `tokn`"),
        (
            transit("a", token).replace("https:", "http:"),
            "in the clear",
        ),
        (
            transit("a", token).replace("\"tavora\"", "\"a/../b\""),
            "is not a name or path",
        ),
        (
            "[kek.aws_kms.a]\nkey = \"alias/tavora\"".to_owned(),
            "an alias may lead to another key",
        ),
        (
            "[kek.pkcs11.a]\nmodule = \"m.so\"\ntoken_label = \"t\"\nkey_id = \"xyz\"\npin = \"env:PIN\"".to_owned(),
            "written in hex",
        ),
    ] {
        let stderr = with(&config);
        assert!(stderr.contains(said), "{config}\n{stderr}");
        assert!(!stderr.contains("hvs.CAESI"), "{stderr}");
    }
}

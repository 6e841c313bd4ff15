//! The pages show the true state: keys once, the audit as in the API, tools as inspection found
//! them, and why secrets cannot be stored.

use serde_json::Value;
use tavora_tests::binary;
use tavora_tests::requirement::tests_folder;
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;

use super::visitor::{CANARY, Shop, Visitor, id_after, leads_to};

/// The text after the first `start`, up to the end of that section.
#[track_caller]
fn section<'a>(page: &'a str, start: &str) -> &'a str {
    let (_, rest) = page
        .split_once(start)
        .unwrap_or_else(|| panic!("{start} is not in {page}"));
    rest.split("</section>")
        .next()
        .expect("a split has a first part")
}

#[test]
fn an_api_key_is_shown_once_works_and_can_be_revoked() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    let keys = format!("{}/api-keys", shop.app);
    for (expires_at, status) in [
        ("tomorrow", 400),
        ("2001-01-01T00:00", 400),
        ("2999-12-31T23:59", 200),
    ] {
        let answer = operator.send_form(&keys, &keys, &[("name", "k"), ("expires_at", expires_at)]);
        assert_eq!(answer.status, status, "{expires_at}: {}", answer.text());
    }
    let made = operator.send_form(&keys, &keys, &[("name", "service")]);
    assert_eq!(made.status, 200);
    let key = made.text().split_once("<output").and_then(|(_, rest)| {
        let (_, rest) = rest.split_once('>')?;
        Some(rest.split('<').next()?.to_owned())
    });
    let key = key.expect("the key is shown");
    assert!(!operator.page(&keys).contains(&key));
    let works = || {
        let request = Request::new("GET", "/api/sdk/app").header("x-api-key", &key);
        serving.send(&request).status
    };
    assert_eq!(works(), 200);
    let id = id_after(&operator.page(&keys), &format!("{keys}/"));
    let revoke = format!("{keys}/{id}/revoke");
    assert!(operator.page(&revoke).contains("Revoke the API key"));
    assert_eq!(works(), 200, "the question alone must not revoke the key");
    // Keys are listed oldest first. The second one never expires.
    let page = operator.page(&keys);
    let ids: Vec<String> = page
        .split(&format!("{keys}/"))
        .skip(1)
        .map(|it| it.chars().take(36).collect())
        .collect();
    for id in ids {
        let revoke = format!("{keys}/{id}/revoke");
        assert_eq!(operator.change(&revoke, &revoke, &[]), keys);
    }
    assert_eq!(works(), 401);
    assert_eq!(
        operator.answers().matches(&key).count(),
        1,
        "the key must be in exactly one answer"
    );
    let (_, log) = serving.stop();
    assert!(!log.contains(&key));
}

#[test]
fn vaults_are_designated_cleared_and_deleted_with_what_is_in_them() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    let designation = format!("{}/designation", shop.app);
    let vault_id = &shop.vault[shop.vault.len() - 36..];
    assert!(operator.page(&shop.app).contains("No vault is designated"));
    operator.change(&shop.app, &designation, &[("vault_id", vault_id)]);
    assert!(
        operator
            .page(&shop.app)
            .contains("is designated: tools of this app")
    );
    assert!(
        !operator
            .page(&shop.app)
            .contains("is designated: tools of this app"),
        "a notice is read once"
    );
    operator.change(&shop.app, &designation, &[]);
    assert!(operator.page(&shop.app).contains("No vault is designated"));
    operator.change(&shop.app, &designation, &[("vault_id", vault_id)]);
    let same = operator.send_form(
        &shop.app,
        &format!("{}/vaults", shop.app),
        &[("name", "main")],
    );
    assert_eq!(same.status, 409);
    assert!(same.text().contains("has a vault named"));

    let delete = format!("{}/delete", shop.vault);
    let asked = operator.page(&delete);
    assert!(
        asked.contains("<strong>1 secret</strong> in it will be deleted with it"),
        "{asked}"
    );
    assert!(asked.contains("designated vault of this app") && asked.contains("brave_api_key"));
    assert_eq!(operator.change(&delete, &delete, &[]), shop.app);
    let after = operator.page(&shop.app);
    assert!(
        after.contains("was deleted, and 1 secret with it.")
            && after.contains("No vault is designated")
    );
    assert_eq!(operator.get(&shop.vault).status, 404);
}

#[test]
fn the_audit_is_filtered_paged_and_exported_as_the_api_does() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let app = serving.make_app("Shop");
    let path = format!("/admin/apps/{}", app.id);
    let vault = operator.change(&path, &format!("{path}/vaults"), &[("name", "main")]);
    for version in 0..60 {
        let name = format!("key_{version}");
        operator.change(
            &vault,
            &format!("{vault}/secrets"),
            &[("name", &name), ("value", "x")],
        );
    }
    let audit = format!("{path}/audit");
    let filtered = operator.page(&format!("{audit}?action=secret.put"));
    assert_eq!(
        filtered
            .matches("<code class=\"word\">secret.put</code>")
            .count(),
        50
    );
    assert!(filtered.contains("1 to 50 of 60"));
    let second = operator.page(&format!("{audit}?action=secret.put&offset=50"));
    assert_eq!(
        second
            .matches("<code class=\"word\">secret.put</code>")
            .count(),
        10
    );
    assert!(
        operator
            .page(&format!("{audit}?subject_type=vault"))
            .contains("vault.created")
    );
    assert!(
        operator
            .page(&format!("{audit}?from=2999-01-01T00:00"))
            .contains("No entry fits.")
    );
    assert!(
        operator
            .page(&format!("{audit}?to=2001-01-01T00:00"))
            .contains("No entry fits.")
    );
    assert_eq!(operator.get(&format!("{audit}?from=never")).status, 400);
    operator.page(&format!("{audit}?offset=99999999999999999999"));
    operator.page(&format!("{audit}?offset=9223372036854775807"));

    for format in ["json", "csv"] {
        for filter in ["", "&action=secret.put", "&from=2001-01-01T00:00:00Z"] {
            let query = format!("format={format}{filter}");
            let page = operator.get(&format!("{audit}/export?{query}"));
            let api = Request::new("GET", format!("/api/sdk/audit-log/export?{query}"));
            let api = serving.send(&api.header("x-api-key", &app.key));
            assert_eq!((page.status, api.status), (200, 200));
            assert_eq!(page.text(), api.text(), "{query}");
            for name in ["content-type", "content-disposition"] {
                assert_eq!(page.header(name), api.header(name));
            }
        }
    }
    let of_platform = operator.page("/admin/audit/export?format=json");
    let entries: Value = serde_json::from_str(&of_platform).expect("JSON");
    let total = entries.as_array().expect("an array").len();
    assert!(
        operator
            .page("/admin/audit")
            .contains(&format!("All {total} as a file"))
    );
    assert!(of_platform.contains("admin.signed_in") && of_platform.contains("kek.registered"));
}

#[test]
fn the_tools_page_shows_what_inspection_finds_in_the_components() {
    let serving = Serving::start(
        "[tools.brave-search]\nsecrets = [\"second_key\"]\norigins = [\"https://second.example\"]\n\
         bind = { second_key = [\"https://second.example\"] }\n",
    );
    let operator = Visitor::signed_in(&serving);
    let page = operator.page("/admin/tools");
    let components = tests_folder().join("../guest-tools/target/components");
    let inspected = |file: &str| {
        let path = components.join(file);
        let arguments = ["tool", "inspect", path.to_str().expect("UTF-8"), "--json"];
        let ended = binary::run(serving.folder.path(), &arguments);
        let inspection: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let imports = inspection["imports"].as_array().expect("an array").iter();
        let names: Vec<String> = imports
            .map(|import| import["name"].as_str().expect("a name").to_owned())
            .filter(|name| name.contains(':'))
            .collect();
        (
            inspection["digest"].as_str().expect("a digest").to_owned(),
            names,
        )
    };
    let sandbox = section(&page, "aria-labelledby=\"sandbox\"");
    let tool = section(&page, "aria-labelledby=\"tool-brave-search\"");
    let listed = |panel: &str| {
        let (_, rest) = panel.split_once("<ul class=\"imports\">").expect("imports");
        rest.split("</ul>")
            .next()
            .expect("a split has a first part")
            .to_owned()
    };
    for (panel, file) in [(sandbox, "js-sandbox.wasm"), (tool, "brave-search.wasm")] {
        let (digest, names) = inspected(file);
        assert!(panel.contains(&digest), "{file}");
        for name in &names {
            assert!(
                listed(panel).contains(&format!("<code>{name}</code>")),
                "{file}: {name}"
            );
        }
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(
            listed(panel).matches("<li").count(),
            distinct.len(),
            "{file}"
        );
    }
    assert!(sandbox.contains("Does not import <code>tavora:platform/secrets</code>"));
    assert!(!listed(sandbox).contains("secrets"));
    assert!(tool.contains("Imports <code>tavora:platform/secrets</code>"));
    for granted in [
        "brave_api_key",
        "second_key",
        "https://second.example",
        "https://api.search.brave.com",
    ] {
        assert!(
            tool.contains(&format!("<code>{granted}</code>")),
            "{granted}"
        );
    }
    assert!(tool.contains("<code>second_key</code> only to <code>https://second.example</code>"));
    let client = section(&page, "aria-labelledby=\"tool-mcp-client\"");
    assert!(client.contains(&inspected("mcp-client.wasm").0));
    assert!(client.contains("By each agent's file"));
    assert!(!client.contains("Secrets that it may resolve"));
}

#[test]
fn without_a_kek_the_pages_work_and_storing_is_refused_with_the_reason() {
    let serving = Serving::start_with("", |command| {
        command.env_remove("TAVORA_SECRET_KEK");
    });
    let operator = Visitor::signed_in(&serving);
    let app = operator.change("/admin/apps", "/admin/apps", &[("name", "Shop")]);
    let vault = operator.change(&app, &format!("{app}/vaults"), &[("name", "main")]);
    let why = "No KEK is configured; set TAVORA_SECRET_KEK and start again.";
    for page in [
        "/admin",
        "/admin/apps",
        "/admin/tools",
        "/admin/audit",
        "/admin/kek",
        &app,
        &vault,
    ] {
        let text = operator.page(page);
        assert!(
            text.contains("Secrets cannot be stored or used.") && text.contains(why),
            "{page}"
        );
    }
    assert!(operator.page(&vault).contains("<fieldset disabled"));
    assert!(operator.page("/admin/kek").contains("No key is set."));
    let fields = [("name", "a"), ("value", CANARY)];
    let answer = operator.send_form(&vault, &format!("{vault}/secrets"), &fields);
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains(why));
    assert!(!operator.answers().contains(CANARY));
}

#[test]
fn with_a_kek_that_does_not_fit_the_page_names_the_one_that_the_data_needs() {
    let serving = Serving::start_with("", |command| {
        let folder = command.get_current_dir().expect("it has one").to_owned();
        let kek = format!("file://{}/kek", folder.display());
        let host = |arguments: &[&str]| {
            let mut host = binary::host(&folder);
            host.args(arguments)
                .args(["--data", "data"])
                .env("TAVORA_SECRET_KEK", &kek);
            host
        };
        let file = folder.join("value");
        std::fs::write(&file, CANARY).expect("the folder is writable");
        for arguments in [
            &["app", "create", "Shop"][..],
            &["vault", "create", "main"],
            &["vault", "designate", "main"],
            &["secret", "put", "brave_api_key", "--from-file", "value"],
        ] {
            let output = host(arguments).output().expect("it starts");
            assert!(output.status.success(), "{arguments:?}: {output:?}");
        }
        let made = binary::run(&folder, &["kek", "generate", "--out", "other"]);
        assert_eq!(made.status, 0, "{made:?}");
        command.env(
            "TAVORA_SECRET_KEK",
            format!("file://{}/other", folder.display()),
        );
    });
    let operator = Visitor::signed_in(&serving);
    let status = serving.admin("GET", "/api/admin/kek", None).json();
    let wanted = status["wanted"].as_str().expect("a kek id");
    let page = operator.page("/admin/kek");
    assert!(
        page.contains("The key does not fit the data.") && page.contains("Missing, and needed")
    );
    assert!(page.contains(&format!("<code>{wanted}</code>")), "{page}");
    assert!(
        operator
            .page("/admin")
            .contains(&format!("1 secrets need the KEK {wanted}"))
    );
    let apps = operator.page("/admin/apps");
    let app = format!("/admin/apps/{}", id_after(&apps, "href=\"/admin/apps/"));
    let vault = id_after(&operator.page(&app), &format!("href=\"{app}/vaults/"));
    let page = operator.page(&format!("{app}/vaults/{vault}"));
    assert!(page.contains("brave_api_key") && page.contains("<fieldset disabled"));
}

#[test]
fn many_apps_are_found_by_name_and_paged() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    for number in 0..53 {
        let name = format!("App {number}");
        let made = operator.send_form("/admin/apps", "/admin/apps", &[("name", &name)]);
        leads_to(&made);
    }
    let first = operator.page("/admin/apps");
    assert!(
        first.contains("1 to 50 of 53") && first.contains(">App 0<") && !first.contains(">App 52<")
    );
    let second = operator.page("/admin/apps?q=&offset=50");
    assert!(second.contains(">App 52<") && !second.contains(">App 0<"));
    let found = operator.page("/admin/apps?q=app-52");
    assert!(found.contains(">App 52<") && !found.contains(">App 5<"));
}

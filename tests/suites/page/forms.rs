//! Forms: what they may change, and forged, stale, wrong and hostile ones.

use serde_json::json;
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;

use super::visitor::{CANARY, Shop, Visitor, attribute, form_token, id_after, leads_to};

const HERE: (&str, &str) = ("origin", "http://localhost");

/// Every change that the page offers, with its fields.
fn changes(shop: &Shop) -> Vec<(String, Vec<(&'static str, String)>)> {
    let Shop { app, vault } = shop;
    let field = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    let forged = "forged-0001";
    vec![
        ("/admin/apps".to_owned(), field("name", forged)),
        (format!("{app}/vaults"), field("name", forged)),
        (
            format!("{app}/designation"),
            field("vault_id", &vault[vault.len() - 36..]),
        ),
        (format!("{app}/api-keys"), field("name", forged)),
        (
            format!("{vault}/metadata"),
            field("metadata", r#"{"forged-0001": 1}"#),
        ),
        (
            format!("{vault}/secrets"),
            vec![("name", forged.to_owned()), ("value", "x".to_owned())],
        ),
        (shop.secret(), field("value", "x")),
        (format!("{}/delete", shop.secret()), Vec::new()),
        (format!("{vault}/delete"), Vec::new()),
        ("/admin/sign-out".to_owned(), Vec::new()),
    ]
}

/// Everything that the pages show of the shop, except the audit's entries and the tokens of forms.
fn state(visitor: &Visitor, shop: &Shop) -> String {
    let pages = [
        "/admin/apps",
        &shop.app,
        &shop.vault,
        &format!("{}/api-keys", shop.app),
    ];
    pages.map(|path| visitor.page(path)).join("\n")
}

#[test]
fn a_form_without_the_sessions_token_changes_nothing() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    operator.page(&shop.vault);
    let other = form_token(&Visitor::signed_in(&serving).page("/admin"));
    let own = form_token(&operator.page("/admin"));
    let before = state(&operator, &shop);
    for (action, fields) in changes(&shop) {
        let mut cut = own.clone();
        cut.pop();
        for token in [None, Some(""), Some(&other), Some(&cut), Some("0")] {
            let mut fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            fields.extend(token.map(|token| ("form_token", token)));
            let answer = operator.post(&action, &fields, &[HERE]);
            assert_eq!(answer.status, 403, "{action} {token:?}");
            assert!(answer.text().contains("The form was refused"));
        }
    }
    assert_eq!(state(&operator, &shop), before);
}

#[test]
fn a_form_from_elsewhere_changes_nothing() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    operator.page(&shop.vault);
    let own = form_token(&operator.page("/admin"));
    let before = state(&operator, &shop);
    for (action, fields) in changes(&shop) {
        let mut fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        fields.push(("form_token", &own));
        for headers in [
            vec![],
            vec![("origin", "https://evil.example")],
            vec![("origin", "http://localhost:81")],
            vec![("origin", "null")],
            vec![HERE, ("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site")],
        ] {
            let answer = operator.post(&action, &fields, &headers);
            assert_eq!(answer.status, 403, "{action} {headers:?}");
        }
    }
    assert_eq!(state(&operator, &shop), before);
}

#[test]
fn a_value_is_in_no_answer_and_no_log() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    let secrets = format!("{}/secrets", shop.vault);
    for (name, value, lines) in [
        ("not/a/name", CANARY, ""),
        ("", CANARY, ""),
        ("brave_api_key", CANARY, ""),
        ("both", CANARY, CANARY),
        ("not/a/name", "", CANARY),
        ("long", &CANARY.repeat(3000), ""),
    ] {
        let fields = [("name", name), ("value", value), ("value_lines", lines)];
        let answer = operator.send_form(&shop.vault, &secrets, &fields);
        assert!(
            [400, 409].contains(&answer.status),
            "{name}: {}",
            answer.status
        );
        assert!(answer.text().contains("Mistake:"), "{}", answer.text());
        assert!(
            answer.text().contains(&format!("value=\"{name}\"")),
            "the form lost the name"
        );
    }
    let page = shop.secret();
    let revision = attribute(&operator.page(&page), "name=\"revision\" value=\"");
    let replaced = operator.send_form(
        &page,
        &page,
        &[("value", &CANARY.repeat(2)), ("revision", &revision)],
    );
    assert_eq!(leads_to(&replaced), shop.vault);
    let lines = format!("-----BEGIN-----\r\n{CANARY}\r\n-----END-----\r\n");
    operator.change(
        &shop.vault,
        &secrets,
        &[("name", "pem"), ("value", ""), ("value_lines", &lines)],
    );
    for path in [
        &shop.app,
        &shop.vault,
        &page,
        "/admin/audit",
        "/admin/audit/export?format=csv",
    ] {
        operator.page(path);
    }
    let answers = operator.answers();
    assert!(answers.contains("brave_api_key") && answers.contains("was stored as version 1"));
    assert!(!answers.contains("canary-"), "an answer has a value");
    assert!(
        !answers.contains(&serving.admin_token),
        "an answer has the admin token"
    );
    let (_, log) = serving.stop();
    assert!(!log.contains("canary-"), "{log}");
}

#[test]
fn markup_in_names_is_text() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let hostile = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>";
    let fields = [
        ("name", hostile),
        ("slug", "shop"),
        ("description", hostile),
    ];
    let app = operator.change("/admin/apps", "/admin/apps", &fields);
    let vault = operator.change(&app, &format!("{app}/vaults"), &[("name", hostile)]);
    let revision = attribute(&operator.page(&vault), "name=\"revision\" value=\"");
    let metadata = json!({ hostile: "</textarea><script>alert(3)</script>" }).to_string();
    operator.change(
        &vault,
        &format!("{vault}/metadata"),
        &[("metadata", &metadata), ("revision", &revision)],
    );
    let keys = format!("{app}/api-keys");
    assert_eq!(
        operator
            .send_form(&keys, &keys, &[("name", hostile)])
            .status,
        200
    );
    let key = id_after(&operator.page(&keys), &format!("{keys}/"));
    operator.send_form(
        &vault,
        &format!("{vault}/secrets"),
        &[("name", hostile), ("value", "x")],
    );
    operator.send_form(
        "/admin/apps",
        "/admin/apps",
        &[("name", "x"), ("slug", hostile), ("description", hostile)],
    );
    let query = super::visitor::encoded(hostile);
    for path in [
        "/admin/apps",
        &format!("/admin/apps?q={query}&offset={query}"),
        &app,
        &vault,
        &format!("{vault}/delete"),
        &keys,
        &format!("{keys}/{key}/revoke"),
        &format!("/admin/audit?action={query}&subject_type={query}"),
        &format!("{app}/audit"),
    ] {
        operator.page(path);
    }
    assert_eq!(
        operator.get(&format!("/admin/audit?from={query}")).status,
        400
    );
    let answers = operator.answers();
    assert!(answers.contains("&lt;script&gt;alert(1)"));
    for live in ["<script>alert", "<img src=x", "</textarea><script"] {
        assert!(!answers.contains(live), "{live} is markup");
    }
}

#[test]
fn a_form_that_was_overtaken_replaces_nothing() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    let revision_of = |path: &str| attribute(&operator.page(path), "name=\"revision\" value=\"");
    let (page, metadata) = (shop.secret(), format!("{}/metadata", shop.vault));
    let (secret, vault) = (revision_of(&page), revision_of(&shop.vault));
    let replace =
        |value: &str| operator.send_form(&page, &page, &[("value", value), ("revision", &secret)]);
    let update = |text: &str| {
        operator.send_form(
            &shop.vault,
            &metadata,
            &[("metadata", text), ("revision", &vault)],
        )
    };
    assert_eq!(leads_to(&replace("first")), shop.vault);
    assert_eq!(replace("second").status, 412);
    assert!(operator.page(&page).contains("replaces version 2"));
    assert_eq!(leads_to(&update(r#"{"by": "first"}"#)), shop.vault);
    assert_eq!(update(r#"{"by": "second"}"#).status, 412);
    assert!(operator.page(&shop.vault).contains("first"));
    for revision in ["", "x"] {
        let fields = [("value", "third"), ("revision", revision)];
        assert_eq!(operator.send_form(&page, &page, &fields).status, 400);
    }
}

#[test]
fn what_is_not_there_or_belongs_to_another_app_is_not_found() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    let other = operator.change("/admin/apps", "/admin/apps", &[("name", "Other")]);
    let vault_id = &shop.vault[shop.vault.len() - 36..];
    let absent = "01890000-0000-7000-8000-000000000000";
    for path in [
        format!("/admin/apps/{absent}"),
        "/admin/apps/nonsense".to_owned(),
        format!("{}/vaults/{absent}", shop.app),
        format!("{other}/vaults/{vault_id}"),
        format!("{other}/vaults/{vault_id}/secrets/brave_api_key"),
        format!("{}/secrets/absent", shop.vault),
        format!("{}/secrets/..%2f..", shop.vault),
        format!("{}/api-keys/{absent}/revoke", shop.app),
        "/admin/assets/..%2f..%2fCargo.toml".to_owned(),
        "/admin/audit/export".to_owned(),
    ] {
        let answer = operator.get(&path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer
                .header("content-type")
                .is_some_and(|it| it.starts_with("text/html")),
            "{path}"
        );
    }
    let stolen = operator.send_form(
        &other,
        &format!("{other}/designation"),
        &[("vault_id", vault_id)],
    );
    assert_eq!(stolen.status, 404);
    let stored = operator.send_form(
        &other,
        &format!("{other}/vaults/{vault_id}/secrets"),
        &[("name", "a"), ("value", "b")],
    );
    assert_eq!(stored.status, 404);
}

#[test]
fn what_is_no_form_is_refused() {
    let serving = Serving::start("[server.limits]\nmax_body_bytes = 20_000\n");
    let operator = Visitor::signed_in(&serving);
    let token = form_token(&operator.page("/admin"));
    let send = |content_type: &str, body: &str| {
        let request = Request::new("POST", "/admin/apps")
            .header("origin", "http://localhost")
            .header("content-type", content_type)
            .body(body);
        operator.send(request).status
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        send("text/plain", &format!("form_token={token}&name=a")),
        400
    );
    assert_eq!(send(form, &format!("form_token={token}&name=%FF")), 400);
    assert_eq!(
        send(form, &format!("form_token={token}&name=a&name=b")),
        400
    );
    assert_eq!(
        send(
            form,
            &format!("form_token={token}&name={}", "a".repeat(20_000))
        ),
        413
    );
    assert_eq!(send(form, &format!("form_token={token}&name=fine")), 303);
}

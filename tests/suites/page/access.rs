//! Sign-in, the length of a session, and the headers of every answer to the browser.

use std::time::Duration;

use serde_json::Value;
use tavora_tests::eventually::wait_until;
use tavora_tests::serving::Serving;
use tavora_tests::wire::{Answer, Request};

use super::visitor::{Shop, Visitor, form_token, leads_to};

const SIGN_IN: &str = "/admin/sign-in";

/// The pages for a visitor who is signed in.
fn pages(shop: &Shop) -> Vec<String> {
    let Shop { app, vault } = shop;
    let mut pages: Vec<String> = [
        "",
        "/apps",
        "/tools",
        "/audit",
        "/audit/export?format=csv",
        "/kek",
    ]
    .iter()
    .map(|path| format!("/admin{path}"))
    .collect();
    pages.extend(
        ["", "/api-keys", "/audit", "/audit/export?format=json"].map(|path| format!("{app}{path}")),
    );
    pages.extend([vault.clone(), format!("{vault}/delete")]);
    pages.extend([shop.secret(), format!("{}/delete", shop.secret())]);
    pages
}

/// The paths that forms are sent to.
fn actions(shop: &Shop) -> Vec<String> {
    let Shop { app, vault } = shop;
    let mut actions = vec!["/admin/sign-out".to_owned(), "/admin/apps".to_owned()];
    let retire = format!("/admin/kek/{}/retire", "0".repeat(32));
    actions.extend([
        "/admin/kek/rewrap".to_owned(),
        "/admin/kek/verify".to_owned(),
        retire,
    ]);
    actions.extend(["/vaults", "/designation", "/api-keys"].map(|path| format!("{app}{path}")));
    actions.extend(["/metadata", "/secrets", "/delete"].map(|path| format!("{vault}{path}")));
    actions.extend([shop.secret(), format!("{}/delete", shop.secret())]);
    actions
}

#[test]
fn without_a_session_every_page_and_form_leads_to_the_sign_in() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    let stranger = Visitor::new(&serving);
    for page in pages(&shop) {
        assert_eq!(leads_to(&stranger.get(&page)), SIGN_IN, "{page}");
    }
    let made_up = "A".repeat(43);
    stranger.set_cookies(vec![("tavora-admin".to_owned(), made_up)]);
    for action in actions(&shop) {
        let answer = stranger.post(&action, &[("name", "x")], &[("origin", "http://localhost")]);
        assert_eq!(leads_to(&answer), SIGN_IN, "{action}");
    }
    assert!(operator.page(&shop.vault).contains("brave_api_key"));
    for page in pages(&shop) {
        assert_eq!(operator.get(&page).status, 200, "{page}");
    }
}

#[test]
fn the_page_is_found_with_a_slash_behind_its_path_too() {
    let serving = Serving::start("");
    let answer = Visitor::new(&serving).get("/admin/");
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some("/admin"));
}

#[test]
fn every_answer_has_the_headers_that_protect_it() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let shop = Shop::open(&operator);
    let stranger = Visitor::new(&serving);
    let mut answers: Vec<Answer> = pages(&shop).iter().map(|page| operator.get(page)).collect();
    answers.extend(
        [
            SIGN_IN,
            "/admin/apps",
            "/admin/nothing",
            "/admin/assets/nothing",
        ]
        .map(|path| stranger.get(path)),
    );
    answers.push(stranger.send(Request::new("DELETE", "/admin/apps")));
    answers.push(operator.post("/admin/apps", &[], &[]));
    for answer in answers {
        let header = |name| {
            answer
                .header(name)
                .unwrap_or_else(|| panic!("{name}: {answer:?}"))
        };
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store", "{answer:?}");
        let is_page = answer
            .header("content-type")
            .is_some_and(|it| it.starts_with("text/html"));
        if is_page {
            let text = answer.text();
            for inline in [" style=", "<style", " onclick", "javascript:", "<script>"] {
                assert!(!text.contains(inline), "{inline} in {text}");
            }
        }
    }
    let asset = operator.page(SIGN_IN_ASSETS_PAGE);
    let style = super::visitor::attribute(&asset, "rel=\"stylesheet\" href=\"");
    let style = stranger.get(&style);
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert!(
        style
            .header("cache-control")
            .is_some_and(|it| it.contains("immutable"))
    );
    assert_eq!(style.header("x-content-type-options"), Some("nosniff"));
}

/// Any page works here, because all load the same style.
const SIGN_IN_ASSETS_PAGE: &str = "/admin/kek";

#[test]
fn a_sign_in_form_works_only_in_the_browser_that_asked_for_it() {
    let serving = Serving::start("");
    let token = serving.admin_token.as_str();
    let here = [("origin", "http://localhost")];
    let attacker = Visitor::new(&serving);
    let stolen = form_token(&attacker.page(SIGN_IN));
    let victim = Visitor::new(&serving);
    victim.page(SIGN_IN);
    for fields in [
        vec![("admin_token", token)],
        vec![("admin_token", token), ("form_token", "")],
        vec![("admin_token", token), ("form_token", &stolen)],
    ] {
        assert_eq!(victim.post(SIGN_IN, &fields, &here).status, 403);
    }
    let own = form_token(&victim.page(SIGN_IN));
    let fields = [("admin_token", token), ("form_token", own.as_str())];
    let elsewhere = [("origin", "https://evil.example")];
    assert_eq!(victim.post(SIGN_IN, &fields, &elsewhere).status, 403);
    assert_eq!(victim.post(SIGN_IN, &fields, &[]).status, 403);
    assert_eq!(leads_to(&victim.get("/admin")), SIGN_IN);
    assert_eq!(leads_to(&victim.post(SIGN_IN, &fields, &here)), "/admin");
    assert_eq!(victim.get("/admin").status, 200);
}

#[test]
fn signing_in_gives_a_new_session_in_a_cookie_that_scripts_and_other_sites_do_not_get() {
    let serving = Serving::start("");
    let visitor = Visitor::new(&serving);
    let planted = ("tavora-admin".to_owned(), "B".repeat(43));
    visitor.set_cookies(vec![planted.clone()]);
    let answer = visitor.sign_in(&serving.admin_token);
    let set: Vec<&String> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value)
        .collect();
    let session = set
        .iter()
        .find(|it| it.starts_with("tavora-admin="))
        .expect("a session");
    assert!(
        session.ends_with("; HttpOnly; SameSite=Strict; Path=/admin"),
        "{session}"
    );
    assert!(
        !visitor.cookies().contains(&planted),
        "the session id is the planted one"
    );

    let behind_proxy = Serving::start("[admin]\nhttps_in_front = true\n");
    let answer = Visitor::new(&behind_proxy).sign_in(&behind_proxy.admin_token);
    let cookies = format!("{:?}", answer.headers);
    assert!(cookies.contains("__Secure-tavora-admin="), "{cookies}");
    assert!(cookies.contains("; Secure; Path=/admin"), "{cookies}");
}

#[test]
fn a_session_ends_when_it_is_signed_out_wherever_its_cookie_was_copied_to() {
    let serving = Serving::start("");
    let operator = Visitor::signed_in(&serving);
    let copy = Visitor::new(&serving);
    copy.set_cookies(operator.cookies());
    assert_eq!(copy.get("/admin").status, 200);
    assert_eq!(operator.change("/admin", "/admin/sign-out", &[]), SIGN_IN);
    assert_eq!(operator.cookies(), []);
    assert_eq!(leads_to(&copy.get("/admin")), SIGN_IN);
}

#[test]
fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    let serving =
        Serving::start("[admin]\nsession_idle_timeout_ms = 3_000\nsession_lifetime_ms = 12_000\n");
    let wait = |ms| std::thread::sleep(Duration::from_millis(ms));
    let idle = Visitor::signed_in(&serving);
    wait(3_100);
    assert_eq!(leads_to(&idle.get("/admin/kek")), SIGN_IN);
    let busy = Visitor::signed_in(&serving);
    // The requests together take longer than the idle limit.
    for _ in 0..8 {
        wait(400);
        assert_eq!(busy.get("/admin/kek").status, 200);
    }
    wait_until("is too old", || {
        wait(200);
        let answer = busy.get("/admin/kek");
        answer.status != 200 && leads_to(&answer) == SIGN_IN
    });
}

#[test]
fn sessions_are_bounded() {
    let serving = Serving::start("[admin]\nmax_sessions = 2\n");
    let first = Visitor::signed_in(&serving);
    let second = Visitor::signed_in(&serving);
    first.page("/admin/kek");
    Visitor::signed_in(&serving);
    assert_eq!(leads_to(&second.get("/admin/kek")), SIGN_IN);
    assert_eq!(first.get("/admin/kek").status, 200);
}

#[test]
fn failed_sign_ins_are_recorded_and_throttled() {
    let serving = Serving::start("[server.auth_failures]\nburst = 3\nper_minute = 1\n");
    let operator = Visitor::signed_in(&serving);
    let guesser = Visitor::new(&serving);
    for _ in 0..3 {
        let answer = guesser.sign_in("a-guess-at-the-admin-token-of-this-host");
        assert_eq!(answer.status, 403);
        assert!(
            answer
                .text()
                .contains("This is not the admin token of this host.")
        );
        assert!(!answer.text().contains("a-guess"));
    }
    for token in ["another-guess", &serving.admin_token] {
        let answer = guesser.sign_in(token);
        assert_eq!(answer.status, 429);
        let seconds: u64 = answer
            .header("retry-after")
            .and_then(|it| it.parse().ok())
            .expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert!(
            answer
                .text()
                .contains("Too many attempts to sign in have failed. Try again in")
        );
    }
    let export = operator.page("/admin/audit/export?format=json");
    let entries: Value = serde_json::from_str(&export).expect("JSON");
    let of = |action: &str| {
        let entries = entries.as_array().expect("an array").iter();
        entries
            .filter(|entry| entry["action"] == action)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of("admin.sign_in_refused").len(), 3);
    let refused = &of("admin.sign_in_refused")[0]["metadata"];
    assert_eq!(refused["actor"], "host");
    assert_eq!(refused["outcome"], "denied");
    assert_eq!(refused["peer"], "127.0.0.1");
    assert_eq!(of("admin.signed_in").len(), 1);
    assert_eq!(of("admin.signed_in")[0]["metadata"]["actor"], "operator");
    assert!(!export.contains("a-guess") && !export.contains(&serving.admin_token));
}

//! The page behind a proxy, which may call the host by another name than the browser does.

use tavora_tests::nginx::{Nginx, SENSIBLE};
use tavora_tests::serving::Serving;

use super::visitor::{Visitor, form_token, leads_to};

const SIGN_IN: &str = "/admin/sign-in";

/// Signs in with these headers of a browser. The error is the page's text.
fn sign_in(visitor: &Visitor, token: &str, headers: &[(&str, &str)]) -> Result<(), String> {
    let form = form_token(&visitor.page(SIGN_IN));
    let fields = [("admin_token", token), ("form_token", &form)];
    let answer = visitor.post(SIGN_IN, &fields, headers);
    match answer.status {
        403 => Err(answer.text()),
        _ => {
            assert_eq!(leads_to(&answer), "/admin");
            assert_eq!(visitor.get("/admin").status, 200);
            Ok(())
        }
    }
}

#[test]
fn the_browsers_own_word_lets_a_form_in_whatever_a_proxy_makes_of_the_name() {
    let serving = Serving::start("");
    let token = serving.admin_token.as_str();
    let origin = ("origin", "https://vault.example.com");
    let site = |site| ("sec-fetch-site", site);
    for headers in [
        vec![origin, site("same-origin")],
        vec![("origin", "null"), site("same-origin")],
    ] {
        assert_eq!(sign_in(&Visitor::new(&serving), token, &headers), Ok(()));
    }
    for headers in [
        vec![origin, site("same-site")],
        vec![origin, site("cross-site")],
        vec![("origin", "http://localhost"), site("same-site")],
        vec![("origin", "http://localhost"), site("none")],
        vec![("origin", "null")],
        vec![],
    ] {
        let refused = sign_in(&Visitor::new(&serving), token, &headers);
        let said = refused.expect_err("it is of another site");
        assert!(!said.contains("proxy_set_header"), "{headers:?}: {said}");
    }

    // Without that header the names must match, and the page and the log say what the proxy must
    // send.
    let said = sign_in(&Visitor::new(&serving), token, &[origin]).expect_err("another name");
    for part in [
        "proxy_set_header Host $http_host;",
        "https://vault.example.com",
        "[server] hosts",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("Open the page again"), "{said}");
    let log = serving.log();
    assert!(
        log.contains("does not pass on the name that browsers use"),
        "{log}"
    );
}

#[test]
fn a_name_that_the_operator_lists_is_this_hosts_and_its_neighbours_are_not() {
    let serving = Serving::start("[server]\nhosts = [\"vault.example.com\", \"*.example.com\"]\n");
    let token = serving.admin_token.as_str();
    let from = |origin| sign_in(&Visitor::new(&serving), token, &[("origin", origin)]);
    assert_eq!(from("https://vault.example.com"), Ok(()));
    for neighbour in [
        "https://shop.example.com",
        "https://vault.example.com:8443",
        "https://vault.example.com.evil.example",
    ] {
        assert!(from(neighbour).is_err(), "{neighbour}");
    }
}

#[test]
fn an_operator_signs_in_through_nginx() {
    if !Nginx::is_there() {
        return;
    }
    for (directives, with_tls) in [("", false), ("", true), (SENSIBLE, false), (SENSIBLE, true)] {
        let what = format!("{with_tls} {directives:?}");
        let serving = Serving::start(&format!(
            "[server]\nhosts = [\"vault.example.com\"]\n[admin]\nhttps_in_front = {with_tls}\n"
        ));
        let nginx = Nginx::start(serving.address, directives, with_tls);
        let origin = nginx.origin();
        let origin = ("origin", origin.as_str());
        let token = serving.admin_token.as_str();

        let browser = Visitor::through(|request| nginx.send(request));
        let headers = [origin, ("sec-fetch-site", "same-origin")];
        assert_eq!(sign_in(&browser, token, &headers), Ok(()), "{what}");
        let form = form_token(&browser.page("/admin/apps"));
        let fields = [("name", "Shop"), ("form_token", form.as_str())];
        let made = leads_to(&browser.post("/admin/apps", &fields, &headers));
        assert!(made.starts_with("/admin/apps/"), "{what}: {made}");
        let told = browser.answers();
        assert_eq!(told.contains("; Secure"), with_tls, "{what}: {told}");

        // This browser sends only its origin. nginx passes it on with another name unless it is
        // told otherwise.
        let older = Visitor::through(|request| nginx.send(request));
        let let_in = sign_in(&older, token, &[origin]);
        match directives {
            "" => assert!(
                let_in
                    .expect_err(&what)
                    .contains("proxy_set_header Host $http_host;"),
                "{what}"
            ),
            _ => assert_eq!(let_in, Ok(()), "{what}"),
        }
        let forged = Visitor::through(|request| nginx.send(request));
        let evil = [("origin", "https://evil.example")];
        assert!(sign_in(&forged, token, &evil).is_err(), "{what}");
    }
}

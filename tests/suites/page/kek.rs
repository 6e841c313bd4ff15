//! A rotation in the browser: a form begins it, it is followed without a script, and it ends with
//! the retirement of the old key.

use tavora_tests::rotation::{database, ended, kek_ids, start};

use super::visitor::Visitor;

const PAGE: &str = "/admin/kek";
const REWRAP: &str = "/admin/kek/rewrap";
const VERIFY: &str = "/admin/kek/verify";

#[test]
fn a_key_is_rotated_by_forms_alone() {
    let serving = start("");
    let (old, new) = kek_ids(&serving);
    let retire = format!("{PAGE}/{old}/retire");
    let operator = Visitor::signed_in(&serving);
    let page = operator.page(PAGE);
    assert!(page.contains("Opens older secrets") && !page.contains(&retire));
    // As long as secrets need the key, the form is refused too.
    let early = operator.send_form(PAGE, &retire, &[]);
    assert_eq!(early.status, 409);
    let said = format!("3 secrets still need the KEK {old}");
    assert!(early.text().contains(&said), "{}", early.text());

    let lock = database(&serving);
    lock.execute_batch("BEGIN IMMEDIATE")
        .expect("nobody writes");
    let fields = [("to", new.as_str()), ("verify", "yes")];
    assert_eq!(operator.change(PAGE, REWRAP, &fields), PAGE);
    let running = operator.get(PAGE);
    assert_eq!(running.header("refresh"), Some("2"));
    let text = running.text();
    assert!(
        text.contains("Running.")
            && text.contains("<progress")
            && text.contains("<fieldset disabled"),
        "{text}"
    );
    let second = operator.send_form(PAGE, VERIFY, &[]);
    assert_eq!(second.status, 409);
    assert!(second.text().contains("A walk over all secrets goes on"));
    lock.execute_batch("ROLLBACK").expect("it was begun");
    assert_eq!(ended(&serving)["state"], "complete");
    let done = operator.get(PAGE);
    assert_eq!(done.header("refresh"), None);
    let said = format!("3 of 3 secrets looked at, 3 moved to <code>{new}</code>.");
    assert!(done.text().contains(&said), "{}", done.text());

    assert!(operator.page(PAGE).contains(&retire));
    assert!(operator.page(&retire).contains("Retire this KEK?"));
    assert_eq!(operator.change(&retire, &retire, &[]), PAGE);
    let page = operator.page(PAGE);
    assert!(
        page.contains(&format!("The KEK {old} is retired.")),
        "{page}"
    );
    assert!(!page.contains(&retire));
    assert_eq!(operator.send_form(PAGE, &retire, &[]).status, 404);

    assert_eq!(operator.change(PAGE, REWRAP, &[]), PAGE);
    assert_eq!(ended(&serving)["moved"], 0);
    let said = format!(
        "There was nothing to do: every secret is wrapped with <code>{new}</code> already."
    );
    assert!(operator.page(PAGE).contains(&said));
    let fields = [("to", new.as_str()), ("reencrypt", "yes")];
    assert_eq!(operator.change(PAGE, REWRAP, &fields), PAGE);
    assert_eq!(ended(&serving)["moved"], 3);
    assert_eq!(serving.run(&["audit", "verify"]).status, 0);
}

#[test]
fn what_does_not_open_is_shown_with_its_reason() {
    let serving = start("");
    let sql = "UPDATE secrets SET wrapped = zeroblob(62) WHERE name = 'second'";
    database(&serving).execute_batch(sql).expect("it is right");
    let operator = Visitor::signed_in(&serving);
    assert_eq!(operator.change(PAGE, VERIFY, &[]), PAGE);
    assert_eq!(ended(&serving)["state"], "incomplete");
    let page = operator.page(PAGE);
    assert!(
        page.contains("Incomplete.") && page.contains("3 of 3 secrets looked at, 1 do not open."),
        "{page}"
    );
    assert!(page.contains("<code>second</code>") && page.contains("its DEK does not unwrap"));
    for (fields, status) in [
        (&[("to", "zz")][..], 400),
        (&[("to", "00000000000000000000000000000000")][..], 409),
    ] {
        assert_eq!(operator.send_form(PAGE, REWRAP, fields).status, status);
    }
}

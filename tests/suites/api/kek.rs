//! `/api/admin/kek`: a rotation through requests alone, and its refusals.

use std::time::Duration;

use serde_json::{Value, json};
use tavora_tests::rotation::{SECRETS, database, ended, kek_ids, start};
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;

use crate::fixture::is_refusal;

const REWRAP: &str = "/api/admin/kek/rewrap";
const VERIFY: &str = "/api/admin/kek/verify";

#[test]
fn secrets_are_moved_behind_a_request_and_the_old_key_is_retired() {
    let serving = start("");
    let (old, new) = kek_ids(&serving);
    let idle = serving.admin("GET", "/api/admin/kek/walk", None).json();
    assert_eq!(
        (&idle["state"], &idle["work"]),
        (&"idle".into(), &Value::Null)
    );
    let planned = walk(&serving, REWRAP, &json!({ "dry_run": true }));
    assert_eq!(planned["moved"], 3, "{planned}");
    let early = serving.admin("DELETE", &format!("/api/admin/keks/{old}"), None);
    is_refusal("early", &early, 409, "kek_in_use");
    assert_eq!(
        (&early.json()["rows"], &early.json()["kek_id"]),
        (&3.into(), &old.clone().into())
    );

    let moved = walk(&serving, REWRAP, &json!({ "verify": true, "batch": 2 }));
    let expected = json!({
        "state": "complete", "work": "rewrap", "to": new, "total": 3, "seen": 3, "moved": 3, "overtaken": 0,
        "unreadable": 0, "unreadable_secrets": [], "error": null,
        "started_at": moved["started_at"], "ended_at": moved["ended_at"],
    });
    assert_eq!(moved, expected);
    assert!(moved["ended_at"].is_string());
    let retired = serving.admin("DELETE", &format!("/api/admin/keks/{old}"), None);
    assert_eq!(retired.status, 200, "{}", retired.text());
    let rows: Vec<_> = retired.json()["keks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|kek| (kek["kek_id"].clone(), kek["rows"].clone()))
        .collect();
    // The keyring keeps the old KEK until the host starts without it.
    assert_eq!(rows, [(new.into(), 3.into()), (old.into(), 0.into())]);
    let verified = walk(&serving, VERIFY, &json!({}));
    assert_eq!(
        (&verified["state"], &verified["seen"]),
        (&"complete".into(), &3.into())
    );
    let reencrypted = walk(&serving, REWRAP, &json!({ "reencrypt": true }));
    assert_eq!(reencrypted["moved"], 3);
    let audit = serving.run(&["audit", "verify"]);
    assert_eq!(audit.status, 0, "{audit:?}");
}

#[test]
fn there_is_one_walk_at_a_time_and_stopping_the_host_does_not_harm_it() {
    let mut serving = start("");
    let (_, new) = kek_ids(&serving);
    let lock = database(&serving);
    lock.execute_batch("BEGIN IMMEDIATE")
        .expect("nobody writes");
    let begun = serving.admin("POST", REWRAP, Some(&json!({})));
    assert_eq!(begun.status, 202, "{}", begun.text());
    assert_eq!(begun.json()["state"], "running");
    for path in [REWRAP, VERIFY] {
        let refused = serving.admin("POST", path, Some(&json!({})));
        is_refusal(path, &refused, 409, "walk_running");
    }
    lock.execute_batch("ROLLBACK").expect("it was begun");
    assert_eq!(ended(&serving)["moved"], 3);

    lock.execute_batch("BEGIN IMMEDIATE")
        .expect("nobody writes");
    let begun = serving.admin(
        "POST",
        REWRAP,
        Some(&json!({ "reencrypt": true, "batch": 1 })),
    );
    assert_eq!(begun.status, 202, "{}", begun.text());
    let release = std::thread::spawn(move || {
        // The host is told to stop meanwhile, while the walk waits for the lock.
        std::thread::sleep(Duration::from_millis(500));
        lock.execute_batch("ROLLBACK").expect("it was begun");
    });
    serving.halt();
    release.join().expect("it does not panic");
    let entries = serving.run(&["audit", "tail", "-n", "1", "--json"]);
    let last: Value = serde_json::from_str(&entries.stdout).expect("JSON");
    assert_eq!(last[0]["action"], "kek.rewrap_ended", "{last}");
    assert_eq!(last[0]["metadata"]["outcome"], "stopped", "{last}");
    serving.start_again();
    assert_eq!(kek_ids(&serving).1, new);
    assert_eq!(walk(&serving, VERIFY, &json!({}))["state"], "complete");
    let audit = serving.run(&["audit", "verify"]);
    assert_eq!(audit.status, 0, "{audit:?}");
}

#[test]
fn secrets_that_do_not_open_are_named() {
    let serving = start("");
    let sql = "UPDATE secrets SET wrapped = zeroblob(62) WHERE name = 'second'";
    database(&serving).execute_batch(sql).expect("it is right");
    let walked = walk(&serving, REWRAP, &json!({}));
    assert_eq!(walked["state"], "incomplete", "{walked}");
    assert_eq!(
        (&walked["moved"], &walked["unreadable"]),
        (&2.into(), &1.into())
    );
    let named = &walked["unreadable_secrets"][0];
    assert_eq!(
        (&named["name"], &named["cause"]),
        (&SECRETS[1].into(), &"wrap".into())
    );
    assert!(named["app_id"].is_string() && named["vault_id"].is_string());
}

#[test]
fn what_cannot_be_moved_or_retired_is_refused_with_the_kek_and_what_to_do() {
    let serving = start("");
    let (_, new) = kek_ids(&serving);
    let unknown = "0".repeat(32);
    for (body, status, code) in [
        (json!({ "to": unknown }), 409, "kek_not_in_keyring"),
        (json!({ "to": "zz" }), 400, "invalid_field"),
        (json!({ "batch": 0 }), 400, "invalid_field"),
        (json!({ "batch": 2001 }), 400, "invalid_field"),
        (json!({ "reencrypt": "yes" }), 400, "invalid_field"),
    ] {
        let refused = serving.admin("POST", REWRAP, Some(&body));
        is_refusal(&body.to_string(), &refused, status, code);
    }
    for (kek_id, status, code) in [
        (unknown.as_str(), 404, "not_found"),
        ("zz", 404, "not_found"),
        (&new, 409, "kek_primary"),
    ] {
        let refused = serving.admin("DELETE", &format!("/api/admin/keks/{kek_id}"), None);
        is_refusal(kek_id, &refused, status, code);
    }
    for (method, path) in [
        ("POST", REWRAP),
        ("POST", VERIFY),
        ("GET", "/api/admin/kek/walk"),
        ("DELETE", &format!("/api/admin/keks/{unknown}")),
    ] {
        let refused = serving.send(&Request::new(method, path).json(&json!({})));
        is_refusal(path, &refused, 401, "unauthorized");
    }
    let without = Serving::start_with("", |command| {
        command.env_remove("TAVORA_SECRET_KEK");
    });
    for path in [REWRAP, VERIFY] {
        let refused = without.admin("POST", path, Some(&json!({})));
        is_refusal(path, &refused, 503, "secret_vaults_disabled");
    }
}

/// Begins a walk and waits for its end.
#[track_caller]
fn walk(serving: &Serving, path: &str, body: &Value) -> Value {
    let begun = serving.admin("POST", path, Some(body));
    assert_eq!(begun.status, 202, "{}", begun.text());
    ended(serving)
}

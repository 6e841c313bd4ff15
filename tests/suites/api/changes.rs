//! Changes that collide or break off: stale conditions, concurrent clients, and clients that leave.

use std::io::{Read, Write};
use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};
use tavora_tests::eventually::wait_until;
use tavora_tests::wire::{Answer, Request, connect};

use crate::fixture::{Platform, is_refusal};

/// The number of clients that send the same request at once.
const CLIENTS: usize = 16;

/// Sends requests at the same time and returns all answers.
fn at_once(platform: &Platform, requests: &[Request]) -> Vec<Answer> {
    let start = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let clients: Vec<_> = requests
            .iter()
            .map(|request| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    platform.send(request)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("an answer"))
            .collect()
    })
}

fn etag(answer: &Answer) -> String {
    answer
        .header("etag")
        .unwrap_or_else(|| panic!("no ETag: {answer:?}"))
        .to_owned()
}

#[test]
fn a_stale_or_malformed_condition_is_refused() {
    let platform = Platform::start();
    let first = platform.in_vault("/secrets/first");
    let absent = platform.in_vault("/secrets/absent");
    let vault = platform.in_vault("");
    let put = |path: &str| platform.request("PUT", path).json(&json!({ "value": "v" }));
    let patch = || {
        platform
            .request("PATCH", &vault)
            .json(&json!({ "metadata": { "turn": 1 } }))
    };
    let delete = |path: &str| platform.request("DELETE", path);

    let stale_secret = etag(&platform.send(&put(&first)));
    assert_eq!(platform.send(&put(&first)).status, 200);
    let stale_vault = etag(&platform.send(&platform.request("GET", &vault)));
    assert_eq!(platform.send(&patch()).status, 200);
    let fresh_vault = etag(&platform.send(&platform.request("GET", &vault)));
    let fresh_secret = etag(&platform.send(&put(&first)));

    for (what, request) in [
        ("put", put(&first)),
        ("delete a secret", delete(&first)),
        ("patch", patch()),
        ("delete a vault", delete(&vault)),
    ] {
        let secrets = [&stale_secret, &stale_vault, &fresh_vault];
        let vaults = [&stale_secret, &stale_vault, &fresh_secret];
        let stale = if what == "put" || what == "delete a secret" {
            secrets
        } else {
            vaults
        };
        // These are stale tags, as a compressing proxy may change them.
        let weak = format!("W/{}", stale[0]);
        let list = format!("\"never\", {}", stale[0]);
        for condition in stale.into_iter().chain([&weak, &list]) {
            let request = request.clone().header("if-match", condition);
            platform.refused(
                &format!("{what}, {condition}"),
                &request,
                412,
                "precondition_failed",
            );
        }
        for malformed in [
            "",
            "x",
            "\"",
            "\"a\" \"b\"",
            "'a'",
            "W/",
            "*, \"a\"",
            "\"a\",,\"b\"",
        ] {
            let request = request.clone().header("if-match", malformed);
            platform.refused(
                &format!("{what}, {malformed}"),
                &request,
                400,
                "invalid_if_match",
            );
        }
    }
    for (what, request) in [("put", put(&absent)), ("delete", delete(&absent))] {
        let request = request.header("if-match", "*");
        platform.refused(
            &format!("{what} what is absent"),
            &request,
            412,
            "precondition_failed",
        );
    }

    // Fresh tags pass, even after a proxy changed them, and each change makes the others stale.
    let by_proxies: [fn(&str) -> String; 2] = [
        |tag| format!("W/{tag}"),
        |tag| format!("{}-gzip\"", tag.trim_end_matches('"')),
    ];
    let mut fresh_secret = fresh_secret;
    for by_proxy in by_proxies {
        let request = put(&first).header("if-match", by_proxy(&fresh_secret));
        let stored = platform.send(&request);
        assert_eq!(stored.status, 200, "{request:?}");
        platform.refused("overtaken", &request, 412, "precondition_failed");
        fresh_secret = etag(&stored);
        let said = stored.header("cache-control");
        assert_eq!(said, Some("no-store, no-transform"));
    }
    assert_eq!(
        platform
            .send(&patch().header("if-match", &fresh_vault))
            .status,
        200
    );
    assert_eq!(
        platform
            .send(&put(&first).header("if-match", format!("\"x\", {fresh_secret}")))
            .status,
        200
    );
    assert_eq!(
        platform
            .send(&delete(&first).header("if-match", "*"))
            .status,
        204
    );
    // A secret that is deleted and stored again under the same name is another one, so an old tag
    // never matches again.
    assert_eq!(platform.send(&put(&first)).status, 200);
    platform.refused(
        "an older life",
        &put(&first).header("if-match", &stale_secret),
        412,
        "precondition_failed",
    );
}

#[test]
fn of_clients_that_create_the_same_vault_one_succeeds() {
    let platform = Platform::start();
    for round in 0..5 {
        let name = format!("wanted {round}");
        let create = platform
            .request("POST", "/api/sdk/secret-vaults")
            .json(&json!({ "name": name }));
        let answers = at_once(&platform, &vec![create; CLIENTS]);
        let created: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .collect();
        assert_eq!(created.len(), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            is_refusal("a second one", answer, 409, "vault_name_taken");
        }
        let list = platform.seen(&platform.app, "/api/sdk/secret-vaults");
        let list = list["secret_vaults"].as_array().expect("a list");
        let named: Vec<&Value> = list
            .iter()
            .filter(|vault| vault["name"] == name.as_str())
            .collect();
        assert_eq!(named, [&created[0].json()]);
    }
}

#[test]
fn of_clients_with_the_same_condition_one_succeeds() {
    let platform = Platform::start();
    let path = platform.in_vault("/secrets/contended");
    let put = |value: &str| {
        platform
            .request("PUT", &path)
            .json(&json!({ "value": value }))
    };
    let tag = etag(&platform.send(&put("start")));
    let requests: Vec<_> = (0..CLIENTS)
        .map(|client| put(&format!("of {client}")).header("if-match", &tag))
        .collect();
    let answers = at_once(&platform, &requests);
    let won: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(won[0].json()["version"], 2);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        is_refusal("too late", answer, 412, "precondition_failed");
    }

    // Without a condition each put makes a version, and none is lost.
    let answers = at_once(&platform, &vec![put("again"); CLIENTS]);
    let mut versions: Vec<u64> = answers
        .iter()
        .map(|answer| answer.json()["version"].as_u64().expect("a version"))
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (3..3 + CLIENTS as u64).collect::<Vec<_>>());
}

#[test]
fn a_client_that_leaves_in_the_middle_changes_nothing() {
    let platform = Platform::start();
    let before = platform.state();
    for (method, path, body) in [
        ("POST", "/api/sdk/secret-vaults", json!({ "name": "half" })),
        (
            "PATCH",
            &*platform.in_vault(""),
            json!({ "metadata": { "half": true } }),
        ),
        (
            "PUT",
            &*platform.in_vault("/secrets/first"),
            json!({ "value": "half" }),
        ),
        ("PUT", "/api/sdk/app/vault", json!({ "vault_id": null })),
    ] {
        let bytes = platform.request(method, path).json(&body).bytes();
        // The cuts fall into the request line, the head, before the body, into it, and before its
        // last byte.
        let body_at = bytes.len() - body.to_string().len();
        for cut in [8, body_at - 10, body_at, body_at + 5, bytes.len() - 1] {
            let mut stream = connect(platform.serving.address).expect("it listens");
            stream.write_all(&bytes[..cut]).expect("it reads");
            drop(stream);
        }
    }
    // Give the host time to finish whatever was sent before.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(platform.state(), before);
}

#[test]
fn a_program_ends_when_its_client_leaves() {
    // One run at a time, so that a run that continued would keep the next one out.
    let serving = tavora_tests::serving::Serving::start(
        "[limits]\nmax_instances = 1\n[limits.agent]\ncpu_ms = 600_000\nwall_clock_ms = 600_000\n",
    );
    let app = serving.make_app("app");
    let execute = |code: &str| {
        Request::new("POST", "/api/sdk/sandbox/execute")
            .header("x-api-key", &app.key)
            .json(&json!({ "code": code }))
    };
    let begin = || {
        let mut stream = connect(serving.address).expect("it listens");
        stream
            .write_all(&execute("for (;;) {}").bytes())
            .expect("it reads");
        stream.set_nonblocking(true).expect("a socket can");
        stream
    };
    let mut stream = begin();
    // The run has begun once there is no room for another one.
    wait_until("begins", || {
        // The other program may have come first.
        if stream.read(&mut [0]).is_ok() {
            stream = begin();
        }
        serving.send(&execute("return 1")).status == 503
    });
    drop(stream);
    wait_until("ends without its client", || {
        serving.send(&execute("return 1")).status == 200
    });
}

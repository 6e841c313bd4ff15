//! The API through nginx as people set it up: bodies of the largest size, refusals that clients can
//! read, and entity tags that nginx made weak.

use serde_json::json;
use tavora_tests::nginx::{Nginx, SENSIBLE};
use tavora_tests::serving::Serving;
use tavora_tests::wire::{Answer, Request};

use crate::fixture::{as_app, is_refusal};

const COMPRESSING: &str = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;";

struct Site {
    serving: Serving,
    nginx: Nginx,
}

impl Site {
    fn start(directives: &str, with_tls: bool) -> Self {
        let serving = Serving::start("[server]\nhosts = [\"vault.example.com\"]\n");
        let nginx = Nginx::start(serving.address, directives, with_tls);
        Self { serving, nginx }
    }

    fn send(&self, request: Request) -> Answer {
        self.nginx.send(&request)
    }
}

#[test]
fn a_change_on_condition_is_made_through_a_proxy_that_compresses() {
    if !Nginx::is_there() {
        return;
    }
    for (directives, with_tls) in [
        (COMPRESSING.to_owned(), false),
        (COMPRESSING.to_owned() + SENSIBLE, true),
    ] {
        let site = Site::start(&directives, with_tls);
        let app = site.serving.make_app("app");
        let vaults = "/api/sdk/secret-vaults";
        let made = site.send(as_app(&app, "POST", vaults).json(&json!({ "name": "main" })));
        assert_eq!(made.status, 201, "{made:?}");
        let vault = made.json()["id"].as_str().expect("an id").to_owned();
        let secret = format!("{vaults}/{vault}/secrets/first");
        let put = |value: &str| {
            as_app(&app, "PUT", &secret)
                .header("accept-encoding", "gzip")
                .json(&json!({ "value": value }))
        };
        let stored = site.send(put("one"));
        assert_eq!(
            stored.header("content-encoding"),
            Some("gzip"),
            "{stored:?}"
        );
        let tag = stored.header("etag").expect("a tag").to_owned();
        assert!(tag.starts_with("W/"), "nginx did not weaken the tag: {tag}");
        let again = put("two").header("if-match", &tag);
        assert_eq!(site.send(again.clone()).status, 200);
        assert_eq!(site.send(again).status, 412, "the tag is stale");
    }
}

#[test]
fn long_bodies_pass_and_one_that_is_too_long_is_refused_in_words() {
    if !Nginx::is_there() {
        return;
    }
    for with_tls in [false, true] {
        let site = Site::start(SENSIBLE, with_tls);
        let app = site.serving.make_app("app");
        let create = |name: &str, bytes: usize| {
            let body = json!({ "name": name }).to_string();
            let padding = " ".repeat(bytes - body.len());
            as_app(&app, "POST", "/api/sdk/secret-vaults")
                .header("content-type", "application/json")
                .body(body + &padding)
        };
        assert_eq!(site.send(create("whole", 1 << 20)).status, 201);
        let refused = site.send(create("long", (1 << 20) + (1 << 19)));
        is_refusal("1.5 MiB", &refused, 413, "body_too_large");
    }
}

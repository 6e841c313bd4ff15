//! Tests of lent secrets: a stand-in in its slot becomes the credential, and one anywhere else
//! refuses the request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tavora_trust::slot::Slot;

use super::upstream::Upstream;
use super::*;

const VALUE: &str = "canary-7f3d1c9ab2e84655";

struct Lender {
    home: Upstream,
    bench: Bench,
    tool: Egress,
    stand_in: String,
}

async fn lender(slot: Slot, value: &str) -> Lender {
    let home = Upstream::fine().await;
    let bench = Bench::allowing(&[&home.origin]);
    let tool = bench.tool(&[&home.origin]);
    let stand_in = lend(&bench, &tool, "key", slot, value, None);
    Lender {
        home,
        bench,
        tool,
        stand_in,
    }
}

fn lend(
    bench: &Bench,
    tool: &Egress,
    name: &str,
    slot: Slot,
    value: &str,
    bound_to: Option<Vec<Origin>>,
) -> String {
    let stand_ins = tool.stand_ins();
    stand_ins.declare(name, Arc::from([slot]));
    bench.released.add_lent(name, value, bound_to.as_deref());
    let lending = Lending {
        name,
        value,
        bound_to,
    };
    stand_ins.lend(lending).expect("there are random bytes")
}

fn header(name: &str, prefix: Option<&str>) -> Slot {
    Slot::header(name, prefix.map(str::to_owned)).expect("valid")
}

fn with(url: String, headers: &[(&str, &str)]) -> Request<WasiBody> {
    let mut request = get(url);
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        let value = HeaderValue::from_str(value).expect("a value");
        request.headers_mut().append(name, value);
    }
    request
}

#[tokio::test]
async fn the_credential_stands_in_its_slot_and_nothing_else_changes() {
    for (slot, name, sent, came) in [
        (Slot::Bearer, "authorization", "Bearer {}", "Bearer {}"),
        (header("x-key", None), "x-key", "{}", "{}"),
        (
            header("authorization", Some("Token ")),
            "authorization",
            "Token {}",
            "Token {}",
        ),
    ] {
        let Lender {
            home,
            mut tool,
            stand_in,
            ..
        } = lender(slot, VALUE).await;
        let sent = sent.replace("{}", &stand_in);
        let request = with(home.url("/a?b=c"), &[(name, &sent), ("x-other", "kept")]);
        send(&mut tool, request).await.expect("it is let out");
        let received = &home.received()[0];
        assert_eq!(received.headers[name], came.replace("{}", VALUE));
        assert_eq!(received.headers["x-other"], "kept");
    }
    for pair in ["{}:word", "user:{}"] {
        let Lender {
            home,
            mut tool,
            stand_in,
            ..
        } = lender(Slot::Basic, VALUE).await;
        let basic = |it: &str| format!("Basic {}", STANDARD.encode(pair.replace("{}", it)));
        let request = with(home.url("/"), &[("authorization", &basic(&stand_in))]);
        send(&mut tool, request).await.expect("it is let out");
        assert_eq!(home.received()[0].headers["authorization"], basic(VALUE));
    }
}

#[tokio::test]
async fn a_parameter_of_the_query_is_encoded() {
    let slot = Slot::query("key").expect("valid");
    let Lender {
        home,
        mut tool,
        stand_in,
        ..
    } = lender(slot, "a b&c=d/é").await;
    let url = home.url(&format!("/p?q=1&key={stand_in}&z=%20"));
    send(&mut tool, get(url)).await.expect("it is let out");
    let received = &home.received()[0];
    assert_eq!(received.path, "/p?q=1&key=a%20b%26c%3Dd%2F%C3%A9&z=%20");
}

/// Sends the request that `made` makes of the upstream and a stand-in. Returns why it was refused.
async fn refused(
    slot: Slot,
    value: &str,
    made: impl FnOnce(&Upstream, &str) -> Request<WasiBody>,
) -> DenialReason {
    let Lender {
        home,
        bench,
        mut tool,
        stand_in,
    } = lender(slot, value).await;
    assert_denied(send(&mut tool, made(&home, &stand_in)).await);
    assert!(home.received().is_empty());
    let refusals = bench.refusals();
    let [refusal] = &refusals[..] else {
        panic!("{refusals:?}");
    };
    refusal.clone()
}

#[tokio::test]
async fn a_stand_in_that_is_not_alone_in_its_slot_refuses_the_request() {
    let name = || "key".to_owned();
    let not_alone = || DenialReason::StandInNotAlone { name: name() };
    let twice = || DenialReason::StandInTwice { name: name() };
    let unknown = format!("tvs_{}", "x".repeat(43));
    for (values, reason) in [
        (vec!["Bearer {}x"], not_alone()),
        (vec!["Bearer {} "], not_alone()),
        (vec!["Bearer  {}"], not_alone()),
        (vec!["bearer {}"], not_alone()),
        (vec!["{}"], not_alone()),
        (vec!["Bearer x, {}"], not_alone()),
        (vec!["Bearer {}", "Bearer other"], not_alone()),
        (vec!["Bearer {} {}"], twice()),
        (vec!["Bearer {}", "Bearer {}"], twice()),
        (vec!["Bearer UNKNOWN"], DenialReason::StandInUnknown),
    ] {
        let refusal = refused(Slot::Bearer, VALUE, |home, stand_in| {
            let value = |it: &&str| it.replace("{}", stand_in).replace("UNKNOWN", &unknown);
            let values: Vec<String> = values.iter().map(value).collect();
            let headers: Vec<_> = values.iter().map(|it| ("authorization", &**it)).collect();
            with(home.url("/"), &headers)
        });
        assert_eq!(refusal.await, reason, "{values:?}");
    }
    let token = || header("authorization", Some("Token "));
    for (slot, name, value) in [
        (token(), "authorization", "Bearer {}"),
        (token(), "authorization", "{}"),
        (header("x-key", None), "x-key", "Token {}"),
        (header("x-key", None), "x-key", "{},"),
    ] {
        let refusal = refused(slot, VALUE, |home, stand_in| {
            with(home.url("/"), &[(name, &value.replace("{}", stand_in))])
        });
        assert_eq!(refusal.await, not_alone(), "{name}: {value}");
    }
    for (query, reason) in [
        ("key={}&key=other", not_alone()),
        ("key=other&key={}", not_alone()),
        ("key={}x", not_alone()),
        ("key={}&key={}", twice()),
        ("key={}{}", twice()),
    ] {
        let slot = Slot::query("key").expect("valid");
        let refusal = refused(slot, VALUE, |home, stand_in| {
            get(home.url(&format!("/?{}", query.replace("{}", stand_in))))
        });
        assert_eq!(refusal.await, reason, "{query}");
    }
}

#[tokio::test]
async fn a_stand_in_in_the_slot_of_another_secret_refuses_the_request() {
    for (slot, name, value) in [
        (Slot::Bearer, "authorization", "basic"),
        (Slot::Bearer, "x-other", "{}"),
        (Slot::Bearer, "query", "other={}"),
    ] {
        let Lender {
            home,
            bench,
            mut tool,
            stand_in,
        } = lender(slot, VALUE).await;
        let others = [
            Slot::Basic,
            header("x-other", None),
            Slot::query("other").expect("valid"),
        ];
        tool.stand_ins().declare("other", Arc::from(others));
        let request = match (name, value) {
            ("query", _) => get(home.url(&format!("/?{}", value.replace("{}", &stand_in)))),
            (_, "basic") => {
                let basic = format!("Basic {}", STANDARD.encode(format!("me:{stand_in}")));
                with(home.url("/"), &[(name, &basic)])
            }
            _ => with(home.url("/"), &[(name, &value.replace("{}", &stand_in))]),
        };
        assert_denied(send(&mut tool, request).await);
        assert!(
            matches!(&bench.refusals()[..], [DenialReason::StandInMisplaced { name, .. }] if name == "key"),
            "{name} {value}: {:?}",
            bench.refusals()
        );
        assert!(home.received().is_empty());
    }
}

#[tokio::test]
async fn a_stand_in_of_an_earlier_call_or_at_another_origin_refuses_the_request() {
    let Lender {
        home,
        bench,
        mut tool,
        stand_in,
    } = lender(Slot::Bearer, VALUE).await;
    let bearer = format!("Bearer {stand_in}");
    tool.stand_ins().start_call();
    assert_denied(
        send(
            &mut tool,
            with(home.url("/"), &[("authorization", &bearer)]),
        )
        .await,
    );
    let name = || "key".to_owned();
    assert_eq!(
        bench.refusals(),
        [DenialReason::StandInExpired { name: name() }]
    );

    let other = vec![origin("https://other.example")];
    let again = lend(&bench, &tool, "key", Slot::Bearer, VALUE, Some(other));
    let bearer = format!("Bearer {again}");
    assert_denied(
        send(
            &mut tool,
            with(home.url("/"), &[("authorization", &bearer)]),
        )
        .await,
    );
    assert_eq!(
        bench.refusals(),
        [DenialReason::SecretBoundElsewhere {
            name: name(),
            is_its_own: false,
        }]
    );
    assert!(home.received().is_empty());
}

#[tokio::test]
async fn a_stand_in_anywhere_else_refuses_the_request() {
    for (part, form) in [
        ("x-load", "{}"),
        ("x-load", "{base64}"),
        ("x-load", "{hex}"),
        ("cookie", "a={}"),
        ("header name", ""),
        ("path", "/{}"),
        ("path", "/?key={}"),
        ("path", "/?key={percent}"),
    ] {
        let refusal = refused(Slot::Bearer, VALUE, |home, stand_in| {
            let percent: String = stand_in.bytes().map(|it| format!("%{it:02x}")).collect();
            let form = form
                .replace("{}", stand_in)
                .replace("{base64}", &STANDARD.encode(stand_in))
                .replace("{hex}", &hex::encode(stand_in))
                .replace("{percent}", &percent);
            match part {
                "path" => get(home.url(&form)),
                "header name" => with(home.url("/"), &[(&*format!("x-{stand_in}"), "a")]),
                name => with(home.url("/"), &[(name, &form)]),
            }
        })
        .await;
        assert!(
            matches!(refusal, DenialReason::StandInMisplaced { .. }),
            "{part} {form}: {refusal:?}"
        );
    }
    for step in [1, 7, 47, 1000] {
        let Lender {
            home,
            bench,
            mut tool,
            stand_in,
        } = lender(Slot::Bearer, VALUE).await;
        let body = format!("beginning {stand_in} end");
        let chunks: Vec<Bytes> = body
            .as_bytes()
            .chunks(step)
            .map(Bytes::copy_from_slice)
            .collect();
        let request = request("POST", home.url("/"), "").map(|_| streamed(chunks));
        assert_denied(send(&mut tool, request).await);
        let place = StandInPlace::Body;
        let name = "key".to_owned();
        assert_eq!(
            bench.refusals(),
            [DenialReason::StandInMisplaced { name, place }]
        );
    }
}

#[tokio::test]
async fn a_value_that_cannot_stand_in_its_slot_is_said() {
    for (slot, value, says) in [
        (Slot::Bearer, "can\nary", "a line break"),
        (Slot::Bearer, "can\u{200b}ary", "not ASCII"),
        (Slot::Bearer, "\u{feff}", "nothing that can be seen"),
        (header("x-key", None), "can\r\nx: y", "a line break"),
        (Slot::Basic, "us:er", "a colon"),
    ] {
        let is_basic = slot == Slot::Basic;
        let name = if slot == header("x-key", None) {
            "x-key"
        } else {
            "authorization"
        };
        let refusal = refused(slot, value, |home, stand_in| {
            let sent = match (is_basic, name) {
                (true, _) => format!("Basic {}", STANDARD.encode(format!("{stand_in}:"))),
                (_, "x-key") => stand_in.to_owned(),
                _ => format!("Bearer {stand_in}"),
            };
            with(home.url("/"), &[(name, &sent)])
        })
        .await;
        assert!(
            matches!(refusal, DenialReason::SecretUnfit { .. }),
            "{value:?}: {refusal:?}"
        );
        let said = refusal.to_string();
        assert!(said.contains(says) && !said.contains("ary"), "{said}");
    }
}

#[tokio::test]
async fn what_came_along_with_the_value_is_left_out() {
    for value in [
        format!("Bearer {VALUE}"),
        format!("\u{feff}{VALUE}\n"),
        format!("Authorization: bearer {VALUE}"),
    ] {
        let Lender {
            home,
            mut tool,
            stand_in,
            ..
        } = lender(Slot::Bearer, &value).await;
        let bearer = format!("Bearer {stand_in}");
        let request = with(home.url("/"), &[("authorization", &bearer)]);
        send(&mut tool, request).await.expect("it is let out");
        let expected = format!("Bearer {VALUE}");
        assert_eq!(home.received()[0].headers["authorization"], expected);
    }
}

/// Repeats the credential in every part of its answer.
fn echo(received: &upstream::Received) -> Response<Full<Bytes>> {
    let sent = received.headers["authorization"].clone();
    let sent = sent.to_str().expect("text").replace("Bearer ", "");
    let body = format!("you sent {sent} and {}", STANDARD.encode(&sent));
    Response::builder()
        .header("x-sent", &sent)
        .header(format!("x-{}", sent.to_lowercase()), "1")
        .header("location", format!("/?key={sent}"))
        .body(Full::from(body))
        .expect("valid")
}

#[tokio::test]
async fn an_upstream_that_repeats_the_credential_shows_it_to_no_tool() {
    let home = Upstream::answering(echo).await;
    let bench = Bench::allowing(&[&home.origin]);
    let mut tool = bench.tool(&[&home.origin]);
    let stand_in = lend(&bench, &tool, "key", Slot::Bearer, VALUE, None);
    let bearer = format!("Bearer {stand_in}");
    let request = with(home.url("/"), &[("authorization", &bearer)]);
    let response = send(&mut tool, request).await.expect("it is let out");
    let headers = format!("{:?}", response.headers());
    let body = text(response).await.expect("whole");
    assert_eq!(body, "you sent [redacted:key] and [redacted:key]");
    assert!(headers.contains("[redacted:key]"), "{headers}");
    assert!(!headers.contains(VALUE), "{headers}");
    assert_eq!(*bench.echoed.lock().expect("not poisoned"), ["key", "key"]);
}

#[tokio::test]
async fn an_upstream_that_refuses_an_odd_credential_lets_the_tool_say_what_is_odd() {
    let refusing = |status: u16| {
        Upstream::answering(move |_| {
            Response::builder()
                .status(status)
                .header("tavora-credential-oddity", "is the upstream's own word")
                .body(Full::default())
                .expect("valid")
        })
    };
    for (status, value, told) in [
        (401, "\"quoted\"", Some("begins or ends with a quote")),
        (401, VALUE, None),
        (200, "\"quoted\"", None),
    ] {
        let home = refusing(status).await;
        let bench = Bench::allowing(&[&home.origin]);
        let mut tool = bench.tool(&[&home.origin]);
        let stand_in = lend(&bench, &tool, "key", Slot::Bearer, value, None);
        let bearer = format!("Bearer {stand_in}");
        let request = with(home.url("/"), &[("authorization", &bearer)]);
        let response = send(&mut tool, request).await.expect("it is let out");
        let header = response.headers().get("tavora-credential-oddity");
        let header = header.map(|it| it.to_str().expect("text"));
        assert_eq!(header, told, "{status} {value}");
    }
}

// An upstream can keep a credential from one instance, and send it to another one of the same run.
#[tokio::test]
async fn a_credential_that_one_instance_sent_is_shown_to_no_other() {
    let home = Upstream::answering(|_| Response::new(Full::from(VALUE))).await;
    let bench = Bench::allowing(&[&home.origin]);
    let mut other = bench.tool(&[&home.origin]);
    let early = send(&mut other, get(home.url("/"))).await.expect("let out");
    let mut tool = bench.tool(&[&home.origin]);
    let stand_in = lend(&bench, &tool, "key", Slot::Bearer, VALUE, None);
    let bearer = format!("Bearer {stand_in}");
    let request = with(home.url("/"), &[("authorization", &bearer)]);
    send(&mut tool, request).await.expect("it is let out");
    assert_eq!(text(early).await.expect("whole"), "[redacted:key]");
    let late = send(&mut other, get(home.url("/"))).await.expect("let out");
    assert_eq!(text(late).await.expect("whole"), "[redacted:key]");
}

//! Tests of how much of the host's resources strangers without a credential can use. They run the
//! binary as an operator does.

use std::io::{BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use serde_json::{Value, json};
use tavora_tests::eventually::{PATIENCE, report};
use tavora_tests::flood::{Flood, Head};
use tavora_tests::load::memory::{Sampler, resident_bytes};
use tavora_tests::serving::Serving;
use tavora_tests::wire::{Answer, Request, connect_from, read_answer};

use super::bodies::try_http2;

/// One of the addresses of loopback.
fn loopback(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

fn post(path: &str, headers: &[(&'static str, &str)]) -> Head {
    let pseudo = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
    ];
    let all = pseudo.iter().chain(headers);
    all.map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

/// The posts of an attacker who knows the checks before a body is read.
fn posts() -> Vec<Head> {
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let cookie = format!("tavora-sign-in={}", "A".repeat(43));
    vec![
        post("/admin/sign-in", &[form]),
        post(
            "/admin/sign-in",
            &[form, ("origin", "http://localhost"), ("cookie", &cookie)],
        ),
        post("/api/sdk/sandbox/execute", &[json]),
        post("/api/admin/apps", &[json]),
        post("/v1/chat/completions", &[json, ("x-api-key", "made-up")]),
        post("/healthz", &[]),
    ]
}

/// Asks for `/healthz` on new connections until it is told to stop. Returns the longest time of an
/// answer.
fn probe(serving: &Serving, is_over: &Arc<AtomicBool>) -> std::thread::JoinHandle<Duration> {
    let (address, is_over) = (serving.address, Arc::clone(is_over));
    std::thread::spawn(move || {
        let mut longest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            // On a busy machine a connection may be displaced before its request is read.
            while Request::new("GET", "/healthz")
                .send(address)
                .map(|it| it.status)
                .ok()
                != Some(200)
            {
                assert!(begun.elapsed() < PATIENCE, "a stranger alone is kept out");
            }
            longest = longest.max(begun.elapsed());
            std::thread::sleep(Duration::from_millis(100));
        }
        longest
    })
}

/// Asks with a valid key until `is_over`, each time on a new HTTP/2 connection. Returns the longest
/// time of an answer.
async fn ask_with_key(address: SocketAddr, key: &str, is_over: impl Fn() -> bool) -> Duration {
    let mut longest = Duration::ZERO;
    while !is_over() {
        let begun = Instant::now();
        // On a busy machine a connection may be displaced before its request is read.
        while answer_with_key(address, key).await != Some(200) {
            assert!(
                begun.elapsed() < PATIENCE,
                "a client with a key is kept out"
            );
        }
        longest = longest.max(begun.elapsed());
    }
    longest
}

/// The status of the answer on a new HTTP/2 connection; `None` if the connection ends before.
async fn answer_with_key(address: SocketAddr, key: &str) -> Option<u16> {
    let mut client = try_http2(address).await?;
    let request = axum::http::Request::get("http://localhost/api/sdk/secret-vaults")
        .header("x-api-key", key)
        .body(Full::default());
    let answer = client.send_request(request.expect("valid")).await;
    Some(answer.ok()?.status().as_u16())
}

/// The growth of the host's memory under a flood from these addresses, in bytes.
fn growth_under_flood(from: Vec<IpAddr>) -> u64 {
    let serving = Serving::start("");
    let app = serving.make_app("shop");
    let flood = Flood {
        to: serving.address,
        from,
        connections: 1_024,
        streams: 100,
        heads: posts(),
        body_bytes: 1 << 20,
    };
    let before = resident_bytes(serving.process_id()).expect("it runs");
    let sampler = Sampler::start(serving.process_id(), Duration::from_millis(50));
    let is_over = Arc::new(AtomicBool::new(false));
    let prober = probe(&serving, &is_over);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (flooded, longest_known) = runtime.block_on(async {
        let flooding = tokio::spawn(flood.run(Duration::from_secs(20)));
        let is_over = || flooding.is_finished();
        let longest = ask_with_key(serving.address, &app.key, is_over).await;
        (flooding.await.expect("no panic"), longest)
    });
    is_over.store(true, Ordering::Relaxed);
    let longest = prober.join().expect("every probe is answered");
    report("/healthz under a flood, at the most", longest);
    report(
        "a new HTTP/2 connection with a key, at the most",
        longest_known,
    );
    let samples = sampler.stop().expect("it runs");
    let most = samples.iter().map(|it| it.bytes).max().expect("sampled");
    let growth = most.saturating_sub(before);
    println!("it grew by {} MiB; {flooded:?}", growth >> 20);
    assert!(flooded.answers.load(Ordering::Relaxed) > 0, "{flooded:?}");
    growth
}

#[test]
fn a_flood_of_posts_without_a_credential_is_bounded_and_keeps_nobody_out() {
    let growth = growth_under_flood((2..10).map(loopback).collect());
    assert!(growth <= 64 << 20, "it grew by {growth} bytes");
}

/// Sends a head that promises a body, and reads the answer although no body follows.
fn head_alone(serving: &Serving, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = begun(serving, method, path, headers);
    let answer = read_answer(&mut BufReader::new(stream), false);
    answer.unwrap_or_else(|error| panic!("{method} {path} {headers:?}: {error}"))
}

/// Sends only the head of a request.
fn begun(serving: &Serving, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
    begun_from(loopback(1), serving, method, path, headers)
}

/// Sends only the head of a request, from this address.
fn begun_from(
    from: IpAddr,
    serving: &Serving,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> TcpStream {
    let mut stream = connect_from(from, serving.address).expect("it listens");
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}\r\n").expect("it reads");
    stream
}

/// A path with its parameters in braces filled.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part.starts_with('{') {
        true => "0198c0de-0000-7000-8000-000000000001",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn no_route_waits_for_a_body_before_it_has_seen_a_credential() {
    // A route that waited for the body would at best answer 408.
    let serving = Serving::start("[server.limits]\nrequest_body_timeout_ms = 1_000\n");
    let document = serving.send(&Request::new("GET", "/openapi.json")).json();
    let paths = document["paths"].as_object().expect("an object");
    let mut looked_at = 0;
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("an object") {
            if !["post", "put", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let method = method.to_uppercase();
            for kind in ["application/json", "text/plain"] {
                let headers = [("Content-Type", kind), ("Content-Length", "1000")];
                let answer = head_alone(&serving, &method, &filled(path), &headers);
                assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
            }
            assert!(operation["security"].is_array(), "{method} {path}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 10, "{looked_at}");

    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/crates/ui/src/lib.rs");
    let source = std::fs::read_to_string(source).expect("it is there");
    let quoted = source.split('"').skip(1).step_by(2);
    let routes: Vec<&str> = quoted.filter(|text| text.starts_with('/')).collect();
    assert!(routes.len() > 20, "{routes:?}");
    for route in routes {
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        let headers = [
            form,
            ("Content-Length", "1000"),
            ("Origin", "http://localhost"),
        ];
        let path = filled(&format!("/admin{route}"));
        let answer = head_alone(&serving, "POST", path.trim_end_matches('/'), &headers);
        let refused = [303, 308, 403, 404, 405];
        assert!(refused.contains(&answer.status), "{path}: {answer:?}");
    }
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const ORIGIN: (&str, &str) = ("Origin", "http://localhost");

/// The cookie of a browser that asked for the sign-in form.
fn sign_in_cookie(serving: &Serving) -> String {
    let form = serving.send(&Request::new("GET", "/admin/sign-in"));
    let cookie = form.header("set-cookie").expect("a cookie");
    cookie.split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_form_to_sign_in_with_is_refused_by_its_head_and_read_to_a_limit_of_its_own() {
    let serving = Serving::start("[server.auth_failures]\nburst = 1\nper_minute = 1\n");
    let cookie = sign_in_cookie(&serving);
    let (cookie, short) = (("Cookie", cookie.as_str()), ("Content-Length", "1000"));
    for (headers, status) in [
        (vec![FORM, ORIGIN, short], 403),
        (vec![FORM, cookie, short], 403),
        (
            vec![FORM, ("Origin", "http://elsewhere"), cookie, short],
            403,
        ),
        (
            vec![("Content-Type", "text/plain"), ORIGIN, cookie, short],
            400,
        ),
        (vec![FORM, ORIGIN, cookie, ("Content-Length", "4097")], 413),
    ] {
        let answer = head_alone(&serving, "POST", "/admin/sign-in", &headers);
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        if status == 413 {
            let text = answer.text();
            assert!(text.contains("admin.max_sign_in_bytes (4096)"), "{text}");
        }
    }
    // A body without a declared length is read up to the limit.
    let chunked = [FORM, ORIGIN, cookie, ("Transfer-Encoding", "chunked")];
    let mut stream = begun(&serving, "POST", "/admin/sign-in", &chunked);
    write!(stream, "1001\r\n{}\r\n", "x".repeat(0x1001)).expect("it reads");
    let answer = read_answer(&mut BufReader::new(stream), false).expect("it answers");
    assert_eq!(answer.status, 413, "{answer:?}");

    let apps = Request::new("GET", "/api/admin/apps").header("authorization", "Bearer wrong");
    assert_eq!(serving.send(&apps).status, 401);
    let throttled = [FORM, ORIGIN, cookie, short];
    let answer = head_alone(&serving, "POST", "/admin/sign-in", &throttled);
    assert_eq!(answer.status, 429, "{answer:?}");
}

/// Begins to send forms from this address until one is answered, and returns that answer. The other
/// forms are kept in `held`.
fn first_answer(
    serving: &Serving,
    from: IpAddr,
    headers: &[(&str, &str)],
    held: &mut Vec<TcpStream>,
) -> Answer {
    loop {
        let stream = begun_from(from, serving, "POST", "/admin/sign-in", headers);
        let waits = Some(Duration::from_millis(100));
        stream.set_read_timeout(waits).expect("not zero");
        held.push(stream);
        let mut byte = [0];
        let answered = |stream: &TcpStream| stream.peek(&mut byte).is_ok();
        if let Some(index) = held.iter().position(answered) {
            let stream = held.remove(index);
            let answer = read_answer(&mut BufReader::new(stream), false);
            return answer.expect("it is there");
        }
        // The budgets of these tests have room for only a few forms.
        assert!(held.len() < 200, "no form is refused");
    }
}

/// Returns a guess of the admin token, with these headers.
fn guess(headers: &[(&str, &str)]) -> Request {
    let request = Request::new("POST", "/admin/sign-in").body("admin_token=x");
    headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

#[test]
fn bodies_of_strangers_share_one_budget_in_which_the_oldest_gives_way() {
    let serving = Serving::start("[server.limits]\nmax_stranger_body_bytes = 20_000\n");
    let cookie = sign_in_cookie(&serving);
    let headers = [
        FORM,
        ORIGIN,
        ("Cookie", &cookie),
        ("Content-Length", "4000"),
    ];
    let mut held = Vec::new();
    let answer = first_answer(&serving, loopback(2), &headers, &mut held);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let text = answer.text();
    assert!(
        text.contains("server.limits.max_stranger_body_bytes (20000)"),
        "{text}"
    );
    // The budget is full all the time. A form that has arrived is still answered at once, for any
    // peer.
    for number in [1, 2, 3, 3] {
        let answer = guess(&headers[..3]).send_from(loopback(number), serving.address);
        assert_eq!(answer.expect("it answers").status, 403);
        first_answer(&serving, loopback(2), &headers, &mut held);
    }
    // An unfinished form of another peer stays, because the first peer has more of them.
    let mut slow = begun_from(loopback(3), &serving, "POST", "/admin/sign-in", &headers);
    for _ in 0..5 {
        first_answer(&serving, loopback(2), &headers, &mut held);
    }
    write!(slow, "admin_token=x{}", "&".repeat(4_000 - 13)).expect("it reads");
    let answer = read_answer(&mut BufReader::new(slow), false).expect("it answers");
    assert_ne!(answer.status, 503, "{answer:?}");
    // A caller with a credential is not affected.
    serving.make_app("shop");
    let metrics = serving.send(&Request::new("GET", "/metrics")).text();
    let hit = r#"tavora_limits_hit_total{limit="server.limits.max_stranger_body_bytes"} "#;
    assert!(metrics.contains(hit), "{metrics}");
}

#[test]
fn one_peer_has_a_part_of_the_strangers_budget_in_which_its_oldest_gives_way() {
    let serving = Serving::start("[server.limits]\nmax_stranger_body_bytes_per_peer = 20_000\n");
    let cookie = sign_in_cookie(&serving);
    let headers = [
        FORM,
        ORIGIN,
        ("Cookie", &cookie),
        ("Content-Length", "4000"),
    ];
    let mut held = Vec::new();
    let text = first_answer(&serving, loopback(1), &headers, &mut held).text();
    let limit = "server.limits.max_stranger_body_bytes_per_peer (20000)";
    assert!(text.contains(limit), "{text}");
    // A whole form is answered, whether it comes from this peer or from another.
    for number in [1, 2] {
        let other = guess(&headers[..3]).send_from(loopback(number), serving.address);
        assert_eq!(other.expect("it answers").status, 403);
        first_answer(&serving, loopback(1), &headers, &mut held);
    }
}

#[test]
fn bodies_of_those_who_are_known_share_another_one() {
    let serving = Serving::start("[server.limits]\nmax_collected_bytes = 100_000\n");
    let app = serving.make_app("shop");
    let body = json!({ "name": "main", "metadata": { "text": "x".repeat(60_000) } });
    let ask = |body: &Value| {
        let request = Request::new("POST", "/api/sdk/secret-vaults").json(body);
        serving.send(&request.header("x-api-key", &app.key))
    };
    let answer = ask(&body);
    assert_ne!(answer.status, 503, "{answer:?}");
    let body = json!({ "name": "main", "metadata": { "text": "x".repeat(120_000) } });
    let answer = ask(&body);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["code"], "busy");
    assert_eq!(ask(&json!({ "name": "other" })).status, 201);
}

/// The platform's audit entries of an action, read by a command.
fn entries(serving: &Serving, action: &str) -> Vec<Value> {
    let tail = serving.run(&["audit", "tail", "-n", "1000", "--json"]);
    assert_eq!(tail.status, 0, "{tail:?}");
    let entries = serde_json::Deserializer::from_str(&tail.stdout).into_iter::<Value>();
    let entries = entries.map(|entry| entry.expect("JSON"));
    let entries = entries.flat_map(|entry| match entry {
        Value::Array(entries) => entries,
        entry => vec![entry],
    });
    entries.filter(|entry| entry["action"] == action).collect()
}

#[test]
fn refused_sign_ins_of_many_peers_are_counted_in_one_entry() {
    let mut serving = Serving::start("[server.auth_failures]\nmax_audited_per_minute = 3\n");
    let form = Request::new("GET", "/admin/sign-in");
    for number in 2..12 {
        let form = form
            .send_from(loopback(number), serving.address)
            .expect("it answers");
        let (cookie, token) = cookie_and_token(&form);
        let body = format!("admin_token=a-guess-of-this-peer&form_token={token}");
        let guess = [FORM, ORIGIN, ("Cookie", &cookie)].iter().fold(
            Request::new("POST", "/admin/sign-in"),
            |request, (name, value)| request.header(name, value),
        );
        let answer = guess
            .body(body)
            .send_from(loopback(number), serving.address);
        assert_eq!(answer.expect("it answers").status, 403);
    }
    serving.halt();
    let refused = entries(&serving, "admin.sign_in_refused");
    let named = refused
        .iter()
        .filter(|it| it["metadata"]["peer"].is_string());
    let counts = refused
        .iter()
        .filter_map(|it| it["metadata"]["count"].as_u64());
    assert_eq!(named.count(), 3, "{refused:#?}");
    assert_eq!(counts.collect::<Vec<_>>(), [7], "{refused:#?}");
}

fn cookie_and_token(form: &Answer) -> (String, String) {
    let cookie = form.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let text = form.text();
    let (_, after) = text
        .split_once("name=\"form_token\" value=\"")
        .expect("a field");
    (cookie, after.split('"').next().expect("a value").to_owned())
}

#[test]
fn a_client_behind_a_trusted_proxy_is_throttled_alone() {
    let settings = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n\
                    [server.auth_failures]\nburst = 3\nper_minute = 1\n";
    let mut serving = Serving::start(settings);
    let ask = |token: &str, client: &str, from: IpAddr| {
        let request = Request::new("GET", "/api/admin/apps")
            .header("authorization", format!("Bearer {token}"))
            .header("x-forwarded-for", format!("198.51.100.7, {client}"));
        let answer = request.send_from(from, serving.address);
        answer.expect("it answers").status
    };
    let (proxy, token) = (loopback(1), serving.admin_token.clone());
    let flood = [(); 5].map(|()| ask("wrong", "203.0.113.1", proxy));
    assert_eq!(flood, [401, 401, 401, 429, 429]);
    assert_eq!(ask(&token, "203.0.113.1", proxy), 429);
    assert_eq!(ask(&token, "203.0.113.2", proxy), 200);
    // Headers of a peer that is no configured proxy are not believed.
    let flood =
        [0, 1, 2, 3].map(|number| ask("wrong", &format!("203.0.113.9{number}"), loopback(9)));
    assert_eq!(flood, [401, 401, 401, 429]);

    let form = serving.send(&Request::new("GET", "/admin/sign-in"));
    let (cookie, form_token) = cookie_and_token(&form);
    let guess = Request::new("POST", "/admin/sign-in")
        .header(FORM.0, FORM.1)
        .header(ORIGIN.0, ORIGIN.1)
        .header("cookie", cookie)
        .header("forwarded", "for=\"[2001:db8::7]:4711\";proto=https")
        .body(format!("admin_token=wrong&form_token={form_token}"));
    assert_eq!(serving.send(&guess).status, 403);
    serving.halt();
    let refused = entries(&serving, "admin.sign_in_refused");
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(refused[0]["metadata"]["peer"], "2001:db8::7");
}

#[test]
fn a_scrape_counts_nothing_while_the_last_count_is_young() {
    let rows = |serving: &Serving| {
        let text = serving.send(&Request::new("GET", "/metrics")).text();
        let line = text.lines().find(|it| it.starts_with("tavora_kek_rows{"));
        assert!(text.contains("tavora_kek_counts_age_seconds"), "{text}");
        line.map(|line| line.rsplit(' ').next().expect("a number").to_owned())
    };
    let store = |serving: &Serving, names: &[&str]| {
        let app = serving.make_app(names[0]);
        let key = |request: Request| serving.send(&request.header("x-api-key", &app.key));
        let made =
            key(Request::new("POST", "/api/sdk/secret-vaults").json(&json!({ "name": "v" })));
        let vault = made.json()["id"].as_str().expect("an id").to_owned();
        for name in names {
            let path = format!("/api/sdk/secret-vaults/{vault}/secrets/{name}");
            let put = key(Request::new("PUT", path).json(&json!({ "value": "a-value-to-store" })));
            assert!([200, 201].contains(&put.status), "{put:?}");
        }
    };
    let serving = Serving::start("[server.limits]\nkek_counts_max_age_ms = 3_600_000\n");
    store(&serving, &["one"]);
    assert_eq!(rows(&serving).as_deref(), Some("1"));
    store(&serving, &["two", "three"]);
    for _ in 0..20 {
        assert_eq!(
            rows(&serving).as_deref(),
            Some("1"),
            "a scrape counted the rows anew"
        );
    }
    drop(serving);
    let serving = Serving::start("[server.limits]\nkek_counts_max_age_ms = 1\n");
    store(&serving, &["one"]);
    assert!(rows(&serving).is_some());
    store(&serving, &["two", "three"]);
    while rows(&serving).as_deref() != Some("3") {
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! Bodies that cannot be read: not JSON, of another type, too long.

use serde_json::json;
use tavora_tests::wire::{Request, connect, exchange, read_answer};

use crate::fixture::{Platform, all_refused, case, is_refusal, typed};
use crate::operations::operations;

#[test]
fn a_body_as_programs_of_windows_write_it_is_read_or_named() {
    let platform = Platform::start();
    let post = |body: Vec<u8>| {
        let request = platform.request("POST", "/api/sdk/sandbox/execute");
        platform.send(&typed(request, body))
    };
    let text = r#"{"code": "return 1"}"#;
    let marked = post(format!("\u{feff}{text}").into_bytes());
    assert_eq!(marked.status, 200, "{}", marked.text());
    assert_eq!(marked.json()["result"], 1);
    let wide = post(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    is_refusal("UTF-16", &wide, 400, "invalid_json");
    assert!(wide.text().contains("UTF-16"), "{}", wide.text());
}

#[test]
fn half_of_a_surrogate_pair_in_a_program_is_mended_as_in_its_input() {
    let platform = Platform::start();
    for body in [
        r#"{"code": "return 'x \ud83d'"}"#,
        r#"{"code": "return input", "input": "x \ud83d"}"#,
    ] {
        let request = platform.request("POST", "/api/sdk/sandbox/execute");
        let answer = platform.send(&typed(request, body));
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_eq!(answer.json()["result"], "x \u{fffd}", "{body}");
    }
}

#[test]
fn what_is_not_json_is_refused_on_every_route_with_a_body() {
    let platform = Platform::start();
    let deep = 10_000;
    // FIELD stands for a field that the route knows.
    let cases = [
        case("nothing", "", "invalid_json"),
        case("spaces", " \n ", "invalid_json"),
        case("half an object", r#"{"FIELD": "#, "invalid_json"),
        case("a comment", r#"{"FIELD": "a" /* b */}"#, "invalid_json"),
        case("a comma too many", r#"{"FIELD": "a",}"#, "invalid_json"),
        case("single quotes", "{'FIELD': 'a'}", "invalid_json"),
        case("two byte order marks", "\u{feff}\u{feff}{}", "invalid_json"),
        case("a form", "name=a&value=b", "invalid_json"),
        case(
            "a raw newline in a string",
            "{\"FIELD\": \"a\nb\"}",
            "invalid_json",
        ),
        case("an array", "[]", "invalid_body"),
        case("a string", r#""name""#, "invalid_body"),
        case("null", "null", "invalid_body"),
        // An array with each field at its place.
        case("fields without names", r#"["a", {}]"#, "invalid_body"),
        case("one field without a name", r#"["a"]"#, "invalid_body"),
        case("an empty field", "[null]", "invalid_body"),
        case("10,000 arrays", "[".repeat(deep), "invalid_json"),
        case(
            "10,000 arrays, closed",
            "[".repeat(deep) + &"]".repeat(deep),
            "invalid_body",
        ),
    ];
    let secret = platform.in_vault("/secrets/first");
    for (method, path, whole) in [
        ("POST", "/api/sdk/secret-vaults", r#"{"name": "a"}"#),
        ("PATCH", &*platform.in_vault(""), r#"{"metadata": {}}"#),
        ("PUT", &*secret, r#"{"value": "b"}"#),
        ("PUT", "/api/sdk/app/vault", r#"{"vault_id": null}"#),
        ("PUT", "/api/sdk/project/vault", r#"{"vault_id": null}"#),
        ("POST", "/api/sdk/sandbox/execute", r#"{"code": "c"}"#),
    ] {
        let field = whole.split('"').nth(1).expect("a name");
        let of_route = cases
            .clone()
            .map(|(what, body, code)| case(what, body.replace("FIELD", field), code));
        all_refused(&platform, method, path, &of_route);
        let of_route = [
            case("two bodies", format!("{whole} {{}}"), "invalid_json"),
            case(
                "half of another field",
                whole.replace('}', r#", "other"#),
                "invalid_json",
            ),
        ];
        all_refused(&platform, method, path, &of_route);
        let request = typed(
            platform.request(method, path),
            &b"{\"name\": \"\xff\", \"value\": \"\xff\"}"[..],
        );
        platform.refused("bytes that are not UTF-8", &request, 400, "invalid_json");
        let text: Vec<u8> = r#"{"name": "a"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let request = typed(platform.request(method, path), text);
        platform.refused("UTF-16", &request, 400, "invalid_json");
    }
}

#[test]
fn another_content_type_is_refused() {
    let platform = Platform::start();
    let body = r#"{"name": "a"}"#;
    for kind in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "json",
        "",
    ] {
        let request = platform.request("POST", "/api/sdk/secret-vaults");
        let request = request.header("content-type", kind).body(body);
        platform.refused(kind, &request, 415, "unsupported_media_type");
    }
    let request = platform
        .request("POST", "/api/sdk/secret-vaults")
        .body(body);
    platform.refused("none", &request, 415, "unsupported_media_type");
    // Each of these is JSON, however it is spelled.
    for (name, kind) in [
        ("a", "application/json; charset=utf-8"),
        ("b", "Application/JSON"),
        ("c", "application/merge-patch+json"),
    ] {
        let request = platform.request("POST", "/api/sdk/secret-vaults");
        let request = request
            .header("content-type", kind)
            .body(json!({ "name": name }).to_string());
        assert_eq!(platform.send(&request).status, 201, "{kind}");
    }
}

#[test]
fn a_compressed_body_is_refused_on_every_route_that_takes_one() {
    let platform = Platform::start();
    let token = format!("Bearer {}", platform.serving.admin_token);
    let cookie = format!("tavora-sign-in={}", "A".repeat(43));
    let sign_in = Request::new("POST", "/admin/sign-in")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", cookie)
        .header("content-encoding", "gzip")
        .header("origin", "http://localhost")
        .header("authorization", token);
    let answer = platform.send(&sign_in.body(PACKED));
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header("accept-encoding"), Some("identity"));
    assert!(
        answer.text().contains("Content-Encoding"),
        "{}",
        answer.text()
    );

    let before = platform.state();
    let with_body = operations(&platform)
        .into_iter()
        .filter(|it| it.body.is_some());
    for operation in with_body {
        for coding in ["gzip", "br", "identity, zstd", "DEFLATE", "made-up"] {
            let what = format!("{} {coding}", operation.name());
            let request = operation
                .request(&platform, "")
                .header("content-encoding", coding);
            let answer = platform.send(&typed(request, PACKED));
            is_refusal(&what, &answer, 415, "unsupported_content_encoding");
            assert_eq!(answer.header("accept-encoding"), Some("identity"), "{what}");
            let message = answer.json()["message"].to_string();
            assert!(message.contains("Content-Encoding"), "{what}: {message}");
        }
    }
    assert_eq!(platform.state(), before, "something changed");
    let plain = platform
        .request("POST", "/api/sdk/secret-vaults")
        .header("content-encoding", "identity")
        .json(&json!({ "name": "plain" }));
    assert_eq!(platform.send(&plain).status, 201);
}

/// `{}`, compressed with gzip.
const PACKED: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0,
];

#[test]
fn a_body_over_the_limit_is_refused_and_its_client_reads_why() {
    const LIMIT: usize = 1 << 20;
    let platform = Platform::start();
    let body = |bytes: usize, name: &str| {
        let name = json!({ "name": name }).to_string();
        // Blanks after a value are part of the body but not of the value.
        name.clone() + &" ".repeat(bytes - name.len())
    };
    let create = || platform.request("POST", "/api/sdk/secret-vaults");
    let request = typed(create(), body(LIMIT + 1, "declared"));
    platform.refused("1 MiB and a byte", &request, 413, "body_too_large");
    let request = typed(create(), body(7 << 20, "declared"));
    platform.refused("7 MiB", &request, 413, "body_too_large");

    let chunked = |bytes: usize, name: &str| {
        let head = typed(create().header("transfer-encoding", "chunked"), "").bytes();
        let head = String::from_utf8(head)
            .expect("ASCII")
            .replace("content-length: 0\r\n", "");
        [
            head.as_bytes(),
            format!("{bytes:x}\r\n").as_bytes(),
            body(bytes, name).as_bytes(),
            b"\r\n0\r\n\r\n",
        ]
        .concat()
    };
    let before = platform.state();
    let answer = exchange(
        platform.serving.address,
        &chunked(LIMIT + 1, "chunked"),
        false,
    );
    is_refusal(
        "chunked",
        &answer.expect("the refusal is read"),
        413,
        "body_too_large",
    );
    assert_eq!(platform.state(), before, "something changed");

    // This body has the largest allowed size.
    assert_eq!(
        platform.send(&typed(create(), body(LIMIT, "whole"))).status,
        201
    );
    let answer = exchange(
        platform.serving.address,
        &chunked(LIMIT, "whole, chunked"),
        false,
    );
    assert_eq!(answer.expect("an answer").status, 201);

    // A client that would reuse the connection is told not to.
    let request = typed(create(), body(LIMIT + 1, "kept alive")).bytes();
    let head = request.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, rest) = request.split_at(head.expect("a head ends"));
    let head = String::from_utf8_lossy(head).replace("connection: close\r\n", "");
    let request = [head.as_bytes(), rest].concat();
    let answer = exchange(platform.serving.address, &request, false).expect("an answer");
    is_refusal("kept alive", &answer, 413, "body_too_large");
    assert_eq!(answer.header("connection"), Some("close"));

    // A declared length that is too large is refused at once, without waiting for the body.
    let head = String::from_utf8(typed(create(), "").bytes()).expect("ASCII");
    let head = head.replace("content-length: 0", "content-length: 1099511627776");
    let mut stream = connect(platform.serving.address).expect("it listens");
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("it reads");
    let answer = read_answer(&mut std::io::BufReader::new(stream), false);
    is_refusal(
        "a terabyte",
        &answer.expect("the refusal is read"),
        413,
        "body_too_large",
    );
}

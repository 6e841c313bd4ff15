//! Tests of secrets that are bound to origins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::sync::mpsc;

use super::upstream::Upstream;
use super::*;

const BOUND: &str = "bound/secret+0123456789";
const FREE: &str = "free-secret-0123456789";

struct Two {
    home: Upstream,
    other: Upstream,
    bench: Bench,
    tool: Egress,
}

/// Returns a tool with two origins. One of its secrets is bound to the first.
async fn two() -> Two {
    let (home, other) = (Upstream::fine().await, Upstream::fine().await);
    let bench = Bench::allowing(&[&home.origin, &other.origin]);
    bench.released.add("free", FREE, None);
    bench
        .released
        .add("bound", BOUND, Some(std::slice::from_ref(&home.origin)));
    let tool = bench.tool(&[&home.origin, &other.origin]);
    Two {
        home,
        other,
        bench,
        tool,
    }
}

fn bound_elsewhere() -> [DenialReason; 1] {
    [DenialReason::SecretBoundElsewhere {
        name: "bound".to_owned(),
        is_its_own: false,
    }]
}

fn with_header(url: String, value: &str) -> Request<WasiBody> {
    let mut request = get(url);
    let value = HeaderValue::from_str(value).expect("a value");
    request.headers_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn a_bound_secret_goes_home_and_a_free_one_everywhere() {
    let Two {
        home,
        other,
        bench,
        mut tool,
    } = two().await;
    let bearer = format!("Bearer {BOUND}");
    assert!(
        send(&mut tool, with_header(home.url("/"), &bearer))
            .await
            .is_ok()
    );
    assert_eq!(home.received()[0].headers["authorization"], bearer);
    let both = request("POST", home.url("/"), BOUND);
    assert!(send(&mut tool, both).await.is_ok());
    assert_eq!(home.received()[1].body, BOUND);
    assert!(
        send(&mut tool, with_header(other.url("/"), FREE))
            .await
            .is_ok()
    );
    let free = request("POST", other.url("/"), FREE)
        .map(|_| streamed([Bytes::from_static(FREE.as_bytes())]));
    assert!(send(&mut tool, free).await.is_ok());
    assert_eq!(other.received()[1].body, FREE);
    assert_eq!(bench.refusals(), []);
}

#[tokio::test]
async fn a_bound_secret_leaves_in_no_header_and_no_url_of_another_origin() {
    let Two {
        other,
        bench,
        mut tool,
        ..
    } = two().await;
    let basic = STANDARD.encode(format!("user:{BOUND}"));
    for value in [
        BOUND,
        &format!("Bearer {BOUND}"),
        &format!("Basic {basic}"),
        &hex::encode(BOUND),
    ] {
        assert_denied(send(&mut tool, with_header(other.url("/"), value)).await);
        assert_eq!(bench.refusals(), bound_elsewhere(), "{value}");
    }
    for path in [
        "/?key=bound/secret+0123456789",
        "/?key=bound%2Fsecret%2B0123456789",
        "/b%6Fund%2fsecret+0123456789",
        "/bound/secret%2B0123456789",
    ] {
        assert_denied(send(&mut tool, get(other.url(path))).await);
        assert_eq!(bench.refusals(), bound_elsewhere(), "{path}");
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_bound_secret_leaves_in_no_body_however_it_is_split() {
    for step in [1, 3, 10, 1000] {
        let Two {
            other,
            bench,
            mut tool,
            ..
        } = two().await;
        for secret in [BOUND.to_owned(), STANDARD.encode(format!("x{BOUND}"))] {
            let body = Bytes::from(format!("{{\"key\":\"{secret}\"}}"));
            let len = body.len();
            let chunks: Vec<Bytes> = (0..len)
                .step_by(step)
                .map(|at| body.slice(at..len.min(at + step)))
                .collect();
            let request = request("POST", other.url("/"), "").map(|_| streamed(chunks));
            assert_denied(send(&mut tool, request).await);
            assert_eq!(bench.refusals(), bound_elsewhere(), "in steps of {step}");
        }
        assert_eq!(other.received().len(), 0);
    }
}

/// Returns a body that the test feeds while it is sent.
fn fed() -> (mpsc::UnboundedSender<&'static [u8]>, WasiBody) {
    let (feed, mut fed) = mpsc::unbounded_channel();
    let chunks = futures::stream::poll_fn(move |context| fed.poll_recv(context));
    let frames =
        futures::StreamExt::map(chunks, |chunk| Ok(Frame::data(Bytes::from_static(chunk))));
    (feed, StreamBody::new(frames).boxed_unsync())
}

#[tokio::test]
async fn not_one_byte_of_a_bound_secret_is_sent_before_it_is_found() {
    let (seen, mut arrived) = mpsc::unbounded_channel();
    let spy = Upstream::serving("127.0.0.1:0", move |mut stream| {
        let seen = seen.clone();
        async move {
            let mut body = Vec::new();
            while tokio::io::AsyncReadExt::read_buf(&mut stream, &mut body)
                .await
                .unwrap_or(0)
                > 0
            {}
            let _ = seen.send(body);
        }
    })
    .await;
    let bench = Bench::allowing(&[&spy.origin]);
    let mut tool = bench.tool(&[&spy.origin]);
    let (feed, body) = fed();
    let request = request("POST", spy.url("/"), "").map(|_| body);
    let sending = tool.send_request(request, None, Box::new(async { Ok(()) }));
    let sending = tokio::spawn(Box::into_pin(sending));
    feed.send(b"begin;").expect("taken");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    // The secret is released only after the request has begun.
    bench.released.add("bound", BOUND, Some(&[]));
    let (first, rest) = BOUND.as_bytes().split_at(BOUND.len() - 1);
    feed.send(first).expect("taken");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    feed.send(rest).expect("taken");
    assert_denied(sending.await.expect("no panic"));
    assert_eq!(bench.refusals(), bound_elsewhere());
    let sent = String::from_utf8(arrived.recv().await.expect("what arrived")).expect("UTF-8");
    assert!(sent.contains("begin;"), "{sent}");
    assert!(!sent.contains("bound"), "{sent}");
}

#[tokio::test]
async fn what_only_begins_like_a_bound_secret_is_sent_in_full() {
    let Two {
        other,
        bench,
        mut tool,
        ..
    } = two().await;
    let chunks = [
        &b"a bound/sec"[..],
        b"ret+012",
        b" or bound/",
        b"secret+01234",
    ];
    let request =
        request("POST", other.url("/"), "").map(|_| streamed(chunks.map(Bytes::from_static)));
    assert!(send(&mut tool, request).await.is_ok());
    assert_eq!(other.received()[0].body, chunks.concat());
    assert_eq!(bench.refusals(), []);
}

#[tokio::test]
async fn trailers_are_checked_like_headers() {
    for (name, value, reason) in [
        ("x-trailer", BOUND, bound_elsewhere()),
        (
            "transfer-encoding",
            "x",
            [DenialReason::HeaderRefused {
                header: "transfer-encoding".to_owned(),
            }],
        ),
    ] {
        let Two {
            other,
            bench,
            mut tool,
            ..
        } = two().await;
        let mut trailers = http::HeaderMap::new();
        trailers.insert(name, HeaderValue::from_static(value));
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"body"))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
        let request = request("POST", other.url("/"), "").map(|_| body);
        assert_denied(send(&mut tool, request).await);
        assert_eq!(bench.refusals(), reason);
    }
}

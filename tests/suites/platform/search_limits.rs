//! Brave's limits on searches: a limit per second is waited for, a monthly one is not.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use tavora_tests::fixture::Fixture;
use tavora_tests::upstream::{Upstream, search_results};

const BODY: &str = r#"{"type":"ErrorResponse","error":{"status":429,"code":"RATE_LIMITED","detail":"Request rate limit exceeded for plan."}}"#;

/// A 429 with Brave's lists.
fn limited(remaining: &str) -> Response<Body> {
    Response::builder()
        .status(429)
        .header("content-type", "application/json")
        .header("x-ratelimit-limit", "1, 2000")
        .header("x-ratelimit-policy", "1;w=1, 2000;w=2592000")
        .header("x-ratelimit-remaining", remaining)
        .header("x-ratelimit-reset", "1, 1419704")
        .body(Body::from(BODY))
        .expect("valid")
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_at_once_wait_for_the_plan_with_one_in_a_second() {
    let taken = Mutex::new(None::<Instant>);
    let upstream = Upstream::start(move |_| {
        let mut taken = taken.lock().expect("no holder panics");
        match *taken {
            Some(last) if last.elapsed() < Duration::from_secs(1) => limited("0, 500"),
            _ => {
                *taken = Some(Instant::now());
                search_results(&["found"])
            }
        }
    })
    .await;
    let fixture = Fixture::searching(upstream.url()).await;
    // The program makes as many calls at once as one run may have.
    let code = "return tools.all([1, 2, 3, 4, 5, 6, 7, 8].map(i => ({tool: 'brave-search', operation: 'search', input: {query: 'x'}}))).filter(o => !o.ok)";
    assert_eq!(fixture.result(code).await, "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_months_quota_that_is_used_up_is_told_and_not_waited_for() {
    for remaining in ["1, 0", "0, 0"] {
        let upstream = Upstream::start(move |_| limited(remaining)).await;
        let fixture = Fixture::searching(upstream.url()).await;
        let code = "try { search('x'); return 'no error' } catch (e) { return e.message }";
        let message = fixture.result(code).await;
        for part in ["2000 requests in 30 days is used up", "again in 16.5 days"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("try again"), "{message}");
        assert_eq!(upstream.seen().len(), 1);
    }
}

//! Tests of which requests share a connection.

use std::time::Duration;

use super::upstream::Upstream;
use super::*;

async fn fetch(tool: &mut Egress, upstream: &Upstream) {
    let response = send(tool, get(upstream.url("/")))
        .await
        .expect("a response");
    assert_eq!(text(response).await.expect("a body"), "ok");
}

/// Lets the client return a finished connection to its pool.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_connection_serves_one_app_and_one_tool_only() {
    let upstream = Upstream::fine().await;
    let bench = Bench::allowing(&[&upstream.origin]);
    for _ in 0..2 {
        // A new instance of the same tool for the same app.
        fetch(&mut bench.tool_of("app-1", &[&upstream.origin]), &upstream).await;
        settle().await;
    }
    assert_eq!(upstream.connections(), 1);
    fetch(&mut bench.tool_of("app-2", &[&upstream.origin]), &upstream).await;
    assert_eq!(upstream.connections(), 2);

    let scope = EgressScope {
        app: "app-1".to_owned(),
        tool: "llm-router".to_owned(),
    };
    let granted = [upstream.origin.clone()];
    let log = Arc::new(|_: &EgressDenied| ());
    let mut other_tool = bench.pool.open(scope, granted, bench.released.clone(), log);
    fetch(&mut other_tool, &upstream).await;
    assert_eq!(upstream.connections(), 3);
    assert_eq!(bench.pool.pool_count(), 3);
}

#[tokio::test]
async fn the_pool_that_was_not_used_for_longest_goes_first() {
    let upstream = Upstream::fine().await;
    let bench = Bench::new(settings_with(&[&upstream.origin], "max_pools = 2"));
    for app in ["a", "b", "a", "c"] {
        fetch(&mut bench.tool_of(app, &[&upstream.origin]), &upstream).await;
        settle().await;
    }
    assert_eq!(bench.pool.pool_count(), 2);
    assert_eq!(upstream.connections(), 3);
    fetch(&mut bench.tool_of("a", &[&upstream.origin]), &upstream).await;
    assert_eq!(
        upstream.connections(),
        3,
        "the pool of a was in use and stayed"
    );
    fetch(&mut bench.tool_of("b", &[&upstream.origin]), &upstream).await;
    assert_eq!(upstream.connections(), 4, "the pool of b is gone");
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_a_time() {
    let upstream = Upstream::fine().await;
    for (idle_ms, connections) in [(60_000, 1), (30, 2)] {
        let before = upstream.connections();
        let limits = format!("pool_idle_timeout_ms = {idle_ms}");
        let bench = Bench::new(settings_with(&[&upstream.origin], &limits));
        let mut tool = bench.tool(&[&upstream.origin]);
        fetch(&mut tool, &upstream).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        fetch(&mut tool, &upstream).await;
        assert_eq!(upstream.connections() - before, connections);
    }
}

#[tokio::test]
async fn only_so_many_unused_connections_are_kept() {
    let upstream = Upstream::fine().await;
    let settings = settings_with(&[&upstream.origin], "max_idle_connections_per_origin = 1");
    let bench = Bench::new(settings);
    let mut tool = bench.tool(&[&upstream.origin]);
    for _ in 0..2 {
        let together = (0..3).map(|_| {
            let sending =
                tool.send_request(get(upstream.url("/")), None, Box::new(async { Ok(()) }));
            async move {
                let (response, _) = Box::into_pin(sending).await.expect("a response");
                text(response).await.expect("a body")
            }
        });
        let together: Vec<_> = together.collect();
        futures::future::join_all(together).await;
        settle().await;
    }
    // There were three connections. One of them was kept, and two more were opened.
    assert_eq!(upstream.connections(), 5);
}

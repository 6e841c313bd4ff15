//! The speed of calls of trusted tools. Compares a lent secret with a revealed one, and an HTTP API
//! without code with a component that was written for its API.
//!
//! All tools use one upstream on loopback. The two variants alternate in short rounds, and each row
//! is the median of the ratios of neighbouring rounds. `--quick` measures for a shorter time.

use std::time::{Duration, Instant};

use anyhow::Result;
use tavora_tests::fixture::Fixture;
use tavora_tests::measure::{at_most, median, milliseconds, report};
use tavora_tests::upstream::{Upstream, search_results};
use tokio::runtime::Runtime;

/// The calls in one run of a program.
const CALLS: u32 = 20;

/// A call of the search tool.
const SEARCH: &str = "tools.call('brave-search', 'search', {query: 'x'})";

/// A call of the same upstream through an HTTP API's entry.
const REQUEST: &str =
    "tools.call('api', 'request', {method: 'GET', path: '/web/search', query: {q: 'x'}})";

fn main() -> Result<()> {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if is_quick { 10 } else { 60 };
    Runtime::new()?.block_on(async {
        let upstream = Upstream::start(|_| search_results(&["one", "two"])).await;
        let url = upstream.url();
        let common = format!(
            "[egress]\nallow_private_origins = [{url:?}]\n[tools.brave-search.config]\nbase_url = {url:?}\n"
        );
        let lent = Fixture::start(&format!(
            "{common}[tools.api.http]\nbase_url = \"{url}/res/v1\"\nallow = [\"GET /web/search\"]\n\
             credential = {{ secret = \"brave_api_key\", slot = {{ header = \"X-Subscription-Token\" }} }}\n"
        ))
        .await;
        let revealed = Fixture::start(&format!(
            "{common}[tools.brave-search]\nreveal = [\"brave_api_key\"]\n"
        ))
        .await;
        let (mut of_lending, mut of_entries, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let by_lent = one_call(&lent, SEARCH).await;
            let by_revealed = one_call(&revealed, SEARCH).await;
            let by_entry = one_call(&lent, REQUEST).await;
            of_lending.push(by_lent.as_secs_f64() / by_revealed.as_secs_f64());
            of_entries.push(by_entry.as_secs_f64() / by_lent.as_secs_f64());
            calls.push(milliseconds(by_lent));
        }
        report("a call with a lent secret", median(calls), "ms");
        at_most("call: lent secret / revealed", median(of_lending), 1.05, "×");
        at_most("call: http-api / brave-search", median(of_entries), 1.1, "×");
        Ok(())
    })
}

/// Returns the mean time of a call within one run.
async fn one_call(host: &Fixture, call: &str) -> Duration {
    let code = format!("for (let i = 0; i < {CALLS}; i++) {call}; return 1");
    let started = Instant::now();
    assert_eq!(host.result(&code).await, "1");
    started.elapsed() / CALLS
}

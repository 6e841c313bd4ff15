//! A load run: the real binary, many connections, every endpoint, and a ledger outside the host of
//! everything that it acknowledged.
//!
//! Each connection has an app of its own, so that every answer can be predicted. All connections
//! also write the secrets of one common app. At the end the host is stopped and its audit verified.
//! Then it starts again on the same files and is compared with the ledgers. The run fails at the
//! first error; the speed of the host does not matter.

pub mod connection;
mod ledger;
pub mod memory;
mod mix;
mod models;
mod operator;
mod page;
mod reckoning;
mod steps;
mod tenant;
mod together;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::connection::Laps;
use self::memory::{Sample, Sampler};
use self::tenant::{Commons, Questions, Surroundings, Tenant};
use self::together::together;
use crate::serving::Serving;
use crate::upstream::{Seen, Upstream, search_results};

/// The interval between samples of the host's memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(200);

/// The share of a run that is warm-up. Until then caches fill, pools grow and the allocator's
/// arenas spread.
const WARM_UP_PERCENT: u32 = 50;

/// The plan of a run.
#[derive(Clone, Copy, Debug)]
pub struct LoadPlan {
    /// The number of connections, each with an app of its own.
    pub connections: usize,
    /// The time for which requests are sent.
    pub duration: Duration,
}

/// The result of a run without errors.
#[derive(Debug)]
pub struct LoadReport {
    /// The number of requests that were answered in the plan's time, each rightly.
    pub requests: usize,
    /// The number of those requests per second.
    pub requests_per_second: f64,
    /// The endpoints with their times.
    pub endpoints: Vec<EndpointReport>,
    /// The entries of the audit: one for each acknowledged change and release.
    pub entries: u64,
    /// The secrets at the end, each in the acknowledged version.
    pub secrets: u64,
    /// The most memory that the host had up to the end of the warm-up, in bytes.
    pub warm_bytes: u64,
    /// The host's largest memory after the warm-up, in bytes.
    pub peak_bytes: u64,
}

/// One endpoint under load.
#[derive(Debug)]
pub struct EndpointReport {
    /// The method and the template of the path.
    pub name: String,
    /// The number of requests that the endpoint answered.
    pub requests: usize,
    /// The time that half of the requests did not exceed.
    pub p50: Duration,
    /// The time that 99 of 100 requests did not exceed.
    pub p99: Duration,
}

/// Limits the growth of the host's memory after the warm-up, in bytes. The load is the same as
/// before, but caches and the allocator's arenas still settle. A leak of a kilobyte a request
/// exceeds this within a minute.
pub const GROWTH_MAX_BYTES: u64 = 64 << 20;

/// Carries out the plan, with the host's folder in `parent`.
pub async fn run(plan: LoadPlan, parent: &Path) -> Result<LoadReport> {
    let questions = Questions::default();
    let upstream = upstream(questions.clone()).await;
    let mut serving = Serving::start_in(parent, &config(upstream.url()), |_| ());
    let report = load(plan, &mut serving, questions).await;
    report.with_context(|| format!("the host's log ends so:\n{}", end(&serving.log())))
}

async fn load(plan: LoadPlan, serving: &mut Serving, questions: Questions) -> Result<LoadReport> {
    let surroundings = Surroundings::of(serving, questions);
    let commons = Commons::make(serving);
    let make = |number| Tenant::make(number, Arc::clone(&surroundings));
    let tenants = together((0..plan.connections).map(make)).await?;

    let sampler = Sampler::start(serving.process_id(), SAMPLE_INTERVAL);
    let begun = Instant::now();
    let shared = Arc::clone(&commons);
    let tenants = together(tenants.into_iter().map(|mut tenant| {
        let commons = Arc::clone(&shared);
        async move {
            // The requests that made the app do not count as load.
            tenant.take_laps();
            tenant.run(begun + plan.duration, &commons).await?;
            Ok(tenant)
        }
    }))
    .await;
    let took = begun.elapsed();
    let samples = sampler.stop()?;

    let (mut tenants, mut laps) = (tenants?, Laps::default());
    for tenant in &mut tenants {
        laps.merge(tenant.take_laps());
    }
    reckoning::check_coverage(&mut tenants[0], &laps).await?;
    let reckoned = reckoning::reckon(serving, tenants, commons).await?;
    let (warm_bytes, peak_bytes) = warm_and_peak(&samples, took)?;
    let requests = laps.count();
    Ok(LoadReport {
        requests,
        requests_per_second: requests as f64 / took.as_secs_f64(),
        endpoints: laps.sorted().into_iter().map(EndpointReport::of).collect(),
        entries: reckoned.entries,
        secrets: reckoned.secrets,
        warm_bytes,
        peak_bytes,
    })
}

impl LoadReport {
    /// The growth of the host's memory after the warm-up, in bytes.
    pub fn growth_bytes(&self) -> u64 {
        self.peak_bytes.saturating_sub(self.warm_bytes)
    }
}

impl EndpointReport {
    fn of((name, laps): (String, Vec<Duration>)) -> Self {
        let at = |percent: usize| laps[(laps.len() - 1) * percent / 100];
        Self {
            name,
            requests: laps.len(),
            p50: at(50),
            p99: at(99),
        }
    }
}

/// Starts the tools' upstream. It returns results for the query, and records the credential of each
/// question.
async fn upstream(questions: Questions) -> Upstream {
    Upstream::start(move |request: &Seen| {
        if request.uri.path() == "/chat/completions" {
            return models::complete(&questions, request);
        }
        let query = request.uri.query().unwrap_or_default();
        let query = query.split('&').find_map(|pair| pair.strip_prefix("q="));
        let credential = request.headers.get("x-subscription-token");
        let credential = credential.and_then(|value| value.to_str().ok());
        if let (Some(query), Some(credential)) = (query, credential) {
            questions.saw(query.to_owned(), credential.to_owned());
        }
        search_results(&[query.unwrap_or_default()])
    })
    .await
}

/// The configuration of the host. The tools ask the upstream on loopback. All wrong keys of the
/// load come from one address, and every connection may be signed in at once.
fn config(upstream: &str) -> String {
    let model = models::MODEL;
    format!(
        "[egress]\nallow_private_origins = [{upstream:?}]\n\
         [tools.brave-search.config]\nbase_url = {upstream:?}\n\
         [tools.llm-router.config]\ndefault_model = {model:?}\nopenai_base_url = {upstream:?}\n\
         [server.auth_failures]\nburst = 1_000_000\n\
         [admin]\nmax_sessions = 1_000\n"
    )
}

/// Returns the largest memory up to the end of the warm-up, and the largest after it.
fn warm_and_peak(samples: &[Sample], took: Duration) -> Result<(u64, u64)> {
    let warm_up = took * WARM_UP_PERCENT / 100;
    let most = |is_warm: bool| {
        let of_it = samples.iter().filter(|it| (it.after > warm_up) == is_warm);
        of_it.map(|sample| sample.bytes).max()
    };
    let both = most(false).zip(most(true));
    both.context("the run was too short to look at the host's memory")
}

/// The last lines of a log.
fn end(log: &str) -> String {
    const LINES: usize = 20;
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_compared_before_and_after_the_warm_up() {
        let samples = [(0, 10), (4, 30), (6, 20), (9, 25)].map(|(second, bytes)| Sample {
            after: Duration::from_secs(second),
            bytes,
        });
        let took = Duration::from_secs(10);
        assert_eq!(warm_and_peak(&samples, took).expect("valid"), (30, 25));
        assert!(warm_and_peak(&samples[..2], took).is_err());
    }
}

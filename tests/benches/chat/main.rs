//! The overhead of the router of model providers: time to the first byte, and requests per second.
//! The same upstream is asked directly, through the router and through LiteLLM's proxy. A last row
//! shows the memory of a thousand concurrent streams.
//!
//! The program prints the lines of `measure`, all from this run. `--quick` measures for a shorter
//! time. Upstream and client are one process and the host is another, on the same processors.
//! LiteLLM's rows need what `cargo xtask bench` installs, and are left out without it.

mod client;
mod completion;
mod litellm;
mod upstream;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tavora_tests::load::memory::Sampler;
use tavora_tests::measure::{at_least, at_most, megabytes, milliseconds, percentile, report};
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::client::{Client, Target};
use self::litellm::LiteLlm;
use self::upstream::Upstream;

/// The number of concurrent connections for the rate.
const CONNECTIONS: usize = 16;

/// The number of concurrent streams.
const STREAMS: usize = 1_000;

/// The memory that the host may use with all streams, in bytes.
const STREAMS_MAX_BYTES: u64 = 1 << 30;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

fn main() -> Result<()> {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let window = Duration::from_millis(if is_quick { 1_000 } else { 6_000 });
    Runtime::new()?.block_on(async {
        let upstream = Upstream::start().await?;
        let host = Host::start(&upstream)?;
        first_byte(&host, &upstream, window).await?;
        rates(&host, &upstream, window).await?;
        drop(host);
        streams(&upstream, Duration::from_secs(if is_quick { 1 } else { 5 })).await
    })
}

/// A running host whose router asks the upstream, and an app with the credential.
struct Host {
    serving: Serving,
    target: Target,
}

impl Host {
    fn start(upstream: &Upstream) -> Result<Self> {
        let url = upstream.url();
        let config = format!(
            "[server.limits]\nmax_connections = {connections}\n\
             [limits]\nmax_instances = {connections}\n\
             [limits.stream]\nmax_concurrent = {STREAMS}\nmax_per_app = {STREAMS}\n\
             [egress]\nallow_private_origins = [{url:?}]\n\
             [tools.llm-router.config]\nopenai_base_url = \"{url}/v1\"\n",
            connections = STREAMS + 100,
        );
        let serving = Serving::start_in(folder(), &config, |command| {
            command.env("RUST_LOG", "warn");
        });
        let app = serving.make_app("bench");
        let send = |method, path: &str, body| {
            let request = Request::new(method, path).header("x-api-key", &app.key);
            let answer = serving.send(&request.json(&body));
            ensure!(answer.status < 300, "{path}: {}", answer.text());
            anyhow::Ok(answer.json())
        };
        let vault = send("POST", "/api/sdk/secret-vaults", json!({ "name": "bench" }))?;
        let vault = vault["id"].as_str().context("no vault was made")?;
        let secret = format!("/api/sdk/secret-vaults/{vault}/secrets/openai_api_key");
        send("PUT", &secret, json!({ "value": upstream::CREDENTIAL }))?;
        send("PUT", "/api/sdk/app/vault", json!({ "vault_id": vault }))?;
        let target = Target::new(serving.address, &app.key);
        Ok(Self { serving, target })
    }
}

/// Reads one stream at a time, in turns directly and through the router, with a commit in each turn
/// for comparison.
async fn first_byte(host: &Host, upstream: &Upstream, window: Duration) -> Result<()> {
    let commit = Commit::new()?;
    let mut direct = Client::open(upstream.target()).await?;
    let mut routed = Client::open(host.target.clone()).await?;
    let (mut directs, mut routeds, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < window {
        directs.push(direct.stream().await?);
        routeds.push(routed.stream().await?);
        commits.push(commit.time()?);
    }
    let mut at = |percent| {
        let of = |laps: &mut Vec<_>| milliseconds(percentile(laps, percent));
        (of(&mut directs), of(&mut routeds), of(&mut commits))
    };
    let ((direct, routed, commit), (direct_99, routed_99, _)) = (at(50), at(99));
    report("chat: first byte of the upstream, p50", direct, "ms");
    report("chat: first byte through the router, p50", routed, "ms");
    report("chat: one durable commit of one row, p50", commit, "ms");
    report(
        "chat: first byte, added by the router, p50",
        routed - direct,
        "ms",
    );
    at_most(
        "chat: the same less one commit, p50",
        routed - direct - commit,
        1.0,
        "ms",
    );
    report(
        "chat: first byte, added by the router, p99",
        routed_99 - direct_99,
        "ms",
    );
    Ok(())
}

/// Asks for as many plain completions as possible.
async fn rates(host: &Host, upstream: &Upstream, window: Duration) -> Result<()> {
    let direct = rate(upstream.target(), window).await?;
    let routed = rate(host.target.clone(), window).await?;
    report(
        "chat: completions of the upstream itself, 16 connections",
        direct,
        "/s",
    );
    at_least(
        "chat: completions through the router, 16 connections",
        routed,
        5_000.0,
        "/s",
    );
    report("chat: router / upstream itself", routed / direct, "×");
    let Some(litellm) = LiteLlm::start(upstream, folder()).await? else {
        eprintln!("LiteLLM is not installed: its rows are left out");
        return Ok(());
    };
    // The proxy's first requests load what it needs.
    rate(litellm.target(), window).await?;
    let proxied = rate(litellm.target(), window).await?;
    report(
        "chat: completions through LiteLLM's proxy, 16 connections",
        proxied,
        "/s",
    );
    report("chat: router / LiteLLM's proxy", routed / proxied, "×");
    Ok(())
}

async fn rate(target: Target, window: Duration) -> Result<f64> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CONNECTIONS {
        let target = target.clone();
        tasks.spawn(async move {
            let mut client = Client::open(target).await?;
            let mut completions = 0_u32;
            while begun.elapsed() < window {
                client.complete().await?;
                completions += 1;
            }
            anyhow::Ok(completions)
        });
    }
    let mut completions = 0;
    while let Some(done) = tasks.join_next().await {
        completions += done??;
    }
    Ok(f64::from(completions) / begun.elapsed().as_secs_f64())
}

/// Opens all streams before any of them ends. Each has an event at intervals while the memory is
/// sampled.
async fn streams(upstream: &Upstream, held: Duration) -> Result<()> {
    let host = Host::start(upstream)?;
    let hold = upstream.hold();
    let sampler = Sampler::start(host.serving.process_id(), SAMPLE_INTERVAL);
    let begun = Instant::now();
    let mut opening = JoinSet::new();
    for _ in 0..STREAMS {
        let target = host.target.clone();
        opening.spawn(async move { Client::open(target).await?.begin_stream().await });
    }
    let mut streams = Vec::new();
    while let Some(stream) = opening.join_next().await {
        streams.push(stream??);
    }
    let all_begun = begun.elapsed();
    tokio::time::sleep(held).await;
    drop(hold);
    let mut events = 0;
    let mut ending: JoinSet<_> = streams.into_iter().map(client::Stream::rest).collect();
    while let Some(ended) = ending.join_next().await {
        events += ended??;
    }
    let samples = sampler.stop()?;
    let peak = samples.iter().map(|sample| sample.bytes).max();
    report(
        "chat: 1,000 streams, all begun after",
        milliseconds(all_begun),
        "ms",
    );
    report(
        "chat: their events, each whole",
        f64::from(events),
        "events",
    );
    at_most(
        "chat: memory of the host with 1,000 streams",
        megabytes(peak.context("the run was too short")?),
        megabytes(STREAMS_MAX_BYTES),
        "MB",
    );
    Ok(())
}

/// One durable commit of one row, with the SQLite settings of the host's store.
struct Commit {
    database: rusqlite::Connection,
    _folder: tempfile::TempDir,
}

impl Commit {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir_in(folder())?;
        let database = rusqlite::Connection::open(folder.path().join("commits"))?;
        database.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (row TEXT);",
        )?;
        Ok(Self {
            database,
            _folder: folder,
        })
    }

    fn time(&self) -> Result<Duration> {
        let begun = Instant::now();
        let row = "r".repeat(200);
        self.database
            .execute("INSERT INTO rows VALUES (?)", [row])?;
        Ok(begun.elapsed())
    }
}

/// A folder on the disk of the build. A temporary folder may be in memory, where durability costs
/// nothing.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

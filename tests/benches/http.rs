//! The speed of the host over HTTP, its start-up time and its memory, measured on the real binary.
//!
//! The program prints the lines of `measure`. Every ratio compares numbers of this run. `--quick`
//! measures for a shorter time. It needs the binary that `cargo xtask bench` builds. It asserts
//! only that each answer is right.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::http::Method;
use serde_json::json;
use tavora_tests::load::connection::{Call, Connection};
use tavora_tests::load::memory::resident_bytes;
use tavora_tests::load::{self, GROWTH_MAX_BYTES, LoadPlan};
use tavora_tests::measure::{
    at_least, at_most, median, megabytes, milliseconds, percentile, report,
};
use tavora_tests::serving::{AppWithKey, Serving};
use tavora_tests::wire::Request;
use tokio::runtime::Runtime;

const SECRETS: &str = "/api/sdk/secret-vaults/{id}/secrets";
const SECRET: &str = "/api/sdk/secret-vaults/{id}/secrets/{name}";

/// The number of starts.
const STARTS: usize = 9;

/// The number of connections in the load run.
const CONNECTIONS: usize = 64;

fn main() -> Result<()> {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let bench = Bench {
        runtime: Runtime::new()?,
        window: Duration::from_millis(if is_quick { 500 } else { 3_000 }),
        settle: Duration::from_secs(if is_quick { 2 } else { 10 }),
        load: Duration::from_secs(if is_quick { 5 } else { 60 }),
    };
    bench.start_and_idle()?;
    bench.puts()?;
    bench.list()?;
    bench.load()
}

struct Bench {
    runtime: Runtime,
    /// The length of one measurement.
    window: Duration,
    /// The time without a request after which the host counts as idle.
    settle: Duration,
    load: Duration,
}

/// A running host with a vault.
struct Host {
    serving: Serving,
    app: AppWithKey,
    vault_id: String,
}

impl Bench {
    /// Measures the time from the start of the process to the first 200 of `/readyz`, and the
    /// memory some time later.
    fn start_and_idle(&self) -> Result<()> {
        // The first start fills the cache of compiled components. The database exists from then on.
        let mut serving = self.serving();
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            serving.halt();
            serving.start_again();
            while serving.send(&Request::new("GET", "/readyz")).status != 200 {}
            starts.push(serving.started.elapsed());
        }
        let start = percentile(&mut starts, 50);
        at_most(
            "start to ready, components cached, p50",
            milliseconds(start),
            300.0,
            "ms",
        );
        std::thread::sleep(self.settle);
        let bytes = resident_bytes(serving.process_id())?;
        at_most("memory of an idle host", megabytes(bytes), 80.0, "MB");
        Ok(())
    }

    /// Compares durable puts on 32 connections with one connection that waits for each commit.
    fn puts(&self) -> Result<()> {
        const TURNS: u32 = 10;
        let host = self.host()?;
        let (mut ones, mut manys, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let one = self.put_rate(&host, 1, 2 * self.window / TURNS)?;
            let many = self.put_rate(&host, 32, 2 * self.window / TURNS)?;
            ratios.push(many / one);
            ones.push(one);
            manys.push(many);
        }
        report("PUT over HTTP, one commit per request", median(ones), "/s");
        report("PUT over HTTP, 32 connections", median(manys), "/s");
        at_least(
            "PUT, 32 connections / one commit per request",
            median(ratios),
            5.0,
            "×",
        );
        Ok(())
    }

    /// The number of puts per second on `connections` connections.
    fn put_rate(&self, host: &Host, connections: usize, window: Duration) -> Result<f64> {
        self.runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            let begun = Instant::now();
            for number in 0..connections {
                let (key, vault) = (host.app.key.clone(), host.vault_id.clone());
                let mut connection = Connection::open(host.serving.address).await?;
                tasks.spawn(async move {
                    let name = format!("put-{number}");
                    let mut puts = 0_u32;
                    while begun.elapsed() < window {
                        let call = put(&vault, &name).api_key(&key);
                        connection.expect(200, call).await?;
                        puts += 1;
                    }
                    anyhow::Ok(puts)
                });
            }
            let mut puts = 0;
            while let Some(done) = tasks.join_next().await {
                puts += done??;
            }
            Ok(f64::from(puts) / begun.elapsed().as_secs_f64())
        })
    }

    fn list(&self) -> Result<()> {
        let host = self.host()?;
        let mut laps = self.runtime.block_on(async {
            let mut connection = Connection::open(host.serving.address).await?;
            for number in 0..1_000 {
                let call = put(&host.vault_id, &format!("secret-{number}"));
                connection.expect(200, call.api_key(&host.app.key)).await?;
            }
            let (begun, mut laps) = (Instant::now(), Vec::new());
            while begun.elapsed() < self.window {
                let call = Call::new(Method::GET, SECRETS, &[&host.vault_id]);
                let lap = Instant::now();
                connection.expect(200, call.api_key(&host.app.key)).await?;
                laps.push(lap.elapsed());
            }
            anyhow::Ok(laps)
        })?;
        at_most(
            "list of 1,000 secrets over HTTP, p50",
            milliseconds(percentile(&mut laps, 50)),
            10.0,
            "ms",
        );
        Ok(())
    }

    /// The load run. It fails if the host lost, changed or refused anything, so a printed row means
    /// that it did not.
    fn load(&self) -> Result<()> {
        let plan = LoadPlan {
            connections: CONNECTIONS,
            duration: self.load,
        };
        let load = self.runtime.block_on(load::run(plan, folder()))?;
        report(
            &format!(
                "load: {CONNECTIONS} connections, {} s, every answer as it must be",
                self.load.as_secs()
            ),
            load.requests as f64,
            "requests",
        );
        report("load: rate", load.requests_per_second, "/s");
        report(
            "load: acknowledged changes and releases, all in the verified audit",
            load.entries as f64,
            "entries",
        );
        report(
            "load: most memory in its first half",
            megabytes(load.warm_bytes),
            "MB",
        );
        at_most(
            "load: more than that in its second half",
            megabytes(load.growth_bytes()),
            megabytes(GROWTH_MAX_BYTES),
            "MB",
        );
        for endpoint in load.endpoints {
            let name = format!(
                "load: {}: {} requests, p50 {:.1} ms, p99",
                endpoint.name,
                endpoint.requests,
                milliseconds(endpoint.p50)
            );
            report(&name, milliseconds(endpoint.p99), "ms");
        }
        Ok(())
    }

    fn serving(&self) -> Serving {
        Serving::start_in(folder(), "", |command| {
            command.env("RUST_LOG", "warn");
        })
    }

    fn host(&self) -> Result<Host> {
        let serving = self.serving();
        let app = serving.make_app("bench");
        let vault = Request::new("POST", "/api/sdk/secret-vaults")
            .header("x-api-key", &app.key)
            .json(&json!({ "name": "bench" }));
        let vault = serving.send(&vault).json();
        let vault_id = vault["id"].as_str().context("no vault was made")?;
        Ok(Host {
            vault_id: vault_id.to_owned(),
            serving,
            app,
        })
    }
}

fn put(vault: &str, name: &str) -> Call {
    let value = "v".repeat(64);
    Call::new(Method::PUT, SECRET, &[vault, name]).json(&json!({ "value": value }))
}

/// A folder on the disk of the build. A temporary folder may be in memory, where durability costs
/// nothing.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

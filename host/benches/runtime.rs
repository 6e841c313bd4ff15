//! Measures the speed of tools and agents, against floors in the same run.
//!
//! Prints one JSON object a line: `{"name", "value", "unit"}`, and `"budget"` with `"met"` if there
//! is a budget. `--quick` measures for a shorter time. The guests that `cargo xtask guests` builds
//! are required. Nothing is asserted.

#[path = "runtime/laps.rs"]
mod laps;
#[path = "runtime/scrubbing.rs"]
mod scrubbing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tavora_host::config::Config;
use tavora_host::platform::{AgentRun, Platform};
use tokio::runtime::Runtime;
use vault_core::{
    App, Caller, Keyring, LocalKek, Metadata, SecretBinding, SecretValue, SecretVaults,
    SqliteOptions, SqliteStore, envelope,
};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config as EngineConfig, Engine, Store};

use laps::{Laps, at_least, budget, report};

/// A value of 64 bytes, the size in the budgets.
const VALUE: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

/// The resolves in one call of `resolve_1000`, without the first one.
const RESOLVES: f64 = 999.0;

/// A program that keeps the JavaScript engine busy for about ten milliseconds.
const FIB: &str = "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } return fib(25)";

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let bench = Bench {
        runtime: Runtime::new()?,
        window: Duration::from_millis(if quick { 500 } else { 3000 }),
    };
    bench.resolves()?;
    bench.tools()?;
    scrubbing::measure(bench.window / 3);
    bench.sandbox()
}

struct Bench {
    runtime: Runtime,
    window: Duration,
}

/// A platform with the probe as a trusted tool.
struct Host {
    platform: Arc<Platform>,
    app: App,
    folder: tempfile::TempDir,
}

impl Bench {
    /// Measures `secrets.resolve` from inside a guest. Compares it with the same call answered by a
    /// constant, and with a native open.
    fn resolves(&self) -> Result<()> {
        let hostcall = self
            .runtime
            .block_on(self.constant_resolve())
            .map_err(failed)?;
        let open = self.runtime.block_on(self.native_open())?;
        report(
            "hostcall: the same call returning a constant",
            hostcall,
            "ns",
        );
        report("open: native, 64-byte secret", open, "ns");
        let host = self.host()?;
        let resolve = self.runtime.block_on(async {
            let mut laps = Laps::start(self.window);
            while laps.goes_on() {
                let once = host.call("resolve_once").await?;
                let many = host.call("resolve_1000").await?;
                laps.push(many.saturating_sub(once).as_nanos() as f64 / RESOLVES);
            }
            anyhow::Ok(laps)
        })?;
        report(
            "secrets.resolve, audited already in this call, p50",
            resolve.at(50),
            "ns",
        );
        budget(
            "secrets.resolve / (hostcall + open)",
            resolve.at(50) / (hostcall + open),
            1.5,
            "×",
        );

        let concurrent = self.concurrently(64, &host, |host| async move {
            host.call("resolve_100").await.map(|_| ())
        })?;
        budget(
            "64 concurrent calls of 100 resolves: p99 / p50",
            concurrent.at(99) / concurrent.at(50),
            5.0,
            "×",
        );
        self.close(host)
    }

    fn tools(&self) -> Result<()> {
        let host = self.host()?;
        let call = self.runtime.block_on(async {
            let mut laps = Laps::start(self.window);
            while laps.goes_on() {
                laps.push(host.call("nothing").await?.as_secs_f64() * 1e6);
            }
            anyhow::Ok(laps)
        })?;
        budget(
            "instantiate a trusted tool and call it once, p50",
            call.at(50),
            60.0,
            "µs",
        );
        self.close(host)
    }

    fn sandbox(&self) -> Result<()> {
        let host = self.host()?;
        let trivial = self.runtime.block_on(self.runs(&host, "return 1+1"))?;
        budget(
            "agent sandbox: new store, instantiate, run 1+1, drop, p50",
            trivial.at(50),
            150.0,
            "µs",
        );
        let laps = self.concurrently(8, &host, |host| async move {
            host.run("return 1+1").await.map(|_| ())
        })?;
        at_least(
            "agent sandbox: runs of 1+1 on all cores",
            laps.per_second,
            10_000.0,
            "/s",
        );

        // In turns, so that all of them see the same state of the machine.
        let (mut own, mut bare, mut interruptible) = (f64::MAX, f64::MAX, f64::MAX);
        for _ in 0..3 {
            own = own.min(self.runtime.block_on(self.runs(&host, FIB))?.at(20));
            let bare_run = |can_be_interrupted| {
                let laps = self
                    .runtime
                    .block_on(self.bare_runs(FIB, can_be_interrupted));
                laps.map(|laps| laps.at(20)).map_err(failed)
            };
            bare = bare.min(bare_run(false)?);
            interruptible = interruptible.min(bare_run(true)?);
        }
        report("agent sandbox: fib(25)", own / 1e3, "ms");
        report(
            "the same component on a bare engine: fib(25)",
            bare / 1e3,
            "ms",
        );
        budget("engine throughput: sandbox / bare", own / bare, 1.05, "×");
        report(
            "the bare engine, interruptible / not",
            interruptible / bare,
            "×",
        );
        self.close(host)
    }

    /// The times of runs of `code` on the platform, in microseconds.
    async fn runs(&self, host: &Host, code: &str) -> Result<Laps> {
        let mut laps = Laps::start(self.window / 3);
        while laps.goes_on() {
            laps.push(host.run(code).await?.as_secs_f64() * 1e6);
        }
        Ok(laps)
    }

    /// The times of runs of `code` in the sandbox's component on a plain engine, in microseconds.
    async fn bare_runs(&self, code: &str, can_be_interrupted: bool) -> wasmtime::Result<Laps> {
        let engine = Engine::new(
            EngineConfig::new()
                .max_wasm_stack(4 << 20)
                .async_stack_size(5 << 20)
                .epoch_interruption(can_be_interrupted),
        )?;
        let component = Component::from_file(&engine, guest("js-sandbox"))?;
        let mut linker = Linker::<()>::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        let mut laps = Laps::start(self.window / 3);
        while laps.goes_on() {
            let begun = Instant::now();
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(u64::MAX / 2);
            let instance = pre.instantiate_async(&mut store).await?;
            let agent = instance
                .get_export_index(&mut store, None, "tavora:platform/agent@0.1.0")
                .ok_or_else(|| missing("agent"))?;
            let run = instance
                .get_export_index(&mut store, Some(&agent), "run")
                .and_then(|run| instance.get_func(&mut store, run))
                .ok_or_else(|| missing("run"))?;
            let input = Val::Record(vec![
                ("code".to_owned(), Val::String(code.to_owned())),
                ("input".to_owned(), Val::String("null".to_owned())),
                ("now-ms".to_owned(), Val::U64(1)),
                ("seed".to_owned(), Val::U64(1)),
            ]);
            run.call_async(&mut store, &[input], &mut [Val::Bool(false)])
                .await?;
            laps.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        Ok(laps)
    }

    /// The time of a resolve that the host answers with a constant, in nanoseconds.
    async fn constant_resolve(&self) -> wasmtime::Result<f64> {
        let engine = Engine::default();
        let component = Component::from_file(&engine, guest("bench-probe"))?;
        let mut linker = Linker::<()>::new(&engine);
        linker
            .instance("tavora:platform/secrets@0.1.0")?
            .func_new_async("resolve", |_, _, _, results| {
                results[0] = Val::Result(Ok(Some(Box::new(Val::String(VALUE.to_owned())))));
                Box::new(async { Ok(()) })
            })?;
        let pre = linker.instantiate_pre(&component)?;
        let mut laps = Laps::start(self.window);
        while laps.goes_on() {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate_async(&mut store).await?;
            let tool = instance
                .get_export_index(&mut store, None, "tavora:platform/tool@0.1.0")
                .ok_or_else(|| missing("tool"))?;
            let call = instance
                .get_export_index(&mut store, Some(&tool), "call")
                .and_then(|call| instance.get_func(&mut store, call))
                .ok_or_else(|| missing("call"))?;
            let mut elapsed = [Duration::ZERO; 2];
            for (elapsed, operation) in elapsed.iter_mut().zip(["resolve_once", "resolve_1000"]) {
                let arguments = [operation, "{}"].map(|text| Val::String(text.to_owned()));
                let begun = Instant::now();
                call.call_async(&mut store, &arguments, &mut [Val::Bool(false)])
                    .await?;
                *elapsed = begun.elapsed();
            }
            laps.push(elapsed[1].saturating_sub(elapsed[0]).as_nanos() as f64 / RESOLVES);
        }
        Ok(laps.at(50))
    }

    async fn native_open(&self) -> Result<f64> {
        let keyring = Keyring::local(&LocalKek::make_text(), None)?;
        let binding = SecretBinding {
            app_id: vault_core::AppId::make(),
            vault_id: vault_core::VaultId::make(),
            name: "probe".parse()?,
            version: 1,
        };
        let value = SecretValue::new(VALUE.to_owned())?;
        let sealed = envelope::seal(keyring.primary(), binding, &value).await?;
        let mut laps = Laps::start(self.window / 3);
        while laps.goes_on() {
            let begun = Instant::now();
            for _ in 0..100 {
                std::hint::black_box(
                    envelope::open(&keyring, std::hint::black_box(&sealed)).await?,
                );
            }
            laps.push(begun.elapsed().as_nanos() as f64 / 100.0);
        }
        Ok(laps.at(50))
    }

    fn host(&self) -> Result<Host> {
        let folder = tempfile::tempdir()?;
        let config = format!(
            "[tools.bench-probe]\ncomponent = {:?}\nreveal = [\"probe\"]\n",
            guest("bench-probe")
        );
        let config = Config::parse(&config).map_err(anyhow::Error::msg)?;
        self.runtime.block_on(async {
            let operator = Caller::operator();
            let store =
                SqliteStore::open(folder.path().join("vault.db"), SqliteOptions::default())?;
            let keyring = Keyring::local(&LocalKek::make_text(), None)?;
            let vaults = SecretVaults::open(Arc::new(store), Some(keyring)).await?;
            let app = vaults
                .create_app(&operator, "bench".parse()?, None, None)
                .await?;
            let vault = vaults
                .create_vault(&operator, app.id, "main".parse()?, Metadata::default())
                .await?;
            vaults.designate(&operator, app.id, Some(vault.id)).await?;
            let value = SecretValue::new(VALUE.to_owned())?;
            vaults
                .put_secret(&operator, app.id, vault.id, &"probe".parse()?, &value)
                .await?;
            let platform = Arc::new(Platform::start(vaults, &config, None).await?);
            Ok(Host {
                platform,
                app,
                folder,
            })
        })
    }

    fn close(&self, host: Host) -> Result<()> {
        self.runtime.block_on(host.platform.vaults().close())?;
        Ok(host.folder.close()?)
    }

    /// The times of `work`, repeated in `tasks` concurrent tasks, in microseconds.
    fn concurrently<F>(&self, tasks: usize, host: &Host, work: fn(Guest) -> F) -> Result<Laps>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let begun = Instant::now();
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let (guest, window) = (host.guest(), self.window);
                self.runtime.spawn(async move {
                    let mut laps = Laps::start(window);
                    while laps.goes_on() {
                        let lap = Instant::now();
                        work(guest.clone()).await?;
                        laps.push(lap.elapsed().as_secs_f64() * 1e6);
                    }
                    anyhow::Ok(laps.values)
                })
            })
            .collect();
        let mut all = Laps::start(self.window);
        for task in running {
            all.values.extend(self.runtime.block_on(task)??);
        }
        all.per_second = all.values.len() as f64 / begun.elapsed().as_secs_f64();
        Ok(all)
    }
}

/// The data of a task that calls tools and runs agents.
#[derive(Clone)]
struct Guest {
    platform: Arc<Platform>,
    app: vault_core::AppId,
}

impl Host {
    fn guest(&self) -> Guest {
        Guest {
            platform: Arc::clone(&self.platform),
            app: self.app.id,
        }
    }

    async fn call(&self, operation: &str) -> Result<Duration> {
        self.guest().call(operation).await
    }

    async fn run(&self, code: &str) -> Result<Duration> {
        self.guest().run(code).await
    }
}

impl Guest {
    async fn call(&self, operation: &str) -> Result<Duration> {
        let identity = AgentRun::new(self.app, "").identity;
        let begun = Instant::now();
        self.platform
            .call_tool(identity, "bench-probe", operation, "{}")
            .await
            .map_err(|error| anyhow::anyhow!("{operation}: {}", error.message))?;
        Ok(begun.elapsed())
    }

    async fn run(&self, code: &str) -> Result<Duration> {
        let begun = Instant::now();
        self.platform
            .run(AgentRun::new(self.app, code))
            .await
            .outcome?;
        Ok(begun.elapsed())
    }
}

fn missing(export: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the component does not export {export}"))
}

fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

/// The path of a component that `cargo xtask guests` built.
fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../guest-tools/target/components")
        .join(name)
        .with_extension("wasm")
}

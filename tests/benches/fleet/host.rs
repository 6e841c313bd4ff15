//! A host in a process of its own. Its stdin says what to do, when to begin and for how long. It
//! answers with its rate.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use crate::platform::Platform;
use crate::task::Task;

/// Set in a process that is a host.
const IS_HOST: &str = "TAVORA_BENCH_HOST";

/// A process with its database open.
pub struct Host {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Host {
    pub fn start(task: &Task) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(IS_HOST, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("it is piped")?;
        let stdout = child.stdout.take().context("it is piped")?;
        let mut host = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        };
        writeln!(host.stdin, "{}", serde_json::to_string(task)?)?;
        ensure!(host.line()? == "ready", "a host does not open its database");
        Ok(host)
    }

    /// Lets the hosts work at the same time. Returns the rate of each.
    pub fn run(mut hosts: Vec<Self>, window: Duration) -> Result<Vec<f64>> {
        for host in &mut hosts {
            writeln!(host.stdin, "{}", window.as_millis())?;
        }
        let mut rates = Vec::new();
        for mut host in hosts {
            rates.push(host.line()?.parse()?);
            ensure!(host.child.wait()?.success(), "a host failed");
        }
        Ok(rates)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

/// Works as a host if this process was started as one.
pub fn serve_if_told_to() -> Result<bool> {
    if std::env::var_os(IS_HOST).is_none() {
        return Ok(false);
    }
    let mut lines = std::io::stdin().lines();
    let mut line = || {
        lines
            .next()
            .context("nothing more is said")?
            .context("stdin")
    };
    let task: Task = serde_json::from_str(&line()?)?;
    let runtime = Runtime::new()?;
    let platform =
        runtime.block_on(Platform::open(task.place, &task.url, &task.name, &task.kek))?;
    println!("ready");
    let window = Duration::from_millis(line()?.parse()?);
    let begun = Instant::now();
    let laps = runtime.block_on(platform.work(task.work, task.at_once, window))?;
    println!("{}", laps.len() as f64 / begun.elapsed().as_secs_f64());
    runtime.block_on(platform.vaults.close())?;
    Ok(true)
}

//! LiteLLM's proxy in front of the same upstream, started as its documentation says, with a worker
//! for each processor.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tavora_tests::requirement::tools_folder;

use crate::client::{Client, Target};
use crate::upstream::{CREDENTIAL, Upstream};

/// The longest time until the first answer.
const START: Duration = Duration::from_secs(120);

/// The key of its clients; the proxy does not start without one.
const KEY: &str = "sk-bench-clients-0123456789abcdef";

/// A running proxy.
pub struct LiteLlm {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl LiteLlm {
    /// Starts the proxy; `None` when it is not installed.
    pub async fn start(upstream: &Upstream, parent: &Path) -> Result<Option<Self>> {
        let program = tools_folder().join("litellm/bin/litellm");
        if !program.exists() {
            return Ok(None);
        }
        let folder = tempfile::tempdir_in(parent)?;
        let config = folder.path().join("config.yaml");
        let url = upstream.url();
        let models = format!(
            "model_list:\n  - model_name: openai/gpt-4o\n    litellm_params:\n      model: openai/gpt-4o\n      \
             api_base: {url}/v1\n      api_key: {CREDENTIAL}\n"
        );
        std::fs::write(&config, models)?;
        let address = free_address()?;
        let workers = std::thread::available_parallelism()?.to_string();
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--num_workers", &workers, "--telemetry", "False"])
            .arg("--config")
            .arg(config)
            // Use the list of prices that comes with the proxy.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_LOG", "ERROR")
            .env("LITELLM_MASTER_KEY", KEY)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The proxy has children of its own.
            .process_group(0)
            .spawn()?;
        let mut litellm = Self {
            child,
            address,
            _folder: folder,
        };
        let begun = Instant::now();
        while !litellm.answers().await {
            let ended = litellm.child.try_wait()?;
            ensure!(ended.is_none(), "LiteLLM's proxy ended: {ended:?}");
            ensure!(begun.elapsed() < START, "LiteLLM's proxy does not answer");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(Some(litellm))
    }

    pub fn target(&self) -> Target {
        Target::new(self.address, KEY)
    }

    async fn answers(&self) -> bool {
        match Client::open(self.target()).await {
            Ok(mut client) => client.complete().await.is_ok(),
            Err(_) => false,
        }
    }
}

impl Drop for LiteLlm {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).expect("process ids are small");
        // The proxy may have ended by itself.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// An address that is free now. The proxy accepts no port 0.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

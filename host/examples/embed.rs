//! Embeds the host in another platform: opens a vault, loads the tools, and runs an agent.
//!
//! `BRAVE_API_KEY=… cargo run --release --example embed -- "rust wasm"`

use std::sync::Arc;

use tavora_host::config::Config;
use tavora_host::platform::{AgentRun, Platform};
use tavora_host::runtime::worker;
use vault_core::{
    Caller, Keyring, LocalKek, Metadata, SecretValue, SecretVaults, SqliteOptions, SqliteStore,
};

fn main() -> anyhow::Result<()> {
    // Components that others supply are compiled in a child process of this program.
    worker::run_if_asked();
    tokio::runtime::Runtime::new()?.block_on(embed())
}

async fn embed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let operator = Caller::operator();

    // Open a separate vault, with a key that your platform keeps.
    let store = SqliteStore::open(folder.path().join("vault.db"), SqliteOptions::default())?;
    let keyring = Keyring::local(&LocalKek::make_text(), None)?;
    let vaults = SecretVaults::open(Arc::new(store), Some(keyring)).await?;
    let app = vaults
        .create_app(&operator, "shop".parse()?, None, None)
        .await?;
    let vault = vaults
        .create_vault(&operator, app.id, "main".parse()?, Metadata::default())
        .await?;
    vaults.designate(&operator, app.id, Some(vault.id)).await?;
    let key = SecretValue::new(std::env::var("BRAVE_API_KEY")?)?;
    let name = "brave_api_key".parse()?;
    vaults
        .put_secret(&operator, app.id, vault.id, &name, &key)
        .await?;

    // Load the tools and the sandbox. `tavora.toml` in the working directory adjusts them, if it
    // exists.
    let config = match std::fs::read_to_string("tavora.toml") {
        Ok(text) => Config::parse(&text).map_err(anyhow::Error::msg)?,
        Err(_) => Config::default(),
    };
    let platform = Platform::start(vaults.clone(), &config, None).await?;

    // Run an agent's program. It can search, and it cannot read the key.
    let mut run = AgentRun::new(app.id, "return search(input).map(result => result.title)");
    run.input = serde_json::to_string(&std::env::args().nth(1).unwrap_or_default())?;
    run.log = Box::new(|line| eprintln!("agent: {line}"));
    let report = platform.run(run).await;
    println!("{}", report.outcome?);
    println!("{} call(s), in {:?}", report.calls.len(), report.duration);
    Ok(vaults.close().await?)
}

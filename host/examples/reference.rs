//! Writes the reference of the configuration and of the commands into the folder of the repository
//! that its one argument names: what `cargo xtask reference` runs.

use std::path::PathBuf;

use anyhow::Context;
use tavora_host::reference;

fn main() -> anyhow::Result<()> {
    let root = std::env::args_os()
        .nth(1)
        .context("usage: reference FOLDER")?;
    for file in reference::files() {
        let path = PathBuf::from(&root).join(file.path);
        std::fs::write(&path, file.text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", file.path);
    }
    Ok(())
}

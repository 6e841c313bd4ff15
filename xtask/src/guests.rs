//! `cargo xtask guests`: builds the components that the host embeds, after doing the set-up itself.
//! What is already built stays as it is.

use crate::project::Project;
use crate::wasm_toolchain::TARGET;
use crate::{setup, step};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// A guest and the imports of its component. The encoder refuses any others.
struct Guest {
    name: &'static str,
    /// Whether the component is pre-initialised.
    is_initialised: bool,
    imports: &'static [&'static str],
}

/// The imports of a trusted tool that asks an upstream.
const OF_A_TOOL: &[&str] = &[
    "tavora:platform/types@0.1.0",
    "tavora:platform/secrets@0.1.0",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:http/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
];

const GUESTS: [Guest; 8] = [
    Guest {
        name: "brave-search",
        is_initialised: false,
        imports: OF_A_TOOL,
    },
    Guest {
        name: "http-api",
        is_initialised: false,
        imports: OF_A_TOOL,
    },
    Guest {
        name: "mcp-client",
        is_initialised: false,
        imports: OF_A_TOOL,
    },
    Guest {
        name: "llm-router",
        is_initialised: false,
        imports: OF_A_TOOL,
    },
    Guest {
        name: "js-sandbox",
        is_initialised: true,
        imports: &["tavora:platform/types@0.1.0", "tavora:platform/tools@0.1.0"],
    },
    Guest {
        name: "dev-secrets",
        is_initialised: false,
        imports: &["wasi:config/store@0.2.0-rc.1"],
    },
    // Built for the benches; the host does not embed it.
    Guest {
        name: "bench-probe",
        is_initialised: false,
        imports: &[
            "tavora:platform/types@0.1.0",
            "tavora:platform/secrets@0.1.0",
        ],
    },
    // Built for the tests; the host does not embed it.
    Guest {
        name: "smuggler",
        is_initialised: false,
        imports: &[
            "tavora:platform/types@0.1.0",
            "tavora:platform/secrets@0.1.0",
            "wasi:http/outgoing-handler@0.2.12",
            "wasi:http/types@0.2.12",
            "wasi:io/error@0.2.12",
            "wasi:io/poll@0.2.12",
            "wasi:io/streams@0.2.12",
        ],
    },
];

/// Builds every guest and encodes it as a component.
pub fn run(project: &Project) -> Result<()> {
    let toolchain = setup::run(project)?;
    let folder = project.guest_tools();
    let target = folder.join("target");

    step::say("Building the guests");
    step::run(
        toolchain
            .cargo_build()
            .current_dir(&folder)
            .args(["--release", "--locked", "--target-dir"])
            .arg(&target),
    )?;

    step::say("Building the encoder");
    let encoder = project.release_program("guest-encoder")?;
    let components = project.components();
    fs::create_dir_all(&components)
        .with_context(|| format!("{} cannot be made", components.display()))?;
    for guest in &GUESTS {
        let module_name = guest.name.replace('-', "_");
        let module = target.join(TARGET).join("release").join(module_name);
        guest.encode(&encoder, &module.with_extension("wasm"), &components)?;
    }
    step::say(&format!("The components are in {}", components.display()));
    Ok(())
}

impl Guest {
    /// Encodes the guest, unless that was done since the last change of what it depends on.
    fn encode(&self, encoder: &Path, module: &Path, components: &Path) -> Result<()> {
        let component = components.join(self.name).with_extension("wasm");
        let stamp = components.join(self.name).with_extension("stamp");
        let own_program = std::env::current_exe().context("this program has no file")?;
        let inputs = [encoder, module, &own_program].map(modified);
        let done = modified(&stamp).filter(|_| component.is_file());
        if done.is_some_and(|done| inputs.iter().all(|input| input.is_some_and(|at| at < done))) {
            return Ok(());
        }
        step::say(&format!("Encoding {}", self.name));
        let mut command = Command::new(encoder);
        command.arg(module).arg(&component);
        if self.is_initialised {
            command.arg("--init");
        }
        for import in self.imports {
            command.args(["--import", import]);
        }
        step::run(&mut command)?;
        fs::write(&stamp, "").with_context(|| format!("{} cannot be written", stamp.display()))
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|data| data.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_guests_that_are_there_are_encoded() {
        for guest in &GUESTS {
            let folder = Project::here().guest_tools().join(guest.name);
            assert!(folder.join("Cargo.toml").is_file(), "{}", guest.name);
        }
    }

    #[test]
    fn the_sandbox_may_import_nothing_but_tools() {
        let sandbox = GUESTS.iter().find(|guest| guest.name == "js-sandbox");
        let imports = sandbox.expect("it is a guest").imports;
        assert!(imports.iter().all(|import| {
            // `types` holds no function, only the records of `tools`.
            ["tavora:platform/tools@0.1.0", "tavora:platform/types@0.1.0"].contains(import)
        }));
    }
}

//! `cargo xtask setup`: prepares a machine that has only Rust, and reports how. Nothing of the
//! project is built.

use crate::c_compiler::CCompiler;
use crate::project::Project;
use crate::step;
use crate::wasm_toolchain::WasmToolchain;
use anyhow::Result;
use std::process::Command;

/// The tools that build guests.
pub struct GuestToolchain {
    rust: WasmToolchain,
    c: CCompiler,
}

impl GuestToolchain {
    /// A `cargo build` for the guests.
    pub fn cargo_build(&self) -> Command {
        let mut cargo = self.rust.cargo();
        self.c.apply(&mut cargo);
        cargo.arg("build").args(self.rust.build_arguments());
        cargo
    }
}

/// Finds or installs the toolchain of the guests.
pub fn run(_project: &Project) -> Result<GuestToolchain> {
    let rust = WasmToolchain::make_ready()?;
    let c = CCompiler::make_ready()?;
    step::say(&format!(
        "Guests are built with {}, and {} for C",
        rust.description(),
        c.name()
    ));
    Ok(GuestToolchain { rust, c })
}

//! A C compiler for wasm, because the sandbox's JavaScript engine is written in C. Any clang from
//! version 16 on will do. An installed one is preferred to installing one.

use crate::{debian, step};
use anyhow::{Context, Result};
use std::process::Command;

/// The names to try. The first one is the one that the project is tested with.
const NAMES: [&str; 8] = [
    "clang-19", "clang-20", "clang-21", "clang-22", "clang", "clang-18", "clang-17", "clang-16",
];
const OLDEST_VERSION: u32 = 16;
const PACKAGE: &str = "clang-19";

/// A clang that compiles to wasm, and a matching archiver.
pub struct CCompiler {
    clang: String,
    archiver: String,
}

impl CCompiler {
    /// Finds a compiler, or installs one.
    pub fn make_ready() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        debian::install(&[PACKAGE])
            .context("the JavaScript engine needs clang 16 or newer, with the target wasm32")?;
        Self::find().with_context(|| format!("{PACKAGE} is installed but cannot compile to wasm32"))
    }

    /// Makes `cargo` use the compiler for wasm.
    pub fn apply(&self, cargo: &mut Command) {
        cargo
            .env("CC_wasm32_unknown_unknown", &self.clang)
            .env("AR_wasm32_unknown_unknown", &self.archiver);
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.clang
    }

    fn find() -> Option<Self> {
        let is_fit = |name: &&str| {
            let version = step::answer(Command::new(name).arg("--version"));
            let targets = step::answer(Command::new(name).arg("--print-targets"));
            version.as_deref().and_then(major_version) >= Some(OLDEST_VERSION)
                && targets.is_some_and(|targets| targets.contains("wasm32"))
        };
        let clang = NAMES.into_iter().find(is_fit)?;
        Some(Self {
            clang: clang.to_owned(),
            archiver: archiver(clang),
        })
    }
}

/// The archiver of the same LLVM, or else any archiver: the linker needs no index.
fn archiver(clang: &str) -> String {
    [clang.replace("clang", "llvm-ar"), "llvm-ar".to_owned()]
        .into_iter()
        .find(|name| step::answer(Command::new(name).arg("--version")).is_some())
        .unwrap_or_else(|| "ar".to_owned())
}

/// The major version in clang's output: `19` of `Debian clang version 19.1.7 (3~deb12u1)`.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("clang version ")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_wherever_clang_comes_from() {
        let debian = "Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64-pc-linux-gnu";
        assert_eq!(major_version(debian), Some(19));
        assert_eq!(major_version("clang version 22.0.0"), Some(22));
        assert_eq!(major_version("gcc (Debian 12.2.0) 12.2.0"), None);
    }
}

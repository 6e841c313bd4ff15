//! A Rust toolchain for `wasm32-unknown-unknown`, in a way that this machine allows: the target's
//! standard library from rustup, or Debian's compiler, which builds that library from its source.
//! Installed tools are preferred to downloads.

use crate::{debian, step};
use anyhow::{Context, Result};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The target of the guests.
pub const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The package with `wasm-ld`, for compilers in use that come without a linker for wasm.
const LINKER_PACKAGE: &str = "lld";
/// Limits the wait for rustup, which waits long for a server that it cannot reach.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// A way to compile for wasm.
pub enum WasmToolchain {
    /// The compiler in use, which has the target's standard library.
    Installed,
    /// Debian's compiler, with a linker for wasm.
    Debian {
        /// `rust-lld` or `wasm-ld`.
        linker: PathBuf,
    },
}

impl WasmToolchain {
    /// Finds a toolchain, or installs one.
    pub fn make_ready() -> Result<Self> {
        if has_target_library() {
            return Ok(Self::Installed);
        }
        if DEBIAN_PACKAGES.iter().all(|package| debian::has(package)) {
            return Self::debian();
        }
        if rustup_adds_target()? {
            return Ok(Self::Installed);
        }
        if debian::is_here() {
            step::say("rustup cannot add the target: taking Debian's compiler for it");
        }
        debian::install(&DEBIAN_PACKAGES).context(
            "the guests need Rust's target wasm32-unknown-unknown: \
             `rustup target add wasm32-unknown-unknown`, or Debian's compiler for it",
        )?;
        Self::debian()
    }

    /// Cargo for the guests, with this toolchain. Settings in the caller's environment for other
    /// builds are removed.
    pub fn cargo(&self) -> Command {
        let mut command = match self {
            Self::Installed => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Self::Debian { .. } => Command::new(DEBIAN_CARGO),
        };
        let is_debian = matches!(self, Self::Debian { .. });
        for (name, _) in env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| is_of_other_builds(name, is_debian))
            {
                command.env_remove(name);
            }
        }
        if let Self::Debian { linker } = self {
            let path = env::var("PATH").unwrap_or_default();
            command
                .env("PATH", format!("/usr/bin:{path}"))
                .env("RUSTC", DEBIAN_RUSTC)
                // The compiler's own library, and -Zbuild-std with it, fit only a compiler of the
                // same version.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }

    /// Further arguments that `cargo build` needs.
    pub fn build_arguments(&self) -> Vec<&'static str> {
        let mut arguments = vec!["--target", TARGET];
        if matches!(self, Self::Debian { .. }) {
            arguments.push("-Zbuild-std=std,panic_abort");
        }
        arguments
    }

    /// A description for people.
    pub fn description(&self) -> String {
        match self {
            Self::Installed => format!("the installed Rust, which has {TARGET}"),
            Self::Debian { linker } => format!(
                "Debian's Rust, building the standard library for {TARGET} from source, \
                 with the linker {}",
                linker.display()
            ),
        }
    }

    fn debian() -> Result<Self> {
        if let Some(linker) = find_linker() {
            return Ok(Self::Debian { linker });
        }
        debian::install(&[LINKER_PACKAGE]).context("the guests need a linker for wasm")?;
        find_linker()
            .map(|linker| Self::Debian { linker })
            .with_context(|| format!("{LINKER_PACKAGE} is installed but brought no wasm-ld"))
    }
}

/// Whether the compiler in use has the target's standard library.
fn has_target_library() -> bool {
    let Some(folder) = ask_rustc(&["--print", "target-libdir", "--target", TARGET]) else {
        return false;
    };
    Path::new(&folder).read_dir().is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
        })
    })
}

fn rustup_adds_target() -> Result<bool> {
    if step::answer(Command::new("rustup").arg("--version")).is_none() {
        return Ok(false);
    }
    step::say(&format!("Adding {TARGET} with rustup"));
    let added = step::succeeds_within(
        Command::new("rustup").args(["target", "add", TARGET]),
        RUSTUP_LIMIT,
    )?;
    Ok(added && has_target_library())
}

/// The linker that came with the compiler in use, or LLVM's.
fn find_linker() -> Option<PathBuf> {
    rust_lld().or_else(|| {
        let path = env::var_os("PATH")?;
        let names = ["wasm-ld", "wasm-ld-22", "wasm-ld-19", "wasm-ld-16"];
        let folders = env::split_paths(&path).collect::<Vec<_>>();
        let mut files = names
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        files.find(|file| file.is_file())
    })
}

fn rust_lld() -> Option<PathBuf> {
    let sysroot = PathBuf::from(ask_rustc(&["--print", "sysroot"])?);
    let host = ask_rustc(&["--print", "host-tuple"])?;
    let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    linker.is_file().then_some(linker)
}

fn ask_rustc(arguments: &[&str]) -> Option<String> {
    step::answer(Command::new("rustc").args(arguments))
}

/// Whether a variable configures builds of other things than the guests. Settings for cargo's
/// registry are shared. Toolchains, flags and folders are not.
fn is_of_other_builds(name: &str, is_debian: bool) -> bool {
    const KEPT: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const STEERING: [&str; 9] = [
        "CC",
        "AR",
        "CFLAGS",
        "CPPFLAGS",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "OUT_DIR",
    ];
    // The libraries of one compiler must not be loaded by the other.
    const TOOLCHAIN: [&str; 3] = [
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
        "RUST_RECURSION_COUNT",
    ];
    if name.starts_with("CARGO") {
        return !KEPT.iter().any(|kept| name.starts_with(kept));
    }
    STEERING.contains(&name)
        || name.starts_with("RUSTC_")
        || name.ends_with("_wasm32_unknown_unknown")
        || name.ends_with("_wasm32-unknown-unknown")
        || name.starts_with("TARGET_")
        || (is_debian && TOOLCHAIN.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_other_builds_is_left_behind() {
        for name in [
            "CARGO",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "RUSTFLAGS",
            "RUSTC_WRAPPER",
            "CFLAGS",
            "CC_wasm32_unknown_unknown",
        ] {
            assert!(is_of_other_builds(name, false), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_HTTP_PROXY",
            "PATH",
            "HOME",
        ] {
            assert!(!is_of_other_builds(name, true), "{name}");
        }
    }

    #[test]
    fn the_toolchain_in_use_is_left_behind_for_debians_alone() {
        for name in ["RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
            assert!(is_of_other_builds(name, true), "{name}");
            assert!(!is_of_other_builds(name, false), "{name}");
        }
    }
}

//! Packages of Debian and its relatives. Only requested packages are installed, and nothing is
//! removed.

use crate::step;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

const APT_GET: &str = "/usr/bin/apt-get";

/// Whether `package` is installed.
pub fn has(package: &str) -> bool {
    let status = step::answer(Command::new("dpkg-query").args([
        "--show",
        "--showformat=${db:Status-Status}",
        package,
    ]));
    status.as_deref() == Some("installed")
}

/// Whether this user can install packages on this machine.
pub fn can_install() -> bool {
    is_here() && (is_root() || has_sudo())
}

/// Whether this machine can install packages at all.
pub fn is_here() -> bool {
    Path::new(APT_GET).is_file()
}

/// Installs the missing ones of `packages`. If the present package lists are not enough, it updates
/// them first.
pub fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    ensure!(
        can_install(),
        "these packages are missing and cannot be installed from here: {names}. \
         Install them (on Debian, as root: apt-get update && apt-get install {names}), then try again"
    );
    step::say(&format!("Installing Debian packages: {names}"));
    let install = |quietly: bool| {
        let mut command = apt_get(&["install", "--yes", "--no-install-recommends"]);
        command.args(&missing);
        if quietly {
            command.stderr(Stdio::null());
        }
        step::status(&mut command)
    };
    if install(true)?.success() {
        return Ok(());
    }
    step::say("Fetching the newest package lists");
    step::run(&mut apt_get(&["update"]))?;
    ensure!(
        install(false)?.success(),
        "these packages cannot be installed: {names}; see the lines above"
    );
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command
        .args(["DEBIAN_FRONTEND=noninteractive", APT_GET])
        .args(arguments);
    command
}

fn is_root() -> bool {
    step::answer(Command::new("id").arg("-u")).as_deref() == Some("0")
}

fn has_sudo() -> bool {
    step::answer(Command::new("sudo").arg("--version")).is_some()
}

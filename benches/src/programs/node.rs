//! A WebSocket server: the script for Node.js in `benches/peers`, copied to the folder that has the
//! package `ws`.

use std::{fs, path::PathBuf, process::Command};

use super::{cargo::target_dir, system::version_output};
use crate::Result;

const SCRIPT: &str = include_str!("../../peers/node/echo.mjs");

fn dir() -> Result<PathBuf> {
    Ok(target_dir()?.join("peers/node"))
}

/// Writes the script into the folder that has the package `ws`, and returns the script's path.
/// Fails if Node.js or this version of `ws` is not installed.
pub(super) fn script(version: &str) -> Result<PathBuf> {
    if version_output("node", "--version").is_none() {
        return Err("Node.js is not installed".into());
    }
    let description = fs::read_to_string(dir()?.join("node_modules/ws/package.json"));
    if !description.unwrap_or_default().contains(&format!("\"version\": \"{version}\"")) {
        return Err(format!("ws {version} is not installed; use --install").into());
    }
    let script = dir()?.join("echo.mjs");
    fs::write(&script, SCRIPT)?;
    Ok(script)
}

/// Installs the package `ws`, which depends on no other package.
pub(super) fn install(version: &str) -> Result<()> {
    fs::create_dir_all(dir()?)?;
    let mut command = Command::new("npm");
    command.args(["install", "--silent", "--no-save", "--no-package-lock", "--prefix"]);
    command.arg(dir()?).arg(format!("ws@{version}"));
    if !command.status().map_err(|error| format!("npm: {error}"))?.success() {
        return Err("npm can't install ws".into());
    }
    Ok(())
}

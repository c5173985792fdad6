//! Builds programs with cargo.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Result;

/// Cargo, without what `cargo run` says of this program's own package: build scripts ask for these
/// variables, and would run again, here and in the next build, which builds all that depends on
/// them.
pub(super) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// The target directory. This program is in its `release` or `debug`.
pub(super) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("no target folder")?.to_owned())
}

/// Builds `sockeye` from this tree.
pub(crate) fn build_ours() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?;
    let status = cargo()
        .current_dir(root)
        .args(["build", "--release", "--quiet", "-p", "sockeye-cli"])
        .status()?;
    if !status.success() {
        return Err("sockeye does not build".into());
    }
    Ok(target_dir()?.join("release/sockeye"))
}

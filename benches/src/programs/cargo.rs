//! Builds programs with cargo.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Result;

/// A command for cargo, without the environment variables in which `cargo run` describes this
/// program's package. Some build scripts read them. If the variables differed from those of the
/// last build, cargo would run these scripts again and rebuild all crates that depend on them. The
/// next build by hand, which has no such variables, would rebuild these crates once more.
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

/// The target directory. This program is in its folder `release` or `debug`.
pub(super) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("no target folder")?.to_owned())
}

/// Builds `sockeye` from this tree. Returns the path of the program.
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

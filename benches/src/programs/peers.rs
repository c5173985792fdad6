//! Servers to compare with: small ones in `benches/peers` that use other projects' crates, such as
//! hyper, and are built on demand; and a complete server that `cargo install` builds.

use std::path::{Path, PathBuf};

use super::cargo::{cargo, target_dir};
use crate::{Result, kind::Kind};

/// The lock file of the small servers, which has the versions of the crates that they use.
const LOCK: &str = include_str!("../../peers/Cargo.lock");

/// The path of a small server's program.
pub(super) fn path(kind: Kind) -> Result<PathBuf> {
    Ok(target_dir()?.join("peers/release").join(package(kind)))
}

/// Builds a small server. Each is built separately, so that a failure leaves out only that one.
pub(super) fn build(kind: Kind) -> Result<()> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
    let mut command = cargo();
    command.args(["build", "--release", "--quiet", "--locked", "-p", &package(kind)]);
    command.arg("--manifest-path").arg(manifest);
    command.arg("--target-dir").arg(target_dir()?.join("peers"));
    if !command.status()?.success() {
        return Err("it does not build".into());
    }
    Ok(())
}

fn package(kind: Kind) -> String {
    format!("bench-{}", kind.name())
}

/// The version of the crate `name` that a small server uses.
pub(super) fn version_of(name: &str) -> Option<&'static str> {
    let (_, rest) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

/// The path at which [`install`] puts a server's program.
pub(super) fn installed(kind: Kind) -> Result<PathBuf> {
    Ok(root()?.join("bin").join(kind.name()))
}

/// Installs a server with cargo. Of its default features, only `compression` is enabled, without
/// which it can't send precompressed files.
pub(super) fn install(kind: Kind, version: &str) -> Result<()> {
    let mut command = cargo();
    command.args(["install", "--quiet", "--locked", "--version", version]);
    command.args(["--no-default-features", "--features", "compression"]);
    command.arg("--root").arg(root()?).arg("--target-dir").arg(root()?.join("install"));
    command.arg(kind.name());
    if !command.status()?.success() {
        return Err(format!("cargo can't install {}", kind.name()).into());
    }
    Ok(())
}

fn root() -> Result<PathBuf> {
    Ok(target_dir()?.join("peers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Origin;

    #[test]
    fn versions_are_those_of_the_lock() {
        for kind in Kind::ALL {
            if let Origin::Peers { library } = kind.origin() {
                let version = version_of(library).unwrap_or_default();
                assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{library}: {version}");
            }
        }
        assert_eq!(version_of("no-such-crate"), None);
    }
}

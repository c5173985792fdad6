//! The state folder, in which servers keep files that they create, such as the self-signed
//! certificate.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use rustix::process::geteuid;

use crate::error::Error;

/// Returns the folder of `--state`, or the default. The folder need not exist.
///
/// # Errors
///
/// There is no default, because HOME is not set to an absolute path; or the folder belongs to
/// neither the server's user nor root, or other users can write to it.
pub(crate) fn folder(flag: Option<&Path>) -> Result<PathBuf, Error> {
    let folder = path(flag)?;
    // The folder may be missing. If it can't be accessed for another reason, or is not a folder,
    // the code that uses it reports that.
    let Ok(found) = folder.metadata() else { return Ok(folder) };
    match problem(found.uid(), found.mode(), geteuid().as_raw()).filter(|_| found.is_dir()) {
        None => Ok(folder),
        Some(FolderProblem { what, advice }) => {
            let folder = folder.display();
            Err(Error::Failure(anyhow!(
                "the folder {folder} can't keep private keys, because {what}: {advice} {folder}, or \
                 name another folder with --state FOLDER, which is created if it is missing"
            )))
        }
    }
}

/// Why a folder can't be used (`what`), and the command to repair it, without the folder's path
/// (`advice`).
#[derive(Debug, PartialEq, Eq)]
struct FolderProblem {
    what: String,
    advice: String,
}

/// Returns a problem if users other than `user` and root can change files in a folder with this
/// owner and mode: they could replace keys, and prevent renewals.
fn problem(owner: u32, mode: u32, user: u32) -> Option<FolderProblem> {
    if owner != user && owner != 0 {
        let what = format!("it belongs to the user {owner}, and the server runs as {user}");
        return Some(FolderProblem { what, advice: format!("chown {user}") });
    }
    let what = "other users can write to it".to_owned();
    (mode & 0o022 != 0).then(|| FolderProblem { what, advice: "chmod go-w".into() })
}

/// The path of `--state`, or the default.
fn path(flag: Option<&Path>) -> Result<PathBuf, Error> {
    flag.map(Path::to_owned).or_else(|| default(|name| env::var_os(name))).ok_or_else(|| {
        Error::usage(
            "there is no folder to keep files in, because HOME is not set to an absolute path: name \
             one with --state FOLDER (a systemd unit needs StateDirectory=sockeye)",
        )
    })
}

/// The default folder. `variable` returns the value of an environment variable.
fn default(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // If a unit has several state folders, systemd sets STATE_DIRECTORY to a list of paths,
    // separated by colons.
    let first = |list: OsString| {
        let first = list.as_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
        PathBuf::from(OsStr::from_bytes(first))
    };
    // Relative paths are ignored, as the XDG Base Directory Specification requires.
    let path = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_systemd = variable("STATE_DIRECTORY").map(first).filter(|path| path.is_absolute());
    of_systemd
        .or_else(|| Some(path("XDG_STATE_HOME")?.join("sockeye")))
        .or_else(|| Some(path("HOME")?.join(".local/state/sockeye")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_user_and_root_may_change_what_is_in_the_folder() {
        for (owner, mode, expected) in [
            (5, 0o700, None),
            (5, 0o755, None),
            (0, 0o755, None),
            (5, 0o770, Some("chmod go-w")),
            (0, 0o1777, Some("chmod go-w")),
            (6, 0o700, Some("chown 5")),
        ] {
            let found = problem(owner, 0o040_000 | mode, 5).map(|problem| problem.advice);
            assert_eq!(found.as_deref(), expected, "{owner} {mode:o}");
        }
        assert!(problem(5, 0o700, 0).is_some(), "root is no exception");
    }

    #[test]
    fn the_default_is_that_of_systemd_then_of_xdg_then_in_the_home_folder() {
        for (variables, expected) in [
            (&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("HOME", "/h")][..], "/var/lib/a"),
            (&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], "/x/sockeye"),
            (&[("XDG_STATE_HOME", "x"), ("HOME", "/h")], "/h/.local/state/sockeye"),
            (&[("STATE_DIRECTORY", ""), ("HOME", "/h")], "/h/.local/state/sockeye"),
            (&[("XDG_STATE_HOME", ""), ("HOME", "")], ""),
            (&[], ""),
        ] {
            let found = default(|name| {
                let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
                Some(value.into())
            });
            assert_eq!(found.unwrap_or_default(), Path::new(expected), "{variables:?}");
        }
        assert_eq!(path(Some(Path::new("a"))).unwrap(), Path::new("a"));
    }
}

//! The folder for what servers make and keep, such as the self-signed certificate.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The folder of `--state`, or the default. It need not exist.
///
/// # Errors
///
/// There is no default, because the user has no home folder.
pub(crate) fn folder(flag: Option<&Path>) -> Result<PathBuf, Error> {
    flag.map(Path::to_owned).or_else(|| default(|name| env::var_os(name))).ok_or_else(|| {
        Error::usage(
            "there is no folder to keep files in, because HOME is not set: name one with --state \
             FOLDER (a systemd unit needs StateDirectory=sockeye)",
        )
    })
}

/// The default, from environment variables.
fn default(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // systemd sets a list if a unit has several.
    let first = |list: OsString| {
        let first = list.as_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
        PathBuf::from(OsStr::from_bytes(first))
    };
    // A relative path is to be ignored (XDG Base Directory Specification).
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
        assert_eq!(folder(Some(Path::new("a"))).unwrap(), Path::new("a"));
    }
}

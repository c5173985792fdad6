//! Opens names inside a folder, and nowhere else, by Linux's `openat2`.
//!
//! `openat2` (Linux 5.6) opens a name beneath the folder, which is called the root here. The call
//! follows no symbolic link: if the name contains one, it fails with `ELOOP`, and the module
//! `links` finds out where the link leads.
//!
//! If the call doesn't exist (`ENOSYS`: an older kernel, or some sandboxes), the path is walked
//! segment by segment. `EPERM` comes from a sandbox that forbids the call, or from a file system
//! that denies one file. To find out which, [`openat2_error`] makes a second call, which no file
//! system denies.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Flags to open a file for reading. Opening a pipe without a writer doesn't block, and a terminal
/// doesn't become the controlling terminal of this process.
pub(crate) const READ_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// The mode of created files: empty, because no file is ever created.
pub(crate) const NO_MODE: Mode = Mode::empty();

/// Flags to open a file only to look at its metadata, which needs no permission to read it.
pub(crate) const PATH_FLAGS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Flags to open a folder only to pass through it, which needs no permission to list it.
pub(crate) const FOLDER_FLAGS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The most attempts to open a name. The call is repeated after a signal (`EINTR`) or a conflict
/// with another process (`EAGAIN`, such as a lease on the file). After `ELOOP`, the module `links`
/// opens the target of the link instead.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// Why a name was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// A symbolic link leads to a hidden name.
    Hidden,
    /// A symbolic link leads to a name that doesn't exist, in the folder or in one that links may
    /// lead into.
    BrokenLink,
    /// A sandbox forbids the system call with this name.
    Forbidden(&'static str),
    /// The system's error: `XDEV` if a link leads out of the root, `LOOP` if there are too many
    /// links, as in a circle, `AGAIN` if other processes disturbed each attempt.
    Os(Errno),
}

impl From<Errno> for Error {
    fn from(error: Errno) -> Self {
        Self::Os(error)
    }
}

/// Opens a folder by its full path, and follows symbolic links.
pub(crate) fn folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, FOLDER_FLAGS, NO_MODE)
}

/// Opens `root` itself with the call that opens names beneath it. Fails if a sandbox forbids this
/// call, or if this process may not traverse the folder.
pub(crate) fn root_itself(root: &OwnedFd) -> Result<OwnedFd, Error> {
    match rustix::fs::openat2(root, ".", FOLDER_FLAGS, NO_MODE, ResolveFlags::BENEATH) {
        Err(Errno::NOSYS) => Ok(rustix::fs::openat(root, ".", FOLDER_FLAGS, NO_MODE)?),
        opened => opened.map_err(openat2_error),
    }
}

/// Converts an error of `openat2`: finds out whether `EPERM` comes from a sandbox.
pub(crate) fn openat2_error(error: Errno) -> Error {
    detect_sandbox(error, || {
        rustix::fs::openat2(CWD, "/", PATH_FLAGS, NO_MODE, ResolveFlags::empty()).map(drop)
    })
}

/// Like [`openat2_error`]. `elsewhere` calls `openat2` for a path for which only a sandbox returns
/// `EPERM`.
fn detect_sandbox(error: Errno, elsewhere: impl FnOnce() -> Result<(), Errno>) -> Error {
    match error {
        Errno::PERM if elsewhere() == Err(Errno::PERM) => Error::Forbidden("openat2"),
        error => Error::Os(error),
    }
}

/// Opens `name` beneath `root`. Fails with `LOOP` if a segment is a link.
pub(crate) fn without_links(
    root: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match retry(|| rustix::fs::openat2(root, name, flags, NO_MODE, resolve)) {
        Err(Errno::NOSYS) => without_openat2(root, name, flags),
        opened => opened,
    }
}

/// Calls `open` until it returns neither `EINTR` nor `EAGAIN`, at most [`MAX_ATTEMPTS`] times.
fn retry<T>(mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut last = Errno::AGAIN;
    for _ in 0..MAX_ATTEMPTS {
        match open() {
            Err(error @ (Errno::AGAIN | Errno::INTR)) => last = error,
            opened => return opened,
        }
    }
    Err(last)
}

/// Like [`without_links`], for kernels without `openat2`.
pub(crate) fn without_openat2(
    root: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    if name == "." {
        return rustix::fs::openat(root, ".", flags, NO_MODE);
    }
    let mut at: Option<OwnedFd> = None;
    let mut segments = name.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        // Callers never pass such segments. They are checked again, because `..` would lead out of
        // the root.
        if matches!(segment, b"" | b"." | b"..") {
            return Err(Errno::XDEV);
        }
        let flags = if segments.peek().is_some() { FOLDER_FLAGS } else { flags };
        let folder = at.as_ref().map_or(root, AsFd::as_fd);
        let opened = rustix::fs::openat(folder, segment, flags | OFlags::NOFOLLOW, NO_MODE);
        // What `O_NOFOLLOW` does if the segment is a link: with `O_DIRECTORY`, the call fails with
        // `ENOTDIR`; with only `O_PATH`, it opens the link itself; with neither, it fails with
        // `ELOOP`, which is returned below.
        let opens_link = match &opened {
            Ok(_) => flags.contains(OFlags::PATH),
            Err(error) => *error == Errno::NOTDIR,
        };
        if opens_link && is_link(folder, segment) {
            return Err(Errno::LOOP);
        }
        at = Some(opened?);
    }
    at.ok_or(Errno::NOENT)
}

fn is_link(folder: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eperm_of_a_sandbox_is_distinguished_from_a_file_systems() {
        let forbidden = Error::Forbidden("openat2");
        for (error, elsewhere, why) in [
            (Errno::PERM, Err(Errno::PERM), forbidden),
            (Errno::PERM, Ok(()), Error::Os(Errno::PERM)),
            (Errno::PERM, Err(Errno::MFILE), Error::Os(Errno::PERM)),
            (Errno::ACCESS, Err(Errno::PERM), Error::Os(Errno::ACCESS)),
        ] {
            assert_eq!(detect_sandbox(error, || elsewhere), why);
        }
        assert_eq!(openat2_error(Errno::PERM), Error::Os(Errno::PERM), "no sandbox is here");
    }

    #[test]
    fn disturbed_calls_are_retried() {
        let after = |errors: &[Errno]| {
            let (mut left, mut calls) = (errors.iter(), 0);
            let called = retry(|| {
                calls += 1;
                left.next().map_or(Ok(()), |error| Err(*error))
            });
            (called, calls)
        };
        assert_eq!(after(&[]), (Ok(()), 1));
        assert_eq!(after(&[Errno::AGAIN]), (Ok(()), 2));
        assert_eq!(after(&[Errno::INTR]), (Ok(()), 2));
        assert_eq!(after(&[Errno::AGAIN, Errno::INTR, Errno::NOENT]), (Err(Errno::NOENT), 3));
        for error in [Errno::LOOP, Errno::ACCESS, Errno::NOSYS] {
            assert_eq!(after(&[error]), (Err(error), 1));
        }
        let mut errors = [Errno::AGAIN; MAX_ATTEMPTS];
        assert_eq!(after(&errors[1..]), (Ok(()), MAX_ATTEMPTS));
        assert_eq!(after(&errors), (Err(Errno::AGAIN), MAX_ATTEMPTS));
        errors[MAX_ATTEMPTS - 1] = Errno::INTR;
        assert_eq!(after(&errors), (Err(Errno::INTR), MAX_ATTEMPTS));
    }
}

//! Opening a name inside of a folder and nowhere else. The one file that is tied to Linux.
//!
//! `openat2` with `RESOLVE_BENEATH` (Linux 5.6) lets the kernel itself see to it that no symbolic
//! link, swapped at whatever moment, leads out. Where the call doesn't exist (an older kernel, or a
//! sandbox that says so) the path is walked one segment at a time and no symbolic link is followed.
//! Only `ENOSYS` means that it doesn't exist: a sandbox that forbids it says `EPERM`, and so does a
//! file system about one file; the first shows at the start, the second is that file's own.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// To read a file: a pipe without a writer must not hang us, a terminal must not become ours.
pub(crate) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// Nothing is ever created.
pub(crate) const MODE: Mode = Mode::empty();

/// To look at what is there without opening it.
pub(crate) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// To pass through a folder, which needs no permission to list it.
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How often a look-up is begun again when a rename elsewhere disturbed it: the kernel can't tell
/// whether that rename would have let it out.
const TRIES: usize = 16;

/// Opens a folder by its full path, following symbolic links: it is the one that we were told.
pub(crate) fn folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, PASS, MODE)
}

/// Opens `root` by the way that names beneath it are opened: what forbids that way, or passing
/// through this folder, shows here.
pub(crate) fn itself(root: &OwnedFd) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat2(root, ".", PASS, MODE, ResolveFlags::BENEATH) {
        Err(Errno::NOSYS) => rustix::fs::openat(root, ".", PASS, MODE),
        opened => opened,
    }
}

/// Opens the folder `name` beneath `root` (the root itself, where it is empty) to list it.
pub(crate) fn to_list(root: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = READ | OFlags::DIRECTORY;
    if name.is_empty() {
        return rustix::fs::openat(root, ".", flags, MODE);
    }
    beneath(root, name, flags)
}

/// Opens `name` beneath `root`. Fails with `XDEV` or `LOOP` where a link would lead out.
pub(crate) fn beneath(root: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match rustix::fs::openat2(root, name, flags, MODE, resolve) {
            Err(Errno::NOSYS) => return walk(root, name, flags),
            Err(error @ (Errno::AGAIN | Errno::INTR)) => last = error,
            opened => return opened,
        }
    }
    Err(last)
}

/// As [`beneath`], for kernels without `openat2`; follows no symbolic link at all.
fn walk(root: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut segments = name.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        // The callers' names hold none of these; a walk that relied on it would be one edit away
        // from leading out.
        if matches!(segment, b"" | b"." | b"..") {
            return Err(Errno::XDEV);
        }
        let flags = if segments.peek().is_some() { PASS } else { flags };
        let folder = at.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        at = Some(rustix::fs::openat(folder, segment, flags | OFlags::NOFOLLOW, MODE)?);
    }
    at.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tests::scratch::Scratch;

    type Open = fn(&OwnedFd, &OsStr, OFlags) -> Result<OwnedFd, Errno>;

    /// Both ways of opening, against the same names.
    #[test]
    fn names_stay_beneath_the_root_either_way() {
        let scratch = Scratch::new();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(scratch.path().join("secret"), "outside").unwrap();
        fs::write(root.join("sub/file"), "inside").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("../..", root.join("sub/up")).unwrap();
        symlink(scratch.path().join("secret"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("sub/file", root.join("within")).unwrap();
        let root = folder(&root).unwrap();

        for (way, open) in [("openat2", beneath as Open), ("walk", walk as Open)] {
            let code = |name: &str| open(&root, OsStr::new(name), READ).err();
            assert_eq!(code("sub/file"), None, "{way}");
            assert_eq!(code("sub"), None, "{way}");
            assert_eq!(code("missing"), Some(Errno::NOENT), "{way}");
            assert_eq!(code("sub/file/x"), Some(Errno::NOTDIR), "{way}");
            for name in ["out", "absolute", "loop", "../secret", "sub/../../secret", "/etc/passwd"]
            {
                let refused = code(name);
                assert!(matches!(refused, Some(Errno::XDEV | Errno::LOOP)), "{way} {name}");
            }
            // A link to a folder on the way: refused as a link, or as no folder.
            assert!(code("sub/up/secret").is_some(), "{way}");
        }
        assert!(beneath(&root, OsStr::new("within"), READ).is_ok());
        assert_eq!(walk(&root, OsStr::new("within"), READ).err(), Some(Errno::LOOP));
    }
}

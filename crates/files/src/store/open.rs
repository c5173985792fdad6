//! Opens names inside a folder, and nowhere else, by Linux's `openat2`.
//!
//! `openat2` (Linux 5.6) opens a name beneath the root without following symbolic links. If there
//! is one (`ELOOP`), [`resolve`] reads the links and checks the name that they lead to, and that
//! name is opened without following links. So the opened file is the checked one, even if links
//! change meanwhile: it is beneath the root and not hidden.
//!
//! If the call doesn't exist (`ENOSYS`: an older kernel, or some sandboxes), the path is walked
//! segment by segment and no symbolic link is followed. `EPERM` comes from a sandbox that forbids
//! the call, or from a file system that denies one file. To find out which, [`openat2_error`] makes
//! a second call, which no file system denies.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::naming::path;

/// To read a file. A pipe without a writer doesn't block, and a terminal doesn't become the
/// process's own.
pub(crate) const READ_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// No file is ever created.
pub(crate) const NO_MODE: Mode = Mode::empty();

/// To look at a file without permission to read it.
pub(crate) const PATH_FLAGS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// To pass through a folder, which needs no permission to list it.
pub(crate) const FOLDER_FLAGS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The most attempts at a call that fails because of a signal, a rename (the kernel can't tell
/// whether the name would have left the root) or a new symbolic link.
const MAX_ATTEMPTS: usize = 16;

/// The most symbolic links that are followed for one name: the limit of Linux.
const MAX_LINKS: usize = 40;

/// Why a name was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// A symbolic link leads to a hidden name.
    Hidden,
    /// A sandbox forbids the system call of this name.
    Forbidden(&'static str),
    /// The system's error: `XDEV` if a link leads out of the root, `LOOP` if links lead in circles,
    /// `AGAIN` if the file keeps changing.
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

/// Opens `root` as names beneath it are opened. Fails if that is forbidden, or if this process may
/// not traverse the folder.
pub(crate) fn root_itself(root: &OwnedFd) -> Result<OwnedFd, Error> {
    match rustix::fs::openat2(root, ".", FOLDER_FLAGS, NO_MODE, ResolveFlags::BENEATH) {
        Err(Errno::NOSYS) => Ok(rustix::fs::openat(root, ".", FOLDER_FLAGS, NO_MODE)?),
        opened => opened.map_err(openat2_error),
    }
}

/// Why `openat2` failed.
fn openat2_error(error: Errno) -> Error {
    detect_sandbox(error, || {
        rustix::fs::openat2(CWD, "/", PATH_FLAGS, NO_MODE, ResolveFlags::empty()).map(drop)
    })
}

/// Why `openat2` failed. `elsewhere` calls it where only a sandbox returns `EPERM`.
fn detect_sandbox(error: Errno, elsewhere: impl FnOnce() -> Result<(), Errno>) -> Error {
    match error {
        Errno::PERM if elsewhere() == Err(Errno::PERM) => Error::Forbidden("openat2"),
        error => Error::Os(error),
    }
}

/// Opens the folder `name` beneath `root` (the root itself if it is empty) to list it.
pub(crate) fn folder_to_list(root: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Error> {
    let flags = READ_FLAGS | OFlags::DIRECTORY;
    if name.is_empty() {
        return Ok(rustix::fs::openat(root, ".", flags, NO_MODE)?);
    }
    beneath(root, name, flags)
}

/// Opens `name` beneath `root`, and follows links to names in it that are not hidden.
pub(crate) fn beneath(root: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Error> {
    let mut target = None;
    for _ in 0..MAX_ATTEMPTS {
        let name = target.as_deref().map_or(name, OsStr::from_bytes);
        match without_links(root, name, flags) {
            // The name has links, or a link appeared since the last ones were read.
            Err(Errno::LOOP) => target = Some(resolve(root, name)?),
            Err(Errno::NOSYS) => return Ok(open_without_openat2(root, name, flags)?),
            opened => return opened.map_err(openat2_error),
        }
    }
    Err(Error::Os(Errno::AGAIN))
}

/// Opens `name` beneath `root`. Fails with `LOOP` if a segment is a link.
fn without_links(root: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    retry(|| rustix::fs::openat2(root, name, flags, NO_MODE, resolve))
}

/// Calls `open` until no signal or rename disturbs it, at most [`MAX_ATTEMPTS`] times.
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

/// Follows the links in `name` beneath `root`, and returns the name without links (`.` for the root
/// itself), which is not hidden. Links may change at any time, so callers must open it without
/// following links.
fn resolve(root: &OwnedFd, name: &OsStr) -> Result<Vec<u8>, Error> {
    let mut resolver = Resolver { root, name: Vec::new(), folder: None };
    let mut rest = name.as_bytes().to_vec();
    let mut links = 0;
    while !rest.is_empty() {
        let slash = rest.iter().position(|byte| *byte == b'/');
        let (segment, rest_of_name) = rest.split_at(slash.unwrap_or(rest.len()));
        let target = match segment {
            b"" | b"." => None,
            b".." => resolver.up()?,
            _ => resolver.down(segment, slash.is_some())?,
        };
        rest = match target {
            None => rest_of_name.get(1..).unwrap_or_default().to_vec(),
            Some(_) if links == MAX_LINKS => return Err(Error::Os(Errno::LOOP)),
            Some(target) => {
                links += 1;
                [&target, rest_of_name].concat()
            }
        };
    }
    match resolver.name {
        name if name.is_empty() => Ok(b".".to_vec()),
        name if path::is_hidden(&name) => Err(Error::Hidden),
        name => Ok(name),
    }
}

/// The progress of [`resolve`].
struct Resolver<'a> {
    root: &'a OwnedFd,
    /// Without links, and relative to the root.
    name: Vec<u8>,
    /// The open folder with that name; `None` for the root.
    folder: Option<OwnedFd>,
}

impl Resolver<'_> {
    /// Goes to the folder above.
    fn up(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.name.is_empty() {
            return Err(Error::Os(Errno::XDEV));
        }
        let above = self.name.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.name.truncate(above);
        // Not by `..`: if the folder was moved meanwhile, that is another folder.
        self.folder = match &self.name[..] {
            [] => None,
            name => match without_links(self.root, OsStr::from_bytes(name), FOLDER_FLAGS) {
                Err(Errno::LOOP) => return Err(Error::Os(Errno::AGAIN)),
                opened => Some(opened.map_err(openat2_error)?),
            },
        };
        Ok(None)
    }

    /// Goes to `segment` in this folder. If it is a link, stays and returns its target.
    fn down(&mut self, segment: &[u8], is_folder: bool) -> Result<Option<Vec<u8>>, Error> {
        let above = self.name.len();
        if above > 0 {
            self.name.push(b'/');
        }
        self.name.extend_from_slice(segment);
        // An error would disclose whether something exists beneath a hidden name.
        let failed = |error| match path::is_hidden(&self.name) {
            true => Error::Hidden,
            false => Error::Os(error),
        };
        let folder = self.folder.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
        let flags = PATH_FLAGS | OFlags::NOFOLLOW;
        let opened = rustix::fs::openat(folder, segment, flags, NO_MODE).map_err(failed)?;
        let stat = rustix::fs::fstat(&opened).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&opened, "", Vec::new()).map_err(failed)?;
                if target.as_bytes().starts_with(b"/") {
                    return Err(Error::Os(Errno::XDEV));
                }
                self.name.truncate(above);
                return Ok(Some(target.into_bytes()));
            }
            FileType::Directory => self.folder = Some(opened),
            _ if is_folder => return Err(failed(Errno::NOTDIR)),
            _ => {}
        }
        Ok(None)
    }
}

/// As [`beneath`], for kernels without `openat2`; follows no symbolic link at all.
fn open_without_openat2(root: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut segments = name.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        // Callers never pass these, but they could lead out of the root, so they are checked again.
        if matches!(segment, b"" | b"." | b"..") {
            return Err(Errno::XDEV);
        }
        let flags = if segments.peek().is_some() { FOLDER_FLAGS } else { flags };
        let folder = at.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        at = Some(rustix::fs::openat(folder, segment, flags | OFlags::NOFOLLOW, NO_MODE)?);
    }
    at.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tests::scratch::Scratch;

    type Open = fn(&OwnedFd, &OsStr, OFlags) -> Result<OwnedFd, Error>;

    /// Both ways of opening, against the same names.
    #[test]
    fn names_stay_beneath_the_root_with_and_without_openat2() {
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

        let fallback: Open = |root, name, flags| Ok(open_without_openat2(root, name, flags)?);
        for (way, open) in [("openat2", beneath as Open), ("openat", fallback)] {
            let code = |name: &str| match open(&root, OsStr::new(name), READ_FLAGS) {
                Ok(_) => None,
                Err(Error::Os(error)) => Some(error),
                Err(error) => panic!("{name} gives {error:?}"),
            };
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
        assert!(beneath(&root, OsStr::new("within"), READ_FLAGS).is_ok());
        assert_eq!(
            open_without_openat2(&root, OsStr::new("within"), READ_FLAGS).err(),
            Some(Errno::LOOP)
        );
    }

    #[test]
    fn links_resolve_to_names_without_links() {
        let scratch = Scratch::new();
        let root = scratch.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/file"), "").unwrap();
        for (name, target) in [
            ("to-a", "a"),
            ("to-b", "to-a/./b/"),
            ("a/b/file", "../file"),
            ("a/b/up", "../.."),
            ("a/b/out", "../../.."),
            ("file-as-folder", "a/file/"),
            ("file-above", "a/file/.."),
            ("nowhere", "a/nothing/../file"),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        let mut before = "a/file".to_owned();
        for link in 0..=MAX_LINKS {
            symlink(&before, root.join(format!("link{link}"))).unwrap();
            before = format!("link{link}");
        }
        let root = folder(root).unwrap();
        for (name, target) in [
            ("a/file", Ok("a/file")),
            ("to-a/file", Ok("a/file")),
            ("to-b/file", Ok("a/file")),
            ("to-b//file", Ok("a/file")),
            ("to-b/up", Ok(".")),
            ("to-b/up/to-b/up/to-a", Ok("a")),
            ("to-b/out", Err(Errno::XDEV)),
            ("file-as-folder", Err(Errno::NOTDIR)),
            ("file-above", Err(Errno::NOTDIR)),
            ("nowhere", Err(Errno::NOENT)),
            ("link39", Ok("a/file")),
            ("link40", Err(Errno::LOOP)),
        ] {
            let resolved = resolve(&root, OsStr::new(name));
            let expected = target.map(|target| target.as_bytes().to_vec()).map_err(Error::Os);
            assert_eq!(resolved, expected, "{name}");
            // The kernel resolves it in the same way.
            let kernel =
                rustix::fs::openat2(&root, name, PATH_FLAGS, NO_MODE, ResolveFlags::BENEATH);
            assert_eq!(kernel.err(), target.err(), "{name}");
        }
    }

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

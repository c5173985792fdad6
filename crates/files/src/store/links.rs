//! Opens names inside a folder. A name may be a symbolic link, or contain links.
//!
//! [`Roots::open`] opens a name without following links. Only if the name contains one (`ELOOP`),
//! [`Roots::follow`] walks along the name as the kernel would, through absolute links and links
//! that lead out of the folder and back in. Where the walk arrives in the folder again, the folder
//! is recognised by its device and inode, whichever path leads to it. The result is a name beneath
//! one of the roots: the folder, and the other folders that links may lead into. This name contains
//! no links. If it is not hidden, it is opened without following links. So even if links change
//! meanwhile, the opened file is beneath a root and not hidden.
//!
//! Nothing discloses what exists outside the roots: if a lookup fails there, the error says only
//! that the link leads out. The same error is returned for a link in a root that goes into a folder
//! outside and up again (`/private/../srv/site/page`): otherwise whoever can create links could
//! find out which folders exist.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::open::{self, Error, FOLDER_FLAGS, MAX_ATTEMPTS, NO_MODE, PATH_FLAGS, READ_FLAGS};
use super::traits::{Followed, Link};
use crate::naming::path::{self, WellKnown};

/// The most symbolic links that are followed for one name: the limit of Linux.
const MAX_LINKS: usize = 40;

/// The most segments that are walked for one name. Each takes some system calls, and 40 links can
/// have 80,000 segments.
const MAX_SEGMENTS: usize = 4096;

/// The served folder, and the folders that its links may lead into, for one lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roots<'a> {
    pub(crate) folder: &'a OwnedFd,
    pub(crate) linked: &'a LinkedFolders<'a>,
    /// Whether `.well-known` at the top of `folder` is served. In the linked folders, it is hidden.
    pub(crate) well_known: WellKnown,
}

/// The folders that links may lead into, opened when a walk first needs them.
#[derive(Debug)]
pub(crate) struct LinkedFolders<'d> {
    paths: &'d [PathBuf],
    opened: OnceLock<Vec<LinkedFolder>>,
}

#[derive(Debug)]
struct LinkedFolder {
    path: PathBuf,
    file: OwnedFd,
    id: FileId,
}

/// The device and the inode.
type FileId = (u64, u64);

/// A name without links, and the root that it is in.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// The root's index: 0 for the served folder, from 1 for the linked folders.
    root: usize,
    /// The name relative to the root, `.` for the root itself. Never a hidden name.
    name: Vec<u8>,
}

impl<'d> LinkedFolders<'d> {
    pub(crate) fn new(paths: &'d [PathBuf]) -> Self {
        Self { paths, opened: OnceLock::new() }
    }

    fn opened(&self) -> Result<&[LinkedFolder], Errno> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let mut opened = Vec::with_capacity(self.paths.len());
        for path in self.paths {
            match open::folder(path).and_then(|file| Ok((rustix::fs::fstat(&file)?, file))) {
                Ok((stat, file)) => {
                    opened.push(LinkedFolder { path: path.clone(), file, id: id_of(&stat) });
                }
                Err(error) if is_transient(error) => return Err(error),
                // The folder is missing or can't be opened, so links into it are refused.
                Err(_) => {}
            }
        }
        Ok(self.opened.get_or_init(|| opened))
    }
}

impl Roots<'_> {
    /// Opens `name`, and follows links to names in the roots that are not hidden.
    pub(crate) fn open(self, name: &[u8], flags: OFlags) -> Result<OwnedFd, Error> {
        let mut target = None;
        for _ in 0..MAX_ATTEMPTS {
            let (root, name) = match &target {
                None => (0, name),
                Some(Target { root, name }) => (*root, &name[..]),
            };
            match open::without_links(self.fd(root)?, OsStr::from_bytes(name), flags) {
                // The name has links, or a part of the target was replaced by a link meanwhile.
                Err(Errno::LOOP) => target = Some(self.follow(root, name)?),
                opened => return opened.map_err(open::openat2_error),
            }
        }
        Err(Error::Os(Errno::AGAIN))
    }

    /// Opens the folder `name` (the root itself if it is empty) to list it.
    pub(crate) fn open_to_list(self, name: &[u8]) -> Result<OwnedFd, Error> {
        let flags = READ_FLAGS | OFlags::DIRECTORY;
        if name.is_empty() {
            return Ok(rustix::fs::openat(self.folder, ".", flags, NO_MODE)?);
        }
        self.open(name, flags)
    }

    /// Follows the links in `name`. Links may change at any time, so callers must open the target
    /// without following links.
    fn follow(self, root: usize, name: &[u8]) -> Result<Target, Error> {
        let mut walk = Walk::new(self, root);
        walk.along(name)?;
        walk.end()
    }

    /// The links on the way to `name`, and where they lead.
    pub(crate) fn explain(self, name: &[u8]) -> Followed {
        let mut walk = Walk::new(self, 0);
        // If the walk fails, its position is the folder in which it failed.
        let _ = walk.along(name);
        let target = walk.position().map(|(root, name)| self.shown(root, name));
        Followed { links: walk.links, target }
    }

    /// A name in a root, for people: relative in the served folder, absolute in a linked folder.
    fn shown(self, root: usize, name: &[u8]) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(name));
        let linked = root.checked_sub(1).and_then(|at| self.linked.opened().ok()?.get(at));
        match linked {
            Some(linked) if name.as_os_str().is_empty() => linked.path.clone(),
            Some(linked) => linked.path.join(name),
            None => name.to_owned(),
        }
    }

    /// The folder with this index; 0 is the served one.
    fn fd(&self, root: usize) -> Result<BorrowedFd<'_>, Errno> {
        match root.checked_sub(1) {
            None => Ok(self.folder.as_fd()),
            Some(at) => Ok(self.linked.opened()?[at].file.as_fd()),
        }
    }

    /// Whether a name in the root with this index is hidden: one of its segments begins with a dot.
    /// Exception: `.well-known` at the top of the served folder, if that folder is served at the
    /// URL path `/`.
    fn is_hidden(self, root: usize, name: &[u8]) -> bool {
        path::is_hidden(name, if root == 0 { self.well_known } else { WellKnown::Hidden })
    }

    /// The index of the root with the device and inode of `stat`; `None` if no root has them.
    fn find(&self, stat: &Stat) -> Result<Option<usize>, Errno> {
        let id = id_of(stat);
        if id_of(&rustix::fs::fstat(self.folder)?) == id {
            return Ok(Some(0));
        }
        let at = self.linked.opened()?.iter().position(|linked| linked.id == id);
        Ok(at.map(|at| at + 1))
    }

    /// The innermost root that `folder` is beneath, the name of `folder` in it, and `folder` opened
    /// again by this name, without following links. `None` if no root is found.
    fn find_above(&self, folder: &OwnedFd) -> Result<Option<(usize, Vec<u8>, OwnedFd)>, Errno> {
        // `folder` is above the base. If the base can only be the served folder, no root is above.
        if self.linked.paths.is_empty() {
            return Ok(None);
        }
        // These paths only suggest a root and a name, which are checked below. Without `/proc`,
        // there are none.
        let path =
            |fd: BorrowedFd<'_>| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let Ok(full) = path(folder.as_fd()) else { return Ok(None) };
        let mut innermost = None;
        for root in 0..=self.linked.opened()?.len() {
            let Ok(above) = path(self.fd(root)?) else { continue };
            let Ok(name) = full.strip_prefix(above) else { continue };
            let name = name.as_os_str();
            if innermost.is_none_or(|(_, other): (_, &OsStr)| name.len() < other.len()) {
                innermost = Some((root, name));
            }
        }
        let Some((root, name)) = innermost else { return Ok(None) };
        match open::without_links(self.fd(root)?, name, FOLDER_FLAGS) {
            Err(error) if is_transient(error) => Err(error),
            Ok(opened)
                if id_of(&rustix::fs::fstat(&opened)?) == id_of(&rustix::fs::fstat(folder)?) =>
            {
                Ok(Some((root, name.as_bytes().to_vec(), opened)))
            }
            _ => Ok(None),
        }
    }
}

/// A walk along a name, and the links on its way.
struct Walk<'a> {
    roots: Roots<'a>,
    base: Base,
    /// The position of the walk: a name without links, relative to the base.
    name: Vec<u8>,
    /// The open folder with that name; `None` for the base. If the walk has ended at a file: the
    /// folder that contains the file.
    folder: Option<OwnedFd>,
    /// The roots on the way from the base to the position: for each, its index, and the length of
    /// the prefix of `name` that leads to it. The innermost root is last. Empty outside the roots.
    /// If the base is beneath further roots, [`Walk::up`] finds them when the walk leaves the base.
    roots_above: Vec<(usize, usize)>,
    /// Used outside the roots. If the walk has left a root by `..`: the length of the prefix of
    /// `name` that leads to the folder above that root, otherwise 0. As this folder is known to
    /// exist, a further `..` from it discloses nothing.
    known_above: usize,
    /// How many links were followed.
    followed: usize,
    /// The followed links that are in a root.
    links: Vec<Link>,
}

/// The folder to which the name of a walk is relative: the root where the walk began, `/` after an
/// absolute link, or after `..` the parent of the former base, or a root that the parent is
/// beneath.
enum Base {
    /// The root with this index.
    Root(usize),
    Outside(OwnedFd),
}

impl<'a> Walk<'a> {
    fn new(roots: Roots<'a>, root: usize) -> Self {
        Self {
            roots,
            base: Base::Root(root),
            name: Vec::new(),
            folder: None,
            roots_above: vec![(root, 0)],
            known_above: 0,
            followed: 0,
            links: Vec::new(),
        }
    }

    /// Walks along `name`, and follows each link.
    fn along(&mut self, name: &[u8]) -> Result<(), Error> {
        let mut rest = name.to_vec();
        // How many bytes at the end of `rest` are from the requested name. The others are from
        // links.
        let mut requested = rest.len();
        // How many bytes at the end of `rest` are from the requested name or from links in the
        // roots. The others are from links outside, whose owners know which folders exist there.
        let mut from_roots = rest.len();
        let mut segments = 0;
        while !rest.is_empty() {
            let slash = rest.iter().position(|byte| *byte == b'/');
            let (segment, after) = rest.split_at(slash.unwrap_or(rest.len()));
            let is_from_link = after.len() >= requested;
            segments += 1;
            if segments > MAX_SEGMENTS {
                return Err(self.failed(segment, true, Errno::LOOP));
            }
            let target = match segment {
                b"" | b"." => Ok(None),
                b".." if after.len() < from_roots && self.is_elsewhere() => Err(Errno::XDEV),
                b".." => self.up().map(|()| None),
                _ => self.down(segment, slash.is_some()),
            };
            let target = target.map_err(|error| match error {
                // A link leads to a file, and the requested name continues as if that were a
                // folder. So the name is missing, but the link isn't broken.
                Errno::NOTDIR if after.len() == requested => self.failed(segment, false, error),
                error => self.failed(segment, is_from_link, error),
            })?;
            requested = requested.min(after.len());
            let is_outside = self.position().is_none();
            from_roots = from_roots.min(after.len());
            rest = match target {
                None => after.get(1..).unwrap_or_default().to_vec(),
                Some(_) if self.followed == MAX_LINKS => {
                    return Err(self.failed(segment, true, Errno::LOOP));
                }
                Some(target) => {
                    self.record(segment, &target);
                    if target.starts_with(b"/") {
                        let top = open::folder(Path::new("/"));
                        top.and_then(|top| self.enter(top))
                            .map_err(|error| self.failed(segment, true, error))?;
                    }
                    let rest = [&target, after].concat();
                    from_roots = if is_outside { from_roots } else { rest.len() };
                    rest
                }
            };
            from_roots = from_roots.min(rest.len());
            requested = requested.min(rest.len());
        }
        Ok(())
    }

    /// The target of the walk, after its last step.
    fn end(self) -> Result<Target, Error> {
        match self.position() {
            None => Err(Error::Os(Errno::XDEV)),
            Some((root, name)) if self.roots.is_hidden(root, name) => Err(Error::Hidden),
            Some((root, b"")) => Ok(Target { root, name: b".".to_vec() }),
            Some((root, name)) => Ok(Target { root, name: name.to_vec() }),
        }
    }

    /// The innermost root that the walk is in, and the name relative to it.
    fn position(&self) -> Option<(usize, &[u8])> {
        let (root, len) = *self.roots_above.last()?;
        let name = &self.name[len..];
        Some((root, name.strip_prefix(b"/").unwrap_or(name)))
    }

    /// Whether the walk is in a folder outside the roots whose existence must not be disclosed: any
    /// but the base and the folders above a root that the walk has left by `..`.
    fn is_elsewhere(&self) -> bool {
        self.position().is_none() && self.name.len() > self.known_above
    }

    fn base(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.base {
            Base::Root(root) => self.roots.fd(*root),
            Base::Outside(folder) => Ok(folder.as_fd()),
        }
    }

    /// Moves to `folder` and makes it the base.
    fn enter(&mut self, folder: OwnedFd) -> Result<(), Errno> {
        let root = self.roots.find(&rustix::fs::fstat(&folder)?)?;
        self.base = root.map_or(Base::Outside(folder), Base::Root);
        self.roots_above = root.map(|root| (root, 0)).into_iter().collect();
        self.known_above = 0;
        self.name.clear();
        self.folder = None;
        Ok(())
    }

    /// Moves to the parent folder.
    fn up(&mut self) -> Result<(), Errno> {
        if self.name.is_empty() {
            let above = rustix::fs::openat(self.base()?, "..", FOLDER_FLAGS, NO_MODE)?;
            self.enter(above)?;
            if let Base::Outside(above) = &self.base
                && let Some((root, name, folder)) = self.roots.find_above(above)?
            {
                self.base = Base::Root(root);
                self.roots_above.push((root, 0));
                self.name = name;
                self.folder = Some(folder);
            }
            return Ok(());
        }
        let above = self.name.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        if self.position().is_some() {
            self.known_above = above;
        }
        self.known_above = self.known_above.min(above);
        self.name.truncate(above);
        self.roots_above.retain(|(_, len)| *len <= above);
        // Don't open `..` of the current folder: if that was moved meanwhile, its parent is another
        // folder.
        self.folder = match &self.name[..] {
            [] => None,
            name => {
                match open::without_links(self.base()?, OsStr::from_bytes(name), FOLDER_FLAGS) {
                    Err(Errno::LOOP) => return Err(Errno::AGAIN),
                    opened => Some(opened?),
                }
            }
        };
        Ok(())
    }

    /// Moves to `segment` in this folder. If it is a link, stays and returns the link's target. If
    /// `is_folder`, anything but a folder or a link is an error.
    fn down(&mut self, segment: &[u8], is_folder: bool) -> Result<Option<Vec<u8>>, Errno> {
        let folder =
            self.folder.as_ref().map_or_else(|| self.base(), |folder| Ok(folder.as_fd()))?;
        let opened = rustix::fs::openat(folder, segment, PATH_FLAGS | OFlags::NOFOLLOW, NO_MODE)?;
        let stat = rustix::fs::fstat(&opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&opened, "", Vec::new())?;
                return Ok(Some(target.into_bytes()));
            }
            FileType::Directory => {
                self.name = path::beneath(&self.name, segment);
                self.folder = Some(opened);
                // Inside the only root, there can be no other root.
                let may_be_root =
                    self.roots_above.is_empty() || !self.roots.linked.paths.is_empty();
                if may_be_root && let Some(root) = self.roots.find(&stat)? {
                    self.roots_above.push((root, self.name.len()));
                }
            }
            _ if is_folder => return Err(Errno::NOTDIR),
            _ => self.name = path::beneath(&self.name, segment),
        }
        Ok(None)
    }

    /// Records the link `segment` of this folder.
    fn record(&mut self, segment: &[u8], target: &[u8]) {
        self.followed += 1;
        if let Some((root, folder)) = self.position() {
            let name = self.roots.shown(root, &path::beneath(folder, segment));
            let link = Link { name, target: OsStr::from_bytes(target).into() };
            // Links in circles are recorded once.
            if !self.links.contains(&link) {
                self.links.push(link);
            }
        }
    }

    /// The error to return if the walk fails at `segment` with `error`. It discloses nothing about
    /// names that are hidden or outside the roots.
    fn failed(&self, segment: &[u8], is_from_link: bool, error: Errno) -> Error {
        match (self.position(), error) {
            (_, error) if is_transient(error) => Error::Os(error),
            (None, _) => Error::Os(Errno::XDEV),
            // The root's own `..` leads out of it.
            _ if segment == b".." && self.name.is_empty() => Error::Os(Errno::XDEV),
            // `error` would disclose whether something exists beneath a hidden name.
            (Some((root, folder)), _)
                if segment != b".."
                    && self.roots.is_hidden(root, &path::beneath(folder, segment)) =>
            {
                Error::Hidden
            }
            (_, Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) if is_from_link => {
                Error::BrokenLink
            }
            (_, error) => open::openat2_error(error),
        }
    }
}

/// Whether an error is independent of the name, and may be gone the next time.
fn is_transient(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN)
}

fn id_of(stat: &Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests;

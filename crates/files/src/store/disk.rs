//! The store on disk: a folder, or one file.
//!
//! Each lookup opens the root once, for all names that it tries, so a root that is a symbolic link
//! can be switched to a new site; responses in progress keep their files. The module `links`
//! makes sure that no name leads out of the root and the folders that links may lead into.

use std::io::{self, IoSliceMut};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, OFlags, Statx, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::process::{Resource, getrlimit};
use sockeye_proto::{Access, FileSource, JobGroup};

use super::absent::{Absent, Permission, Special};
use super::cached::CachedLookups;
use super::convert::{file_clock, from_statx, monotonic, special, to_absent};
use super::device::Device;
use super::identity::{Identity, Stamp};
use super::links::{LinkedFolders, Roots};
use super::omitted::{Omission, Omitted};
use super::open::{self, Error::Os};
use super::open_error::OpenError;
use super::presence::Presence;
use super::scan;
use super::traits::{Child, Followed, OpenFile, Opened, Store};
use crate::naming::path::WellKnown;

/// A folder on disk, or a single file.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Absolute. Its symbolic links are followed for each lookup.
    root: PathBuf,
    /// The name of the root, if it is a file.
    file_name: Option<Vec<u8>>,
    /// Whether event loops may look names up.
    cached_lookups: Arc<CachedLookups>,
    /// Absolute: the folders that links may lead into.
    linked: Vec<PathBuf>,
    /// Whether `.well-known` at the top of the folder is served.
    well_known: WellKnown,
    /// Whether the root was missing when it was opened last.
    presence: Arc<Presence>,
}

impl Disk {
    /// Opens a folder or a file, which must exist now. This process must be permitted to traverse
    /// the folder, or to read the file.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |error| OpenError::of(path, error);
        let root = std::path::absolute(path).map_err(failed)?;
        let kind = std::fs::metadata(&root).map_err(failed)?.file_type();
        let file_name = match root.file_name() {
            _ if kind.is_dir() => None,
            Some(name) if kind.is_file() => Some(name.as_bytes().to_vec()),
            _ => return Err(OpenError::NotServable(path.to_owned())),
        };
        let (cached_lookups, presence) = Default::default();
        let (linked, well_known) = (Vec::new(), WellKnown::Served);
        let disk = Self { root, file_name, cached_lookups, linked, well_known, presence };
        // Errors that every request would get are reported now.
        let opened = disk.root().open_itself().and_then(|root| statx(root.as_fd()).map(drop));
        match opened {
            Ok(()) => Ok(disk),
            Err(open::Error::Forbidden(call)) => Err(OpenError::Forbidden(call)),
            Err(Os(error)) => Err(failed(error.into())),
            Err(open::Error::Hidden | open::Error::BrokenLink) => Err(failed(Errno::NOENT.into())),
        }
    }

    /// Also follows symbolic links into `folder`, which must exist now. The same rules apply in it
    /// as in the served folder: no hidden files, pipes, sockets or devices are served. In `folder`,
    /// `.well-known` is hidden, too.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong with it.
    pub fn links_into(mut self, folder: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = folder.as_ref();
        let failed = |error| OpenError::of(path, error);
        if !std::fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(OpenError::NotAFolder(path.to_owned()));
        }
        let path = std::path::absolute(path).map_err(failed)?;
        open::folder(&path).map_err(|error| failed(error.into()))?;
        self.linked.push(path);
        Ok(self)
    }

    /// The root for one lookup.
    fn root(&self) -> Root<'_> {
        let linked = LinkedFolders::new(&self.linked);
        Root { disk: self, folder: OnceLock::new(), linked }
    }
}

impl Store for Disk {
    fn open(&self, name: &[u8]) -> Result<Opened, Absent> {
        self.root().open(name)
    }

    fn list(
        &self,
        name: &[u8],
        each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent> {
        self.root().list(name, each)
    }

    fn follow(&self, name: &[u8]) -> Followed {
        self.root().follow(name)
    }

    fn now(&self) -> Stamp {
        file_clock()
    }

    fn single_file(&self) -> Option<&[u8]> {
        self.file_name.as_deref()
    }

    fn location(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn beneath_prefix(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(Self { well_known: WellKnown::Hidden, ..self.clone() }))
    }

    fn for_lookup(&self) -> Option<Box<dyn Store + '_>> {
        Some(Box::new(self.root()))
    }

    fn for_event_loop(&self) -> Option<Box<dyn Store + '_>> {
        let folder = self.file_name.is_none().then_some(&*self.root)?;
        Some(Box::new(self.cached_lookups.root(folder, DiskFile::open)?))
    }
}

/// The root for one lookup: opened when the lookup first needs it.
#[derive(Debug)]
struct Root<'d> {
    disk: &'d Disk,
    folder: OnceLock<OwnedFd>,
    linked: LinkedFolders<'d>,
}

impl Root<'_> {
    /// The open root. The first call opens it.
    fn folder(&self) -> Result<&OwnedFd, Errno> {
        if let Some(folder) = self.folder.get() {
            return Ok(folder);
        }
        let opened = self.noted(open::folder(&self.disk.root))?;
        self.disk.cached_lookups.record(opened.as_fd());
        Ok(self.folder.get_or_init(|| opened))
    }

    /// Returns `opened`, the result of opening the root, and records whether the root is missing.
    /// If it is, event loops look nothing up until a thread has opened it again.
    fn noted<T>(&self, opened: Result<T, Errno>) -> Result<T, Errno> {
        if self.disk.presence.note(&opened, &self.disk.root) {
            self.disk.cached_lookups.forget();
        }
        opened
    }

    /// The folder, and the folders that its links may lead into.
    fn roots(&self) -> Result<Roots<'_>, Errno> {
        let well_known = self.disk.well_known;
        Ok(Roots { folder: self.folder()?, linked: &self.linked, well_known })
    }

    /// Whether the root's path now leads to another folder, for example because it is a symbolic
    /// link that was switched.
    fn is_switched(&self) -> bool {
        let id = |folder: BorrowedFd<'_>| {
            rustix::fs::fstat(folder).ok().map(|stat| (stat.st_dev, stat.st_ino))
        };
        let now = open::folder(&self.disk.root).ok().and_then(|folder| id(folder.as_fd()));
        self.folder.get().is_some_and(|folder| now.is_some() && id(folder.as_fd()) != now)
    }

    /// Opens the root itself: the folder, or the single file.
    fn open_itself(&self) -> Result<OwnedFd, open::Error> {
        match &self.disk.file_name {
            Some(_) => {
                let opened = rustix::fs::open(&self.disk.root, open::READ_FLAGS, open::NO_MODE);
                Ok(self.noted(opened)?)
            }
            None => open::root_itself(self.folder()?),
        }
    }

    fn open_fd(&self, name: &[u8]) -> Result<OwnedFd, open::Error> {
        match &self.disk.file_name {
            Some(file_name) if name != file_name => Err(Errno::NOENT.into()),
            None if !name.is_empty() => self.open_with(name, open::READ_FLAGS),
            _ => self.open_itself(),
        }
    }

    /// Opens the entry `name` of the folder, or the single file, with `flags`.
    fn open_with(&self, name: &[u8], flags: OFlags) -> Result<OwnedFd, open::Error> {
        match &self.disk.file_name {
            // `roots` would open the file as a folder, and take it for gone.
            Some(_) => Ok(rustix::fs::open(&self.disk.root, flags, open::NO_MODE)?),
            None => self.roots()?.open(name, flags),
        }
    }

    /// The permission that is missing to open `name`.
    fn missing_permission(&self, name: &[u8]) -> Permission {
        match self.open_with(name, open::PATH_FLAGS) {
            Err(Os(Errno::ACCESS | Errno::PERM)) => Permission::Traverse,
            _ => Permission::Read,
        }
    }

    /// The kind of the special file `name`, which can't be opened.
    fn special_kind(&self, name: &[u8]) -> Special {
        let found = self
            .open_with(name, open::PATH_FLAGS)
            .map_err(to_absent)
            .and_then(|file| stat(file.as_fd()));
        found.map_or(Special::Device, |(kind, _)| special(kind))
    }

    /// Whether `name`, which can't be read, is a folder.
    fn is_unreadable_folder(&self, name: &[u8]) -> bool {
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.disk.file_name.is_none() && self.open_with(name, folder).is_ok()
    }
}

impl Store for Root<'_> {
    fn open(&self, name: &[u8]) -> Result<Opened, Absent> {
        let file = match self.open_fd(name) {
            // The folder can't be listed. If this process may traverse it, files in it, such as
            // `index.html`, can still be opened.
            Err(Os(Errno::ACCESS)) if self.is_unreadable_folder(name) => return Ok(Opened::Folder),
            Err(Os(Errno::ACCESS | Errno::PERM)) => {
                return Err(Absent::Denied(self.missing_permission(name)));
            }
            // The errors of opening a socket, and a device without a driver.
            Err(Os(Errno::NXIO | Errno::NODEV)) => {
                return Err(Absent::NotRegular(self.special_kind(name)));
            }
            // The path of an absolute link can begin with the root's path. If the root is now a
            // link to another folder, such a link leads into that folder, and so out of the folder
            // that this lookup has opened.
            Err(Os(Errno::XDEV)) if self.is_switched() => return Err(Absent::Changing),
            opened => opened.map_err(to_absent)?,
        };
        let (kind, identity) = stat(file.as_fd())?;
        match kind {
            FileType::Directory => Ok(Opened::Folder),
            FileType::RegularFile => {
                let device = Device::of(identity.device, file.as_fd());
                if device.has_closing_backlog() {
                    return Err(Absent::ClosingHangs);
                }
                Ok(Opened::File(DiskFile::open(file, identity, device), identity))
            }
            kind => Err(Absent::NotRegular(special(kind))),
        }
    }

    fn list(
        &self,
        name: &[u8],
        each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent> {
        if self.disk.file_name.is_some() {
            return Err(Absent::NotAFolder);
        }
        let listed = scan::folder(self.roots().map_err(to_absent)?, name, each);
        if listed.is_ok_and(|omitted| omitted.has(Omission::Outside)) && self.is_switched() {
            return Err(Absent::Changing);
        }
        listed.map_err(|absent| match absent {
            Absent::Denied(_) => Absent::Denied(self.missing_permission(name)),
            absent => absent,
        })
    }

    fn follow(&self, name: &[u8]) -> Followed {
        // A single file has no names to follow.
        let roots = self.disk.file_name.is_none().then(|| self.roots());
        match roots {
            Some(Ok(roots)) => roots.explain(name),
            _ => Followed { target: Some(PathBuf::new()), ..Followed::default() },
        }
    }

    fn now(&self) -> Stamp {
        self.disk.now()
    }

    fn single_file(&self) -> Option<&[u8]> {
        self.disk.single_file()
    }
}

/// An open file, with its identity when it was opened.
#[derive(Debug)]
struct DiskFile {
    /// `Some` until [`DiskFile::drop`].
    file: Option<OwnedFd>,
    identity: Identity,
    device: Arc<Device>,
}

impl DiskFile {
    fn open(file: OwnedFd, identity: Identity, device: Arc<Device>) -> Arc<dyn OpenFile> {
        device.add_open_file();
        Arc::new(Self { file: Some(file), identity, device })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_ref().expect("open until it is dropped").as_fd()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::pread(self.fd(), &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.device.close(file, self.identity.size);
        }
    }
}

impl FileSource for DiskFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.device.is_timed() {
            return self.read(offset, buffer);
        }
        let start = monotonic();
        let read = self.read(offset, buffer);
        self.device.record_read(monotonic().saturating_sub(start));
        read
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd())
    }

    fn access(&self) -> Access {
        self.device.access()
    }

    fn job_group(&self) -> JobGroup {
        self.device.job_group(self.identity.inode)
    }

    fn is_timed(&self) -> bool {
        self.device.is_timed()
    }

    fn record_send(&self, took: Duration) {
        self.device.record_send(took);
    }
}

impl OpenFile for DiskFile {
    fn identity(&self) -> Result<Identity, Absent> {
        stat(self.fd()).map(|(_, identity)| identity)
    }

    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.device.access() {
            Access::Direct => self.read_at(offset, buffer),
            Access::Probe => {
                let buffers = &mut [IoSliceMut::new(buffer)];
                Ok(preadv2(self.fd(), buffers, offset, ReadWriteFlags::NOWAIT)?)
            }
            Access::Thread => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn stat(file: BorrowedFd<'_>) -> Result<(FileType, Identity), Absent> {
    statx(file).map(|stat| from_statx(&stat)).map_err(to_absent)
}

fn statx(file: BorrowedFd<'_>) -> Result<Statx, open::Error> {
    match rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS) {
        // Every supported Linux has `statx`, so this error means that a sandbox forbids the call.
        // If the sandbox answers with `EPERM`, rustix converts that to this error, too.
        Err(Errno::NOSYS) => Err(open::Error::Forbidden("statx")),
        found => Ok(found?),
    }
}

/// The limit on open files of this process.
pub(crate) fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tests::scratch::Scratch;

    #[test]
    fn each_lookup_uses_one_root_even_if_its_link_is_switched() {
        let scratch = Scratch::new();
        let [old, new, root] = ["old", "new", "root"].map(|name| scratch.path().join(name));
        for (folder, name) in [(&old, "a"), (&old, "b"), (&new, "b"), (&new, "c")] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), folder.as_os_str().as_bytes()).unwrap();
        }
        symlink(&old, &root).unwrap();
        let disk = Disk::open(&root).unwrap();
        let lookup = disk.for_lookup().unwrap();
        let is_file =
            |store: &dyn Store, name: &[u8]| matches!(store.open(name), Ok(Opened::File(..)));
        assert!(is_file(&*lookup, b"a"));
        fs::remove_file(&root).unwrap();
        symlink(&new, &root).unwrap();
        assert!(is_file(&*lookup, b"b") && !is_file(&*lookup, b"c"));
        assert!(is_file(&disk, b"c") && !is_file(&disk, b"a"));
    }

    #[test]
    fn absolute_link_through_a_root_that_is_switched_is_no_link_that_leads_out() {
        let scratch = Scratch::new();
        let [old, new, root] = ["old", "new", "root"].map(|name| scratch.path().join(name));
        for folder in [&old, &new] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("file"), "").unwrap();
            symlink(root.join("file"), folder.join("link")).unwrap();
            symlink("/etc/passwd", folder.join("out")).unwrap();
        }
        symlink(&old, &root).unwrap();
        let disk = Disk::open(&root).unwrap();
        let lookup = disk.for_lookup().unwrap();
        assert!(matches!(lookup.open(b"link"), Ok(Opened::File(..))));
        assert_eq!(lookup.open(b"out").unwrap_err(), Absent::Outside);
        fs::remove_file(&root).unwrap();
        symlink(&new, &root).unwrap();
        assert_eq!(lookup.open(b"link").unwrap_err(), Absent::Changing);
        let listed = lookup.list(b"", &mut |_| ControlFlow::Continue(()));
        assert_eq!(listed, Err(Absent::Changing));
        assert!(matches!(disk.open(b"link"), Ok(Opened::File(..))));
        assert_eq!(disk.open(b"out").unwrap_err(), Absent::Outside);
    }
}

//! The interface to a file system. [`crate::Disk`] and a store in memory for tests implement it.
//!
//! Opening, listing and reading may block, so jobs (work for other threads) do it. The stores that
//! [`Store::for_event_loop`] returns don't block.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::FileSource;

use super::absent::Absent;
use super::identity::{Identity, Stamp};
use super::omitted::Omitted;

/// How long the result of a lookup is used. A change is visible to requests at the latest after
/// this time.
pub const FRESH: Duration = Duration::from_secs(1);

/// A source of files, which are found by name.
pub trait Store: Send + Sync + fmt::Debug {
    /// Opens a file or folder. `name` is one that [`crate::RequestPath`] allows, without a final
    /// slash; the empty name is the root.
    ///
    /// # Errors
    ///
    /// The reason why the name is not served.
    fn open(&self, name: &[u8]) -> Result<Opened, Absent>;

    /// Whether `name` is a file that can be opened. Default: opens it.
    ///
    /// A lookup calls this for names other than the requested one, such as for `page.html` to
    /// decide whether `page/` redirects to `page`. So [`crate::Mounts::explain`] never reports a
    /// failure of this call as the reason for a response.
    fn is_file(&self, name: &[u8]) -> bool {
        matches!(self.open(name), Ok(Opened::File(..)))
    }

    /// Calls `each` for the files and folders in the folder `name`, in any order, until `each`
    /// breaks. Returns how many entries it left out until then: names that [`crate::RequestPath`]
    /// refuses, special files, links that lead out of the root or nowhere, and what can't be looked
    /// up. Hidden names, links to them, and files that are removed meanwhile are left out, too, and
    /// not counted.
    ///
    /// # Errors
    ///
    /// The reason why the folder is not listed.
    fn list(
        &self,
        name: &[u8],
        each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent>;

    /// The symbolic links on the way to `name`, and where they lead, for
    /// [`crate::Mounts::explain`]. Default: none.
    fn follow(&self, name: &[u8]) -> Followed {
        let _ = name;
        Followed::default()
    }

    /// The current time, by the clock from which the file system sets the times of files.
    fn now(&self) -> Stamp;

    /// The name of the root, if it is a file and not a folder.
    fn single_file(&self) -> Option<&[u8]>;

    /// The path of the root, for [`crate::Mounts::explain`]. Default: none.
    fn location(&self) -> Option<&Path> {
        None
    }

    /// This store for a folder that is served at another prefix than `/`. There, `.well-known` at
    /// the top of the folder is hidden like any name that begins with a dot; at `/`, it is served.
    /// Default: `None`; then the store itself is used.
    fn beneath_prefix(&self) -> Option<Arc<dyn Store>> {
        None
    }

    /// This store for one lookup of several names: it may open its root once for all of them.
    /// Default: `None`; then the lookup uses the store itself.
    fn for_lookup(&self) -> Option<Box<dyn Store + '_>> {
        None
    }

    /// This store for one lookup on an event loop, where nothing may block: a call that would block
    /// fails, and [`Store::would_block`] returns true from then on. Default: `None`; then the
    /// lookup runs on a thread.
    fn for_event_loop(&self) -> Option<Box<dyn Store + '_>> {
        None
    }

    /// Whether a call of this store failed because it would have blocked. Then the lookup must be
    /// repeated on a thread, whatever its result was. Default: `false`.
    fn would_block(&self) -> bool {
        false
    }
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A folder.
    Folder,
    /// A regular file, and its identity (its inode, size and times) when it was opened.
    File(Arc<dyn OpenFile>, Identity),
}

/// The result of following the symbolic links in a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// The symbolic links that were followed, in order: those in the served folder and in the other
    /// folders that links may lead into.
    pub links: Vec<Link>,
    /// Where the name leads, without links: relative to the served folder, or absolute in another
    /// folder. If following the name failed on the way, the folder in which it failed. `None` if
    /// the name leads out of all these folders.
    pub target: Option<PathBuf>,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The name of the link: relative to the served folder, or absolute if the link is in another
    /// folder.
    pub name: PathBuf,
    /// Its target, as it is written in the link.
    pub target: PathBuf,
}

/// An entry of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child<'a> {
    /// Its name in the folder: one segment.
    pub name: &'a [u8],
    /// What the name leads to.
    pub kind: Kind,
    /// Whether the name is a symbolic link.
    pub is_symlink: bool,
    /// Whether this process may read the entry, as far as that is known without opening it.
    pub readable: bool,
    /// Whether its file system states the real sizes of files. `/proc` and `/sys` don't.
    pub has_known_size: bool,
    /// The identity of what the name leads to.
    pub identity: Identity,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
}

/// An open file. A response sends it through a `FileVersion`, which checks that the file's content
/// hasn't changed since the lookup. So stores don't implement [`FileSource::check`].
pub trait OpenFile: FileSource {
    /// Its identity now.
    ///
    /// # Errors
    ///
    /// The same as those of [`Store::open`].
    fn identity(&self) -> Result<Identity, Absent>;

    /// Like [`FileSource::read_at`], but fails with `WouldBlock` instead of waiting for a disk.
    /// Default: `read_at`, for stores that never wait for a disk.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_at(offset, buffer)
    }
}

impl dyn OpenFile + '_ {
    /// Fills `buffer` from `offset` on. Returns the number of bytes, which is less than the
    /// buffer's length only at the end of the file.
    pub(crate) fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Absent> {
        fill(buffer, |at, rest| self.read_at(offset + at, rest))
            .map_err(|error| Absent::Failed(error.raw_os_error().unwrap_or(0)))
    }

    /// Fills `buffer` from the beginning of the file, with [`OpenFile::read_cached`].
    pub(crate) fn fill_cached(&self, buffer: &mut [u8]) -> io::Result<usize> {
        fill(buffer, |at, rest| self.read_cached(at, rest))
    }
}

/// Fills `buffer` with as many calls of `read` as it takes. Each call gets the number of bytes
/// that are filled already.
fn fill(
    buffer: &mut [u8],
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(filled as u64, &mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

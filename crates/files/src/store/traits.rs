//! The interface to a file system. [`crate::Disk`] implements it, and a store in memory for tests.
//!
//! Jobs call stores on threads, since they may block.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::FileSource;

use super::absent::Absent;
use super::identity::{Identity, Stamp};
use super::omitted::Omitted;

/// How long the result of a lookup is used. A change is visible to requests after this time.
pub const FRESH: Duration = Duration::from_secs(1);

/// Files by their names.
pub trait Store: Send + Sync + fmt::Debug {
    /// Opens a file or folder. `name` is one that [`crate::RequestPath`] allows, without a final
    /// slash; the empty name is the root.
    ///
    /// # Errors
    ///
    /// The reason why the name is not served.
    fn open(&self, name: &[u8]) -> Result<Opened, Absent>;

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

    /// The time of the clock that sets the times of files.
    fn now(&self) -> Stamp;

    /// The name of the root, if it is a file and not a folder.
    fn single_file(&self) -> Option<&[u8]>;

    /// The path of the root, for messages.
    fn location(&self) -> Option<&Path> {
        None
    }

    /// The same store for one lookup of several names: it may open its root once for all of them.
    /// Default: `None`, the store itself is used.
    fn for_lookup(&self) -> Option<Box<dyn Store + '_>> {
        None
    }
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A folder.
    Folder,
    /// A regular file, and its identity when it was opened.
    File(Arc<dyn OpenFile>, Identity),
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
    /// Whether this process may read it, as far as is known without opening it.
    pub readable: bool,
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

/// An open file.
pub trait OpenFile: FileSource {
    /// Its identity now.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    fn identity(&self) -> Result<Identity, Absent>;
}

impl dyn OpenFile + '_ {
    /// Fills `buffer` from `offset` on. Returns the number of bytes, less at the end of the file.
    pub(crate) fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Absent> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(offset + filled as u64, &mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => return Err(Absent::Failed(error.raw_os_error().unwrap_or(0))),
            }
        }
        Ok(filled)
    }
}

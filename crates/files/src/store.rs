//! Where files come from: the interface between answering requests and a file system.
//!
//! A store is asked off the loop, by jobs that may block. [`crate::Disk`] is the real one;
//! [`crate::memory::Memory`] is for tests, with faults and changes at will.

use std::fmt;
use std::sync::Arc;

use sockeye_proto::FileSource;

use crate::identity::{Identity, Stamp};

/// A place where names lead to files.
pub trait Store: Send + Sync + fmt::Debug {
    /// Opens what `name` leads to. Names are those that [`crate::Wanted`] lets through, without a
    /// final slash; the empty one is the root.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve.
    fn open(&self, name: &[u8]) -> Result<Opened, Absent>;

    /// The clock that stamps files.
    fn now(&self) -> Stamp;

    /// The name of the file, where the root is one single file and not a folder.
    fn single_file(&self) -> Option<&[u8]>;
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A folder.
    Folder,
    /// A regular file, and what it was when it was opened.
    File(Arc<dyn Stored>, Identity),
}

/// An open file.
pub trait Stored: FileSource {
    /// Its identity, asked anew.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    fn identity(&self) -> Result<Identity, Absent>;
}

/// Why there is nothing to serve under a name that is fine in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Absent {
    /// Nothing has this name.
    Missing,
    /// A folder without an `index.html`.
    NoIndex,
    /// A file, where the path wants a folder.
    NotAFolder,
    /// The file system denies us the file.
    Denied,
    /// A symbolic link leads out of the folder, or in circles.
    Outside,
    /// A pipe, a socket or a device.
    NotRegular,
    /// It changes faster than it can be read.
    Changing,
    /// We are out of descriptors or memory.
    Exhausted,
    /// The file system failed: the number of its error.
    Failed(i32),
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no such file",
            Self::NoIndex => "the folder has no index.html",
            Self::NotAFolder => "the path ends with a slash but leads to a file",
            Self::Denied => "the file may not be read by this process",
            Self::Outside => "a symbolic link leads out of the folder, or in circles",
            Self::NotRegular => "it is not a regular file",
            Self::Changing => "the file changes faster than it can be read",
            Self::Exhausted => "out of descriptors or memory",
            Self::Failed(error) => return write!(f, "the file system failed: error {error}"),
        })
    }
}

impl std::error::Error for Absent {}

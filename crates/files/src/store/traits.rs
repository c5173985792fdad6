//! Where files come from: the interface between answering requests and a file system.
//!
//! A store is asked off the loop, by jobs that may block. [`crate::Disk`] is the real one;
//! [`crate::memory::Memory`] is for tests, with faults and changes at will.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::FileSource;

use super::absent::Absent;
use super::identity::{Identity, Stamp};

/// How long what a store said is used without asking it again: a change is seen by the next request
/// after so long.
pub const FRESH: Duration = Duration::from_secs(1);

/// A place where names lead to files.
pub trait Store: Send + Sync + fmt::Debug {
    /// Opens what `name` leads to. Names are those that [`crate::RequestPath`] lets through, without a
    /// final slash; the empty one is the root.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve.
    fn open(&self, name: &[u8]) -> Result<Opened, Absent>;

    /// Tells `each` about everything in the folder `name` that can be asked for by its own name:
    /// files and folders, in no order, until it breaks off. Left out is what [`crate::RequestPath`]
    /// refuses (hidden names among it), what is neither a file nor a folder, links that lead out of
    /// the root, to a hidden name or nowhere, and what vanishes meanwhile.
    ///
    /// # Errors
    ///
    /// Why there is nothing to list.
    fn list(
        &self,
        name: &[u8],
        each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<(), Absent>;

    /// The clock that stamps files.
    fn now(&self) -> Stamp;

    /// The name of the file, where the root is one single file and not a folder.
    fn single_file(&self) -> Option<&[u8]>;

    /// Where it lies, for people who ask.
    fn location(&self) -> Option<&Path> {
        None
    }

    /// The same store for one lookup, which asks for several names: it can find its root once for all
    /// of them. Default: `None`, each name is looked up by itself.
    fn at_once(&self) -> Option<Box<dyn Store + '_>> {
        None
    }
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A folder.
    Folder,
    /// A regular file, and what it was when it was opened.
    File(Arc<dyn OpenFile>, Identity),
}

/// What a folder holds under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child<'a> {
    /// Its name in the folder: one segment.
    pub name: &'a [u8],
    /// What the name leads to.
    pub kind: Kind,
    /// Whether it does so by a symbolic link.
    pub linked: bool,
    /// Whether this process may read it, as far as that is known without trying.
    pub readable: bool,
    /// What the name leads to is now.
    pub identity: Identity,
}

/// What can be served, as a folder lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
}

/// An open file.
pub trait OpenFile: FileSource {
    /// Its identity, asked anew.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    fn identity(&self) -> Result<Identity, Absent>;
}

impl dyn OpenFile + '_ {
    /// Fills `buffer` with what is at `offset`. Returns how much there is, at most the whole buffer.
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

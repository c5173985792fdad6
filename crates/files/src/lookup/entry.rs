//! What one lookup found, ready to be sent: made once, off the loop, and kept by the cache.

use sockeye_proto::{Cancel, Time};

use super::rule::Rule;
use crate::coding::encoder::Encoder;
use crate::coding::file_entry::FileEntry;
use crate::file::content::Content;
use crate::file::representation::Representation;
use crate::options::codings::Coding;
use crate::respond::redirect::Slash;
use crate::store::absent::Absent;
use crate::store::traits::OpenFile;

/// What a name leads to, and in which folder that is.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Which of the mounts answers; `None` where none is.
    pub(crate) mount: Option<usize>,
    pub(crate) target: Target,
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A file, and by which rule.
    File(Rule, Box<FileEntry>),
    /// The same path with a slash more or less is the one to ask for.
    Redirect(Slash),
    /// A folder without a page, which is listed.
    Listing,
    Absent(Absent),
}

impl Entry {
    /// The file, where it is one.
    pub(crate) fn file(&self) -> Option<&FileEntry> {
        match &self.target {
            Target::File(_, file) => Some(file),
            Target::Redirect(_) | Target::Listing | Target::Absent(_) => None,
        }
    }

    /// The memory that it holds besides itself, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.representations().map(Representation::weight).sum()
    }

    /// The descriptors that it holds.
    pub(crate) fn descriptors(&self) -> usize {
        self.open_files().count()
    }

    /// The open files, where content is not in memory.
    pub(crate) fn open_files(&self) -> impl Iterator<Item = &dyn OpenFile> {
        self.representations().filter_map(|file| match &file.content {
            Content::Memory(_) | Content::Compressed(_) => None,
            Content::Open(file) => Some(&**file),
        })
    }

    fn representations(&self) -> impl Iterator<Item = &Representation> {
        self.file().into_iter().flat_map(FileEntry::all)
    }

    /// The same file with one coding more, or the knowledge that there is no use in it, if that can be
    /// had. Blocks.
    pub(crate) fn with_coding(
        &self,
        coder: &Encoder,
        coding: Coding,
        now: Time,
        cancel: Cancel,
    ) -> Self {
        let target = match &self.target {
            Target::File(rule, file) => {
                Target::File(*rule, Box::new(coder.compress(file, coding, now, cancel)))
            }
            other => other.clone(),
        };
        Self { mount: self.mount, target }
    }

    /// Whether this is the file of `before`, beside the same siblings.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        match (self.file(), before.file()) {
            (Some(file), Some(before)) => file.continues(before),
            _ => false,
        }
    }
}

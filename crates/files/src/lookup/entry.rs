//! The result of a lookup, ready to be sent.

use std::sync::Arc;

use super::rule::Rule;
use crate::coding::file_entry::FileEntry;
use crate::file::content::Content;
use crate::file::representation::Representation;
use crate::file::version::FileVersion;
use crate::respond::substitutes::Slash;
use crate::store::absent::Absent;

/// The result of a lookup.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The index of the mount (a folder at a prefix of URL paths) that contains the path that was
    /// looked up, if any.
    pub(crate) mount: Option<usize>,
    pub(crate) target: Target,
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A file, found by this rule.
    File(Rule, Arc<FileEntry>),
    /// A redirect to the same path with or without a final slash.
    Redirect(Slash),
    /// A folder without an `index.html`, which is listed.
    Listing,
    /// Nothing is served, for this reason.
    Absent(Absent),
}

impl Entry {
    /// Whether the redirect adds or drops the final slash, if this is a redirect.
    pub(crate) fn slash(&self) -> Option<Slash> {
        match self.target {
            Target::Redirect(slash) => Some(slash),
            Target::File(..) | Target::Listing | Target::Absent(_) => None,
        }
    }

    pub(crate) fn file(&self) -> Option<&Arc<FileEntry>> {
        match &self.target {
            Target::File(_, file) => Some(file),
            Target::Redirect(_) | Target::Listing | Target::Absent(_) => None,
        }
    }

    /// Whether this is a file that must be read for each request, because its size on disk is not
    /// that of its content.
    pub(crate) fn has_unknown_size(&self) -> bool {
        self.file().is_some_and(|file| file.original.has_unknown_size)
    }

    /// The memory that the entry's contents hold, in bytes, without the size of the entry itself.
    pub(crate) fn weight(&self) -> usize {
        self.representations().map(Representation::weight).sum()
    }

    /// The number of file descriptors that the entry holds.
    pub(crate) fn descriptors(&self) -> usize {
        self.open_files().count()
    }

    pub(crate) fn open_files(&self) -> impl Iterator<Item = &FileVersion> {
        self.representations().filter_map(|file| match &file.content {
            Content::Memory(_) | Content::Compressed(_) => None,
            Content::Open(file) => Some(&**file),
        })
    }

    fn representations(&self) -> impl Iterator<Item = &Representation> {
        self.file().into_iter().flat_map(|file| file.all())
    }

    /// Whether the file and its precompressed files are unchanged since `before`, an earlier entry.
    /// What was compressed on demand may differ.
    pub(crate) fn is_same_file_as(&self, before: &Self) -> bool {
        match (self.file(), before.file()) {
            (Some(file), Some(before)) => file.is_same_file_as(before),
            _ => false,
        }
    }
}

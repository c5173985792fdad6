//! What is made of a folder for those who look at it, on a job's thread: a page, or the plan of an
//! archive.

use std::sync::Arc;

use sockeye_proto::{Budget, Cancel, Client, Permit};

use super::document::Document;
use super::folder_cache::FolderCache;
use super::query::{Format, ListingQuery};
use super::read::Listing;
use super::view::View;
use crate::limits::lease::Lease;
use crate::store::absent::Absent;
use crate::store::identity::Stamp;
use crate::store::traits::Store;
use crate::tar::manifest::{ArchiveError, Manifest};
use crate::tar::writer::ArchiveWriter;

/// What is counted for each archive that is being sent, besides its manifest: two batches.
const PACKING: usize = 1024 * 1024;

/// What the listings and archives of a folder share, on all shards.
#[derive(Debug)]
pub(crate) struct ListingCache {
    budget: Arc<Budget>,
    listings: FolderCache<Listing>,
    manifests: FolderCache<Manifest>,
}

/// What is wanted of a folder.
#[derive(Debug)]
pub(crate) struct ListingRequest {
    /// Its name in the store.
    pub(crate) folder: Box<[u8]>,
    /// Its path as it was asked for.
    pub(crate) path: Box<[u8]>,
    /// What it is called in an archive.
    pub(crate) title: Box<[u8]>,
    pub(crate) query: ListingQuery,
    pub(crate) format: Format,
    /// A page offers the archive.
    pub(crate) archives: bool,
    /// Who is charged for it.
    pub(crate) client: Client,
    /// Whether nobody waits for it any more.
    pub(crate) cancel: Cancel,
}

/// What was made of it.
#[derive(Debug)]
pub(crate) enum ListingResult {
    Page(Box<Document>),
    Archive(Archive),
}

/// An archive that can be sent, and the memory for that.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) manifest: Arc<Manifest>,
    /// For its batches, and for keeping the manifest.
    memory: (Lease, Permit),
}

impl Archive {
    /// The part of it from `start` to before `end`.
    pub(crate) fn writer(self, start: u64, end: u64) -> ArchiveWriter {
        ArchiveWriter::new(self.manifest, start, end, self.memory)
    }
}

impl ListingCache {
    /// What is made takes its memory from `budget`.
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            listings: FolderCache::new(|listing| Some(listing.rows.weight())),
            manifests: FolderCache::new(Manifest::weight),
        }
    }

    /// The budget.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Makes what is wanted. Blocks.
    ///
    /// # Errors
    ///
    /// Why it can't be.
    pub(crate) fn make(
        &self,
        store: &dyn Store,
        wanted: ListingRequest,
    ) -> Result<ListingResult, ArchiveError> {
        match wanted.format {
            Format::Tar => self.archive(store, &wanted).map(ListingResult::Archive),
            Format::Html | Format::Json | Format::Text => {
                self.page(store, wanted).map(ListingResult::Page).map_err(ArchiveError::from)
            }
        }
    }

    /// Forgets what was read too long before `now` to be shown to anybody. What is being sent stays.
    pub(crate) fn forget_stale(&self, now: Stamp) {
        self.listings.forget_stale(now);
        self.manifests.forget_stale(now);
    }

    /// Whether anything is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.listings.is_empty() && self.manifests.is_empty()
    }

    fn page(&self, store: &dyn Store, wanted: ListingRequest) -> Result<Box<Document>, Absent> {
        let ListingRequest { folder, path, query, format, archives, client, cancel, .. } = wanted;
        let lease = || Lease::new(&self.budget, client).ok_or(Absent::Exhausted);
        let read = || Listing::read(store, &folder, lease()?, &cancel);
        let listing = self.listings.get(&folder, store.now(), read)?;
        // It belongs to the folder as a whole.
        let whole = format == Format::Html && query.filter.is_empty() && query.page.is_none();
        let readme = if whole { listing.readme(store, &folder) } else { None };
        let view = View::new(listing, query, format, archives, path, readme, lease()?)?;
        Ok(Box::new(Document::new(view)))
    }

    fn archive(&self, store: &dyn Store, wanted: &ListingRequest) -> Result<Archive, ArchiveError> {
        let ListingRequest { folder, title, client, cancel, .. } = wanted;
        let lease = || Lease::new(&self.budget, *client).ok_or(Absent::Exhausted);
        // No name holds a NUL: two folders can't share a key, nor one that is called otherwise.
        let key = [title, &b"\0"[..], folder].concat();
        let make = || Manifest::make(store, folder, title, lease()?, cancel);
        let manifest = self.manifests.get(&key, store.now(), make)?;
        let kept = self.budget.charge(*client, manifest.memory() as u64);
        let mut batches = lease()?;
        match kept {
            Some(kept) if batches.resize(PACKING) => {
                Ok(Archive { manifest, memory: (batches, kept) })
            }
            _ => Err(Absent::Exhausted.into()),
        }
    }
}

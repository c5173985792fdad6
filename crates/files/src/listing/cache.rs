//! Reading folders for listings and archives, on a job's thread, and keeping what was read.

use std::sync::Arc;

use sockeye_proto::{Budget, Cancel, Client};

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

/// The memory of each archive that is being sent, besides its manifest: two batches.
const BATCHES: usize = 1024 * 1024;

/// What the listings and archives of all shards share.
#[derive(Debug)]
pub(crate) struct ListingCache {
    pub(crate) budget: Arc<Budget>,
    listings: FolderCache<Listing>,
    manifests: FolderCache<Manifest>,
}

/// What is requested of a folder.
#[derive(Debug)]
pub(crate) struct ListingRequest {
    /// Its name in the store.
    pub(crate) folder: Box<[u8]>,
    /// The requested path, percent-encoded.
    pub(crate) path: Box<[u8]>,
    /// Its name in an archive.
    pub(crate) title: Box<[u8]>,
    pub(crate) query: ListingQuery,
    pub(crate) format: Format,
    /// Whether a page offers the archive.
    pub(crate) archives: bool,
    /// The client that is charged.
    pub(crate) client: Client,
    /// Set when nobody waits any more.
    pub(crate) cancel: Cancel,
}

#[derive(Debug)]
pub(crate) enum ListingResult {
    Page(Box<Document>),
    Archive(ArchiveWriter),
}

impl ListingCache {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            listings: FolderCache::new(|listing| Some(listing.rows.weight())),
            manifests: FolderCache::new(Manifest::weight),
        }
    }

    /// Reads the folder, unless it was a moment ago. Blocks.
    ///
    /// # Errors
    ///
    /// Why there is no listing or archive.
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

    /// Drops what is stale at `now`, except what is being sent.
    pub(crate) fn forget_stale(&self, now: Stamp) {
        self.listings.forget_stale(now);
        self.manifests.forget_stale(now);
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.listings.is_empty() && self.manifests.is_empty()
    }

    fn page(&self, store: &dyn Store, wanted: ListingRequest) -> Result<Box<Document>, Absent> {
        let ListingRequest { folder, path, query, format, archives, client, cancel, .. } = wanted;
        let lease = || Lease::new(&self.budget, client).ok_or(Absent::Exhausted);
        let read = || Listing::read(store, &folder, lease()?, &cancel);
        let listing = self.listings.get(&folder, store.now(), read)?;
        // Only the first page of the whole folder has it.
        let whole = format == Format::Html && query.filter.is_empty() && query.page.is_none();
        let readme = if whole { listing.readme(store, &folder) } else { None };
        let view = View::new(listing, query, format, archives, path, readme, lease()?)?;
        Ok(Box::new(Document::new(view)))
    }

    fn archive(
        &self,
        store: &dyn Store,
        wanted: &ListingRequest,
    ) -> Result<ArchiveWriter, ArchiveError> {
        let ListingRequest { folder, title, client, cancel, .. } = wanted;
        let lease = || Lease::new(&self.budget, *client).ok_or(Absent::Exhausted);
        // No name has a NUL: the parts of a key are unambiguous.
        let key = [title, &b"\0"[..], folder].concat();
        let make = || Manifest::make(store, folder, title, lease()?, cancel);
        let manifest = self.manifests.get(&key, store.now(), make)?;
        let kept = self.budget.charge(*client, manifest.memory() as u64);
        let mut batches = lease()?;
        match kept {
            Some(kept) if batches.resize(BATCHES) => {
                Ok(ArchiveWriter::new(manifest, (batches, kept)))
            }
            _ => Err(Absent::Exhausted.into()),
        }
    }
}

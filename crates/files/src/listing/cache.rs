//! Reads folders for listings and archives, on threads of jobs, and caches the results.

use std::sync::Arc;

use sockeye_proto::{Budget, CancelToken, Client};

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

/// The memory for each archive that is being sent, besides its manifest, in bytes: two batches.
const BATCH_MEMORY: usize = 1024 * 1024;

/// The cached listings and archive manifests of a folder, shared by all shards.
#[derive(Debug)]
pub(crate) struct ListingCache {
    pub(crate) budget: Arc<Budget>,
    listings: FolderCache<Listing>,
    manifests: FolderCache<Manifest>,
}

/// A request for a listing or an archive.
#[derive(Debug)]
pub(crate) struct ListingRequest {
    /// The name of the folder in the store.
    pub(crate) folder: Box<[u8]>,
    /// The requested path, percent-encoded.
    pub(crate) path: Box<[u8]>,
    /// The name of the folder in an archive.
    pub(crate) title: Box<[u8]>,
    pub(crate) query: ListingQuery,
    pub(crate) format: Format,
    /// Whether a page links to the archive.
    pub(crate) archives: bool,
    /// Whether the folder is read again, even if that was just done.
    pub(crate) always_read: bool,
    /// The client that is charged.
    pub(crate) client: Client,
    /// Set when nobody waits any more.
    pub(crate) cancel: CancelToken,
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

    /// Makes the listing or archive from the cache, or reads the folder. Blocks.
    pub(crate) fn make(
        &self,
        store: &dyn Store,
        request: ListingRequest,
    ) -> Result<ListingResult, ArchiveError> {
        match request.format {
            Format::Tar => self.archive(store, &request).map(ListingResult::Archive),
            Format::Html | Format::Json | Format::Text => {
                self.page(store, request).map(ListingResult::Page).map_err(ArchiveError::from)
            }
        }
    }

    /// Drops listings and manifests that are stale at `now`.
    pub(crate) fn remove_stale(&self, now: Stamp) {
        self.listings.remove_stale(now);
        self.manifests.remove_stale(now);
    }

    /// Whether nothing is manifest_memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.listings.is_empty() && self.manifests.is_empty()
    }

    fn page(&self, store: &dyn Store, request: ListingRequest) -> Result<Box<Document>, Absent> {
        let always_read = request.always_read;
        let ListingRequest { folder, path, query, format, archives, client, cancel, .. } = request;
        let lease = || Lease::new(&self.budget, client).ok_or(Absent::Exhausted);
        let read = || Listing::read(store, &folder, lease()?, &cancel);
        let listing = self.listings.get(&folder, store.now(), always_read, read)?;
        // Only the first page of the unfiltered folder shows the README.
        let whole = format == Format::Html && query.filter.is_empty() && query.page.is_none();
        let readme = if whole { listing.readme(store, &folder) } else { None };
        let view = View::new(listing, query, format, archives, path, readme, lease()?)?;
        Ok(Box::new(Document::new(view)))
    }

    fn archive(
        &self,
        store: &dyn Store,
        request: &ListingRequest,
    ) -> Result<ArchiveWriter, ArchiveError> {
        let ListingRequest { folder, title, client, cancel, always_read, .. } = request;
        let lease = || Lease::new(&self.budget, *client).ok_or(Absent::Exhausted);
        // No name contains a NUL, so keys are unambiguous.
        let key = [title, &b"\0"[..], folder].concat();
        let make = || Manifest::make(store, folder, title, lease()?, cancel);
        let manifest = self.manifests.get(&key, store.now(), *always_read, make)?;
        let manifest_memory = self.budget.charge(*client, manifest.memory() as u64);
        let mut batches = lease()?;
        match manifest_memory {
            Some(manifest_memory) if batches.resize(BATCH_MEMORY) => {
                Ok(ArchiveWriter::new(manifest, (batches, manifest_memory)))
            }
            _ => Err(Absent::Exhausted.into()),
        }
    }
}

//! Reads folders for listings and archives, and Markdown files for pages, on job threads, and
//! caches the results.

use std::sync::Arc;

use sockeye_proto::{Budget, CancelToken, Client, Time};

use super::document::Document;
use super::folder_cache::{FolderCache, Timestamped};
use super::markdown_page;
use super::page::{Page, PageContent};
use super::query::{Format, ListingQuery, percent_decoded};
use super::read::Listing;
use super::readme::Readme;
use super::view::View;
use crate::coding::encoder::Encoder;
use crate::limits::lease::Lease;
use crate::options::codings::Coding;
use crate::store::absent::Absent;
use crate::store::identity::Stamp;
use crate::store::traits::Store;
use crate::tar::manifest::{ArchiveError, Manifest};
use crate::tar::writer::ArchiveWriter;

/// The memory that is charged for each archive that is being sent, besides its manifest (the list
/// of its entries), in bytes: enough for two batches of [`ArchiveWriter`], the one that is being
/// sent and the next.
const BATCH_MEMORY: usize = 1024 * 1024;

/// Maximum number of attempts to read a folder or file that changes during each attempt: for
/// example, because a deployment switches the symbolic link to the root.
const MAX_ATTEMPTS: usize = 8;

/// The cached listings, pages and archive manifests of a published folder and the folders in it,
/// shared by all workers (event loops).
#[derive(Debug)]
pub(crate) struct ListingCache {
    pub(crate) budget: Arc<Budget>,
    listings: FolderCache<Listing>,
    pages: FolderCache<Page>,
    manifests: FolderCache<Manifest>,
}

/// A request for a listing, an archive, or the page of a Markdown file.
#[derive(Debug)]
pub(crate) struct ListingRequest {
    /// The name of the folder in the store; with `is_file`, that of a Markdown file, whose page is
    /// requested.
    pub(crate) name: Box<[u8]>,
    pub(crate) is_file: bool,
    /// The requested path, percent-encoded.
    pub(crate) path: Box<[u8]>,
    /// The name that the folder gets in an archive.
    pub(crate) title: Box<[u8]>,
    pub(crate) query: ListingQuery,
    pub(crate) format: Format,
    /// Whether a page links to the archive.
    pub(crate) archives: bool,
    /// Whether a page links to Markdown files as pages.
    pub(crate) links_pages: bool,
    /// Whether the folder or file is read again, even if it was read within the last second.
    pub(crate) always_read: bool,
    /// With `--live`: the `<script>` tag that makes the page reload. Otherwise empty.
    pub(crate) script: Box<[u8]>,
    /// The coding that the client prefers.
    pub(crate) coding: Option<Coding>,
    /// The client that is charged for memory.
    pub(crate) client: Client,
    /// When the request arrived.
    pub(crate) arrived: Time,
    /// Set when nobody waits for the result any more.
    pub(crate) cancel: CancelToken,
}

/// What a [`ListingRequest`] gets.
#[derive(Debug)]
pub(crate) enum ListingResult {
    /// A listing or a Markdown file, as HTML.
    Page(PageContent),
    /// A listing as JSON or text.
    Document(Box<Document>),
    Archive(ArchiveWriter),
}

/// Why a page is not cached for other clients.
enum Unshared {
    /// The page could not be made.
    Absent(Absent),
    /// The page lacks the README for lack of memory, for example because this client's share is
    /// spent. Other clients may get the README.
    WithoutReadme(Arc<Page>),
}

impl From<Absent> for Unshared {
    fn from(absent: Absent) -> Self {
        Self::Absent(absent)
    }
}

/// Calls `read` until its result isn't [`Absent::Changing`], at most [`MAX_ATTEMPTS`] times.
fn while_changing<T, E: Into<ArchiveError> + Copy>(
    mut read: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let is_changing = |error: E| error.into() == ArchiveError::Absent(Absent::Changing);
    for _ in 1..MAX_ATTEMPTS {
        match read() {
            Err(error) if is_changing(error) => {}
            read => return read,
        }
    }
    read()
}

impl ListingCache {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            listings: FolderCache::new(|listing| Some(listing.rows.weight())),
            pages: FolderCache::new(|page| page.selects_all.then(|| page.weight())),
            manifests: FolderCache::new(Manifest::cache_weight),
        }
    }

    /// Makes what `request` asks for, from the cache or by reading the folder or file. Blocks.
    pub(crate) fn make(
        &self,
        store: &dyn Store,
        encoder: &Encoder,
        request: ListingRequest,
    ) -> Result<ListingResult, ArchiveError> {
        Ok(match request.format {
            _ if request.is_file => {
                ListingResult::Page(self.markdown_page(store, encoder, &request)?)
            }
            Format::Tar => ListingResult::Archive(self.archive(store, &request)?),
            Format::Html => ListingResult::Page(self.page(store, encoder, &request)?),
            Format::Json | Format::Text => ListingResult::Document(self.document(store, request)?),
        })
    }

    /// Drops listings, pages and manifests that are stale at `now`.
    pub(crate) fn remove_stale(&self, now: Stamp) {
        self.listings.remove_stale(now);
        self.pages.remove_stale(now);
        self.manifests.remove_stale(now);
    }

    /// Whether nothing is cached.
    pub(crate) fn is_empty(&self) -> bool {
        self.listings.is_empty() && self.pages.is_empty() && self.manifests.is_empty()
    }

    fn page(
        &self,
        store: &dyn Store,
        encoder: &Encoder,
        request: &ListingRequest,
    ) -> Result<PageContent, Absent> {
        let ListingRequest { name: folder, path, query, archives, links_pages, .. } = request;
        let ListingRequest { client, cancel, script, .. } = request;
        // Neither names nor paths contain a NUL, so keys are unambiguous. The path is decoded,
        // since the same path can be encoded in several ways.
        let flags = [(*archives).into(), (*links_pages).into()];
        let mut key = [&**folder, b"\0", &percent_decoded(path), b"\0", &flags].concat();
        // Appends the query in the form that links have.
        query.link(&mut key);
        let now = store.now();
        let make = || {
            let lease = || self.lease(*client);
            // The page gets the time when its listing was read, so it becomes stale together with
            // the listing.
            let (read_at, listing) = self.listing(store, request, now)?;
            // Only the first page of the unfiltered folder shows the README.
            let whole = query.filter.is_empty() && query.page.is_none();
            let (readme, lacks_memory) = match whole {
                true => Readme::read(&listing, store, folder, lease()?),
                false => (None, false),
            };
            let (query, path) = (query.clone(), path.clone());
            let format = Format::Html;
            let mut view = View::new(listing, query, format, *archives, path, readme, lease()?)?;
            view.script.clone_from(script);
            view.links_pages = *links_pages;
            let page = Page::render(view, lease()?, cancel)?;
            if lacks_memory {
                return Err(Unshared::WithoutReadme(Arc::new(page)));
            }
            Ok((read_at, page))
        };
        let page = match self.pages.get(&key, now, request.always_read, make) {
            Ok((_, page)) => page,
            Err(Unshared::WithoutReadme(page)) => page,
            Err(Unshared::Absent(absent)) => return Err(absent),
        };
        page.content(&self.budget, encoder, (*client, request.arrived), request.coding)
    }

    /// The page of a Markdown file.
    fn markdown_page(
        &self,
        store: &dyn Store,
        encoder: &Encoder,
        request: &ListingRequest,
    ) -> Result<PageContent, Absent> {
        let ListingRequest { name, path, script, client, .. } = request;
        // Differs from all keys of listings, which contain more NULs. The query is not part of this
        // key, since the page doesn't depend on it.
        let key = [&**name, b"\0", &percent_decoded(path)].concat();
        let now = store.now();
        let make = || {
            let make = || markdown_page::make(store, name, path, script, self.lease(*client)?);
            while_changing(make).map(|page| (now, page))
        };
        let (_, page) = self.pages.get(&key, now, request.always_read, make)?;
        page.content(&self.budget, encoder, (*client, request.arrived), request.coding)
    }

    fn document(
        &self,
        store: &dyn Store,
        request: ListingRequest,
    ) -> Result<Box<Document>, Absent> {
        let (_, listing) = self.listing(store, &request, store.now())?;
        let ListingRequest { path, query, format, archives, client, .. } = request;
        let lease = self.lease(client)?;
        let view = View::new(listing, query, format, archives, path, None, lease)?;
        Ok(Box::new(Document::new(view)))
    }

    /// The entries of the folder, as they were less than a second before `now`.
    fn listing(
        &self,
        store: &dyn Store,
        request: &ListingRequest,
        now: Stamp,
    ) -> Result<Timestamped<Listing>, Absent> {
        let ListingRequest { name: folder, client, cancel, .. } = request;
        let read = || {
            let read = || Listing::read(store, folder, self.lease(*client)?, cancel);
            while_changing(read).map(|listing| (now, listing))
        };
        self.listings.get(folder, now, request.always_read, read)
    }

    /// A lease of 0 bytes, for memory that `client` is charged for.
    fn lease(&self, client: Client) -> Result<Lease, Absent> {
        Lease::new(&self.budget, client).ok_or(Absent::Exhausted)
    }

    fn archive(
        &self,
        store: &dyn Store,
        request: &ListingRequest,
    ) -> Result<ArchiveWriter, ArchiveError> {
        let ListingRequest { name: folder, title, client, cancel, always_read, .. } = request;
        let lease = || self.lease(*client);
        // No name contains a NUL, so keys are unambiguous.
        let key = [title, &b"\0"[..], folder].concat();
        let now = store.now();
        let make = || {
            let make = || Manifest::make(store, folder, title, lease()?, cancel);
            while_changing(make).map(|manifest| (now, manifest))
        };
        let (_, manifest) = self.manifests.get(&key, now, *always_read, make)?;
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

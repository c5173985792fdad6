//! What is made of a folder for those who look at it, on a job's thread: a page, or the plan of an
//! archive.

use std::sync::Arc;

use super::ask::{Ask, Format};
use super::budget::{Budget, Lease};
use super::document::Document;
use super::read::Listing;
use super::recent::Recent;
use super::view::View;
use crate::store::{Absent, Store};
use crate::tar::{Manifest, Packing, Unpackable};

/// All that is read of one folder (and what is in it) for listings and archives, and is being sent
/// or may be asked for again, is held within so many bytes.
pub(crate) const MEMORY: usize = 256 * 1024 * 1024;

/// What is counted for each archive that is being sent, besides its manifest: two batches.
const PACKING: usize = 1024 * 1024;

/// What the listings and archives of a folder share, on all shards.
#[derive(Debug)]
pub(crate) struct Shelf {
    budget: Arc<Budget>,
    listings: Recent<Listing>,
    manifests: Recent<Manifest>,
}

impl Default for Shelf {
    fn default() -> Self {
        let (listings, manifests) = (Recent::default(), Recent::default());
        Self { budget: Budget::new(MEMORY), listings, manifests }
    }
}

/// What is wanted of a folder.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Its name in the store.
    pub(crate) folder: Box<[u8]>,
    /// Its path as it was asked for.
    pub(crate) path: Box<[u8]>,
    /// What it is called in an archive.
    pub(crate) title: Box<[u8]>,
    pub(crate) ask: Ask,
    pub(crate) format: Format,
}

/// What was made of it.
#[derive(Debug)]
pub(crate) enum Made {
    Page(Box<Document>),
    Archive(Archive),
}

/// An archive that can be sent, and the memory for that.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) manifest: Arc<Manifest>,
    lease: Lease,
}

impl Archive {
    /// The part of it from `start` to before `end`.
    pub(crate) fn packing(self, start: u64, end: u64) -> Packing {
        Packing::new(self.manifest, start, end, self.lease)
    }
}

impl Shelf {
    /// Makes what is wished for. Blocks.
    ///
    /// # Errors
    ///
    /// Why it can't be.
    pub(crate) fn make(&self, store: &dyn Store, wish: Wish) -> Result<Made, Unpackable> {
        match wish.format {
            Format::Tar => self.archive(store, &wish).map(Made::Archive),
            Format::Html | Format::Json | Format::Text => {
                self.page(store, wish).map(Made::Page).map_err(Unpackable::from)
            }
        }
    }

    fn page(&self, store: &dyn Store, wish: Wish) -> Result<Box<Document>, Absent> {
        let Wish { folder, path, ask, format, .. } = wish;
        let lease = || self.budget.lease();
        let read = || Listing::read(store, &folder, lease());
        let listing = self.listings.get(&folder, store.now(), read)?;
        // It belongs to the folder as a whole.
        let whole = format == Format::Html && ask.filter.is_empty() && ask.page.is_none();
        let readme = if whole { listing.readme(store, &folder) } else { None };
        let view = View::new(listing, ask, format, path, readme, lease())?;
        Ok(Box::new(Document::new(view)))
    }

    fn archive(&self, store: &dyn Store, wish: &Wish) -> Result<Archive, Unpackable> {
        let Wish { folder, title, .. } = wish;
        // No name holds a NUL: two folders can't share a key, nor one that is called otherwise.
        let key = [title, &b"\0"[..], folder].concat();
        let make = || Manifest::make(store, folder, title, self.budget.lease());
        let manifest = self.manifests.get(&key, store.now(), make)?;
        let mut lease = self.budget.lease();
        if !lease.resize(PACKING) {
            return Err(Absent::Exhausted.into());
        }
        Ok(Archive { manifest, lease })
    }
}

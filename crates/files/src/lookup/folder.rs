//! A folder, or a single file, that can be served. All workers (event loops) share it.

use std::path::Path;
use std::sync::Arc;

use crate::coding::encoder::Encoder;
use crate::file::reader::{ReadScope, Reader};
use crate::listing::cache::ListingCache;
use crate::live::changes::Live;
use crate::options::folder_options::Options;
use crate::respond::budgets::{BudgetLimits, Budgets};
use crate::store::digest::Digests;
use crate::store::disk::Disk;
use crate::store::open_error::OpenError;
use crate::store::traits::{Opened, Store};

/// A folder, or a single file, that can be served. Cheap to clone; can be sent to any thread.
#[derive(Clone, Debug)]
pub struct Folder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: Arc<Options>,
    pub(crate) digests: Arc<Digests>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) listings: Arc<ListingCache>,
    /// The changes that the pages of the folder are told of: see [`Folder::with_live`].
    pub(crate) live: Option<Arc<Live>>,
}

impl Folder {
    /// Opens a folder or a file on disk, which must exist and be readable now. A file is served at
    /// `/` and under its own name.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong, with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Ok(Self::new(Disk::open(path)?))
    }

    /// Creates a folder with the files of any store.
    pub fn new(store: impl Store + 'static) -> Self {
        let options = Options::default();
        let budgets = Budgets::new(BudgetLimits::default());
        Self {
            store: Arc::new(store),
            encoder: Arc::new(Encoder::new(&options.codings, &budgets.cache)),
            listings: Arc::new(ListingCache::new(Arc::clone(&budgets.listings))),
            options: Arc::new(options),
            digests: Arc::default(),
            budgets,
            live: None,
        }
    }

    /// The same folder with these options.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        let encoder = Arc::new(Encoder::new(&options.codings, &self.budgets.cache));
        Self { options: Arc::new(options), encoder, ..self }
    }

    /// The same folder with budgets (of memory and open files) that it shares with other folders.
    /// Default: budgets of its own.
    #[must_use]
    pub fn with_budgets(self, budgets: &Arc<Budgets>) -> Self {
        let encoder = Arc::new(Encoder::new(&self.options.codings, &budgets.cache));
        let listings = Arc::new(ListingCache::new(Arc::clone(&budgets.listings)));
        Self { budgets: Arc::clone(budgets), encoder, listings, ..self }
    }

    /// The same folder, whose pages reload in the browser after changes. Set [`Options::fresh`],
    /// too: otherwise, a page that reloads may still get the old file.
    ///
    /// HTML gets a `<script>` element, also in listings and error pages. The script is served at
    /// `/.sockeye/live.js`, and is told of changes over a WebSocket at `/.sockeye/live`. HTML with
    /// this element is sent whole, uncompressed, without ETag and Last-Modified, and with
    /// `Cache-Control: no-store`. HTML that is in UTF-16, is larger than 4 MiB, or is stored
    /// compressed, is sent without the element. All folders of a server share one [`Live`].
    #[must_use]
    pub fn with_live(self, live: &Arc<Live>) -> Self {
        Self { live: Some(Arc::clone(live)), ..self }
    }

    /// The same folder at another prefix than `/`. There, `.well-known` is hidden. So it gets a new
    /// cache of listings, as listings that were cached for `/` may show that name.
    pub(crate) fn beneath_prefix(self) -> Self {
        let Some(store) = self.store.beneath_prefix() else { return self };
        let listings = Arc::new(ListingCache::new(Arc::clone(&self.budgets.listings)));
        Self { store, listings, ..self }
    }

    /// A reader for a lookup in this folder. `scope` says whether the reader may block, and whether
    /// it may read whole files.
    pub(crate) fn reader<'a>(&'a self, scope: ReadScope<'a>) -> Reader<'a> {
        let Self { store, digests, options, budgets, .. } = self;
        Reader {
            store: &**store,
            digests,
            hashed_up_to: options.hashed_up_to,
            scope,
            // A file that has grown since it was opened counts as changed.
            may_grow: false,
            // This budget is for files of unknown size, too.
            content_memory: &budgets.listings,
        }
    }

    /// Whether this is a single file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.store.single_file().is_some()
    }

    /// Whether `/` has a page now: an `index.html`, or the single file itself. Blocks.
    #[must_use]
    pub fn has_index(&self) -> bool {
        self.is_file() || matches!(self.store.open(b"index.html"), Ok(Opened::File(..)))
    }
}

//! The part of a folder that a request selects, in the requested order.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::frame;
use super::query::{Format, ListingQuery, MAX_PER_PAGE, Sort};
use super::read::Listing;
use super::readme::Readme;
use super::rows::Rows;
use crate::limits::lease::Lease;
use crate::store::absent::Absent;
use crate::store::omitted::Omitted;
use crate::store::traits::Kind;

/// The entries of a response, with their sums and the page number.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) query: ListingQuery,
    pub(crate) format: Format,
    /// Whether a page links to the archive.
    pub(crate) archives: bool,
    /// The requested path of the folder, percent-encoded, with its final slash.
    pub(crate) path: Box<[u8]>,
    pub(crate) totals: Totals,
    pub(crate) paging: Option<Paging>,
    /// The number of rows to which an HTML page was cut. `None` if all rows that the query selects
    /// fit.
    pub(crate) shown_rows: Option<u32>,
    /// Whether the folder has more entries than are listed.
    pub(crate) truncated: bool,
    /// The entries that are left out, counted by reason.
    pub(crate) omitted: Omitted,
    pub(crate) readme: Option<Readme>,
    /// Whether the links to Markdown files lead to their pages.
    pub(crate) links_pages: bool,
    /// The `<script>` tag for `--live`, at the end of a page. Empty without `--live`.
    pub(crate) script: Box<[u8]>,
    rows: ViewRows,
    /// The client is charged for the rows, even if they are shared.
    _lease: Lease,
}

/// The rows of the response. If the response has all rows, sorted by name, it shares them with the
/// listing.
#[derive(Debug)]
enum ViewRows {
    Shared(Arc<Listing>),
    Copied(Rows),
}

/// The sums over the entries of all pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Totals {
    pub(crate) folders: u64,
    pub(crate) files: u64,
    /// The sum of the sizes of the files.
    pub(crate) bytes: u64,
}

/// Which page the response shows, and how many pages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Paging {
    /// Counted from 0.
    pub(crate) page: u32,
    pub(crate) pages: u32,
}

impl View {
    /// Selects the rows for `query` from a listing. Fails with [`Absent::Exhausted`] if the memory
    /// budget, or the client's share of it, has too little left for the whole listing.
    pub(crate) fn new(
        listing: Arc<Listing>,
        query: ListingQuery,
        format: Format,
        archives: bool,
        path: Box<[u8]>,
        readme: Option<Readme>,
        mut lease: Lease,
    ) -> Result<Self, Absent> {
        let (truncated, omitted) = (listing.truncated, listing.omitted);
        let is_default_order = query.sort == Sort::Name && !query.descending;
        let is_whole = is_default_order && query.selects_all();
        // The client is charged for the whole listing while rows are selected from it, so that one
        // client can't keep many listings in memory. If the response has the rows in another order,
        // or not all of them, they are copied, and the lease is resized to the copy below. A
        // listing that is shared counts against the total already, so `Lease::charge` charges only
        // the client.
        let weight = listing.rows.weight();
        let has_room = if is_whole { lease.charge(weight) } else { lease.resize(weight) };
        if !has_room {
            return Err(Absent::Exhausted);
        }
        let filtered = (!query.filter.is_empty()).then(|| listing.rows.filtered(&query.filter));
        let rows = filtered.as_ref().unwrap_or(&listing.rows);
        let totals = Totals::of(rows);
        let pages = query.paging().map(|(page, per_page)| {
            let pages = rows.len().div_ceil(per_page as usize).max(1);
            // The number of pages fits into 32 bits: a listing has less than 2^32 entries.
            let start = (page as usize).saturating_mul(per_page as usize);
            (Paging { page, pages: pages as u32 }, start..start.saturating_add(per_page as usize))
        });
        // The most rows of an HTML page, also if the query selects all entries.
        let max = if format == Format::Html { MAX_PER_PAGE as usize } else { usize::MAX };
        let is_cut = pages.is_none() && rows.len() > max;
        let part = pages.as_ref().map_or(0..max, |(_, part)| part.clone());
        let rows = if is_whole && !is_cut {
            ViewRows::Shared(listing)
        } else {
            let rows = if is_default_order {
                // A filter keeps the order.
                rows.part(part)
            } else {
                let mut rows = filtered.unwrap_or_else(|| listing.rows.part(0..usize::MAX));
                rows.sort(query.sort, query.descending, part.clone());
                rows.part(part)
            };
            if !lease.resize(rows.weight()) {
                return Err(Absent::Exhausted);
            }
            ViewRows::Copied(rows)
        };
        let paging = pages.map(|(paging, _)| paging);
        let mut view = Self {
            query,
            format,
            archives,
            path,
            totals,
            paging,
            truncated,
            omitted,
            readme,
            links_pages: false,
            script: Box::default(),
            rows,
            shown_rows: None,
            _lease: lease,
        };
        if is_cut {
            view.cut_after(max);
        }
        Ok(view)
    }

    /// Notes that this page has only the first `count` of its rows, and numbers the pages anew,
    /// with `count` rows on each. The next page begins right after the rows of this page, or
    /// repeats some of them, so that no row is skipped.
    pub(super) fn cut_after(&mut self, count: usize) {
        // The casts lose nothing: a page has at most 10,000 rows, and a listing less than 2^32.
        let count = (count as u32).clamp(1, MAX_PER_PAGE);
        self.shown_rows = Some(count);
        let (page, per_page) = self.query.paging().unwrap_or((0, count));
        let start = u64::from(page) * u64::from(per_page);
        let (page, pages) =
            (start / u64::from(count), self.totals.entries().div_ceil(count.into()));
        self.paging = Some(Paging { page: page as u32, pages: pages as u32 });
    }

    pub(crate) fn rows(&self) -> &Rows {
        match &self.rows {
            ViewRows::Shared(listing) => &listing.rows,
            ViewRows::Copied(rows) => rows,
        }
    }

    /// The ETag of the response in JSON or text. Equal responses have the same ETag.
    pub(super) fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        let Self { query, format, path, totals, paging, truncated, omitted, .. } = self;
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        (query, format, path, totals, paging, truncated, omitted).hash(&mut hasher);
        for row in self.rows().iter() {
            (row.name, row.kind, row.size, row.modified).hash(&mut hasher);
        }
        format!("\"{:016x}\"", hasher.finish())
    }

    /// The segments of the folder's path, decoded, to be shown to people.
    pub(crate) fn segments(&self) -> Vec<Vec<u8>> {
        frame::segments(&self.path)
    }
}

impl Totals {
    pub(super) fn entries(self) -> u64 {
        self.folders + self.files
    }

    fn of(rows: &Rows) -> Self {
        let mut totals = Self::default();
        for row in rows.iter() {
            match row.kind {
                Kind::Folder => totals.folders += 1,
                Kind::File => totals.files += 1,
            }
            totals.bytes = totals.bytes.saturating_add(row.size);
        }
        totals
    }
}

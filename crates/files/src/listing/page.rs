//! A listing or a Markdown file as an HTML page. A page without a filter or paging is cached for a
//! second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use sockeye_proto::{Budget, CancelToken, Client, Permit, Time};

use super::html;
use super::view::View;
use crate::coding::encoder::Encoder;
use crate::limits::lease::Lease;
use crate::limits::lock::lock;
use crate::options::codings::Coding;
use crate::store::absent::Absent;
use crate::store::digest::Digest;

/// The most bytes of a page: enough for 10,000 rows with names of 50 letters.
pub(crate) const MAX_LEN: usize = 4 * 1024 * 1024;

/// After this many rows, rendering checks again whether memory is left, and whether the request was
/// cancelled.
const ROWS_PER_CHECK: usize = 1024;

/// A page, which several responses may share.
#[derive(Debug)]
pub(crate) struct Page {
    pub(super) html: Bytes,
    pub(super) etag: String,
    /// Whether the query has no filter and no paging, or the page is that of a Markdown file. There
    /// are few such pages, and many requests share each of them, so they are cached and compressed.
    pub(crate) selects_all: bool,
    /// The charges of the clients to which the page is being sent.
    charges: Mutex<HashMap<ClientAndCoding, Weak<Permit>>>,
    /// The page's memory, counted against the total of the budget.
    _held: Permit,
}

/// A client, and the coding in which it gets the page.
type ClientAndCoding = (Client, Option<Coding>);

/// The content of a response: a page, compressed or not.
#[derive(Debug)]
pub(crate) struct PageContent {
    /// The bytes stay charged to the client until the last slice of them is dropped.
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    pub(crate) coding: Option<Coding>,
}

impl Page {
    /// Renders a view, up to [`MAX_LEN`].
    ///
    /// # Errors
    ///
    /// [`Absent::Exhausted`] if `lease` can't be resized for the page, or `cancel` is set.
    pub(crate) fn render(
        mut view: View,
        mut lease: Lease,
        cancel: &CancelToken,
    ) -> Result<Self, Absent> {
        let (mut html, mut closing) = (Vec::new(), Vec::new());
        html::opening(&view, &mut html);
        html::closing(&view, &mut closing);
        // The most that is added if not all rows fit: a note, and links. Each link contains the
        // filter, percent-encoded: up to 3 bytes for each byte.
        let note_len = 1024 + 16 * view.query.filter.len();
        let max_len = MAX_LEN.saturating_sub(html.len() + closing.len() + note_len);
        // Enough for most pages: a row has about 310 bytes of markup, and its name twice, each time
        // escaped. This counts 342 bytes per row, and 3 for each byte of its name: `weight` has 24
        // bytes per row besides the name, and 270 + 3 * 24 is 342.
        let likely_len = 270 * view.rows().len() + 3 * view.rows().weight();
        let capacity = likely_len.min(max_len);
        let around = html.len() + closing.len();
        // The rows need memory twice, since they are copied into the page at the end.
        if !lease.resize(around + 2 * capacity) {
            return Err(Absent::Exhausted);
        }
        let (mut rows, mut fitting) = (Vec::with_capacity(capacity), 0);
        for row in view.rows().iter() {
            if fitting % ROWS_PER_CHECK == 0
                && (cancel.is_cancelled() || !lease.resize(around + 2 * rows.capacity()))
            {
                return Err(Absent::Exhausted);
            }
            let end = rows.len();
            html::row(&view, row, &mut rows);
            if rows.len() > max_len {
                rows.truncate(end);
                break;
            }
            fitting += 1;
        }
        if fitting < view.rows().len() {
            view.cut_after(fitting);
            html.clear();
            closing.clear();
            html::opening(&view, &mut html);
            html::closing(&view, &mut closing);
        }
        let len = html.len() + rows.len() + closing.len();
        if !lease.resize(rows.capacity() + len) {
            return Err(Absent::Exhausted);
        }
        html.reserve_exact(rows.len() + closing.len());
        html.extend_from_slice(&rows);
        html.extend_from_slice(&closing);
        Ok(Self::new(html, view.query.selects_all(), lease))
    }

    /// A page with this HTML. `lease` already covers its memory.
    pub(super) fn new(html: Vec<u8>, selects_all: bool, mut lease: Lease) -> Self {
        // This makes the lease smaller, which can't fail.
        let _ = lease.resize(html.len());
        let etag = Digest::of(&html).etag();
        let html = Bytes::from(html.into_boxed_slice());
        Self { html, etag, selects_all, charges: Mutex::default(), _held: lease.stop_charging() }
    }

    /// The memory that the page holds, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.html.len()
    }

    /// The page for a response to `client`, compressed in `coding` if that is possible. `now` is
    /// when the request arrived. Blocks.
    ///
    /// A page with a filter or paging is not compressed, because few requests share it. Besides,
    /// the text of a filter comes from the request and appears on the page beside file names: the
    /// compressed length would reveal whether this text resembles a name (the BREACH attack).
    pub(crate) fn content(
        self: &Arc<Self>,
        budget: &Arc<Budget>,
        encoder: &Encoder,
        (client, now): (Client, Time),
        coding: Option<Coding>,
    ) -> Result<PageContent, Absent> {
        let coding = coding.filter(|_| self.selects_all);
        if let Some(coding) = coding
            && let Some(compressed) =
                encoder.compress_bytes(&self.html, &self.etag, coding, (client, now))
            && let Some(charge) =
                self.charge(encoder.budget(), client, Some(coding), compressed.len())
        {
            let held = Held { bytes: compressed.content(), _page: None, _charge: charge };
            let etag = coding.etag(&self.etag);
            return Ok(PageContent { bytes: Bytes::from_owner(held), etag, coding: Some(coding) });
        }
        let charge = self.charge(budget, client, None, self.html.len()).ok_or(Absent::Exhausted)?;
        let held =
            Held { bytes: self.html.clone(), _page: Some(Arc::clone(self)), _charge: charge };
        let etag = self.etag.clone();
        Ok(PageContent { bytes: Bytes::from_owner(held), etag, coding: None })
    }

    /// Charges the client once for all responses in this coding that it gets at the same time.
    fn charge(
        &self,
        budget: &Arc<Budget>,
        client: Client,
        coding: Option<Coding>,
        len: usize,
    ) -> Option<Arc<Permit>> {
        let mut charges = lock(&self.charges);
        let charged = charges.get(&(client, coding)).and_then(Weak::upgrade);
        charged.or_else(|| {
            let charge = Arc::new(budget.charge(client, len as u64)?);
            charges.insert((client, coding), Arc::downgrade(&charge));
            Some(charge)
        })
    }
}

/// Owns the content of a response. Each part of the content keeps this alive.
struct Held {
    bytes: Bytes,
    /// The page, if `bytes` is its memory. `None` for compressed content.
    _page: Option<Arc<Page>>,
    _charge: Arc<Permit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

//! Answers from cached lookups: a file, a listing, a redirect or an error.

use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, Request, Responder, Status};
use sockeye_proto::Time;

use super::error_page::{ErrorFields, ErrorResponse};
use super::jobs::{LookupRequest, Progress};
use super::listing::{answer_head, is_listing_requested, is_markdown_page};
use super::site::Site;
use crate::coding::file_entry::{FileEntry, Selected, Selection};
use crate::lookup::entry::{Entry, Target};
use crate::lookup::rule::Rule;
use crate::naming::path::{Refusal, RequestPath, merge_slashes};
use crate::request::view::RequestView;
use crate::respond::send::send;
use crate::respond::substitutes::{Purpose, Slash, location, status};
use crate::store::absent::Absent;

/// The error page for a missing name links to the nearest folder above it with a page or a listing.
/// At most this many folders are looked up to find that one.
const MAX_FOLDERS_ABOVE: usize = 4;

impl Site {
    /// Answers a request if a fresh lookup of its path is cached. Otherwise looks the path up: on
    /// the event loop, or by starting or joining a job.
    #[inline(always)] // Runs for each request.
    pub(crate) fn answer<'r, 't>(
        &self,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        // The fast path, for cached files whose path needs no decoding. Their paths were validated
        // before they were cached.
        if let (Some(path), None) = (view.path().strip_prefix(b"/"), view.query()) {
            let now = responder.now();
            let mut cache = self.inner.cache.borrow_mut();
            if let Some(entry) = cache.get_fresh_by_raw_path(path, now)
                && let Target::File(_, file) = &entry.target
            {
                // Most files are small and have one representation.
                if file.is_all_in_memory()
                    && view.is_unconditional()
                    && self.cors(entry.mount).is_same_for_all()
                {
                    return Progress::Answered(responder.send_prepared(file.original.prepared()));
                }
                if let Selection::Send(selected) = file.select(view) {
                    let (file, context) = (&file.original, self.context(entry));
                    let purpose = Purpose::Requested;
                    return send(&selected, file, purpose, context, view, responder).into();
                }
            }
        }
        let mut scratch = self.inner.scratch.borrow_mut();
        let mounts = &self.inner.mounts;
        match RequestPath::parse(view.path(), &mut scratch) {
            Ok(path)
                if !view.is_head_without_etag_conditions()
                    && is_listing_requested(mounts, path, view.query()) =>
            {
                Progress::NeedsListing(responder)
            }
            Ok(path) => {
                self.respond_or_look_up(LookupRequest::requested(path.key(), view), responder)
            }
            Err(refusal) => self.answer_invalid(refusal, view, responder),
        }
    }

    /// Answers a request whose path [`RequestPath::parse`] has rejected. These include the hidden
    /// paths of `--live`, which get the script or the WebSocket. Any other path gets a redirect if
    /// the path with merged slashes ([`merge_slashes`]) is valid and names something, or else an
    /// error.
    #[cold]
    fn answer_invalid<'r, 't>(
        &self,
        refusal: Refusal,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let responder = match self.answer_live(view.request(), responder) {
            Ok(answer) => return Progress::Answered(answer),
            Err(responder) => responder,
        };
        let (merged, mut scratch) = (merge_slashes(view.path()), Vec::new());
        if let Ok(path) = RequestPath::parse(&merged, &mut scratch) {
            let purpose = Purpose::MergedSlashes { why: Absent::Refused(refusal) };
            let lookup = LookupRequest { key: path.key(), purpose, view };
            return self.respond_or_look_up(lookup, responder);
        }
        let target = Target::Absent(Absent::Refused(refusal));
        let entry = Arc::new(Entry { mount: self.inner.mounts.root(), target });
        self.respond(LookupRequest::requested(b"", view), &entry, responder)
    }

    /// Answers a request for the script of pages that reload after changes, or for their WebSocket.
    /// For any other request, returns the responder.
    fn answer_live<'r, 't>(
        &self,
        request: &Request<'_>,
        responder: Responder<'r, 't>,
    ) -> Result<Answer, Responder<'r, 't>> {
        match &self.inner.live {
            Some(pages) => pages.answer(request, responder),
            None => Err(responder),
        }
    }

    /// Answers CONNECT, with which a page opens its WebSocket over HTTP/2 (RFC 8441).
    #[cold]
    pub(crate) fn connect(&self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match self.answer_live(request, responder) {
            Ok(answer) => answer,
            Err(responder) => self.allow(Status::METHOD_NOT_ALLOWED, responder),
        }
    }

    /// Answers with the cached entry, if it is fresh. Otherwise looks the path up: on the event
    /// loop, or in a job for which the request waits.
    pub(super) fn respond_or_look_up<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let mut cache = self.inner.cache.borrow_mut();
        let entry = cache.get_fresh(lookup.key, responder.now()).map(Arc::clone);
        drop(cache);
        match entry {
            Some(entry) => self.respond(lookup, &entry, responder),
            None => self.look_up_here_or_wait(lookup, responder),
        }
    }

    /// Answers with `entry`, the result of the lookup, or looks up the file that is sent instead,
    /// such as an error page.
    pub(crate) fn respond<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        entry: &Arc<Entry>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let LookupRequest { purpose, view, .. } = lookup;
        let (mounts, is_requested) = (&self.inner.mounts, purpose == Purpose::Requested);
        if is_requested && view.is_head_without_etag_conditions() && self.is_listed(lookup, entry) {
            return Progress::Answered(answer_head(mounts, view, responder));
        }
        match &entry.target {
            Target::File(..) | Target::Redirect(_) | Target::Listing
                if matches!(purpose, Purpose::MergedSlashes { .. }) =>
            {
                // If the query asks for a listing, the path keeps its final slash, even if `entry`
                // redirects to the path without this slash.
                let slash = entry.slash().filter(|_| !self.is_listed(lookup, entry));
                Progress::Answered(self.redirect(slash, entry, view, responder))
            }
            // `Rule::File`: the path names the file itself.
            Target::File(Rule::File, _)
                if is_requested
                    && view.query().is_some()
                    && is_markdown_page(
                        mounts,
                        RequestPath::from_key(lookup.key),
                        view.query(),
                    ) =>
            {
                Progress::NeedsListing(responder)
            }
            Target::File(_, file) => match file.select(view) {
                Selection::Compress(coding) => self.compress(lookup, entry, coding, responder),
                Selection::Send(selected) => self.send(lookup, &selected, file, entry, responder),
            },
            Target::Redirect(slash) if is_requested => {
                Progress::Answered(self.redirect(Some(*slash), entry, view, responder))
            }
            Target::Listing if is_requested => Progress::NeedsListing(responder),
            _ => match purpose.next(mounts, entry, view.is_navigation()) {
                Some(next) => {
                    let lookup = LookupRequest { key: next.key(mounts), purpose: next, view };
                    self.respond_or_look_up(lookup, responder)
                }
                None => Progress::Answered(self.refuse(lookup, entry, responder)),
            },
        }
    }

    /// Sends the file of `entry` without compressing it: uncompressed, unless the selected
    /// representation exists. If `entry` has no file, because the name has changed during a
    /// compression, answers as [`Site::respond`].
    pub(super) fn finish<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        entry: &Arc<Entry>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        match &entry.target {
            Target::File(_, file) => {
                self.send(lookup, &file.select_ready(lookup.view), file, entry, responder)
            }
            _ => self.respond(lookup, entry, responder),
        }
    }

    /// Whether a GET request would be answered with a listing or an archive.
    fn is_listed(&self, LookupRequest { key, view, .. }: LookupRequest<'_>, entry: &Entry) -> bool {
        match &entry.target {
            Target::Listing => true,
            Target::File(..) | Target::Redirect(Slash::Drop) if view.query().is_some() => {
                is_listing_requested(&self.inner.mounts, RequestPath::from_key(key), view.query())
            }
            _ => false,
        }
    }

    fn send<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        selected: &Selected<'_>,
        file: &FileEntry,
        entry: &Entry,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let LookupRequest { purpose, view, .. } = lookup;
        self.log_absent(entry, purpose, view, &responder);
        send(selected, &file.original, purpose, self.context(entry), view, responder).into()
    }

    /// Answers with an error. Its status depends on why the file is absent.
    fn refuse(
        &self,
        lookup: LookupRequest<'_>,
        entry: &Entry,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let LookupRequest { purpose, view, .. } = lookup;
        self.log_absent(entry, purpose, view, &responder);
        let status = status(purpose.absent(entry).unwrap_or(Absent::Missing));
        let options = entry.mount.map(|mount| &*self.inner.mounts.get(mount).folder.options);
        let ErrorFields { default, app, unavailable } = &self.inner.error_fields;
        let fields = match status {
            Status::SERVICE_UNAVAILABLE => unavailable,
            _ if options.is_some_and(|options| options.spa) => app,
            _ => default,
        };
        // Usually CORS adds no fields, and a missing file is answered without an allocation.
        let fields = self.cors(entry.mount).add_to(fields, view.origin());
        let now = responder.now();
        let live = self.inner.live.as_ref().map(|pages| &*pages.live);
        let error = ErrorResponse { status, fields: &fields, text: "", options, live };
        error.send(view, responder, || match status {
            Status::NOT_FOUND => self.nearest_folder(view, now),
            _ => (view.path() != b"/").then_some(1),
        })
    }

    /// Which slash of the requested path, counted from 1, ends the path of the nearest parent
    /// folder with a page or a listing. Without such a folder, it is the first slash, for the root;
    /// `None` if the path is `/`. Never waits for a disk.
    fn nearest_folder(&self, view: RequestView<'_>, now: Time) -> Option<usize> {
        if view.path() == b"/" {
            return None;
        }
        let mut scratch = Vec::new();
        let Ok(path) = RequestPath::parse(view.path(), &mut scratch) else { return Some(1) };
        let name = path.name();
        let ends = || name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        // Slash 1 is the one in front of the name.
        let numbers = 2..ends().count() + 2;
        let mut folders = ends().rev().zip(numbers.rev()).take(MAX_FOLDERS_ABOVE);
        let nearest = folders.find(|(end, _)| self.shows_something(&name[..=*end], now));
        Some(nearest.map_or(1, |(_, slash)| slash))
    }

    /// Redirects to the same path with merged slashes ([`merge_slashes`]). `slash` adds a final
    /// slash, which relative links in a folder need, or drops it from a page's path.
    fn redirect(
        &self,
        slash: Option<Slash>,
        entry: &Entry,
        view: RequestView<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let cors = self.cors(entry.mount);
        match location(view.path(), view.query(), slash) {
            Ok(fields) => {
                let fields = fields.and(&cors.constant_fields());
                let fields = cors.with_allowed_origin(&fields, view.origin());
                responder.error(Status::MOVED_PERMANENTLY, &fields, "")
            }
            Err(_) => responder.error(Status::NOT_FOUND, &Fields::new(), ""),
        }
    }

    /// Answers OPTIONS. A CORS preflight request of an allowed origin is answered with what the
    /// origin's scripts may do, any other request with the allowed methods.
    pub(crate) fn options(&self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let mut scratch = self.inner.scratch.borrow_mut();
        let mut allowed = || {
            let (origin, _) =
                (request.field("origin")?, request.field("access-control-request-method")?);
            let path = RequestPath::parse(request.path(), &mut scratch).ok()?;
            let (mount, _) = self.inner.mounts.find(path.key())?;
            let names = request.field("access-control-request-headers");
            self.cors(Some(mount)).preflight(origin, names)
        };
        match allowed() {
            Some(fields) => responder.send(Status::NO_CONTENT, &fields, Body::Empty),
            None => self.allow(Status::NO_CONTENT, responder),
        }
    }

    /// Answers with the allowed methods. `status` is a success for OPTIONS, otherwise an error.
    pub(crate) fn allow(&self, status: Status, responder: Responder<'_, '_>) -> Answer {
        responder.error(status, &self.inner.allow, "The files here are read-only: use GET or HEAD.")
    }
}

//! One request for a folder's page or archive, up to the head of its response; what follows it is
//! [`ListingBody`]'s.

use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, KeptRequest, Request, Responder, Status};
use sockeye_proto::{Abandoned, Job, JobKind, Message, Permit, Place as JobPlace, Ticket, Waiter};

use super::listing_body::{ListingBody, OPEN_FILES, PIECE};
use super::listing_headers::ListingHeaders;
use crate::file::fields::with;
use crate::listing::cache::{Archive, ListingRequest, ListingResult};
use crate::listing::document::Document;
use crate::listing::query::{BadQuery, Format, ListingQuery, accepted};
use crate::lookup::folder::Folder;
use crate::lookup::job::place_in;
use crate::lookup::mounts::{Mounts, Place};
use crate::naming::path::RequestPath;
use crate::request::conditional::Precondition;
use crate::request::range::{Part, Ranges};
use crate::request::view::RequestView;
use crate::store::absent::Absent;
use crate::tar::manifest::ArchiveError;

/// ListingTarget an archive is called where the path says nothing.
const TITLE: &[u8] = b"files";

/// A request that waits for a job, which finds out what there is.
#[derive(Debug)]
pub(crate) struct PendingListing {
    pub(crate) ticket: Ticket,
    request: KeptRequest,
    mount: usize,
    folder: Folder,
    /// Where its jobs may get stuck.
    place: JobPlace,
    /// For the files that an archive has open at a time.
    open_files: Option<Permit>,
    /// Without it, the job is cancelled.
    _waiter: Waiter,
}

/// ListingTarget became of a request.
pub(crate) enum ListingAnswer<'r, 't> {
    Answered(Answer, Option<ListingBody>),
    /// There is nothing to show, in the folder of this mount.
    Absent(usize, Absent, KeptRequest, Responder<'r, 't>),
}

impl PendingListing {
    /// Whether a query asks for a folder's page or archive by name, whatever page there may be.
    pub(crate) fn is_wanted(
        mounts: &Mounts,
        wanted: RequestPath<'_>,
        query: Option<&[u8]>,
    ) -> bool {
        query.is_some()
            && mounts.place(wanted.key()).is_some_and(|(mount, place)| {
                let folder = &mounts.get(mount).folder;
                let options = &folder.options;
                matches!(place, Place::In(wanted) if wanted.is_folder())
                    && options.listing
                    && !folder.is_file()
                    && ListingQuery::parse(query, options.archives)
                        .is_ok_and(|query| query.format.is_some())
            })
    }

    /// Begins to answer for a folder; `None` where that is all of the answer.
    pub(crate) fn begin(
        mounts: &Mounts,
        request: KeptRequest,
        responder: Responder<'_, '_>,
    ) -> (Answer, Option<Self>) {
        let view = request.view();
        let view = RequestView::of(&view);
        let mut scratch = Vec::new();
        let wanted = match ListingTarget::of(mounts, view, &mut scratch) {
            Ok(wanted) => wanted,
            Err(refused) => return (refused.answer(responder), None),
        };
        let ListingTarget { mount, name, query, format, title } = wanted;
        let client = responder.client(view.request());
        let folder = mounts.get(mount).folder.clone();
        let archives = folder.options.archives;
        let mut open_files = None;
        if format == Format::Tar {
            open_files = folder.budgets.open_files.take(client, OPEN_FILES as u64);
            if open_files.is_none() {
                let budgets = &folder.budgets;
                budgets.note_spent(&budgets.open_files, client, responder.now());
                return (busy(responder), None);
            }
        }
        let (waiter, cancel) = Waiter::new();
        let wanted = ListingRequest {
            folder: name.into(),
            path: view.path().into(),
            title,
            query,
            format,
            archives,
            client,
            cancel: cancel.clone(),
        };
        let kind = if format == Format::Tar { JobKind::Archive } else { JobKind::Listing };
        let place = place_in(mount, name);
        let (promise, job) = (responder.promise(), folder.clone());
        let ticket = promise.ticket();
        let job = Job::new(kind, client, move || {
            promise.keep(Box::new(job.listings.make(&*job.store, wanted)));
        });
        if responder.spawn(job.at(place).unless(cancel)).is_err() {
            return (busy(responder), None);
        }
        let this = Self { ticket, request, mount, folder, place, open_files, _waiter: waiter };
        (responder.later(), Some(this))
    }

    /// Answers with what the job has found out.
    pub(crate) fn on_made<'r, 't>(
        mut self,
        body: Result<Message, Abandoned>,
        responder: Responder<'r, 't>,
    ) -> ListingAnswer<'r, 't> {
        let made = match body.map(Message::downcast::<Result<ListingResult, ArchiveError>>) {
            Ok(Ok(made)) => *made,
            Ok(Err(_)) | Err(Abandoned) => {
                let answer = responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "");
                return ListingAnswer::Answered(answer, None);
            }
        };
        let (answer, sending) = match made {
            Ok(ListingResult::Page(document)) => self.page(document, responder),
            Ok(ListingResult::Archive(archive)) => self.archive(archive, responder),
            Err(ArchiveError::Absent(Absent::Exhausted)) => {
                let client = responder.client(&self.request.view());
                let budget = self.folder.listings.budget();
                self.folder.budgets.note_spent(budget, client, responder.now());
                (busy(responder), None)
            }
            Err(ArchiveError::Absent(absent)) => {
                return ListingAnswer::Absent(self.mount, absent, self.request, responder);
            }
            Err(why) => {
                let text = format!("This folder can't be sent as an archive: {why}.");
                (responder.error(Status::FORBIDDEN, &Fields::new(), &text), None)
            }
        };
        ListingAnswer::Answered(answer, sending)
    }

    fn page(
        &self,
        mut document: Box<Document>,
        responder: Responder<'_, '_>,
    ) -> (Answer, Option<ListingBody>) {
        let etag = document.view().etag().to_owned();
        let request = self.request.view();
        let heads = self.heads(&request);
        let responder = match self.spare(&etag, &heads.page_not_modified(&etag), responder) {
            Ok(responder) => responder,
            Err(answer) => return (answer, None),
        };
        let fields = heads.page(document.view().format, &etag);
        let mut piece = Vec::new();
        if !document.fill(&mut piece, PIECE) {
            return (responder.send(Status::OK, &fields, Body::Shared(&piece.into())), None);
        }
        let mut stream = responder.stream(Status::OK, &fields, None);
        stream.write_shared(piece.into());
        ListingBody::page(document).go_on(stream)
    }

    fn archive(
        &mut self,
        archive: Archive,
        responder: Responder<'_, '_>,
    ) -> (Answer, Option<ListingBody>) {
        let (etag, len) = (archive.manifest.etag().to_owned(), archive.manifest.len());
        let request = self.request.view();
        let heads = self.heads(&request);
        let not_modified = heads.archive_not_modified(&etag);
        let responder = match self.spare(&etag, &not_modified, responder) {
            Ok(responder) => responder,
            Err(answer) => return (answer, None),
        };
        let fields = heads.archive(&archive.manifest);
        let (status, fields, part) = match self.ranges(&etag, len, &responder) {
            Ranges::One(part) => {
                let range = part.content_range(len);
                (Status::PARTIAL_CONTENT, with(fields, "Content-Range", &range), part)
            }
            Ranges::Unsatisfiable => {
                let range = format!("bytes */{len}");
                let fields = with(not_modified, "Content-Range", &range);
                let text = "The archive ends before that.";
                return (responder.error(Status::RANGE_NOT_SATISFIABLE, &fields, text), None);
            }
            // A client that asks for several parts takes the whole as well (RFC 9110, 14.2).
            Ranges::Whole | Ranges::Many(_) => (Status::OK, fields, Part { start: 0, len }),
        };
        let client = responder.client(&request);
        let stream = responder.stream(status, &fields, Some(part.len));
        let packing = archive.packing(part.start, part.start + part.len);
        let store = Arc::clone(&self.folder.store);
        let charged = (client, self.open_files.take());
        ListingBody::archive(packing, store, self.place, charged).go_on(stream)
    }

    fn heads<'a>(&'a self, request: &'a Request<'a>) -> ListingHeaders<'a> {
        ListingHeaders { options: &self.folder.options, origin: RequestView::of(request).origin() }
    }

    /// Which part of the archive is wanted.
    fn ranges(&self, etag: &str, len: u64, responder: &Responder<'_, '_>) -> Ranges {
        let request = self.request.view();
        let view = RequestView::of(&request);
        match view.range().get() {
            Some(range) if view.wants_a_range_of(etag.as_bytes(), None, responder.wall()) => {
                Ranges::of(range, len)
            }
            _ => Ranges::Whole,
        }
    }

    /// Answers where the request's conditions spare the content; else gives the response back.
    fn spare<'r, 't>(
        &self,
        etag: &str,
        fields: &Fields,
        responder: Responder<'r, 't>,
    ) -> Result<Responder<'r, 't>, Answer> {
        match RequestView::of(&self.request.view()).evaluate(etag.as_bytes(), None) {
            Precondition::Send => Ok(responder),
            Precondition::NotModified => {
                Err(responder.send(Status::NOT_MODIFIED, fields, Body::Empty))
            }
            Precondition::Failed => {
                let text = "The folder is not what was asked for.";
                Err(responder.error(Status::PRECONDITION_FAILED, fields, text))
            }
        }
    }
}

/// Answers HEAD for a folder's page or archive, for which nothing is read: that there is such a folder
/// is known. ListingTarget is known only when it is made is left out (RFC 9110, 9.3.2).
pub(crate) fn answer_head(
    mounts: &Mounts,
    view: RequestView<'_>,
    responder: Responder<'_, '_>,
) -> Answer {
    match ListingTarget::of(mounts, view, &mut Vec::new()) {
        Ok(ListingTarget { mount, format, title, .. }) => {
            let options = &mounts.get(mount).folder.options;
            let fields = ListingHeaders { options, origin: view.origin() }.unmade(format, &title);
            responder.send_head(Status::OK, &fields, None)
        }
        Err(refused) => refused.answer(responder),
    }
}

/// ListingTarget is asked for of a folder.
struct ListingTarget<'s> {
    mount: usize,
    /// The folder's name in its mount.
    name: &'s [u8],
    query: ListingQuery,
    format: Format,
    /// ListingTarget an archive of it is called.
    title: Box<[u8]>,
}

/// Why a request is answered without looking at a folder.
enum Refused {
    NoFolder,
    Query(BadQuery),
}

impl Refused {
    fn answer(self, responder: Responder<'_, '_>) -> Answer {
        match self {
            Self::NoFolder => responder.error(Status::NOT_FOUND, &Fields::new(), ""),
            Self::Query(bad) => {
                responder.error(Status::BAD_REQUEST, &Fields::new(), &bad.to_string())
            }
        }
    }
}

impl<'s> ListingTarget<'s> {
    fn of(
        mounts: &Mounts,
        view: RequestView<'s>,
        scratch: &'s mut Vec<u8>,
    ) -> Result<Self, Refused> {
        let wanted = RequestPath::parse(view.path(), scratch).map_err(|_| Refused::NoFolder)?;
        let Some((mount, Place::In(wanted))) = mounts.place(wanted.key()) else {
            return Err(Refused::NoFolder);
        };
        let archives = mounts.get(mount).folder.options.archives;
        let query = ListingQuery::parse(view.query(), archives).map_err(Refused::Query)?;
        let format = query.format.unwrap_or_else(|| accepted(view.accept().as_deref().into_iter()));
        let last = |name: &[u8]| name.rsplit(|byte| *byte == b'/').next().unwrap_or(name).to_vec();
        let title = match (last(wanted.name()), last(&mounts.get(mount).prefix)) {
            (name, _) if !name.is_empty() => name,
            (_, prefix) if !prefix.is_empty() => prefix,
            _ => TITLE.to_vec(),
        };
        Ok(Self { mount, name: wanted.name(), query, format, title: title.into() })
    }
}

/// Says that there is no memory, thread or descriptor for it now.
fn busy(responder: Responder<'_, '_>) -> Answer {
    let fields = with(Fields::new(), "Retry-After", "1");
    let text = "Too many folders are being read for you at a time. Try again when some have come.";
    responder.error(Status::SERVICE_UNAVAILABLE, &fields, text)
}

//! One request for a folder as a listing or an archive, or for a Markdown file as a page, up to the
//! head of its response. Content of at most [`PIECE_SIZE`] is sent here, too; [`ListingBody`] sends
//! longer content, and archives.

use std::borrow::Cow;
use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, OwnedRequest, Responder, Status};
use sockeye_proto::{Abandoned, Job, JobGroup, JobKind, Message, Permit, Ticket, Waiter};

use super::error_page::ErrorResponse;
use super::listing_body::{ListingBody, MAX_OPEN_FILES, PIECE_SIZE};
use super::listing_headers::head;
use crate::file::head::Head;
use crate::listing::cache::{ListingRequest, ListingResult};
use crate::listing::document::Document;
use crate::listing::markdown_name::is_markdown;
use crate::listing::page::PageContent;
use crate::listing::query::{Format, ListingQuery, preferred_format, prefers_html};
use crate::live::changes::Live;
use crate::lookup::folder::Folder;
use crate::lookup::mounts::{MountedPath, Mounts};
use crate::naming::path::RequestPath;
use crate::options::fields::with;
use crate::options::folder_options::Options;
use crate::request::range::{Part, Ranges};
use crate::request::view::RequestView;
use crate::respond::conditions::{Validators, evaluate};
use crate::store::absent::Absent;
use crate::tar::manifest::ArchiveError;
use crate::tar::writer::ArchiveWriter;

/// The name of an archive of the root folder, without `.tar`.
const ROOT_ARCHIVE: &[u8] = b"files";

/// A request that waits for the job that reads the folder or the Markdown file.
#[derive(Debug)]
pub(crate) struct PendingListing {
    pub(crate) ticket: Ticket,
    request: OwnedRequest,
    /// The index in [`Mounts`] of the folder's mount: the served folder and its URL prefix.
    mount: usize,
    folder: Folder,
    /// The group of the jobs that read files for this request. Jobs of one group may block on the
    /// same thing, such as a file system.
    job_group: JobGroup,
    format: Format,
    /// Whether a page of a Markdown file is requested, not a listing of a folder.
    is_file: bool,
    /// The name of an archive, without `.tar`.
    title: Box<[u8]>,
    /// The part of the budget for open files that an archive uses.
    open_files: Option<Permit>,
    /// Dropping it cancels the job.
    _waiter: Waiter,
}

/// What the result of the job leads to.
pub(crate) enum ListingAnswer<'r, 't> {
    /// The answer, and the content that is still to be sent.
    Answered(Answer, Option<ListingBody>),
    /// The folder or the file can't be read, and the caller has to answer. The number is the index
    /// of its mount.
    Absent(usize, Absent, OwnedRequest, Responder<'r, 't>),
}

/// Whether the query names a format, and the path names a folder that may be listed. Then the
/// response is a listing or an archive, even if the folder has an `index.html`.
pub(crate) fn is_listing_requested(
    mounts: &Mounts,
    path: RequestPath<'_>,
    query: Option<&[u8]>,
) -> bool {
    path.is_folder() && requested_format(mounts, path, query).is_some()
}

/// Whether the query asks for a page, and the path may name a Markdown file in a folder that may be
/// listed. Then the response is a page made of this file, not the file.
pub(crate) fn is_markdown_page(
    mounts: &Mounts,
    path: RequestPath<'_>,
    query: Option<&[u8]>,
) -> bool {
    is_markdown(path.key()) && requested_format(mounts, path, query) == Some(Format::Html)
}

/// The format that the query names, if the path is in a folder that may be listed.
fn requested_format(
    mounts: &Mounts,
    path: RequestPath<'_>,
    query: Option<&[u8]>,
) -> Option<Format> {
    query?;
    let (mount, MountedPath::Inside(_)) = mounts.find(path.key())? else { return None };
    let folder = &mounts.get(mount).folder;
    let may_list = folder.options.listing && !folder.is_file();
    ListingQuery::parse(query, folder.options.archives).ok().filter(|_| may_list)?.format
}

impl PendingListing {
    /// Starts the job that reads the folder or the file. The second value is `None` if this
    /// function has sent an error instead.
    pub(crate) fn start(
        mounts: &Mounts,
        request: OwnedRequest,
        responder: Responder<'_, '_>,
    ) -> (Answer, Option<Self>) {
        let http = request.view();
        let view = RequestView::of(&http);
        let mut scratch = Vec::new();
        let target = match ListingTarget::of(mounts, view, &mut scratch) {
            Ok(target) => target,
            Err(refused) => return (refused.send(mounts, view, responder), None),
        };
        let ListingTarget { mount, path, query, format, title, job_group } = target;
        let client = responder.client(&http);
        let folder = mounts.get(mount).folder.clone();
        let mut open_files = None;
        if format == Format::Tar {
            open_files = folder.budgets.open_files.take(client, MAX_OPEN_FILES as u64);
            if open_files.is_none() {
                let budgets = &folder.budgets;
                budgets.log_spent(&budgets.open_files, client, responder.now());
                return (send_busy(&folder.options, view, responder), None);
            }
        }
        let (waiter, cancel) = Waiter::new();
        let script = folder.live.as_ref().filter(|_| format == Format::Html);
        let script = script.map(|live| live.tag(&mounts.get(mount).path_of(path.key())));
        let is_file = !path.is_folder();
        let listing_request = ListingRequest {
            name: path.name().into(),
            is_file,
            path: view.path().into(),
            title: title.clone(),
            query,
            format,
            archives: folder.options.archives,
            // Links to Markdown files lead to the pages that are made of them.
            links_pages: prefers_html(view.accept().as_deref()),
            always_read: folder.options.fresh,
            coding: match &script {
                None => folder.encoder.preferred(view.accept_encoding().finish()),
                Some(_) => None,
            },
            script: script.unwrap_or_default().into_bytes().into(),
            client,
            arrived: responder.now(),
            cancel: cancel.clone(),
        };
        let kind = if format == Format::Tar { JobKind::Archive } else { JobKind::Listing };
        let (promise, job) = (responder.promise(), folder.clone());
        let ticket = promise.ticket();
        let job = Job::new(kind, client, move || {
            promise.fulfill(Box::new(job.listings.make(
                &*job.store,
                &job.encoder,
                listing_request,
            )));
        });
        if responder.spawn(job.in_group(job_group).cancel_with(cancel)).is_err() {
            return (send_busy(&folder.options, view, responder), None);
        }
        let _waiter = waiter;
        let this = Self {
            ticket,
            request,
            mount,
            folder,
            job_group,
            format,
            is_file,
            title,
            open_files,
            _waiter,
        };
        (responder.later(), Some(this))
    }

    /// Answers with the result of the job.
    pub(crate) fn on_result<'r, 't>(
        mut self,
        body: Result<Message, Abandoned>,
        responder: Responder<'r, 't>,
    ) -> ListingAnswer<'r, 't> {
        let http = self.request.view();
        let view = RequestView::of(&http);
        let options = &self.folder.options;
        let result = match body.map(Message::downcast::<Result<ListingResult, ArchiveError>>) {
            Ok(Ok(result)) => *result,
            Ok(Err(_)) | Err(Abandoned) => {
                let none = Fields::new();
                let fields = options.cors.add_to(&none, view.origin());
                let answer = responder.error(Status::INTERNAL_SERVER_ERROR, &fields, "");
                return ListingAnswer::Answered(answer, None);
            }
        };
        let (answer, body) = match result {
            Ok(ListingResult::Page(page)) => self.page(page, responder),
            Ok(ListingResult::Document(document)) => self.document(document, responder),
            Ok(ListingResult::Archive(archive)) => self.archive(archive, responder),
            Err(ArchiveError::Absent(Absent::Exhausted)) => {
                let client = responder.client(&http);
                let budget = &self.folder.listings.budget;
                self.folder.budgets.log_spent(budget, client, responder.now());
                (send_busy(options, view, responder), None)
            }
            Err(ArchiveError::Absent(absent)) => {
                return ListingAnswer::Absent(self.mount, absent, self.request, responder);
            }
            Err(error) => {
                let text = format!("This folder can't be sent as an archive: {error}.");
                let live = self.folder.live.as_ref();
                let status = Status::FORBIDDEN;
                (send_error(status, &text, Some(options), live, view, responder), None)
            }
        };
        ListingAnswer::Answered(answer, body)
    }

    fn page(
        &self,
        page: PageContent,
        responder: Responder<'_, '_>,
    ) -> (Answer, Option<ListingBody>) {
        let PageContent { bytes, etag, coding } = page;
        let noun = if self.is_file { "file" } else { "folder" };
        let (Head { fields, .. }, _, responder) = match self.evaluate(noun, &etag, None, responder)
        {
            Ok(evaluated) => evaluated,
            Err(answer) => return (answer, None),
        };
        let fields = match coding {
            Some(coding) => with(fields, "Content-Encoding", coding.name()),
            None => fields,
        };
        if bytes.len() <= PIECE_SIZE {
            return (responder.send(Status::OK, &fields, Body::Shared(&bytes)), None);
        }
        let len = bytes.len() as u64;
        ListingBody::Page(bytes).write(responder.stream(Status::OK, &fields, Some(len)))
    }

    fn document(
        &self,
        mut document: Box<Document>,
        responder: Responder<'_, '_>,
    ) -> (Answer, Option<ListingBody>) {
        let (Head { fields, .. }, _, responder) =
            match self.evaluate("folder", &document.etag, None, responder) {
                Ok(evaluated) => evaluated,
                Err(answer) => return (answer, None),
            };
        let omitted = document.view.omitted;
        let fields = match self.format {
            Format::Text if omitted.total() > 0 => with(fields, "Listing-Omitted", &omitted.list()),
            _ => fields,
        };
        let mut piece = Vec::new();
        if !document.fill(&mut piece, PIECE_SIZE) {
            return (responder.send(Status::OK, &fields, Body::Shared(&piece.into())), None);
        }
        let mut stream = responder.stream(Status::OK, &fields, None);
        stream.write_shared(piece.into());
        ListingBody::Document(document).write(stream)
    }

    fn archive(
        &mut self,
        archive: ArchiveWriter,
        responder: Responder<'_, '_>,
    ) -> (Answer, Option<ListingBody>) {
        let len = archive.manifest.len;
        let (Head { fields, .. }, ranges, responder) =
            match self.evaluate("archive", &archive.manifest.etag, Some(len), responder) {
                Ok(evaluated) => evaluated,
                Err(answer) => return (answer, None),
            };
        // A request for several ranges gets the whole archive, which RFC 9110, 14.2 permits.
        let (status, fields, part) = match ranges {
            Ranges::One(part) => {
                let range = part.content_range(len);
                (Status::PARTIAL_CONTENT, with(fields, "Content-Range", &range), part)
            }
            _ => (Status::OK, fields, Part { start: 0, len }),
        };
        let client = responder.client(&self.request.view());
        let stream = responder.stream(status, &fields, Some(part.len));
        let writer = archive.part(part.start, part.start + part.len);
        let files = (Arc::clone(&self.folder.store), Arc::clone(&self.folder.digests));
        let charged = (client, self.open_files.take());
        ListingBody::archive(writer, files, self.job_group, charged).write(stream)
    }

    /// Returns the headers and the ranges of the response. If this function has sent a 304, 412 or
    /// 416, the `Err` holds the answer. `noun` is the word for the content in the text of the 412
    /// or 416.
    fn evaluate<'r, 't>(
        &self,
        noun: &'static str,
        etag: &str,
        len: Option<u64>,
        responder: Responder<'r, 't>,
    ) -> Result<(Head, Ranges, Responder<'r, 't>), Answer> {
        let http = self.request.view();
        let view = RequestView::of(&http);
        let options = &self.folder.options;
        let is_live = self.folder.live.is_some() && self.format == Format::Html;
        let etag = if is_live { "" } else { etag };
        let known = (!is_live).then_some(etag);
        let head = head(options, view.origin(), self.format, &self.title, known, is_live);
        let validators = Validators { noun, etag, modified: None, len };
        let not_modified = || Cow::Borrowed(&head.not_modified);
        let (ranges, responder) =
            evaluate(validators, view, responder, not_modified, Fields::clone)?;
        Ok((head, ranges, responder))
    }
}

/// Answers HEAD without reading the folder or the file: the response omits headers that depend on
/// the content, which RFC 9110, 9.3.2 permits. A HEAD with conditions about ETags isn't answered
/// here, but as GET is: the conditions must be evaluated (13.2.1).
pub(crate) fn answer_head(
    mounts: &Mounts,
    view: RequestView<'_>,
    responder: Responder<'_, '_>,
) -> Answer {
    match ListingTarget::of(mounts, view, &mut Vec::new()) {
        Ok(ListingTarget { mount, format, title, .. }) => {
            let folder = &mounts.get(mount).folder;
            let is_live = folder.live.is_some() && format == Format::Html;
            let head = head(&folder.options, view.origin(), format, &title, None, is_live);
            responder.send_head(Status::OK, &head.fields, None)
        }
        Err(refused) => refused.send(mounts, view, responder),
    }
}

/// The folder or Markdown file that a request names, and the format of the response.
struct ListingTarget<'s> {
    /// The index of the mount in [`Mounts`].
    mount: usize,
    /// The path of the folder or file within its mount.
    path: RequestPath<'s>,
    query: ListingQuery,
    format: Format,
    /// The name of an archive of the folder, without `.tar`.
    title: Box<[u8]>,
    /// The group of the jobs that read files for this request. Jobs of one group may block on the
    /// same thing, such as a file system.
    job_group: JobGroup,
}

/// Why a request for a listing or a page is refused.
struct RefusedListing {
    status: Status,
    text: &'static str,
    /// The index of the mount that the path is in, if it is in one.
    mount: Option<usize>,
}

impl RefusedListing {
    const NOT_FOUND: Self = Self { status: Status::NOT_FOUND, text: "", mount: None };

    fn send(self, mounts: &Mounts, view: RequestView<'_>, responder: Responder<'_, '_>) -> Answer {
        let Self { status, text, mount } = self;
        let options = mount.map(|mount| &*mounts.get(mount).folder.options);
        send_error(status, text, options, mounts.live(), view, responder)
    }
}

impl<'s> ListingTarget<'s> {
    fn of(
        mounts: &Mounts,
        view: RequestView<'s>,
        scratch: &'s mut Vec<u8>,
    ) -> Result<Self, RefusedListing> {
        let path = RequestPath::parse(view.path(), scratch);
        let path = path.map_err(|_| RefusedListing::NOT_FOUND)?;
        let job_group = mounts.job_group(path.key());
        let Some((mount, MountedPath::Inside(path))) = mounts.find(path.key()) else {
            return Err(RefusedListing::NOT_FOUND);
        };
        let archives = mounts.get(mount).folder.options.archives;
        let query = ListingQuery::parse(view.query(), archives).map_err(|text| RefusedListing {
            status: Status::BAD_REQUEST,
            text,
            mount: Some(mount),
        })?;
        let format = query.format.unwrap_or_else(|| preferred_format(view.accept().as_deref()));
        let title = archive_title(&mounts.get(mount).prefix, path.name());
        Ok(Self { mount, path, query, format, title: title.into(), job_group })
    }
}

/// The name of an archive, without `.tar`: that of the folder `name`, or of the mount at `prefix`.
pub(super) fn archive_title<'a>(prefix: &'a [u8], name: &'a [u8]) -> &'a [u8] {
    let last = |name: &'a [u8]| name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let names = [last(name), last(prefix), ROOT_ARCHIVE];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}

/// Answers with an error about the path, the query or the format. If the error is sent as a page,
/// the page links to the requested folder (or the folder of the requested file), without the query.
/// `options` are those of the folder that the path is in.
fn send_error(
    status: Status,
    text: &str,
    options: Option<&Options>,
    live: Option<&Arc<Live>>,
    view: RequestView<'_>,
    responder: Responder<'_, '_>,
) -> Answer {
    // `ErrorResponse::send` identifies the folder by the number of the slash that ends its path:
    // here the last slash.
    let this_folder = view.path().iter().filter(|byte| **byte == b'/').count();
    let fields = with(Fields::new(), "Vary", "Accept");
    let fields = match options {
        Some(options) => options.cors.add_to(&fields, view.origin()),
        None => Cow::Borrowed(&fields),
    };
    let live = live.map(|live| &**live);
    let error = ErrorResponse { status, fields: &fields, text, options, live };
    error.send(view, responder, || Some(this_folder))
}

/// Answers with 503: memory, threads or descriptors are short.
fn send_busy(options: &Options, view: RequestView<'_>, responder: Responder<'_, '_>) -> Answer {
    let fields = with(Fields::new(), "Retry-After", "1");
    let fields = options.cors.add_to(&fields, view.origin());
    let text =
        "Too many folders or pages are being read, for you or for others. Try again in a moment.";
    responder.error(Status::SERVICE_UNAVAILABLE, &fields, text)
}

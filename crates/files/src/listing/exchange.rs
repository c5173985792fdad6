//! One request for a folder's page or archive, up to the head of its reply; what follows it is
//! [`Sending`]'s.

use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, KeptRequest, Reply, Request, Status};
use sockeye_proto::{Abandoned, Job, JobKind, Message, Permit, Place as JobPlace, Ticket, Waiter};

use super::ask::{Ask, BadAsk, Format, accepted};
use super::document::Document;
use super::fields::{Heads, and};
use super::sending::{OPEN_FILES, PIECE, Sending};
use super::shelf::{Archive, Made, Wish};
use crate::asked::Asked;
use crate::conditional::Verdict;
use crate::folder::Folder;
use crate::lookup_job;
use crate::mounts::{Mounts, Place};
use crate::path::Wanted;
use crate::range::{Part, Ranges};
use crate::report;
use crate::store::Absent;
use crate::tar::Unpackable;

/// What an archive is called where the path says nothing.
const TITLE: &[u8] = b"files";

/// A request that waits for a job, which finds out what there is.
#[derive(Debug)]
pub(crate) struct Exchange {
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

/// What became of a request.
pub(crate) enum Outcome<'r, 't> {
    Answered(Answer, Option<Sending>),
    /// There is nothing to show, in the folder of this mount.
    Absent(usize, Absent, KeptRequest, Reply<'r, 't>),
}

impl Exchange {
    /// Whether a query asks for a folder's page or archive by name, whatever page there may be.
    pub(crate) fn is_wanted(mounts: &Mounts, wanted: Wanted<'_>, query: Option<&[u8]>) -> bool {
        query.is_some()
            && mounts.place(wanted.key()).is_some_and(|(mount, place)| {
                let folder = &mounts.get(mount).folder;
                let options = &folder.options;
                matches!(place, Place::In(wanted) if wanted.is_folder())
                    && options.listing
                    && !folder.is_file()
                    && Ask::parse(query, options.archives).is_ok_and(|ask| ask.format.is_some())
            })
    }

    /// Begins to answer for a folder; `None` where that is all of the answer.
    pub(crate) fn begin(
        mounts: &Mounts,
        request: KeptRequest,
        reply: Reply<'_, '_>,
    ) -> (Answer, Option<Self>) {
        let view = request.view();
        let asked = Asked::of(&view);
        let mut scratch = Vec::new();
        let wanted = match What::of(mounts, asked, &mut scratch) {
            Ok(wanted) => wanted,
            Err(refused) => return (refused.answer(reply), None),
        };
        let What { mount, name, ask, format, title } = wanted;
        let client = reply.client(&view);
        let folder = mounts.get(mount).folder.clone();
        let archives = folder.options.archives;
        let mut open_files = None;
        if format == Format::Tar {
            open_files = folder.budgets.open_files.take(client, OPEN_FILES as u64);
            if open_files.is_none() {
                report::spent(
                    &folder.budgets.open_files,
                    report::NO_MORE_FILES,
                    client,
                    reply.now(),
                );
                return (busy(reply), None);
            }
        }
        let (waiter, cancel) = Waiter::new();
        let wish = Wish {
            folder: name.into(),
            path: asked.path().into(),
            title,
            ask,
            format,
            archives,
            client,
            cancel: cancel.clone(),
        };
        let kind = if format == Format::Tar { JobKind::Archive } else { JobKind::Listing };
        let place = lookup_job::place_in(mount, name);
        let (promise, job) = (reply.promise(), folder.clone());
        let ticket = promise.ticket();
        let job = Job::new(kind, client, move || {
            promise.keep(Box::new(job.shelf.make(&*job.store, wish)));
        });
        if reply.spawn(job.at(place).unless(cancel)).is_err() {
            return (busy(reply), None);
        }
        let this = Self { ticket, request, mount, folder, place, open_files, _waiter: waiter };
        (reply.later(), Some(this))
    }

    /// Answers with what the job has found out.
    pub(crate) fn on_made<'r, 't>(
        mut self,
        body: Result<Message, Abandoned>,
        reply: Reply<'r, 't>,
    ) -> Outcome<'r, 't> {
        let made = match body.map(Message::downcast::<Result<Made, Unpackable>>) {
            Ok(Ok(made)) => *made,
            Ok(Err(_)) | Err(Abandoned) => {
                let answer = reply.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "");
                return Outcome::Answered(answer, None);
            }
        };
        let (answer, sending) = match made {
            Ok(Made::Page(document)) => self.page(document, reply),
            Ok(Made::Archive(archive)) => self.archive(archive, reply),
            Err(Unpackable::Absent(Absent::Exhausted)) => {
                let client = reply.client(&self.request.view());
                report::spent(self.folder.shelf.budget(), report::GETS_LESS, client, reply.now());
                (busy(reply), None)
            }
            Err(Unpackable::Absent(absent)) => {
                return Outcome::Absent(self.mount, absent, self.request, reply);
            }
            Err(why) => {
                let text = format!("This folder can't be sent as an archive: {why}.");
                (reply.error(Status::FORBIDDEN, &Fields::new(), &text), None)
            }
        };
        Outcome::Answered(answer, sending)
    }

    fn page(&self, mut document: Box<Document>, reply: Reply<'_, '_>) -> (Answer, Option<Sending>) {
        let tag = document.view().tag().to_owned();
        let request = self.request.view();
        let heads = self.heads(&request);
        let reply = match self.spare(&tag, &heads.page_not_modified(&tag), reply) {
            Ok(reply) => reply,
            Err(answer) => return (answer, None),
        };
        let fields = heads.page(document.view().format, &tag);
        let mut piece = Vec::new();
        if !document.fill(&mut piece, PIECE) {
            return (reply.send(Status::OK, &fields, Body::Shared(&piece.into())), None);
        }
        let mut stream = reply.stream(Status::OK, &fields, None);
        stream.write_shared(piece.into());
        Sending::page(document).go_on(stream)
    }

    fn archive(&mut self, archive: Archive, reply: Reply<'_, '_>) -> (Answer, Option<Sending>) {
        let (tag, len) = (archive.manifest.tag().to_owned(), archive.manifest.len());
        let request = self.request.view();
        let heads = self.heads(&request);
        let not_modified = heads.archive_not_modified(&tag);
        let reply = match self.spare(&tag, &not_modified, reply) {
            Ok(reply) => reply,
            Err(answer) => return (answer, None),
        };
        let fields = heads.archive(&archive.manifest);
        let (status, fields, part) = match self.ranges(&tag, len, &reply) {
            Ranges::One(part) => {
                let range = part.content_range(len);
                (Status::PARTIAL_CONTENT, and(fields, "Content-Range", &range), part)
            }
            Ranges::Unsatisfiable => {
                let range = format!("bytes */{len}");
                let fields = and(not_modified, "Content-Range", &range);
                let text = "The archive ends before that.";
                return (reply.error(Status::RANGE_NOT_SATISFIABLE, &fields, text), None);
            }
            // A client that asks for several parts takes the whole as well (RFC 9110, 14.2).
            Ranges::Whole | Ranges::Many(_) => (Status::OK, fields, Part { start: 0, len }),
        };
        let client = reply.client(&request);
        let stream = reply.stream(status, &fields, Some(part.len));
        let packing = archive.packing(part.start, part.start + part.len);
        let store = Arc::clone(&self.folder.store);
        let charged = (client, self.open_files.take());
        Sending::archive(packing, store, self.place, charged).go_on(stream)
    }

    fn heads<'a>(&'a self, request: &'a Request<'a>) -> Heads<'a> {
        Heads { options: &self.folder.options, origin: Asked::of(request).origin() }
    }

    /// Which part of the archive is wanted.
    fn ranges(&self, tag: &str, len: u64, reply: &Reply<'_, '_>) -> Ranges {
        let request = self.request.view();
        let asked = Asked::of(&request);
        match asked.range().get() {
            Some(range) if asked.wants_a_range_of(tag.as_bytes(), None, reply.wall()) => {
                Ranges::of(range, len)
            }
            _ => Ranges::Whole,
        }
    }

    /// Answers where the request's conditions spare the content; else gives the reply back.
    fn spare<'r, 't>(
        &self,
        tag: &str,
        fields: &Fields,
        reply: Reply<'r, 't>,
    ) -> Result<Reply<'r, 't>, Answer> {
        match Asked::of(&self.request.view()).judge(tag.as_bytes(), None) {
            Verdict::Send => Ok(reply),
            Verdict::NotModified => Err(reply.send(Status::NOT_MODIFIED, fields, Body::Empty)),
            Verdict::Failed => {
                let text = "The folder is not what was asked for.";
                Err(reply.error(Status::PRECONDITION_FAILED, fields, text))
            }
        }
    }
}

/// Answers HEAD for a folder's page or archive, for which nothing is read: that there is such a folder
/// is known. What is known only when it is made is left out (RFC 9110, 9.3.2).
pub(crate) fn answer_head(mounts: &Mounts, asked: Asked<'_>, reply: Reply<'_, '_>) -> Answer {
    match What::of(mounts, asked, &mut Vec::new()) {
        Ok(What { mount, format, title, .. }) => {
            let options = &mounts.get(mount).folder.options;
            let fields = Heads { options, origin: asked.origin() }.unmade(format, &title);
            reply.send_head(Status::OK, &fields, None)
        }
        Err(refused) => refused.answer(reply),
    }
}

/// What is asked for of a folder.
struct What<'s> {
    mount: usize,
    /// The folder's name in its mount.
    name: &'s [u8],
    ask: Ask,
    format: Format,
    /// What an archive of it is called.
    title: Box<[u8]>,
}

/// Why a request is answered without looking at a folder.
enum Refused {
    NoFolder,
    Query(BadAsk),
}

impl Refused {
    fn answer(self, reply: Reply<'_, '_>) -> Answer {
        match self {
            Self::NoFolder => reply.error(Status::NOT_FOUND, &Fields::new(), ""),
            Self::Query(bad) => reply.error(Status::BAD_REQUEST, &Fields::new(), &bad.to_string()),
        }
    }
}

impl<'s> What<'s> {
    fn of(mounts: &Mounts, asked: Asked<'s>, scratch: &'s mut Vec<u8>) -> Result<Self, Refused> {
        let wanted = Wanted::parse(asked.path(), scratch).map_err(|_| Refused::NoFolder)?;
        let Some((mount, Place::In(wanted))) = mounts.place(wanted.key()) else {
            return Err(Refused::NoFolder);
        };
        let archives = mounts.get(mount).folder.options.archives;
        let ask = Ask::parse(asked.query(), archives).map_err(Refused::Query)?;
        let format = ask.format.unwrap_or_else(|| accepted(asked.accept().as_deref().into_iter()));
        let last = |name: &[u8]| name.rsplit(|byte| *byte == b'/').next().unwrap_or(name).to_vec();
        let title = match (last(wanted.name()), last(&mounts.get(mount).prefix)) {
            (name, _) if !name.is_empty() => name,
            (_, prefix) if !prefix.is_empty() => prefix,
            _ => TITLE.to_vec(),
        };
        Ok(Self { mount, name: wanted.name(), ask, format, title: title.into() })
    }
}

/// Says that there is no memory, thread or descriptor for it now.
fn busy(reply: Reply<'_, '_>) -> Answer {
    let fields = and(Fields::new(), "Retry-After", "1");
    let text = "Too many folders are being read for you at a time. Try again when some have come.";
    reply.error(Status::SERVICE_UNAVAILABLE, &fields, text)
}

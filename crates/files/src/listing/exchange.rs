//! One request for a folder's page or archive, up to the head of its reply; what follows it is
//! [`Sending`]'s.

use sockeye_proto::http1::{Answer, Body, Fields, KeptRequest, Reply, Request, Status};
use sockeye_proto::{Abandoned, Message, Ticket};

use super::ask::{Ask, accepted};
use super::document::Document;
use super::fields::{Heads, and};
use super::sending::{PIECE, Sending};
use super::shelf::{Archive, Made, Wish};
use crate::asked::Asked;
use crate::conditional::Verdict;
use crate::folder::Folder;
use crate::mounts::{Mounts, Place};
use crate::path::Wanted;
use crate::range::{Part, Ranges};
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
}

/// What became of a request.
pub(crate) enum Outcome<'r, 't> {
    Answered(Answer, Option<Sending>),
    /// There is nothing to show, in the folder of this mount.
    Absent(usize, Absent, KeptRequest, Reply<'r, 't>),
}

impl Exchange {
    /// Whether a query asks for a folder's page or archive where there may be another page.
    pub(crate) fn is_wanted(query: Option<&[u8]>) -> bool {
        query.is_some() && Ask::parse(query).is_ok_and(|ask| ask.format.is_some())
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
        let wanted = Wanted::parse(asked.path(), &mut scratch).ok();
        let place = wanted.and_then(|wanted| mounts.place(wanted.key()));
        let Some((mount, Place::In(wanted))) = place else {
            return (reply.error(Status::NOT_FOUND, &Fields::new(), ""), None);
        };
        let ask = match Ask::parse(asked.query()) {
            Ok(ask) => ask,
            Err(bad) => {
                let text = bad.to_string();
                return (reply.error(Status::BAD_REQUEST, &Fields::new(), &text), None);
            }
        };
        let format = ask.format.unwrap_or_else(|| accepted(asked.accept().as_deref().into_iter()));
        let last = |name: &[u8]| name.rsplit(|byte| *byte == b'/').next().unwrap_or(name).to_vec();
        let title = match (last(wanted.name()), last(&mounts.get(mount).prefix)) {
            (name, _) if !name.is_empty() => name,
            (_, prefix) if !prefix.is_empty() => prefix,
            _ => TITLE.to_vec(),
        };
        let wish = Wish {
            folder: wanted.name().into(),
            path: asked.path().into(),
            title: title.into(),
            ask,
            format,
        };
        let folder = mounts.get(mount).folder.clone();
        let job = folder.clone();
        let ticket = reply.run(move || job.shelf.make(&*job.store, wish));
        (reply.later(), Some(Self { ticket, request, mount, folder }))
    }

    /// Answers with what the job has found out.
    pub(crate) fn on_made<'r, 't>(
        self,
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

    fn archive(&self, archive: Archive, reply: Reply<'_, '_>) -> (Answer, Option<Sending>) {
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
        let stream = reply.stream(status, &fields, Some(part.len));
        let packing = archive.packing(part.start, part.start + part.len);
        Sending::archive(packing, self.folder.store.clone()).go_on(stream)
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

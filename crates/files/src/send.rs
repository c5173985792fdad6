//! A file as the reply to a request: what its conditions and ranges leave of it.

use std::borrow::Cow;
use std::sync::Arc;

use sockeye_proto::http1::{Answer, Body, Fields, Reply, Status};
use sockeye_proto::{FileRange, FileSource};

use crate::asked::Asked;
use crate::blocks::{with, without};
use crate::conditional::Verdict;
use crate::cors::Cors;
use crate::entry::{FileEntry, Held};
use crate::head::Head;
use crate::multipart::{self, Boundary};
use crate::range::{Part, Ranges};
use crate::store::Stored;

/// What answers depend on besides the file and the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner<'a> {
    /// Who may read them.
    pub(crate) cors: &'a Cors,
    /// What stands between parts.
    pub(crate) boundary: &'a Boundary,
}

/// Answers with a file, or says that the client has it, or that it isn't what the client wants.
pub(crate) fn send(
    file: &FileEntry,
    manner: Manner<'_>,
    asked: Asked<'_>,
    reply: Reply<'_, '_>,
) -> Answer {
    let is_plain = asked.is_plain() && manner.cors.is_same_for_all();
    if is_plain {
        reply.send_ready(file.ready())
    } else {
        send_as(file, &file.head, manner, asked, reply)
    }
}

/// As [`send`], where `head` speaks of the file.
pub(crate) fn send_as(
    file: &FileEntry,
    head: &Head,
    manner: Manner<'_>,
    asked: Asked<'_>,
    reply: Reply<'_, '_>,
) -> Answer {
    let Manner { cors, boundary } = manner;
    let brief = || cors.grant(&head.not_modified, asked.origin());
    match asked.judge(file.tag.as_bytes(), file.modified) {
        Verdict::Send => {}
        Verdict::NotModified => {
            return reply.send(Status::NOT_MODIFIED, &brief(), Body::Empty);
        }
        Verdict::Failed => {
            let text = "The file is not the one that was asked for.";
            return reply.error(Status::PRECONDITION_FAILED, &of_a_fault(&brief()), text);
        }
    }
    let fields = cors.grant(&head.fields, asked.origin());
    match ranges(file, asked, &reply) {
        Ranges::Whole => reply.send(Status::OK, &fields, file.body()),
        Ranges::Many(parts) => multipart::send(file, &parts, &fields, boundary, reply),
        Ranges::One(part) => one(file, part, &fields, reply),
        Ranges::Unsatisfiable => {
            let size = format!("bytes */{}", file.size());
            let fields = with(Cow::Owned(of_a_fault(&brief())), "Content-Range", &size);
            reply.error(Status::RANGE_NOT_SATISFIABLE, &fields, "The file ends before that.")
        }
    }
}

/// Fields of a file in a reply that has none of it. How long the file is kept is not said: a cache
/// could keep the reply so long.
fn of_a_fault(fields: &Fields) -> Fields {
    without(fields, &["Cache-Control"])
}

/// Which part of the file is wanted (RFC 9110, 13.2.2, step 5).
fn ranges(file: &FileEntry, asked: Asked<'_>, reply: &Reply<'_, '_>) -> Ranges {
    let Some(range) = asked.range().get() else { return Ranges::Whole };
    let (tag, modified) = (file.tag.as_bytes(), file.modified);
    if !asked.wants_a_range_of(tag, modified, reply.wall()) {
        return Ranges::Whole;
    }
    Ranges::of(range, file.size())
}

impl FileEntry {
    /// All of it.
    pub(crate) fn body(&self) -> Body<'_> {
        match self.held() {
            Held::Memory(bytes) => Body::Shared(bytes),
            Held::Open(source) => Body::File(range_of(source, Part { start: 0, len: self.size() })),
        }
    }
}

fn one(file: &FileEntry, part: Part, fields: &Fields, reply: Reply<'_, '_>) -> Answer {
    let lies = part.content_range(file.size());
    let fields = with(Cow::Borrowed(fields), "Content-Range", &lies);
    match file.held() {
        Held::Memory(bytes) => {
            let bytes = bytes.slice(part.in_memory());
            reply.send(Status::PARTIAL_CONTENT, &fields, Body::Shared(&bytes))
        }
        Held::Open(source) => {
            let body = Body::File(range_of(source, part));
            reply.send(Status::PARTIAL_CONTENT, &fields, body)
        }
    }
}

/// A part of an open file.
pub(crate) fn range_of(source: &Arc<dyn Stored>, part: Part) -> FileRange {
    let source: Arc<dyn FileSource> = Arc::clone(source) as _;
    FileRange { source, offset: part.start, len: part.len }
}

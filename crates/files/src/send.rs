//! A file as the reply to a request: what its conditions and ranges leave of it.

use std::borrow::Cow;
use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, Reply, Status};
use sockeye_proto::{FileRange, FileSource, Permit};

use crate::asked::Asked;
use crate::blocks::{with, without};
use crate::budgets::Budgets;
use crate::coding::Form;
use crate::conditional::Verdict;
use crate::cors::Cors;
use crate::entry::{FileEntry, Held, SMALL};
use crate::head::Head;
use crate::multipart::{self, Boundary};
use crate::range::{Part, Ranges};
use crate::report;
use crate::store::Stored;

/// What answers depend on besides the file and the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner<'a> {
    /// Who may read them.
    pub(crate) cors: &'a Cors,
    /// What stands between parts.
    pub(crate) boundary: &'a Boundary,
    /// What sending them is charged to.
    pub(crate) budgets: &'a Budgets,
    /// The fields of an answer that says to come again.
    pub(crate) retry: &'a Fields,
}

/// Answers with a file, or says that the client has it, or that it isn't what the client wants.
/// `form` is the form of `file` that is sent, where that can be afforded.
pub(crate) fn send(
    form: &Form<'_>,
    file: &FileEntry,
    manner: Manner<'_>,
    asked: Asked<'_>,
    mut reply: Reply<'_, '_>,
) -> Answer {
    let is_plain = asked.is_plain() && manner.cors.is_same_for_all();
    if !is_plain {
        return send_as(form, |form| Cow::Borrowed(&form.head), file, manner, asked, reply);
    }
    match charge(form, manner, asked, &reply) {
        Charged::Yes(permit) => {
            if let Some(permit) = permit {
                reply.hold(permit);
            }
            match &form.made {
                None => reply.send_ready(form.file.ready()),
                Some(content) => reply.send_ready_with(form.file.ready(), content),
            }
        }
        Charged::SendPlain => send(&Form::kept(file), file, manner, asked, reply),
        Charged::No => busy(manner, reply),
    }
}

/// As [`send`], with what `head` makes of the head of the form that is sent.
pub(crate) fn send_as(
    form: &Form<'_>,
    head: fn(&FileEntry) -> Cow<'_, Head>,
    file: &FileEntry,
    manner: Manner<'_>,
    asked: Asked<'_>,
    mut reply: Reply<'_, '_>,
) -> Answer {
    let Manner { cors, boundary, .. } = manner;
    let said = head(form.file);
    let brief = || cors.grant(&said.not_modified, asked.origin());
    match asked.judge(form.file.tag.as_bytes(), form.file.modified) {
        Verdict::Send => {}
        Verdict::NotModified => {
            return reply.send(Status::NOT_MODIFIED, &brief(), Body::Empty);
        }
        Verdict::Failed => {
            let text = "The file is not the one that was asked for.";
            return reply.error(Status::PRECONDITION_FAILED, &of_a_fault(&brief()), text);
        }
    }
    let ranges = ranges(form.file, asked, &reply);
    if ranges == Ranges::Unsatisfiable {
        let size = format!("bytes */{}", form.file.size());
        let fields = with(Cow::Owned(of_a_fault(&brief())), "Content-Range", &size);
        let text = "The file ends before that.";
        return reply.error(Status::RANGE_NOT_SATISFIABLE, &fields, text);
    }
    let permit = match charge(form, manner, asked, &reply) {
        Charged::Yes(permit) => permit,
        Charged::SendPlain => {
            return send_as(&Form::kept(file), head, file, manner, asked, reply);
        }
        Charged::No => return busy(manner, reply),
    };
    let fields = cors.grant(&said.fields, asked.origin());
    if let Ranges::Many(parts) = ranges {
        return multipart::send(form, &parts, &fields, boundary, permit, reply);
    }
    if let Some(permit) = permit {
        reply.hold(permit);
    }
    match ranges {
        Ranges::One(part) => one(form, part, &fields, reply),
        _ => reply.send(Status::OK, &fields, form.body()),
    }
}

/// Whether sending a form could be charged to the client.
#[derive(Debug)]
pub(crate) enum Charged {
    /// With a permit to keep until it is sent, where it takes one.
    Yes(Option<Permit>),
    /// Not this form; the file as it is may be sent.
    SendPlain,
    No,
}

/// Charges the client for what sending the form makes us hold until it is sent: a descriptor, or the
/// bytes of a large form that was made. What is small is bounded for each connection.
#[inline]
pub(crate) fn charge(
    form: &Form<'_>,
    manner: Manner<'_>,
    asked: Asked<'_>,
    reply: &Reply<'_, '_>,
) -> Charged {
    match (&form.made, form.file.held()) {
        (None, Held::Memory(_)) => Charged::Yes(None),
        (Some(content), _) if content.len() as u64 <= SMALL => Charged::Yes(None),
        _ if asked.is_head() => Charged::Yes(None),
        _ => charge_what_is_large(form, manner, asked, reply),
    }
}

fn charge_what_is_large(
    form: &Form<'_>,
    manner: Manner<'_>,
    asked: Asked<'_>,
    reply: &Reply<'_, '_>,
) -> Charged {
    let client = reply.client(asked.request());
    let Budgets { compressed, open_files, .. } = manner.budgets;
    let (budget, permit) = match &form.made {
        Some(content) => (compressed, compressed.charge(client, content.len() as u64)),
        None => (open_files, open_files.take(client, 1)),
    };
    match permit {
        Some(permit) => Charged::Yes(Some(permit)),
        None if form.made.is_some() => {
            report::spent(budget, report::GETS_LESS, client, reply.now());
            Charged::SendPlain
        }
        None => {
            report::spent(budget, report::NO_MORE_FILES, client, reply.now());
            Charged::No
        }
    }
}

/// Says that as much is being sent to the client as may be.
pub(crate) fn busy(manner: Manner<'_>, reply: Reply<'_, '_>) -> Answer {
    let text = "Too many files are being sent to you at a time. Try again when some have come.";
    reply.error(Status::SERVICE_UNAVAILABLE, manner.retry, text)
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

impl Form<'_> {
    /// All of it.
    pub(crate) fn body(&self) -> Body<'_> {
        match (&self.made, self.file.held()) {
            (Some(content), _) | (None, Held::Memory(content)) => Body::Shared(content),
            (None, Held::Open(source)) => {
                Body::File(range_of(source, Part { start: 0, len: self.file.size() }))
            }
            // Whoever has it has its content.
            (None, Held::Compressed(_)) => Body::Empty,
        }
    }
}

fn one(form: &Form<'_>, part: Part, fields: &Fields, reply: Reply<'_, '_>) -> Answer {
    let lies = part.content_range(form.file.size());
    let fields = with(Cow::Borrowed(fields), "Content-Range", &lies);
    match form.body() {
        Body::File(FileRange { source, .. }) => {
            let range = FileRange { source, offset: part.start, len: part.len };
            reply.send(Status::PARTIAL_CONTENT, &fields, Body::File(range))
        }
        Body::Shared(bytes) => {
            let bytes = bytes.slice(part.in_memory());
            reply.send(Status::PARTIAL_CONTENT, &fields, Body::Shared(&bytes))
        }
        other => reply.send(Status::OK, &fields, other),
    }
}

/// A part of an open file.
pub(crate) fn range_of(source: &Arc<dyn Stored>, part: Part) -> FileRange {
    let source: Arc<dyn FileSource> = Arc::clone(source) as _;
    FileRange { source, offset: part.start, len: part.len }
}

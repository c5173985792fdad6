//! A file as the response to a request: what its conditions and ranges leave of it.

use std::borrow::Cow;

use sockeye_http::{Answer, Body, Fields, Responder, Status};
use sockeye_proto::{FileRange, Permit};

use super::budgets::Budgets;
use super::multipart::{self, Boundary};
use crate::coding::selected::Selected;
use crate::file::content::{Content, SMALL};
use crate::file::fields::{with, without};
use crate::file::head::Head;
use crate::file::representation::Representation;
use crate::options::cors::Cors;
use crate::request::conditional::Precondition;
use crate::request::range::{Part, Ranges};
use crate::request::view::RequestView;

/// What responses depend on besides the file and the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseContext<'a> {
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
/// `form` is the form of `file` (as it is) that is sent, where that can be afforded.
pub(crate) fn send(
    form: &Selected<'_>,
    file: &Representation,
    context: ResponseContext<'_>,
    view: RequestView<'_>,
    mut responder: Responder<'_, '_>,
) -> Answer {
    let is_plain = view.is_plain() && context.cors.is_same_for_all();
    if !is_plain {
        return send_as(form, |form| Cow::Borrowed(&form.head), file, context, view, responder);
    }
    match charge(form, context, view, &responder) {
        Charged::Yes(permit) => {
            if let Some(permit) = permit {
                responder.hold(permit);
            }
            match &form.made {
                None => responder.send_prepared(form.file.ready()),
                Some(content) => responder.send_prepared_with(form.file.ready(), content),
            }
        }
        Charged::SendPlain => send(&Selected::kept(file), file, context, view, responder),
        Charged::No => busy(context, responder),
    }
}

/// As [`send`], with what `head` makes of the head of the form that is sent.
pub(crate) fn send_as(
    form: &Selected<'_>,
    head: fn(&Representation) -> Cow<'_, Head>,
    file: &Representation,
    context: ResponseContext<'_>,
    view: RequestView<'_>,
    mut responder: Responder<'_, '_>,
) -> Answer {
    let ResponseContext { cors, boundary, .. } = context;
    let said = head(form.file);
    let brief = || cors.grant(&said.not_modified, view.origin());
    match view.evaluate(form.file.etag.as_bytes(), form.file.modified) {
        Precondition::Send => {}
        Precondition::NotModified => {
            return responder.send(Status::NOT_MODIFIED, &brief(), Body::Empty);
        }
        Precondition::Failed => {
            let text = "The file is not the one that was asked for.";
            return responder.error(Status::PRECONDITION_FAILED, &of_a_fault(&brief()), text);
        }
    }
    let ranges = ranges(form.file, view, &responder);
    if ranges == Ranges::Unsatisfiable {
        let size = format!("bytes */{}", form.file.size());
        let fields = with(of_a_fault(&brief()), "Content-Range", &size);
        let text = "The file ends before that.";
        return responder.error(Status::RANGE_NOT_SATISFIABLE, &fields, text);
    }
    let permit = match charge(form, context, view, &responder) {
        Charged::Yes(permit) => permit,
        Charged::SendPlain => {
            return send_as(&Selected::kept(file), head, file, context, view, responder);
        }
        Charged::No => return busy(context, responder),
    };
    let fields = cors.grant(&said.fields, view.origin());
    if let Ranges::Many(parts) = ranges {
        return multipart::send(form, &parts, &fields, boundary, permit, responder);
    }
    if let Some(permit) = permit {
        responder.hold(permit);
    }
    match ranges {
        Ranges::One(part) => one(form, part, &fields, responder),
        _ => responder.send(Status::OK, &fields, form.body()),
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
    form: &Selected<'_>,
    context: ResponseContext<'_>,
    view: RequestView<'_>,
    responder: &Responder<'_, '_>,
) -> Charged {
    match (&form.made, &form.file.content) {
        (None, Content::Memory(_)) => Charged::Yes(None),
        (Some(content), _) if content.len() as u64 <= SMALL => Charged::Yes(None),
        _ if view.is_head() => Charged::Yes(None),
        _ => charge_what_is_large(form, context, view, responder),
    }
}

fn charge_what_is_large(
    form: &Selected<'_>,
    context: ResponseContext<'_>,
    view: RequestView<'_>,
    responder: &Responder<'_, '_>,
) -> Charged {
    let client = responder.client(view.request());
    let Budgets { compressed, open_files, .. } = context.budgets;
    let (budget, permit) = match &form.made {
        Some(content) => (compressed, compressed.charge(client, content.len() as u64)),
        None => (open_files, open_files.take(client, 1)),
    };
    match permit {
        Some(permit) => Charged::Yes(Some(permit)),
        None if form.made.is_some() => {
            context.budgets.note_spent(budget, client, responder.now());
            Charged::SendPlain
        }
        None => {
            context.budgets.note_spent(budget, client, responder.now());
            Charged::No
        }
    }
}

/// Says that as much is being sent to the client as may be.
pub(crate) fn busy(context: ResponseContext<'_>, responder: Responder<'_, '_>) -> Answer {
    let text = "Too many files are being sent to you at a time. Try again when some have come.";
    responder.error(Status::SERVICE_UNAVAILABLE, context.retry, text)
}

/// Fields of a file in a response that has none of it. How long the file is kept is not said: a cache
/// could keep the response so long.
fn of_a_fault(fields: &Fields) -> Fields {
    without(fields, &["Cache-Control"])
}

/// Which part of the file is wanted (RFC 9110, 13.2.2, step 5).
fn ranges(file: &Representation, view: RequestView<'_>, responder: &Responder<'_, '_>) -> Ranges {
    let Some(range) = view.range().get() else { return Ranges::Whole };
    let (etag, modified) = (file.etag.as_bytes(), file.modified);
    if !view.wants_a_range_of(etag, modified, responder.wall()) {
        return Ranges::Whole;
    }
    Ranges::of(range, file.size())
}

fn one(form: &Selected<'_>, part: Part, fields: &Fields, responder: Responder<'_, '_>) -> Answer {
    let lies = part.content_range(form.file.size());
    let fields = with(fields.clone(), "Content-Range", &lies);
    match form.body() {
        Body::File(FileRange { source, .. }) => {
            let range = FileRange { source, offset: part.start, len: part.len };
            responder.send(Status::PARTIAL_CONTENT, &fields, Body::File(range))
        }
        Body::Shared(bytes) => {
            let bytes = bytes.slice(part.in_memory());
            responder.send(Status::PARTIAL_CONTENT, &fields, Body::Shared(&bytes))
        }
        other => responder.send(Status::OK, &fields, other),
    }
}

//! Answers a request with a file, or with the ranges that the request selects.

use std::cell::RefCell;

use sockeye_http::{Answer, Body, Fields, Responder, Status, Version};
use sockeye_proto::{FileRange, Permit, Ticket};

use super::budgets::Budgets;
use super::conditions::{Validators, evaluate};
use super::multipart::{self, Boundary};
use super::substitutes::Purpose;
use crate::coding::file_entry::Selected;
use crate::file::content::{Content, MAX_SMALL_FILE};
use crate::file::representation::Representation;
use crate::options::cors::Cors;
use crate::options::fields::{with, without};
use crate::request::range::{Part, Ranges};
use crate::request::view::RequestView;

/// What responses depend on besides the file and the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseContext<'a> {
    pub(crate) cors: &'a Cors,
    /// The boundary of multipart responses.
    pub(crate) boundary: &'a Boundary,
    /// The budgets that responses are charged to.
    pub(crate) budgets: &'a Budgets,
    /// The fields of a 503, such as Retry-After.
    pub(crate) retry: &'a Fields,
    /// A permit for an open file, if the request has waited for one.
    pub(crate) granted: &'a RefCell<Option<Permit>>,
}

/// The result of an attempt to send a file.
pub(crate) enum Attempt<'r, 't> {
    Answered(Answer),
    /// No more files may be open now. The handler gets a permit later, in the message of the
    /// promise with this ticket.
    WaitForFile(Ticket, Responder<'r, 't>),
}

/// Answers with `selected`. If the client's share of the budget for compressed contents is spent,
/// answers with `original`, the same file uncompressed.
///
/// If the budget of open files or the client's share of it is spent, a request over HTTP/2 waits,
/// because a client sends as many requests as it likes at once on one connection. A request over
/// HTTP/1, where each request in flight has a connection of its own, gets a 503. If the client's
/// share of the memory for files of unknown size is spent, a request for such a file that is not
/// small gets a 503 over HTTP/1 and HTTP/2.
pub(crate) fn send<'r, 't>(
    selected: &Selected<'_>,
    original: &Representation,
    purpose: Purpose,
    context: ResponseContext<'_>,
    view: RequestView<'_>,
    mut responder: Responder<'r, 't>,
) -> Attempt<'r, 't> {
    let ResponseContext { cors, boundary, .. } = context;
    let file = selected.file;
    let is_prepared =
        purpose == Purpose::Requested && view.is_unconditional() && cors.is_same_for_all();
    let head = purpose.head(file);
    let (mut status, mut ranges) = (Status::OK, Ranges::Whole);
    if matches!(purpose, Purpose::ErrorPage { .. }) {
        status = Status::NOT_FOUND;
    } else if !is_prepared {
        let Representation { etag, modified, .. } = file;
        let len = (!file.has_unknown_size).then(|| file.size());
        let validators = Validators { noun: "file", etag, modified: *modified, len };
        let not_modified = || cors.with_allowed_origin(&head.not_modified, view.origin());
        // A cache must not keep an error as long as the file.
        let for_error = |fields: &Fields| without(fields, &["Cache-Control"]);
        match evaluate(validators, view, responder, not_modified, for_error) {
            Ok(evaluated) => (ranges, responder) = evaluated,
            Err(answer) => return Attempt::Answered(answer),
        }
    }
    let permit = match charge(selected, context, view, &responder) {
        Ok(permit) => permit,
        Err(BudgetSpent) if selected.compressed.is_some() => {
            return send(&Selected::of(original), original, purpose, context, view, responder);
        }
        Err(BudgetSpent) => {
            let is_open_file = !matches!(selected.file.content, Content::Memory(_));
            if is_open_file && view.request().version() == Version::Http2 {
                return wait_for_file(context.budgets, cors, context.retry, view, responder);
            }
            return refuse(cors, context.retry, view, responder);
        }
    };
    if is_prepared {
        permit.into_iter().for_each(|permit| responder.attach_permit(permit));
        return Attempt::Answered(match &selected.compressed {
            None => responder.send_prepared(file.prepared()),
            Some(content) => responder.send_prepared_with(file.prepared(), content),
        });
    }
    let fields = cors.with_allowed_origin(&head.fields, view.origin());
    if let Ranges::Many(parts) = ranges {
        let answer = multipart::send(selected, &parts, &fields, boundary, permit, responder);
        return Attempt::Answered(answer);
    }
    permit.into_iter().for_each(|permit| responder.attach_permit(permit));
    Attempt::Answered(match ranges {
        Ranges::One(part) => send_part(selected, part, &fields, responder),
        _ => responder.send(status, &fields, selected.body()),
    })
}

/// Makes the request wait for a permit for an open file. Refuses it if too many requests wait.
#[cold]
pub(crate) fn wait_for_file<'r, 't>(
    budgets: &Budgets,
    cors: &Cors,
    retry: &Fields,
    view: RequestView<'_>,
    responder: Responder<'r, 't>,
) -> Attempt<'r, 't> {
    let client = responder.client(view.request());
    match budgets.open_files.wait(client, || responder.promise()) {
        Some(ticket) => Attempt::WaitForFile(ticket, responder),
        None => refuse(cors, retry, view, responder),
    }
}

/// Answers 503, because a budget or the client's share of it is spent, or too many requests wait.
#[cold]
fn refuse<'r, 't>(
    cors: &Cors,
    retry: &Fields,
    view: RequestView<'_>,
    responder: Responder<'r, 't>,
) -> Attempt<'r, 't> {
    let text = "Too much is being sent, to you or to others. Try again in a moment.";
    let fields = cors.add_to(retry, view.origin());
    Attempt::Answered(responder.error(Status::SERVICE_UNAVAILABLE, &fields, text))
}

/// The error of [`charge`]: a budget or the client's share of it is spent.
struct BudgetSpent;

/// Charges the client for what is held until the response is sent: an open file, or more than
/// [`MAX_SMALL_FILE`] bytes of content in memory. Such content is compressed, or it is that of a
/// file of unknown size (its size on disk is not that of its content). A file of unknown size is
/// read for each request, and its bytes are charged to the budget of listings. Smaller content is
/// not charged: each connection's limit on output bounds it.
#[inline]
fn charge(
    selected: &Selected<'_>,
    context: ResponseContext<'_>,
    view: RequestView<'_>,
    responder: &Responder<'_, '_>,
) -> Result<Option<Permit>, BudgetSpent> {
    match (&selected.compressed, &selected.file.content) {
        (None, Content::Memory(content)) if content.len() as u64 <= MAX_SMALL_FILE => {
            return Ok(None);
        }
        (Some(content), _) if content.len() as u64 <= MAX_SMALL_FILE => return Ok(None),
        _ if view.is_head() => return Ok(None),
        _ => {}
    }
    let client = responder.client(view.request());
    let Budgets { compressed, open_files, listings, .. } = context.budgets;
    let (budget, permit) = match (&selected.compressed, &selected.file.content) {
        (Some(content), _) => (compressed, compressed.charge(client, content.len() as u64)),
        (None, Content::Memory(content)) => {
            (listings, listings.charge(client, content.len() as u64))
        }
        (None, Content::Open(file)) => {
            let granted = context.granted.take();
            let permit = match view.request().version() {
                // A client's streams that send the same open file share its descriptor, and are
                // charged for it once.
                Version::Http2 => open_files.take_once(client, file.number(), granted),
                _ => granted.or_else(|| open_files.take(client, 1)),
            };
            (open_files, permit)
        }
        // Doesn't occur: for `Content::Compressed`, `selected.compressed` is `Some`.
        (None, Content::Compressed(_)) => return Ok(None),
    };
    if permit.is_none() {
        context.budgets.log_spent(budget, client, responder.now());
    }
    permit.map(Some).ok_or(BudgetSpent)
}

fn send_part(
    selected: &Selected<'_>,
    part: Part,
    fields: &Fields,
    responder: Responder<'_, '_>,
) -> Answer {
    let range = part.content_range(selected.file.size());
    let fields = with(fields.clone(), "Content-Range", &range);
    match selected.body() {
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

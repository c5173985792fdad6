//! Conditional and range requests (RFC 9110, 13.2.2), for files, listings and archives.

use std::borrow::Cow;

use sockeye_http::{Answer, Body, Fields, Responder, Status};
use sockeye_proto::WallTime;

use crate::options::fields::with;
use crate::request::conditional::Precondition;
use crate::request::range::Ranges;
use crate::request::view::RequestView;

/// What a request's conditions are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// The noun for what is sent, in the text of errors: "file", for example.
    pub(crate) noun: &'static str,
    pub(crate) etag: &'a str,
    pub(crate) modified: Option<WallTime>,
    /// The length of the content, if ranges of it can be sent.
    pub(crate) len: Option<u64>,
}

/// Evaluates the conditions and ranges of a request. Returns the ranges to send, and the responder.
///
/// `not_modified` returns the fields of a 304, from which `for_error` makes the fields of an error.
///
/// # Errors
///
/// If this has sent a 304, 412 or 416, the `Err` holds the answer.
pub(crate) fn evaluate<'r, 't, 'f>(
    validators: Validators<'_>,
    view: RequestView<'_>,
    responder: Responder<'r, 't>,
    not_modified: impl FnOnce() -> Cow<'f, Fields>,
    for_error: impl FnOnce(&Fields) -> Fields,
) -> Result<(Ranges, Responder<'r, 't>), Answer> {
    let Validators { noun, etag, modified, len } = validators;
    let etag = etag.as_bytes();
    match view.evaluate(etag, modified) {
        Precondition::Send => {}
        Precondition::NotModified => {
            return Err(responder.send(Status::NOT_MODIFIED, &not_modified(), Body::Empty));
        }
        Precondition::Failed => {
            let text = format!("The {noun} is not the one that the request's conditions name.");
            return Err(responder.error(
                Status::PRECONDITION_FAILED,
                &for_error(&not_modified()),
                &text,
            ));
        }
    }
    let ranges = match (view.range().get(), len) {
        (Some(range), Some(len)) if view.range_applies_to(etag) => Ranges::of(range, len),
        _ => return Ok((Ranges::Whole, responder)),
    };
    if ranges != Ranges::Unsatisfiable {
        return Ok((ranges, responder));
    }
    let range = format!("bytes */{}", len.unwrap_or(0));
    let fields = with(for_error(&not_modified()), "Content-Range", &range);
    let text = format!("The {noun} ends before the requested range.");
    Err(responder.error(Status::RANGE_NOT_SATISFIABLE, &fields, &text))
}

//! Reads responses of Sockeye's message protocol, in frames: a JSON header and its content (see
//! [`frame`]). All requests have the same id, so that all responses can be equal.

use std::sync::LazyLock;

use bytes::Bytes;
use sockeye_message::{self as message, ErrorResponse, Header, Limits, frame};

use super::parts::{
    BadResponse, CompleteContent, Content, ReceivedSoFar, RequestContext, Response, ResponseReader,
};
use crate::expected::ExpectedResponse;

/// Only the limit on headers is used. The limit on content is `Plan::max_content`.
static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

/// If a header is not the expected one, content of at most this many bytes is kept, since it may be
/// an error response.
const MAX_ERROR: u64 = 64 * 1024;

/// Reads the responses of one connection.
#[derive(Debug, Default)]
pub(crate) struct MessageReader {
    /// Number of bytes received of an incomplete header.
    header_received: usize,
    /// Number of bytes of content still to come, once the header is complete.
    content_remaining: Option<u64>,
    /// The header and content, if the header is not the expected one.
    unexpected: Option<Box<Unexpected>>,
    content: Content,
}

/// A response whose header is not the expected one.
#[derive(Debug)]
struct Unexpected {
    header: Header,
    /// The header as it was received.
    bytes: Bytes,
    /// The content; empty if it is too large for an error response: see [`MAX_ERROR`].
    content: Vec<u8>,
}

impl MessageReader {
    /// Reads a header. Returns the lengths of the content and of the header; `None` if the header
    /// is incomplete.
    fn read_header(
        &mut self,
        input: &[u8],
        context: &RequestContext<'_>,
    ) -> Result<Option<(u64, usize)>, BadResponse> {
        // Fast path: an expected header needs no parsing.
        if let Some(expected) = context.expected
            && input.starts_with(&expected.header)
        {
            return Ok(Some((expected.content_len, expected.header.len())));
        }
        let read = frame::read(input, &LIMITS).map_err(|refusal| {
            let what = message::other_protocol(input).unwrap_or_else(|| refusal.reason.into());
            BadResponse(format!("sent an invalid response: {what}"))
        })?;
        let Some((header, len)) = read else { return Ok(None) };
        let remaining = header.content_length;
        if remaining > context.plan.max_content {
            return Err(BadResponse::too_large(context));
        }
        let bytes = Bytes::copy_from_slice(&input[..len]);
        self.unexpected = Some(Box::new(Unexpected { header, bytes, content: Vec::new() }));
        Ok(Some((remaining, len)))
    }

    /// Ends the response, whose content is complete, and prepares for the next one.
    fn complete(&mut self, context: &RequestContext<'_>) -> Response {
        (self.header_received, self.content_remaining) = (0, None);
        let CompleteContent { len: content_len, mismatch, kept } = self.content.end(context);
        let mut response = Response { status: 200, content_len, mismatch, ..Response::default() };
        let Some(unexpected) = self.unexpected.take() else {
            if let Some(expected) = context.expected {
                response.error.clone_from(&expected.error);
                response.persistent = !context.is_last && expected.keep_alive;
            }
            return response;
        };
        let Unexpected { header, bytes, content } = *unexpected;
        let keep_alive = header.keep_alive;
        let message = header.into_message(content.into());
        let sent = context.request.to_send(context.is_last);
        let is_echo = sent.strip_prefix(&*bytes) == Some(&message.content);
        response.persistent = !context.is_last && keep_alive;
        response.error = match ErrorResponse::of(&message) {
            Some(error) => Some(error.text),
            None => is_echo.then(|| "the response is the request itself: the server echoes".into()),
        };
        response.learned = context.expected.is_none().then(|| ExpectedResponse {
            header: bytes,
            content: kept,
            content_len,
            keep_alive,
            error: response.error.clone(),
            location: None,
            template: None,
        });
        response
    }
}

impl ResponseReader for MessageReader {
    fn read(
        &mut self,
        input: &[u8],
        context: RequestContext<'_>,
    ) -> Result<(usize, Option<Response>), BadResponse> {
        let mut used = 0;
        let remaining = match self.content_remaining {
            Some(remaining) => remaining,
            None => {
                let Some((remaining, len)) = self.read_header(input, &context)? else {
                    self.header_received = input.len();
                    return Ok((0, None));
                };
                used = len;
                remaining
            }
        };
        let rest = &input[used..];
        let piece =
            usize::try_from(remaining).map_or(rest, |remaining| &rest[..remaining.min(rest.len())]);
        self.content.take(piece, &context)?;
        if let Some(unexpected) = &mut self.unexpected
            && unexpected.header.content_length <= MAX_ERROR
        {
            unexpected.content.extend_from_slice(piece);
        }
        used += piece.len();
        self.content_remaining = Some(remaining - piece.len() as u64);
        Ok((used, (self.content_remaining == Some(0)).then(|| self.complete(&context))))
    }

    fn received_so_far(&self, _: RequestContext<'_>) -> ReceivedSoFar {
        match self.content_remaining {
            Some(remaining) => {
                ReceivedSoFar::content(self.content.len, Some(self.content.len + remaining))
            }
            None if self.header_received > 0 => ReceivedSoFar::head(self.header_received),
            None => ReceivedSoFar::nothing(),
        }
    }
}

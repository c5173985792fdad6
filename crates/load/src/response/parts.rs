//! What the readers of all protocols share: a request's context, its complete response, and
//! content.

use std::fmt;

use bytes::Bytes;

use crate::expected::ExpectedResponse;
use crate::failure::Failure;
use crate::plan::{Plan, PreparedRequest};

/// Maximum number of bytes of content that are kept for comparisons.
const MAX_KEPT: usize = 256 << 20;

/// Reads the responses of one connection.
pub(crate) trait ResponseReader: fmt::Debug {
    /// Reads more of a response. Returns the bytes consumed, and the response if it is complete.
    fn read(
        &mut self,
        input: &[u8],
        context: RequestContext<'_>,
    ) -> Result<(usize, Option<Response>), BadResponse>;

    /// The server has closed its sending side. Returns the response if its content extends to the
    /// end of input.
    fn end_of_input(&mut self, _: RequestContext<'_>) -> Option<Response> {
        None
    }

    /// How much of the response has arrived.
    fn received_so_far(&self, context: RequestContext<'_>) -> ReceivedSoFar;
}

/// What is known about the request whose response is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) request: &'a PreparedRequest,
    /// The request is the last one on its connection.
    pub(crate) is_last: bool,
    /// The expected response: the one that the server sent to this request in the probe, before the
    /// load. `None` during the probe.
    pub(crate) expected: Option<&'a ExpectedResponse>,
}

/// A complete response.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The status, for HTTP; else 200.
    pub(crate) status: u16,
    /// Bytes of content.
    pub(crate) content_len: u64,
    /// The text of the error, if the response is an error.
    pub(crate) error: Option<String>,
    /// The content is not what was expected.
    pub(crate) mismatch: bool,
    /// The server keeps the connection open.
    pub(crate) persistent: bool,
    /// Number of interim responses (1xx) before this one, for HTTP.
    pub(crate) interim: u32,
    /// What to expect of later responses to the same request, if nothing was expected of this one.
    pub(crate) learned: Option<ExpectedResponse>,
}

/// Why the received bytes are not a response: the end of a sentence that begins with "the peer".
#[derive(Debug)]
pub(crate) struct BadResponse(pub(crate) String);

impl BadResponse {
    #[cold]
    pub(super) fn too_large(context: &RequestContext<'_>) -> Self {
        Self::larger_than(context.plan.max_content)
    }

    #[cold]
    pub(super) fn larger_than(max: u64) -> Self {
        Self(format!("sent a response with content of more than {max} B (max-content)"))
    }
}

/// How much of a response has arrived.
#[derive(Debug)]
pub(crate) struct ReceivedSoFar {
    /// The failure if the server closes the connection now.
    pub(crate) failure: Failure,
    /// The end of a sentence, such as "before the first byte of a response".
    pub(crate) text: String,
}

impl ReceivedSoFar {
    pub(super) fn nothing() -> Self {
        let text = "before the first byte of a response".into();
        Self { failure: Failure::Closed, text }
    }

    pub(super) fn interim(count: u32) -> Self {
        let s = if count == 1 { "" } else { "s" };
        let text = format!("after {count} interim response{s} (1xx) and no final one");
        Self { failure: Failure::Closed, text }
    }

    pub(super) fn head(bytes: usize) -> Self {
        let text = format!("in the middle of a response's head, after {bytes} bytes");
        Self { failure: Failure::TruncatedHead, text }
    }

    pub(super) fn content(read: u64, length: Option<u64>) -> Self {
        let of = length.map(|length| format!(" of {length}")).unwrap_or_default();
        let text = format!("in the middle of a response's content, after {read}{of} bytes");
        Self { failure: Failure::TruncatedContent, text }
    }
}

/// Content while it arrives: counted and, with [`Plan::verify`], compared or kept.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) len: u64,
    mismatch: bool,
    kept: Vec<u8>,
}

/// Content that is complete.
pub(super) struct CompleteContent {
    pub(super) len: u64,
    pub(super) mismatch: bool,
    /// The bytes, for an [`ExpectedResponse`].
    pub(super) kept: Option<Bytes>,
}

impl Content {
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        context: &RequestContext<'_>,
    ) -> Result<(), BadResponse> {
        if self.len + bytes.len() as u64 > context.plan.max_content {
            return Err(BadResponse::too_large(context));
        }
        if context.plan.verify {
            if let Some(expected) = context.expected {
                self.compare(bytes, expected.content.as_deref().unwrap_or_default());
                return Ok(());
            }
            if self.kept.len() + bytes.len() > MAX_KEPT {
                let what = "sent more than 256 MiB of content, too much for comparisons";
                return Err(BadResponse(what.into()));
            }
            self.kept.extend_from_slice(bytes);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Counts `bytes`, and compares them with the same range of `expected`.
    pub(super) fn compare(&mut self, bytes: &[u8], expected: &[u8]) {
        let at = usize::try_from(self.len).unwrap_or(usize::MAX);
        let same = expected.get(at..).is_some_and(|rest| rest.starts_with(bytes));
        self.mismatch |= !same;
        self.len += bytes.len() as u64;
    }

    /// All content has arrived. Resets this value for the next response.
    pub(super) fn end(&mut self, context: &RequestContext<'_>) -> CompleteContent {
        let Self { len, mismatch, kept } = std::mem::take(self);
        let verify = context.plan.verify;
        let other_len = verify && context.expected.is_some_and(|it| it.content_len != len);
        let kept = verify.then(|| kept.into());
        CompleteContent { len, mismatch: mismatch || other_len, kept }
    }
}

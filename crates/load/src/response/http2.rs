//! One response of HTTP/2, while it arrives.

use std::sync::Arc;

use sockeye_http::h2_client::Head;

use super::parts::{
    BadResponse, CompleteContent, Content, ReceivedSoFar, RequestContext, Response,
};
use crate::expected::ExpectedResponse;

#[derive(Debug, Default)]
pub(crate) struct StreamResponse {
    /// 0 before the head has arrived.
    status: u16,
    /// The length of the content, if the head gives it.
    length: Option<u64>,
    /// Number of interim responses (1xx) before this one.
    interim: u32,
    /// The URL to which the response redirects.
    location: Option<Arc<str>>,
    content: Content,
}

impl StreamResponse {
    /// The head has arrived, after `interim` interim responses.
    pub(crate) fn start(
        &mut self,
        head: Head,
        interim: u32,
        context: &RequestContext<'_>,
    ) -> Result<(), BadResponse> {
        (self.status, self.length, self.interim) = (head.status, head.length, interim);
        self.location = head.location;
        let is_too_large = self.length.is_some_and(|length| length > context.plan.max_content);
        match is_too_large && !context.request.is_head {
            true => Err(BadResponse::too_large(context)),
            false => Ok(()),
        }
    }

    /// A part of the content has arrived.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        context: &RequestContext<'_>,
    ) -> Result<(), BadResponse> {
        self.content.take(bytes, context)
    }

    /// The response is complete.
    pub(crate) fn end(mut self, context: &RequestContext<'_>) -> Response {
        let CompleteContent { len: content_len, mismatch, kept } = self.content.end(context);
        let Self { status, interim, location, .. } = self;
        let error = (status >= 400).then(|| format!("the response's status is {status}"));
        let learned = context.expected.is_none().then(|| ExpectedResponse {
            content: kept,
            content_len,
            error: error.clone(),
            location: location.as_deref().map(str::to_owned),
            ..ExpectedResponse::default()
        });
        Response { status, content_len, error, mismatch, persistent: true, interim, learned }
    }

    /// How much of the response has arrived.
    pub(crate) fn received_so_far(&self) -> ReceivedSoFar {
        match self.status {
            0 => ReceivedSoFar::nothing(),
            _ => ReceivedSoFar::content(self.content.len, self.length),
        }
    }
}

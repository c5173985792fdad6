//! Reads the responses of an echo server, each of which has the bytes of its request.

use super::parts::{BadResponse, Content, ReceivedSoFar, RequestContext, Response, ResponseReader};
use crate::expected::ExpectedResponse;

/// Reads the responses of one connection.
#[derive(Debug, Default)]
pub(crate) struct EchoReader {
    content: Content,
}

impl ResponseReader for EchoReader {
    fn read(
        &mut self,
        input: &[u8],
        context: RequestContext<'_>,
    ) -> Result<(usize, Option<Response>), BadResponse> {
        let sent = context.request.to_send(context.is_last);
        let remaining = sent.len() - self.content.len as usize;
        let piece = &input[..input.len().min(remaining)];
        // Without `verify`, only the responses of the probe, before the load, are compared, to find
        // out whether the server echoes.
        if context.plan.verify || context.expected.is_none() {
            self.content.compare(piece, sent);
        } else {
            self.content.len += piece.len() as u64;
        }
        if piece.len() < remaining {
            return Ok((piece.len(), None));
        }
        // `end` must not compare: an echo's `ExpectedResponse` has no content. What has to be
        // compared was compared with the request.
        let content = self.content.end(&RequestContext { expected: None, ..context });
        let (error, learned) = match context.expected {
            Some(expected) => (expected.error.clone(), None),
            None => {
                let what = || "the response is not what was sent".to_owned();
                let error = content.mismatch.then(what);
                (error.clone(), Some(ExpectedResponse { error, ..Default::default() }))
            }
        };
        let response = Response {
            status: 200,
            content_len: content.len,
            error,
            mismatch: content.mismatch,
            persistent: true,
            interim: 0,
            learned,
        };
        Ok((piece.len(), Some(response)))
    }

    fn received_so_far(&self, context: RequestContext<'_>) -> ReceivedSoFar {
        match self.content.len {
            0 => ReceivedSoFar::nothing(),
            read => ReceivedSoFar::content(
                read,
                Some(context.request.to_send(context.is_last).len() as u64),
            ),
        }
    }
}

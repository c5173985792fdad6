//! Reads responses of HTTP/1.1.

use sockeye_http::client::{self, HeadTemplate, Piece};

use super::parts::{
    BadResponse, CompleteContent, Content, ReceivedSoFar, RequestContext, Response, ResponseReader,
};
use crate::expected::ExpectedResponse;

/// Reads the responses of one connection.
#[derive(Debug, Default)]
pub(crate) struct HttpReader {
    responses: client::ResponseReader,
    status: u16,
    /// The length of the content, if the head gives it.
    length: Option<u64>,
    /// How many interim (1xx) responses came before this response.
    interim: u32,
    content: Content,
    /// In the probe, which sends each request before the load: a copy of this response's head, with
    /// which the heads of later responses are compared.
    template: Option<HeadTemplate>,
    /// In the probe: the URL to which this response redirects.
    location: Option<String>,
}

impl HttpReader {
    fn complete(&mut self, persistent: bool, context: &RequestContext<'_>) -> Response {
        let CompleteContent { len: content_len, mismatch, kept } = self.content.end(context);
        let status = self.status;
        let error = (status >= 400).then(|| format!("the response's status is {status}"));
        let learned = self.template.take().map(|template| ExpectedResponse {
            template: Some(template),
            content: kept,
            content_len,
            error: error.clone(),
            location: self.location.take(),
            ..ExpectedResponse::default()
        });
        let interim = self.interim;
        Response { status, content_len, error, mismatch, persistent, interim, learned }
    }
}

/// The URL to which a response redirects.
fn location(head: &client::Head<'_>) -> Option<String> {
    if !(300..400).contains(&head.status) {
        return None;
    }
    let value = head.bytes.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(b"location:".len())?;
        name.eq_ignore_ascii_case(b"location:").then_some(value)
    })?;
    Some(String::from_utf8_lossy(value.trim_ascii()).into_owned())
}

impl ResponseReader for HttpReader {
    fn read(
        &mut self,
        input: &[u8],
        context: RequestContext<'_>,
    ) -> Result<(usize, Option<Response>), BadResponse> {
        let template = context.expected.and_then(|expected| expected.template.as_ref());
        let method = if context.request.is_head {
            client::RequestKind::Head
        } else {
            client::RequestKind::Other
        };
        let mut used = 0;
        loop {
            let read = self.responses.read(&input[used..], method, template);
            let (count, piece) = read.map_err(|error| BadResponse(error.0.into()))?;
            used += count;
            match piece {
                Piece::NeedMore => return Ok((used, None)),
                Piece::Head(head) => {
                    self.status = head.status;
                    self.length = head.length();
                    self.interim = head.interim;
                    let max = context.plan.max_content;
                    if method == client::RequestKind::Other
                        && self.length.is_some_and(|length| length > max)
                    {
                        return Err(BadResponse::too_large(&context));
                    }
                    if context.expected.is_none() {
                        self.template = Some(HeadTemplate::of(&head));
                        self.location = location(&head);
                    }
                }
                Piece::Content(bytes) => self.content.take(bytes, &context)?,
                Piece::End { persistent } => {
                    return Ok((used, Some(self.complete(persistent, &context))));
                }
            }
        }
    }

    fn end_of_input(&mut self, context: RequestContext<'_>) -> Option<Response> {
        let complete = matches!(self.responses.end_of_input(), Ok(true));
        complete.then(|| self.complete(false, &context))
    }

    fn received_so_far(&self, _: RequestContext<'_>) -> ReceivedSoFar {
        match self.responses.extent() {
            client::Extent::Nothing => match self.responses.interim() {
                0 => ReceivedSoFar::nothing(),
                interim => ReceivedSoFar::interim(interim),
            },
            client::Extent::Head(bytes) => ReceivedSoFar::head(bytes),
            client::Extent::Content => ReceivedSoFar::content(self.content.len, self.length),
        }
    }
}

//! A request that outlives the bytes that it was read from.

use std::fmt;

use sockeye_proto::Fault;

use super::block::Block;
use super::framing;
use super::head::{self, Head, Progress};
use super::known::Index;
use super::limits::Limits;
use super::line::Line;
use super::refusal::Refusal;
use super::request::{Content, Request};
use super::span::Span;

/// A request that was kept for longer than its bytes last: see [`Request::keep`].
pub struct KeptRequest(Box<Kept>);

struct Kept {
    head: Box<[u8]>,
    line: Line,
    /// Where the fields begin.
    fields: usize,
    spans: Box<[Span]>,
    index: Index,
    content: Content,
    upgrade: bool,
}

impl KeptRequest {
    /// Reads a head, for tests of what handles requests: as a server does, with its usual limits.
    /// What is behind the head is ignored.
    ///
    /// # Errors
    ///
    /// The fault that the head would earn, or that it isn't complete.
    pub fn read(input: &[u8]) -> Result<Self, Fault> {
        let mut block = Block::default();
        let head = head::parse(input, &mut Progress::default(), &Limits::default(), &mut block);
        let head = head.map_err(Refusal::fault)?;
        let Some(Head { line, fields, len }) = head else {
            return Err(Fault::peer("eof_in_head", "sent a request head that is not complete"));
        };
        let mut request = Request {
            head: &input[..len],
            line: &line,
            block: &input[fields..len],
            spans: &block.spans,
            index: &block.index,
            content: Content::None,
            upgrade: false,
        };
        let framing = framing::of(&request).map_err(Refusal::fault)?;
        request.content = framing.content;
        request.upgrade = framing.upgrade && framing.content == Content::None;
        Ok(request.keep())
    }

    /// The request.
    #[must_use]
    pub fn view(&self) -> Request<'_> {
        let Kept { head, line, fields, spans, index, content, upgrade } = &*self.0;
        let (content, upgrade) = (*content, *upgrade);
        Request { head, line, block: &head[*fields..], spans, index, content, upgrade }
    }
}

/// Shows no values, either.
impl fmt::Debug for KeptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl Request<'_> {
    /// Copies the request, as large as its head is, for a handler that has to wait for something
    /// before it can answer.
    #[must_use]
    pub fn keep(&self) -> KeptRequest {
        KeptRequest(Box::new(Kept {
            head: self.head.into(),
            line: *self.line,
            fields: self.head.len() - self.block.len(),
            spans: self.spans.into(),
            index: *self.index,
            content: self.content,
            upgrade: self.upgrade,
        }))
    }
}

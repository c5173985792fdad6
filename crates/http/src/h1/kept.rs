//! Reading one whole request head, for tests of handlers.

use sockeye_proto::Fault;

use crate::h1::block::Block;
use crate::h1::framing;
use crate::h1::head::{self, Head, Progress};
use crate::semantics::refusal::Refusal;
use crate::{Content, KeptRequest, Limits, Request};

impl KeptRequest {
    /// Reads a head as a server does, with the default limits, for tests of handlers. Ignores what follows
    /// the head.
    ///
    /// # Errors
    ///
    /// The fault that the head would cause, or that it is incomplete.
    pub fn read(input: &[u8]) -> Result<Self, Fault> {
        let mut block = Block::default();
        let head = head::parse(input, &mut Progress::default(), &Limits::default(), &mut block);
        let head = head.map_err(Refusal::fault)?;
        let Some(Head { line: control, fields, len }) = head else {
            return Err(Fault::peer("eof_in_head", "sent a request head that is not complete"));
        };
        let mut request = Request {
            head: &input[..len],
            control: &control,
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
}

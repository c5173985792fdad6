//! Copies of requests, which outlive the input that they were read from.

use std::fmt;

use crate::semantics::control::ControlData;
use crate::semantics::names::Index;
use crate::semantics::request::{Content, Request};
use crate::semantics::span::Span;

/// A copy of a request: see [`Request::keep`].
pub struct KeptRequest(Box<Kept>);

struct Kept {
    head: Box<[u8]>,
    control: ControlData,
    /// Where the fields begin in `head`. `spans` count from there.
    fields: usize,
    spans: Box<[Span]>,
    index: Index,
    content: Content,
    upgrade: bool,
}

impl KeptRequest {
    /// A request of any wire. `head` begins with the method. Its fields begin at `fields`, and
    /// `spans` count from there.
    #[cfg(feature = "test-wire")]
    pub(crate) fn new(
        head: Vec<u8>,
        control: ControlData,
        fields: usize,
        spans: Vec<Span>,
        content: Content,
    ) -> Self {
        let mut index = Index::default();
        index.fill(&head[fields..], &spans);
        let (head, spans) = (head.into(), spans.into());
        Self(Box::new(Kept { head, control, fields, spans, index, content, upgrade: false }))
    }

    /// The request.
    #[must_use]
    pub fn view(&self) -> Request<'_> {
        let Kept { head, control, fields, spans, index, content, upgrade } = &*self.0;
        let (content, upgrade) = (*content, *upgrade);
        Request { head, control, block: &head[*fields..], spans, index, content, upgrade }
    }
}

/// Shows no values: they may be secrets.
impl fmt::Debug for KeptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl Request<'_> {
    /// Copies the request, for a handler that has to wait before it can answer.
    #[must_use]
    pub fn keep(&self) -> KeptRequest {
        KeptRequest(Box::new(Kept {
            head: self.head.into(),
            control: *self.control,
            fields: self.head.len() - self.block.len(),
            spans: self.spans.into(),
            index: *self.index,
            content: self.content,
            upgrade: self.upgrade,
        }))
    }
}

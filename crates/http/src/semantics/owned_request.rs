//! Copies of requests, which a handler can keep after the call that delivered the request.

use std::fmt;

use crate::semantics::control::ControlData;
use crate::semantics::names::Index;
use crate::semantics::request::{Content, Request};
use crate::semantics::span::Span;

/// A copy of a request: see [`Request::to_owned_request`].
pub struct OwnedRequest(Box<Parts>);

struct Parts {
    head: Box<[u8]>,
    control: ControlData,
    /// The position in `head` where the fields begin.
    fields_start: usize,
    /// The positions of the fields' names and values, relative to `fields_start`.
    spans: Box<[Span]>,
    index: Index,
    content: Content,
    upgrade: bool,
}

impl OwnedRequest {
    /// Makes a request from the parts that a wire (version of HTTP) has parsed. `head` begins with
    /// the method. The fields begin at `fields_start` in `head`. `spans` are the positions of their
    /// names and values, relative to `fields_start`.
    #[cfg(feature = "test-wire")]
    pub(crate) fn new(
        head: Vec<u8>,
        control: ControlData,
        fields_start: usize,
        spans: Vec<Span>,
        content: Content,
    ) -> Self {
        let mut index = Index::default();
        index.fill(&head[fields_start..], &spans);
        let (head, spans) = (head.into(), spans.into());
        Self(Box::new(Parts { head, control, fields_start, spans, index, content, upgrade: false }))
    }

    /// The request, borrowed from this copy.
    #[must_use]
    pub fn view(&self) -> Request<'_> {
        let Parts { head, control, fields_start, spans, index, content, upgrade } = &*self.0;
        let (content, upgrade) = (*content, *upgrade);
        Request { head, control, section: &head[*fields_start..], spans, index, content, upgrade }
    }
}

/// Shows no values of fields: they may be secrets.
impl fmt::Debug for OwnedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl Request<'_> {
    /// Copies the request, for a handler that has to wait before it can answer.
    #[must_use]
    pub fn to_owned_request(&self) -> OwnedRequest {
        OwnedRequest(Box::new(Parts {
            head: self.head.into(),
            control: *self.control,
            fields_start: self.head.len() - self.section.len(),
            spans: self.spans.into(),
            index: *self.index,
            content: self.content,
            upgrade: self.upgrade,
        }))
    }
}

//! Trailers that wait until a handler has read the content before them.

use crate::Trailers;
use crate::semantics::span::Span;

/// Trailers that wait until a handler has read the content before them.
#[derive(Debug, Default)]
pub(crate) struct OwnedTrailers {
    pub(super) bytes: Box<[u8]>,
    pub(super) spans: Box<[Span]>,
}

impl OwnedTrailers {
    /// Their length in memory, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.spans)
    }

    pub(crate) fn view(&self) -> Trailers<'_> {
        Trailers { section: &self.bytes, spans: &self.spans }
    }
}

//! Byte ranges in a head (what precedes the content) or in trailers, kept instead of copies of
//! names and values.

/// A byte range in a head or in trailers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Range {
    // Positions fit in 32 bits, because heads and trailers are far smaller than 4 GiB.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// The positions of a field's name and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: Range,
    pub(crate) value: Range,
}

/// The names and values of the fields at `spans` in `head`.
pub(crate) fn fields<'a>(
    head: &'a [u8],
    spans: &'a [Span],
) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    spans.iter().map(move |span| (span.name.of(head), span.value.of(head)))
}

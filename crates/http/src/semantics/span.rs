//! Where the parts of a head lie: byte ranges instead of copies.

/// Where something lies in the bytes of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Range {
    /// Both are at most the limit of a head, far below 4 GiB.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// Where a field lies in the bytes of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: Range,
    pub(crate) value: Range,
}

/// The fields at `spans` of `head`: their names and values.
pub(crate) fn fields<'a>(
    head: &'a [u8],
    spans: &'a [Span],
) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    spans.iter().map(move |span| (span.name.of(head), span.value.of(head)))
}

//! How an output stores shared bytes and ranges of files (pieces), and what a driver, the interface
//! to the kernel, gets from it (parts).

use std::collections::vec_deque;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Access, FileRange, Permit, Validity};

/// Shared bytes or a range of a file, and its position among the plain bytes.
#[derive(Debug)]
pub(super) struct Piece {
    /// How many bytes of `Output::plain` come before this piece.
    pub(super) at: usize,
    pub(super) data: PieceData,
    /// A part of a budget, held until the piece is sent or dropped.
    pub(super) permit: Option<Permit>,
}

#[derive(Debug)]
pub(super) enum PieceData {
    Shared(Bytes),
    File {
        range: FileRange,
        /// This piece lacks the end of the range that the protocol wrote: later pieces, of this or
        /// another output, hold the rest. Whether the file has changed is checked at the last of
        /// these pieces: see [`Output::move_front`](crate::Output::move_front).
        lacks_end: bool,
    },
}

impl PieceData {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.len,
        }
    }

    /// The range of this piece and its `lacks_end`, if the range is of the same file as
    /// `before` and begins where `before` ends.
    pub(super) fn range_following(&self, before: &FileRange) -> Option<(&FileRange, bool)> {
        match self {
            Self::File { range, lacks_end }
                if range.offset == before.offset + before.len
                    && Arc::ptr_eq(&range.source, &before.source) =>
            {
                Some((range, *lacks_end))
            }
            _ => None,
        }
    }

    /// This piece as a part. The driver may send at most `max` bytes of it.
    pub(super) fn part(&self, max: u64) -> Part<'_> {
        match self {
            Self::Shared(bytes) => Part::Memory(bytes),
            Self::File { range, .. } if range.access() == Access::Thread => Part::NeedsRead(range),
            Self::File { range, lacks_end } if *lacks_end || range.len > max => Part::File(range),
            Self::File { range, .. } => match range.check() {
                Validity::Valid => Part::File(range),
                Validity::Changed => Part::Changed,
                Validity::Unknown => Part::NeedsRead(range),
            },
        }
    }
}

/// What is at the front of an [`Output`](crate::Output), or comes after other [`Parts`].
#[derive(Debug)]
pub enum Part<'a> {
    /// Nothing: everything is sent.
    Nothing,
    /// Bytes in memory. [`Output::slices`](crate::Output::slices) also returns the bytes that
    /// follow.
    Memory(&'a [u8]),
    /// Part of a file.
    File(&'a FileRange),
    /// Part of a file that a thread must read, because reading may block, or because only reading
    /// the file can tell whether it has changed: see
    /// [`Output::replace_with_read`](crate::Output::replace_with_read).
    NeedsRead(&'a FileRange),
    /// The rest of a file that has changed: it must not be sent.
    Changed,
}

/// The parts of an [`Output`](crate::Output), from the front: see
/// [`Output::parts`](crate::Output::parts).
#[derive(Debug)]
pub struct Parts<'a> {
    plain: &'a [u8],
    /// Where the next part begins in `plain`.
    from: usize,
    pieces: vec_deque::Iter<'a, Piece>,
    next: Option<&'a Piece>,
    /// How many bytes the driver may still send.
    max: u64,
}

impl<'a> Parts<'a> {
    pub(super) fn new(
        plain: &'a [u8],
        from: usize,
        mut pieces: vec_deque::Iter<'a, Piece>,
        max: u64,
    ) -> Self {
        Self { plain, from, next: pieces.next(), pieces, max }
    }

    /// `range`, the part that was returned last, with the ranges of files that come next and
    /// continue it in the same file. There may be plain bytes between them, such as the headers of
    /// frames. A driver can read all of them at once.
    #[must_use]
    pub fn contiguous(&self, range: &FileRange) -> FileRange {
        let mut all = range.clone();
        for piece in self.next.into_iter().chain(self.pieces.clone()) {
            let Some((next, _)) = piece.data.range_following(&all) else { break };
            all.len += next.len;
        }
        all
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.max == 0 {
            return None;
        }
        let (part, len) = match self.next {
            Some(piece) if piece.at == self.from => {
                self.next = self.pieces.next();
                (piece.data.part(self.max), piece.data.len())
            }
            next => {
                let bytes = &self.plain[self.from..next.map_or(self.plain.len(), |next| next.at)];
                self.from += bytes.len();
                (Part::Memory(bytes), bytes.len() as u64)
            }
        };
        self.max = self.max.saturating_sub(len);
        (len > 0).then_some(part)
    }
}

//! What is to be sent: plain bytes, shared bytes and ranges of files, in order.
//!
//! A connection appends; whoever sends takes from the front with [`Output::part`],
//! [`Output::slices`] and [`Output::advance`]. Plain bytes lie in one buffer, so a response written in
//! many small steps is one slice when it is sent. An output is a plain value that can be handed to
//! a driver for as long as a send is under way.
//!
//! What it leaves to others: watermarks are in [`Turn`](crate::Turn), which knows what is in flight.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::{Access, FileRange, Permit};

/// A position in the output of a connection, in bytes since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u64);

/// What is not plain, and where among the plain bytes it stands.
#[derive(Debug)]
struct Piece {
    /// So many bytes of `Output::plain` go before it.
    at: usize,
    what: What,
    /// What it is charged to, until it is sent.
    permit: Option<Permit>,
}

#[derive(Debug)]
enum What {
    Shared(Bytes),
    File(FileRange),
}

/// What is at the front of an [`Output`].
#[derive(Debug)]
pub enum Part<'a> {
    /// Nothing: everything is sent.
    Nothing,
    /// Bytes in memory: ask [`Output::slices`] for them.
    Memory,
    /// Part of a file.
    File(&'a FileRange),
    /// Part of a file that a thread has to read first: see [`Output::put_read`].
    Unread(&'a FileRange),
    /// The rest of a file that is no longer the one that was opened. It must not be completed.
    Changed,
}

/// A queue of what is to be sent.
///
/// Plain bytes are by far the most usual, so they cost the least: as long as there is nothing else,
/// there is no piece, and appending is a copy.
#[derive(Debug, Default)]
pub struct Output {
    plain: Vec<u8>,
    /// So many of the plain bytes have been sent.
    sent: usize,
    // Invariant: their places ascend, from `sent` at the least to `plain.len()` at the most.
    pieces: VecDeque<Piece>,
    /// Bytes of the shared pieces.
    shared: usize,
    /// Bytes of the ranges of files.
    filed: u64,
    /// How many of the pieces are ranges of files.
    ranges: usize,
    /// For the next piece.
    permit: Option<Permit>,
}

impl Output {
    /// Above so many pieces an output counts as full, however few bytes they hold.
    pub const MAX_PIECES: usize = 1024;

    /// With so many unsent ranges of files an output counts as full, however few bytes it holds: each
    /// keeps a file open.
    pub const MAX_FILE_RANGES: usize = 2;

    /// As many pieces as fit in a few responses.
    const FEW_PIECES: usize = 64;

    /// An empty output, without an allocation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes by copying them.
    pub fn write(&mut self, bytes: &[u8]) {
        self.plain.extend_from_slice(bytes);
    }

    /// Appends several runs of bytes at once: cheaper than one after the other.
    pub fn write_all(&mut self, runs: &[&[u8]]) {
        self.plain.reserve(runs.iter().map(|run| run.len()).sum());
        for run in runs {
            self.plain.extend_from_slice(run);
        }
    }

    /// Appends what `fill` appends: cheaper than run by run. The vector may hold bytes that were
    /// written before, which `fill` leaves as they are.
    pub fn write_with(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let before = self.plain.len();
        fill(&mut self.plain);
        debug_assert!(self.plain.len() >= before, "what was written stays");
    }

    /// Appends bytes that are shared with others (or static), without copying them.
    pub fn write_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.shared += bytes.len();
        self.push(What::Shared(bytes));
    }

    /// Appends a range of a file.
    pub fn write_file(&mut self, range: FileRange) {
        if range.len == 0 {
            return;
        }
        self.filed += range.len;
        self.ranges += 1;
        self.push(What::File(range));
    }

    /// Keeps `permit` until the shared bytes or the range of a file that are written next have been
    /// sent, or are dropped unsent.
    pub fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    fn push(&mut self, what: What) {
        let permit = self.permit.take();
        self.pieces.push_back(Piece { at: self.plain.len(), what, permit });
    }

    /// Whether everything has been sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.plain.len() && self.pieces.is_empty()
    }

    /// Unsent bytes held in memory: file ranges don't count.
    #[must_use]
    pub fn held(&self) -> usize {
        self.plain.len() - self.sent + self.shared
    }

    /// Unsent bytes in all.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.held() as u64 + self.filed
    }

    /// Unsent pieces: shared bytes and ranges of files. The plain bytes between them don't count.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Unsent ranges of files.
    #[must_use]
    pub fn file_ranges(&self) -> usize {
        self.ranges
    }

    /// All that is to be sent, where that is nothing but plain bytes: the usual case, for which a
    /// sender needs no [`Output::slices`].
    #[must_use]
    pub fn plain(&self) -> Option<&[u8]> {
        self.pieces.is_empty().then(|| &self.plain[self.sent..])
    }

    /// What is at the front, where a sender may send at most `max` bytes of a file.
    ///
    /// The identity of a file is checked here, when what it may send includes the end of the range;
    /// not that of an unread one, which whoever reads it checks.
    #[must_use]
    pub fn part(&self, max: u64) -> Part<'_> {
        match self.pieces.front() {
            Some(Piece { at, what: What::File(range), .. }) if *at == self.sent => {
                if range.source.access() == Access::Thread {
                    return Part::Unread(range);
                }
                if range.len <= max && !range.source.is_unchanged() {
                    return Part::Changed;
                }
                Part::File(range)
            }
            None if self.sent == self.plain.len() => Part::Nothing,
            _ => Part::Memory,
        }
    }

    /// Fills `slices` from the front with what lies in memory. Returns how many were filled and
    /// whether a file range follows right behind them.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, bool) {
        let (mut filled, mut from) = (0, self.sent);
        let mut fill = |bytes: &'a [u8]| {
            let Some(slice) = slices.get_mut(filled) else { return false };
            *slice = IoSlice::new(bytes);
            filled += 1;
            true
        };
        for Piece { at, what, .. } in &self.pieces {
            if from < *at && !fill(&self.plain[from..*at]) {
                return (filled, false);
            }
            from = *at;
            match what {
                What::Shared(bytes) if !fill(bytes) => return (filled, false),
                What::Shared(_) => {}
                What::File(_) => return (filled, true),
            }
        }
        if from < self.plain.len() {
            fill(&self.plain[from..]);
        }
        (filled, false)
    }

    /// Removes `count` sent bytes from the front.
    ///
    /// # Panics
    ///
    /// When fewer bytes than `count` are unsent: more cannot have been sent than was there.
    #[inline(always)] // It is little, but for what is seldom done.
    pub fn advance(&mut self, count: u64) {
        if self.pieces.is_empty() && count == self.held() as u64 {
            // All of it, at once, and nothing but plain bytes: as it is with most.
            self.plain.clear();
            self.sent = 0;
            return;
        }
        self.advance_by_pieces(count);
    }

    fn advance_by_pieces(&mut self, count: u64) {
        assert!(count <= self.unsent(), "sent {count} bytes of {}", self.unsent());
        let mut left = count;
        while let Some(Piece { at, what, .. }) = self.pieces.front_mut() {
            let plain = left.min((*at - self.sent) as u64);
            self.sent += plain as usize;
            left -= plain;
            if left == 0 {
                break;
            }
            let (taken, done) = match what {
                What::Shared(bytes) => {
                    let taken = left.min(bytes.len() as u64);
                    bytes.advance(taken as usize);
                    self.shared -= taken as usize;
                    (taken, bytes.is_empty())
                }
                What::File(range) => {
                    let taken = left.min(range.len);
                    range.offset += taken;
                    range.len -= taken;
                    self.filed -= taken;
                    self.ranges -= usize::from(range.len == 0);
                    (taken, range.len == 0)
                }
            };
            left -= taken;
            if done {
                self.pieces.pop_front();
            }
        }
        self.sent += left as usize;
        self.forget_sent();
    }

    /// The range of a file at the front, if that is what is sent next.
    #[must_use]
    pub fn front_file(&self) -> Option<&FileRange> {
        match self.pieces.front() {
            Some(Piece { at, what: What::File(range), .. }) if *at == self.sent => Some(range),
            _ => None,
        }
    }

    /// Replaces the beginning of [`Output::front_file`] by `bytes`, which were read from there. The
    /// permit of the range stays with its last bytes.
    ///
    /// # Panics
    ///
    /// When no range of at least so many bytes is at the front.
    pub fn put_read(&mut self, bytes: Bytes) {
        let len = bytes.len() as u64;
        let front = self.front_file().expect("a range of a file is at the front");
        assert!(0 < len && len <= front.len, "read {len} bytes of {}", front.len);
        self.shared += bytes.len();
        self.filed -= len;
        let Some(Piece { what, .. }) = self.pieces.front_mut() else { return };
        match what {
            What::File(range) if range.len > len => {
                range.offset += len;
                range.len -= len;
                let what = What::Shared(bytes);
                self.pieces.push_front(Piece { at: self.sent, what, permit: None });
            }
            what => {
                *what = What::Shared(bytes);
                self.ranges -= 1;
            }
        }
    }

    /// Appends everything of `newer`, which is left empty.
    pub fn append(&mut self, newer: &mut Self) {
        let mut from = newer.sent;
        for Piece { at, what, permit } in newer.pieces.drain(..) {
            self.write(&newer.plain[from..at]);
            from = at;
            self.permit = permit;
            match what {
                What::Shared(bytes) => self.write_shared(bytes),
                What::File(range) => self.write_file(range),
            }
        }
        self.write(&newer.plain[from..]);
        newer.clear();
    }

    /// Drops everything unsent and keeps the memory for another use.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.sent = 0;
        self.pieces.clear();
        self.shared = 0;
        self.filed = 0;
        self.ranges = 0;
        self.permit = None;
    }

    /// Whether it has memory beyond `bytes` plain bytes and as many pieces as fit in a few responses.
    #[must_use]
    pub fn is_larger(&self, bytes: usize) -> bool {
        self.plain.capacity() > bytes || self.pieces.capacity() > Self::FEW_PIECES
    }

    /// Gives back what [`Output::is_larger`] means.
    pub fn shrink(&mut self, bytes: usize) {
        self.plain.shrink_to(bytes);
        self.pieces.shrink_to(Self::FEW_PIECES);
    }

    /// Keeps the plain buffer from growing with what has been sent already: memory is moved only
    /// when at least as much is dropped, so that the cost per byte is constant.
    fn forget_sent(&mut self) {
        const WORTH_MOVING: usize = 16 * 1024;
        if self.is_empty() {
            self.plain.clear();
            self.sent = 0;
        } else if self.sent >= WORTH_MOVING && self.sent >= self.plain.len() / 2 {
            self.plain.drain(..self.sent);
            for piece in &mut self.pieces {
                piece.at -= self.sent;
            }
            self.sent = 0;
        }
    }
}

/// `write!` into an output. It never fails.
impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

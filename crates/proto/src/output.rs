//! The output of a connection: plain bytes, shared bytes and ranges of files, in order.
//!
//! A protocol appends. Its owner (code that runs protocols, such as an event loop) takes from the
//! front with [`Output::part`], [`Output::slices`] and [`Output::advance`]. Plain bytes are in one
//! buffer, and many small writes are sent as one slice. [`Turn::is_full`](crate::Turn::is_full)
//! says whether an output is full. Bytes that the driver (the owner's interface to the kernel) has
//! taken and not yet sent count, too.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;

use bytes::{Buf, Bytes};

use crate::destructor::{catch_drop, drop_caught};
use crate::{FileRange, Permit};
pub use parts::{Part, Parts};
use parts::{Piece, PieceData};

mod parts;

/// A position in the output of a connection: bytes since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u64);

/// A queue of bytes and ranges of files to send.
///
/// Shared bytes and ranges of files are the *pieces* of an output, which are kept in a queue of
/// their own. Plain bytes are the most common and cost least: they are only copied into one buffer.
#[derive(Debug, Default)]
pub struct Output {
    /// The plain bytes. Sent bytes stay in front until they are dropped.
    plain: Vec<u8>,
    /// How many of the plain bytes are sent.
    sent: usize,
    // Invariant: the positions `at` of the pieces ascend, from at least `sent` to at most
    // `plain.len()`.
    pieces: VecDeque<Piece>,
    /// Unsent bytes of the shared pieces.
    shared_bytes: usize,
    /// Unsent bytes of the ranges of files.
    file_bytes: u64,
    /// How many of the pieces are ranges of files.
    file_ranges: usize,
    /// The permit for the next piece: see [`Output::attach_permit`].
    permit: Option<Permit>,
}

impl Output {
    /// An output with this many pieces is full, however few bytes they hold.
    pub const MAX_PIECES: usize = 1024;

    /// An output with this many unsent ranges of files is full, since each keeps a file open.
    pub const MAX_FILE_RANGES: usize = 2;

    /// How many pieces an unused output keeps memory for: those of a few responses.
    const KEPT_PIECES: usize = 64;

    /// An empty output, without an allocation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes by copying them.
    pub fn write(&mut self, bytes: &[u8]) {
        self.plain.extend_from_slice(bytes);
    }

    /// Appends several slices: cheaper than one by one.
    pub fn write_all(&mut self, slices: &[&[u8]]) {
        self.plain.reserve(slices.iter().map(|slice| slice.len()).sum());
        for slice in slices {
            self.plain.extend_from_slice(slice);
        }
    }

    /// Appends what `fill` appends to the vector. The vector may hold earlier output, which `fill`
    /// must not change.
    pub fn write_with(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let before = self.plain.len();
        fill(&mut self.plain);
        debug_assert!(self.plain.len() >= before, "earlier output was removed");
    }

    /// Appends shared or static bytes without copying them.
    #[inline(always)] // Runs for most responses, and is not inlined otherwise.
    pub fn write_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.shared_bytes += bytes.len();
        self.push(PieceData::Shared(bytes));
    }

    /// Appends a range of a file.
    pub fn write_file(&mut self, range: FileRange) {
        self.push_file(range, false);
    }

    /// `lacks_end`: `range` lacks the end of the range that [`Output::write_file`] appended.
    fn push_file(&mut self, range: FileRange, lacks_end: bool) {
        if range.len == 0 {
            return;
        }
        self.file_bytes += range.len;
        self.file_ranges += 1;
        self.push(PieceData::File { range, lacks_end });
    }

    /// Attaches `permit`, a part of a budget, to the next piece: the shared bytes or the range of a
    /// file that is appended next. The permit is held until that piece is sent or dropped. A
    /// protocol must append the piece before its method returns: an output that is empty then is
    /// cleared, and its permit dropped.
    pub fn attach_permit(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    fn push(&mut self, data: PieceData) {
        let permit = self.permit.take();
        self.pieces.push_back(Piece { at: self.plain.len(), data, permit });
    }

    /// Whether everything is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.plain.len() && self.pieces.is_empty()
    }

    /// Unsent bytes held in memory: file ranges don't count.
    #[must_use]
    pub fn held(&self) -> usize {
        self.plain.len() - self.sent + self.shared_bytes
    }

    /// All unsent bytes.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.held() as u64 + self.file_bytes
    }

    /// Unsent pieces: shared bytes and ranges of files. The plain bytes between them don't count.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Unsent ranges of files.
    #[must_use]
    pub fn file_ranges(&self) -> usize {
        self.file_ranges
    }

    /// All unsent bytes, if all are plain: the usual case, which needs no [`Output::slices`].
    #[must_use]
    pub fn plain(&self) -> Option<&[u8]> {
        self.pieces.is_empty().then(|| &self.plain[self.sent..])
    }

    /// What is at the front. The owner may send at most `max` bytes of a file.
    ///
    /// If these bytes include the end of a file's range, this checks whether the file has changed.
    /// For [`Part::NeedsRead`], the thread that reads the part checks that.
    #[must_use]
    pub fn part(&self, max: u64) -> Part<'_> {
        match self.pieces.front() {
            Some(Piece { at, data, .. }) if *at == self.sent => data.part(max),
            None if self.sent == self.plain.len() => Part::Nothing,
            front => {
                let end = front.map_or(self.plain.len(), |front| front.at);
                Part::Memory(&self.plain[self.sent..end])
            }
        }
    }

    /// The parts from the front, for drivers that send several parts at once. The last part may be
    /// longer than what is left of `max`; the driver may send at most `max` bytes in all. Each part
    /// is what [`Output::part`] would return after the parts before it were sent. So if a driver
    /// sends only the start of a part, it must send nothing of the parts that follow.
    #[must_use]
    pub fn parts(&self, max: u64) -> Parts<'_> {
        Parts::new(&self.plain, self.sent, self.pieces.iter(), max)
    }

    /// Fills `slices` from the front with bytes in memory. Returns how many were filled, and
    /// whether a range of a file follows them.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, bool) {
        let (mut filled, mut from) = (0, self.sent);
        let mut fill = |bytes: &'a [u8]| {
            let Some(slice) = slices.get_mut(filled) else { return false };
            *slice = IoSlice::new(bytes);
            filled += 1;
            true
        };
        for Piece { at, data, .. } in &self.pieces {
            if from < *at && !fill(&self.plain[from..*at]) {
                return (filled, false);
            }
            from = *at;
            match data {
                PieceData::Shared(bytes) if !fill(bytes) => return (filled, false),
                PieceData::Shared(_) => {}
                PieceData::File { .. } => return (filled, true),
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
    /// If fewer bytes than `count` are unsent.
    #[inline(always)] // The fast path; the slow one is split out below.
    pub fn advance(&mut self, count: u64) {
        if self.pieces.is_empty() && count == self.held() as u64 {
            // All output is sent, and it has only plain bytes: the usual case.
            self.plain.clear();
            self.sent = 0;
            return;
        }
        self.advance_by_pieces(count);
    }

    fn advance_by_pieces(&mut self, count: u64) {
        assert!(count <= self.unsent(), "sent {count} bytes of {}", self.unsent());
        let mut left = count;
        while let Some(Piece { at, data, .. }) = self.pieces.front_mut() {
            let plain = left.min((*at - self.sent) as u64);
            self.sent += plain as usize;
            left -= plain;
            if left == 0 {
                break;
            }
            let (taken, done) = match data {
                PieceData::Shared(bytes) => {
                    let taken = left.min(bytes.len() as u64);
                    bytes.advance(taken as usize);
                    self.shared_bytes -= taken as usize;
                    (taken, bytes.is_empty())
                }
                PieceData::File { range, .. } => {
                    let taken = left.min(range.len);
                    range.offset += taken;
                    range.len -= taken;
                    self.file_bytes -= taken;
                    self.file_ranges -= usize::from(range.len == 0);
                    (taken, range.len == 0)
                }
            };
            left -= taken;
            if done {
                catch_drop(|| drop(self.pieces.pop_front()));
            }
        }
        self.sent += left as usize;
        self.drop_sent();
    }

    /// The range of a file that is at the front. `None` if something else is at the front, or
    /// nothing.
    #[must_use]
    pub fn front_file(&self) -> Option<&FileRange> {
        match self.pieces.front() {
            Some(Piece { at, data: PieceData::File { range, .. }, .. }) if *at == self.sent => {
                Some(range)
            }
            _ => None,
        }
    }

    /// The range that a thread is to read for [`Output::replace_with_read`], at most `max` bytes
    /// long. It begins at [`Output::front_file`]. If that range was moved here in several pieces
    /// ([`Output::move_front`]), the returned range spans them. The second value says whether the
    /// returned range includes the end of the range that [`Output::write_file`] appended. If so,
    /// the thread must verify the file: [`FileSource::verify`](crate::FileSource::verify).
    #[must_use]
    pub fn range_to_read(&self, max: u64) -> Option<(FileRange, bool)> {
        let mut read = self.front_file()?.clone();
        read.len = 0;
        for Piece { data, .. } in &self.pieces {
            // Other pieces may be between: a connection's output holds those of all its streams.
            let Some((part, lacks_end)) = data.range_following(&read) else { continue };
            read.len += part.len;
            if read.len > max || !lacks_end {
                let must_verify = read.len <= max;
                read.len = read.len.min(max);
                return Some((read, must_verify));
            }
        }
        Some((read, false))
    }

    /// Replaces the range that [`Output::range_to_read`] has returned, or its beginning, by
    /// `bytes`, which were read from it. The permit of a range stays with its last bytes.
    ///
    /// # Panics
    ///
    /// If the output has less of this range than `bytes`.
    pub fn replace_with_read(&mut self, mut bytes: Bytes) {
        let mut read = self.front_file().expect("a range of a file is at the front").clone();
        read.len = 0;
        let mut index = 0;
        while !bytes.is_empty() {
            let Piece { at, data, .. } = &mut self.pieces[index];
            let at = *at;
            if data.range_following(&read).is_some()
                && let PieceData::File { range, .. } = data
            {
                let part = bytes.split_to(bytes.len().min(range.len as usize));
                let len = part.len() as u64;
                read.len += len;
                self.shared_bytes += part.len();
                self.file_bytes -= len;
                if range.len > len {
                    range.offset += len;
                    range.len -= len;
                    let data = PieceData::Shared(part);
                    self.pieces.insert(index, Piece { at, data, permit: None });
                    assert!(bytes.is_empty(), "a part is missing");
                } else {
                    drop_caught(mem::replace(data, PieceData::Shared(part)));
                    self.file_ranges -= 1;
                }
            }
            index += 1;
        }
    }

    /// Moves all of `newer` to the end.
    pub fn append(&mut self, newer: &mut Self) {
        let mut from = newer.sent;
        for Piece { at, data, permit } in newer.pieces.drain(..) {
            self.write(&newer.plain[from..at]);
            from = at;
            if permit.is_some() {
                self.permit = permit;
            }
            match data {
                PieceData::Shared(bytes) => self.write_shared(bytes),
                PieceData::File { range, lacks_end } => {
                    self.push_file(range, lacks_end);
                }
            }
        }
        self.write(&newer.plain[from..]);
        if newer.permit.is_some() {
            self.permit = newer.permit.take();
        }
        newer.clear();
    }

    /// Moves up to `max` bytes from the front to the end of `to`. Returns how many. The permit of a
    /// piece stays with its last bytes, and so does the check whether a file has changed.
    pub fn move_front(&mut self, to: &mut Self, max: u64) -> u64 {
        let max = max.min(self.unsent());
        let mut left = max;
        while left > 0 {
            let count = match self.pieces.front_mut() {
                Some(Piece { at, data, permit }) if *at == self.sent => {
                    let len = data.len();
                    let count = left.min(len);
                    if count == len && permit.is_some() {
                        to.permit = permit.take();
                    }
                    match data {
                        PieceData::Shared(bytes) => to.write_shared(bytes.slice(..count as usize)),
                        PieceData::File { range, lacks_end } => {
                            let lacks_end = *lacks_end || count < len;
                            to.push_file(FileRange { len: count, ..range.clone() }, lacks_end);
                        }
                    }
                    count
                }
                front => {
                    let end = front.map_or(self.plain.len(), |piece| piece.at);
                    let count = left.min((end - self.sent) as u64);
                    to.write(&self.plain[self.sent..][..count as usize]);
                    count
                }
            };
            self.advance(count);
            left -= count;
        }
        max
    }

    /// Drops everything unsent, and keeps the memory for reuse.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.sent = 0;
        while !self.pieces.is_empty() {
            catch_drop(|| drop(self.pieces.pop_front()));
        }
        self.shared_bytes = 0;
        self.file_bytes = 0;
        self.file_ranges = 0;
        self.permit = None;
    }

    /// Whether the output has memory for more than `bytes` plain bytes, or for many pieces.
    #[must_use]
    pub fn is_oversized(&self, bytes: usize) -> bool {
        self.plain.capacity() > bytes || self.pieces.capacity() > Self::KEPT_PIECES
    }

    /// Frees unused memory, so that [`Output::is_oversized`] becomes false unless more is in use.
    pub fn shrink(&mut self, bytes: usize) {
        self.plain.shrink_to(bytes);
        self.pieces.shrink_to(Self::KEPT_PIECES);
    }

    /// Drops sent bytes from the plain buffer. Moves the unsent bytes only if about as many are
    /// dropped, or more, so that the cost per byte is constant.
    fn drop_sent(&mut self) {
        // With fewer sent bytes than this, moving the unsent ones is not worth the cost.
        const MIN_DROP: usize = 16 * 1024;
        if self.is_empty() {
            self.plain.clear();
            self.sent = 0;
        } else if self.sent >= MIN_DROP && self.sent >= self.plain.len() / 2 {
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

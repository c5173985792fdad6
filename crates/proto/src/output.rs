//! What is to be sent: plain bytes, shared bytes and ranges of files, in order.
//!
//! A conversation appends; whoever sends takes from the front with [`Output::slices`],
//! [`Output::file`] and [`Output::advance`]. Plain bytes lie in one buffer, so a reply written in
//! many small steps is one slice when it is sent. An output is a plain value that can be handed to
//! a driver for as long as a send is under way.
//!
//! What it leaves to others: watermarks are in [`Turn`](crate::Turn), which knows what is in flight.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// A file that ranges of can be sent. Opening it is somebody else's work; this is how a driver
/// reads it, and how it may send it without reading.
pub trait FileSource: Send + Sync + fmt::Debug {
    /// Reads at `offset` into `buffer`; 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The descriptor, where the kernel can send from it by itself.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the file is still the one that was opened: same content, as far as can be told
    /// without reading it. Asked before the last part of a range is sent.
    fn is_unchanged(&self) -> bool;
}

/// A range of a file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file.
    pub source: Arc<dyn FileSource>,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

#[derive(Debug)]
enum Piece {
    /// So many bytes of `Output::plain`, which holds the bytes of all plain pieces in order.
    Plain(usize),
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
    /// The rest of a file that is no longer the one that was opened. It must not be completed.
    Changed,
}

/// A queue of what is to be sent.
#[derive(Debug, Default)]
pub struct Output {
    // Invariant: `plain[sent..]` is exactly the bytes of the plain pieces, in their order.
    plain: Vec<u8>,
    sent: usize,
    pieces: VecDeque<Piece>,
    held: usize,
    unsent: u64,
}

impl Output {
    /// Above so many pieces an output counts as full, however few bytes they hold.
    pub const MAX_PIECES: usize = 1024;

    /// An empty output, without an allocation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes by copying them.
    pub fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.plain.extend_from_slice(bytes);
        self.count_plain(bytes.len());
    }

    /// Appends several runs of bytes at once: cheaper than one after the other.
    pub fn write_all(&mut self, runs: &[&[u8]]) {
        let count = runs.iter().map(|run| run.len()).sum();
        if count == 0 {
            return;
        }
        self.plain.reserve(count);
        for run in runs {
            self.plain.extend_from_slice(run);
        }
        self.count_plain(count);
    }

    /// Appends what `fill` appends: cheaper than run by run.
    pub(crate) fn write_with(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let before = self.plain.len();
        fill(&mut self.plain);
        let count = self.plain.len() - before;
        if count > 0 {
            self.count_plain(count);
        }
    }

    /// Appends bytes that are shared with others (or static), without copying them.
    pub fn write_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.held += bytes.len();
        self.unsent += bytes.len() as u64;
        self.pieces.push_back(Piece::Shared(bytes));
    }

    /// Appends a range of a file.
    pub fn write_file(&mut self, range: FileRange) {
        if range.len == 0 {
            return;
        }
        self.unsent += range.len;
        self.pieces.push_back(Piece::File(range));
    }

    /// Whether everything has been sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Unsent bytes held in memory: file ranges don't count.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Unsent bytes in all.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.unsent
    }

    /// Unsent pieces.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// What is at the front, where a sender may send at most `max` bytes of a file.
    ///
    /// The identity of a file is checked here, when what it may send includes the end of the range.
    #[must_use]
    pub fn part(&self, max: u64) -> Part<'_> {
        match self.pieces.front() {
            None => Part::Nothing,
            Some(Piece::Plain(_) | Piece::Shared(_)) => Part::Memory,
            Some(Piece::File(range)) if range.len <= max && !range.source.is_unchanged() => {
                Part::Changed
            }
            Some(Piece::File(range)) => Part::File(range),
        }
    }

    /// Fills `slices` from the front with what lies in memory. Returns how many were filled and
    /// whether a file range follows right behind them.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, bool) {
        let mut plain = &self.plain[self.sent..];
        let mut filled = 0;
        for piece in &self.pieces {
            let bytes = match piece {
                Piece::Plain(len) => {
                    let (these, rest) = plain.split_at(*len);
                    plain = rest;
                    these
                }
                Piece::Shared(bytes) => &bytes[..],
                Piece::File(_) => return (filled, true),
            };
            if filled == slices.len() {
                break;
            }
            slices[filled] = IoSlice::new(bytes);
            filled += 1;
        }
        (filled, false)
    }

    /// Removes `count` sent bytes from the front.
    ///
    /// # Panics
    ///
    /// When fewer bytes than `count` are unsent: more cannot have been sent than was there.
    pub fn advance(&mut self, count: u64) {
        assert!(count <= self.unsent, "sent {count} bytes of {}", self.unsent);
        self.unsent -= count;
        let mut left = count;
        while left > 0 {
            let Some(piece) = self.pieces.front_mut() else { break };
            let (taken, done) = match piece {
                Piece::Plain(len) => {
                    let taken = left.min(*len as u64);
                    *len -= taken as usize;
                    self.sent += taken as usize;
                    self.held -= taken as usize;
                    (taken, *len == 0)
                }
                Piece::Shared(bytes) => {
                    let taken = left.min(bytes.len() as u64);
                    bytes.advance(taken as usize);
                    self.held -= taken as usize;
                    (taken, bytes.is_empty())
                }
                Piece::File(range) => {
                    let taken = left.min(range.len);
                    range.offset += taken;
                    range.len -= taken;
                    (taken, range.len == 0)
                }
            };
            left -= taken;
            if done {
                self.pieces.pop_front();
            }
        }
        self.forget_sent();
    }

    /// Appends everything of `newer`, which is left empty.
    pub fn append(&mut self, newer: &mut Self) {
        let mut plain = &newer.plain[newer.sent..];
        for piece in newer.pieces.drain(..) {
            match piece {
                Piece::Plain(len) => {
                    let (these, rest) = plain.split_at(len);
                    plain = rest;
                    self.write(these);
                }
                Piece::Shared(bytes) => self.write_shared(bytes),
                Piece::File(range) => self.write_file(range),
            }
        }
        newer.clear();
    }

    /// Drops everything unsent and keeps the memory for another use.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.sent = 0;
        self.pieces.clear();
        self.held = 0;
        self.unsent = 0;
    }

    /// Gives back memory beyond `bytes` plain bytes and as many pieces as fit in a few replies.
    pub fn shrink(&mut self, bytes: usize) {
        const PIECES: usize = 64;
        if self.plain.capacity() > bytes {
            self.plain.shrink_to(bytes);
        }
        if self.pieces.capacity() > PIECES {
            self.pieces.shrink_to(PIECES);
        }
    }

    /// Counts plain bytes that were just appended to `plain`.
    fn count_plain(&mut self, count: usize) {
        self.held += count;
        self.unsent += count as u64;
        match self.pieces.back_mut() {
            Some(Piece::Plain(len)) => *len += count,
            _ => self.pieces.push_back(Piece::Plain(count)),
        }
    }

    /// Keeps the plain buffer from growing with what has been sent already: memory is moved only
    /// when at least as much is dropped, so that the cost per byte is constant.
    fn forget_sent(&mut self) {
        const WORTH_MOVING: usize = 16 * 1024;
        if self.pieces.is_empty() {
            self.plain.clear();
            self.sent = 0;
        } else if self.sent >= WORTH_MOVING && self.sent >= self.plain.len() / 2 {
            self.plain.drain(..self.sent);
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    struct Text(&'static [u8], bool);

    impl FileSource for Text {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            io::Read::read(&mut &self.0[offset as usize..], buffer)
        }
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            None
        }
        fn is_unchanged(&self) -> bool {
            self.1
        }
    }

    fn range(text: &'static [u8], unchanged: bool) -> FileRange {
        FileRange { source: Arc::new(Text(text, unchanged)), offset: 0, len: text.len() as u64 }
    }

    /// Sends everything in steps of at most `step` bytes, as a driver would.
    fn send_all(out: &mut Output, step: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        loop {
            match out.part(step as u64) {
                Part::Nothing => return sent,
                Part::Changed => panic!("nothing changed here"),
                Part::File(range) => {
                    let mut buffer = vec![0; step.min(range.len as usize)];
                    let n = range.source.read_at(range.offset, &mut buffer).unwrap();
                    sent.extend_from_slice(&buffer[..n]);
                    out.advance(n as u64);
                }
                Part::Memory => {
                    let mut slices = [IoSlice::new(&[]); 2];
                    let (filled, _) = out.slices(&mut slices);
                    let bytes: Vec<u8> =
                        slices[..filled].iter().flat_map(|s| s.iter().copied()).collect();
                    let n = step.min(bytes.len());
                    sent.extend_from_slice(&bytes[..n]);
                    out.advance(n as u64);
                }
            }
        }
    }

    #[test]
    fn small_writes_become_one_slice_and_a_file_behind_them_is_announced() {
        let mut out = Output::new();
        out.write(b"HTTP/1.1 ");
        out.write_all(&[b"200", b"", b" OK\r\n"]);
        out.write_all(&[b"", b""]);
        out.write_file(range(b"content", true));
        let mut slices = [IoSlice::new(&[]); 4];
        let (filled, file_follows) = out.slices(&mut slices);
        assert_eq!((filled, file_follows), (1, true));
        assert_eq!(&slices[0][..], b"HTTP/1.1 200 OK\r\n");
        assert_eq!((out.held(), out.unsent()), (17, 24));
    }

    #[test]
    fn the_last_part_of_a_changed_file_is_refused_and_an_earlier_one_is_not() {
        let mut out = Output::new();
        out.write_file(range(b"0123456789", false));
        assert!(matches!(out.part(9), Part::File(_)));
        assert!(matches!(out.part(10), Part::Changed));
        out.advance(8);
        assert!(matches!(out.part(2), Part::Changed));
    }

    #[test]
    fn sent_bytes_do_not_pile_up_behind_a_slow_reader() {
        let mut out = Output::new();
        for _ in 0..10_000 {
            out.write(&[7; 1000]);
            out.advance(if out.held() > 64_000 { 1000 } else { 900 });
        }
        assert!(out.plain.capacity() < 512 * 1024, "{}", out.plain.capacity());
    }

    proptest! {
        #[test]
        fn what_is_appended_is_sent_in_order_at_any_step(
            pieces in proptest::collection::vec((0u8..3, 0usize..40), 0..20),
            step in 1usize..50,
            split in 0usize..20,
        ) {
            const TEXT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";
            let (mut first, mut second) = (Output::new(), Output::new());
            let mut expected = Vec::new();
            for (at, (kind, len)) in pieces.iter().enumerate() {
                let out = if at < split { &mut first } else { &mut second };
                let bytes = &TEXT[..*len];
                expected.extend_from_slice(bytes);
                match kind {
                    0 => out.write(bytes),
                    1 => out.write_shared(Bytes::from_static(bytes)),
                    _ => out.write_file(range(bytes, true)),
                }
            }
            first.append(&mut second);
            prop_assert_eq!(first.unsent(), expected.len() as u64);
            prop_assert_eq!(send_all(&mut first, step), expected);
            prop_assert_eq!((first.held(), first.unsent(), first.pieces()), (0, 0, 0));
            prop_assert!(second.is_empty());
        }
    }
}

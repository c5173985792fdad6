//! Writes responses as frames: moves the output of a stream into the connection's output.

use std::mem;

use sockeye_proto::{Turn, driver};

use super::budget::Budgets;
use super::error::H2Error;
use super::limits::{QUANTUM, SMALL};
use crate::h2::exchange::{CONTINUE, H2Exchange};
use crate::h2::frame::{self, DEFAULT_MAX_LEN, FrameHeader, flags, kind};
use crate::h2::window::Window;

/// Writes the output of streams as frames, within the limits that the peer has set.
#[derive(Debug)]
pub(super) struct Sender {
    /// The window of the connection.
    pub(super) window: Window,
    /// The window of new streams.
    pub(super) initial_window: Window,
    /// The maximum payload of a frame.
    pub(super) max_len: usize,
    /// The peer has lowered the size of the dynamic table, which this side doesn't use. The next
    /// header block begins with a change of the size to 0 (RFC 7541, 4.2).
    owes_table_size: bool,
    /// This side has already sent the change to size 0.
    has_sent_table_size: bool,
}

/// HPACK's change of the dynamic table's size to 0 (RFC 7541, 6.3).
const TABLE_SIZE_0: &[u8] = b"\x20";

/// What a call of [`Sender::move_frames`] has moved.
pub(super) struct Moved {
    /// Frames were written.
    pub(super) has_written: bool,
    /// The whole response was moved.
    pub(super) is_complete: bool,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self {
            window: Window::DEFAULT,
            initial_window: Window::DEFAULT,
            max_len: DEFAULT_MAX_LEN,
            owes_table_size: false,
            has_sent_table_size: false,
        }
    }

    /// The peer's decoder accepts a dynamic table of at most `size` bytes. Default: 4,096.
    pub(super) fn limit_table_size(&mut self, size: u32) {
        self.owes_table_size |= size < 4096 && !self.has_sent_table_size;
    }

    /// How many of `content` bytes may be sent on a stream with this window. If the windows allow
    /// fewer than [`SMALL`] bytes, a part of the content is sent only if `sends_small` is set (the
    /// stream has waited for a larger window), or if the part is at least half of the initial
    /// window: then the peer has chosen a small initial window.
    #[inline]
    pub(super) fn allowed(&self, window: Window, content: u64, sends_small: bool) -> u64 {
        let allowed = window.available().min(self.window.available()).min(content);
        if allowed >= SMALL || allowed == content || sends_small {
            return allowed;
        }
        if allowed < self.initial_window.available() / 2 { 0 } else { allowed }
    }

    /// Moves at most `max` bytes of content, and the header blocks before and after it. `is_whole`:
    /// the output of the stream holds the rest of the response.
    pub(super) fn move_frames(
        &mut self,
        stream: &mut driver::Stream,
        wire: &mut H2Exchange,
        (window, is_whole, sends_small): (&mut Window, bool, bool),
        max: u64,
        (budgets, turn): (&mut Budgets, &mut Turn<'_>),
    ) -> Result<Moved, H2Error> {
        let id = stream.id().get();
        if is_whole && self.move_small(stream, wire, window, budgets, turn)? {
            return Ok(Moved { has_written: true, is_complete: true });
        }
        let mut moved = Moved { has_written: false, is_complete: false };
        if mem::take(&mut wire.sends_continue) {
            moved.has_written = true;
            self.write_headers(id, flags::NONE, CONTINUE.len(), turn, |turn, _| {
                turn.out.write(CONTINUE);
            });
        }
        let trailers = wire.trailers_len as u64;
        let mut content = stream.unsent() - wire.head_len as u64 - trailers;
        let mut ends_stream = is_whole && content == 0 && trailers == 0;
        let head_len = mem::take(&mut wire.head_len);
        if head_len > 0 {
            moved.has_written = true;
            let end = if ends_stream { flags::END_STREAM } else { flags::NONE };
            self.write_headers(id, end, head_len, turn, |turn, len| {
                stream.move_to(turn.out, len);
            });
            if ends_stream {
                moved.is_complete = true;
                return Ok(moved);
            }
        }
        let mut left = max.min(content);
        while left > 0 {
            let allowed = self.allowed(*window, content, sends_small);
            let len = left.min(allowed).min(self.max_len as u64).min(QUANTUM);
            if len == 0 {
                break;
            }
            budgets.on_sent(len, len < left)?;
            window.take(len as usize);
            self.window.take(len as usize);
            (left, content) = (left - len, content - len);
            ends_stream = is_whole && content == 0 && trailers == 0;
            let end = if ends_stream { flags::END_STREAM } else { flags::NONE };
            write_header(len as usize, kind::DATA, end, id, turn);
            stream.move_to(turn.out, len);
            moved.has_written = true;
        }
        if is_whole && content == 0 && !ends_stream {
            self.write_headers(id, flags::END_STREAM, trailers as usize, turn, |turn, len| {
                stream.move_to(turn.out, len);
            });
            wire.trailers_len = 0;
            ends_stream = true;
        } else if ends_stream && !moved.has_written {
            // All content was moved earlier. An empty DATA frame ends the stream.
            write_header(0, kind::DATA, flags::END_STREAM, id, turn);
        }
        moved.has_written |= ends_stream;
        moved.is_complete = ends_stream;
        Ok(moved)
    }

    /// Fast path: moves a whole response that becomes one HEADERS frame and one DATA frame, fits
    /// into the windows, and has neither shared `Bytes` nor file ranges. Returns whether the
    /// response was moved.
    #[inline]
    fn move_small(
        &mut self,
        stream: &mut driver::Stream,
        wire: &mut H2Exchange,
        window: &mut Window,
        budgets: &mut Budgets,
        turn: &mut Turn<'_>,
    ) -> Result<bool, H2Error> {
        let id = stream.id().get();
        let head_len = wire.head_len;
        let content = (stream.unsent() as usize).saturating_sub(head_len);
        let allowed = window.available().min(self.window.available()).min(QUANTUM);
        let is_small = head_len > 0
            && content > 0
            && content as u64 <= allowed
            && head_len <= DEFAULT_MAX_LEN
            && !(wire.sends_continue || wire.trailers_len > 0 || self.owes_table_size);
        let is_moved = is_small
            && stream.move_plain(|plain| {
                let (head, content) = plain.split_at(head_len);
                turn.out.write_with(|bytes| {
                    frame::write(kind::HEADERS, flags::END_HEADERS, id, head, bytes);
                    frame::write(kind::DATA, flags::END_STREAM, id, content, bytes);
                });
            });
        if is_moved {
            window.take(content);
            self.window.take(content);
            budgets.on_sent(content as u64, false)?;
            wire.head_len = 0;
        }
        Ok(is_moved)
    }

    /// Writes a header block of `len` bytes, which `move_block` appends, as a HEADERS frame and as
    /// many CONTINUATION frames as it needs. `end` is END_STREAM or no flag.
    fn write_headers(
        &mut self,
        id: u32,
        end: u8,
        len: usize,
        turn: &mut Turn<'_>,
        mut move_block: impl FnMut(&mut Turn<'_>, u64),
    ) {
        let owes_table_size = mem::take(&mut self.owes_table_size);
        self.has_sent_table_size |= owes_table_size;
        let prefix = if owes_table_size { TABLE_SIZE_0 } else { b"" };
        let mut left = len;
        let mut room = self.max_len - prefix.len();
        let (mut kind, mut end) = (kind::HEADERS, end);
        loop {
            let part = left.min(room);
            left -= part;
            let last = if left == 0 { flags::END_HEADERS } else { flags::NONE };
            let is_first = kind == kind::HEADERS;
            let prefix = if is_first { prefix } else { b"" };
            write_header(prefix.len() + part, kind, end | last, id, turn);
            if !prefix.is_empty() {
                turn.out.write(prefix);
            }
            move_block(turn, part as u64);
            if left == 0 {
                return;
            }
            (kind, end, room) = (kind::CONTINUATION, flags::NONE, self.max_len);
        }
    }
}

fn write_header(len: usize, kind: u8, flags: u8, stream: u32, turn: &mut Turn<'_>) {
    let header = FrameHeader { len, kind, flags, stream };
    turn.out.write_with(|bytes| header.write(bytes));
}

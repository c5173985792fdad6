//! Compresses and decompresses the messages of a connection (RFC 7692, 6 and 7.2).

use flate2::{Decompress, FlushCompress, FlushDecompress, Status};

use super::DeflateOptions;
use super::history::History;
use super::memory::DeflateMemory;
use super::negotiation::{Agreed, Direction};
use super::options::WINDOW_BITS;

/// What a sender removes from the end of a message: a block without data, except its first byte.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// [`TAIL`], and a final block without data. A decompressor that finds the end of the stream there
/// was at the start of a block: the message was complete.
const TAIL_AND_END: [u8; 6] = [0, 0, 0xff, 0xff, 3, 0];

/// A message that has at most this many bytes after decompression may expand by any ratio, as logs
/// of equal lines and empty images do. The default limit on messages is the same.
const ANY_RATIO: usize = 1024 * 1024;

/// Maximum number of DEFLATE streams in a message, that is of blocks with BFINAL. A sender ends a
/// stream at most once for each fragment. Each end of a stream resets the decompressor, so many
/// short streams are expensive.
const MAX_STREAMS: u32 = 1024;

/// Least number of bytes by which the output of decompression grows.
const MIN_GROWTH: usize = 512;

/// Most bytes that are reserved for the output at a time. Its `Vec` may double its capacity
/// instead.
const MAX_GROWTH: usize = 16 * 1024;

/// Bytes of memory of a decompressor.
pub(super) const DECOMPRESSOR: usize = 48 * 1024;

/// Why a message can't be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// It is larger than allowed.
    TooLarge,
    /// It expands to more than this many times its size.
    Ratio(usize),
    /// It is not in the format of DEFLATE, or ends within a block.
    Malformed,
}

/// Compresses and decompresses the messages of one connection, one at a time in each direction.
#[derive(Debug)]
pub(crate) struct Codec {
    /// `None`: the peer allows only a window that zlib can't make. So no message is compressed.
    send_window_bits: Option<u8>,
    sent: History,
    received: History,
    /// The message of which a part has been received.
    incomplete: Option<Inflating>,
    min_len: usize,
    level: u8,
    max_ratio: usize,
}

impl Codec {
    pub(crate) fn new(agreed: &Agreed, options: &DeflateOptions) -> Self {
        let history = |direction: Direction| {
            let bits = direction.window_bits.min(options.window_bits);
            History::new(if direction.context_takeover { 1 << bits } else { 0 })
        };
        let bits = agreed.sends.window_bits;
        Self {
            send_window_bits: WINDOW_BITS.contains(&bits).then_some(bits),
            sent: history(agreed.sends),
            received: history(agreed.receives),
            incomplete: None,
            min_len: options.min_len.max(1),
            level: options.level,
            max_ratio: options.max_ratio,
        }
    }

    /// Bytes of memory that this connection holds. It changes with every message. Without context
    /// takeover, it is 0 between messages. With it, at most one window in each direction is added.
    /// While a part of a message has been received, 48 KiB are added.
    pub(crate) fn held(&self) -> usize {
        let incomplete = if self.incomplete.is_some() { DECOMPRESSOR } else { 0 };
        self.sent.held() + self.received.held() + incomplete
    }

    /// Decompresses the next part of a message, and appends to `out`. `is_last`: the message ends
    /// with `data`. The parts may be cut anywhere. `max` is the most that the message may have
    /// after decompression, over all of its parts.
    ///
    /// After an error, the end of `out` is unspecified, and the connection has to be closed.
    pub(crate) fn inflate(
        &mut self,
        memory: &mut DeflateMemory,
        data: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), InflateError> {
        let mut message = self
            .incomplete
            .take()
            .unwrap_or_else(|| Inflating::new(memory.lend_decompressor(self.received.bytes())));
        let start = out.len();
        message.consumed = message.consumed.saturating_add(data.len());
        let max_expanded = ANY_RATIO.max(message.consumed.saturating_mul(self.max_ratio));
        let mut result = message.inflate(data, out, max.min(max_expanded));
        if result == Err(InflateError::TooLarge) && max_expanded < max {
            result = Err(InflateError::Ratio(self.max_ratio));
        }
        if result.is_ok() {
            self.received.push(&out[start..]);
            if !is_last {
                self.incomplete = Some(message);
                return Ok(());
            }
            result = message.finish();
        }
        memory.take_back_decompressor(message.decompressor);
        result
    }

    /// Compresses a message, and appends it to `out`. If it returns `false`, it has not changed
    /// `out`: send the message as it is, without RSV1, since it is short or compression would make
    /// it no smaller. Before that, `out` may need memory for the whole message, and an eighth more.
    pub(crate) fn deflate(
        &mut self,
        memory: &mut DeflateMemory,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(window_bits) = self.send_window_bits else { return false };
        if message.len() < self.min_len {
            return false;
        }
        let start = out.len();
        // At level 1, a byte takes up to 9 bits, and at the others less. The 64 bytes are for
        // headers and the tail.
        out.reserve(message.len() + message.len() / 8 + 64);
        let compressor = memory.compressor(window_bits, self.level, self.sent.bytes());
        let result = compressor.compress_vec(message, out, FlushCompress::Sync);
        // The output is complete if there is room left.
        let is_complete = result.is_ok()
            && compressor.total_in() == message.len() as u64
            && out.len() < out.capacity();
        if !is_complete {
            // A reset doesn't clear all of a state that still has output, in zlib-rs 0.6.8.
            memory.discard_compressor(window_bits);
        }
        if !is_complete || out.len() - start >= message.len() + TAIL.len() {
            out.truncate(start);
            return false;
        }
        debug_assert!(out[start..].ends_with(&TAIL), "a sync flush");
        out.truncate(out.len() - TAIL.len());
        self.sent.push(message);
        true
    }
}

/// The decompression of one message.
#[derive(Debug)]
struct Inflating {
    decompressor: Box<Decompress>,
    /// Bytes of the message so far.
    consumed: usize,
    /// Bytes of the message after decompression so far.
    produced: usize,
    /// Ends of DEFLATE streams so far.
    streams: u32,
    /// All data so far are complete DEFLATE streams. Also true before any data.
    is_between_streams: bool,
}

impl Inflating {
    fn new(decompressor: Box<Decompress>) -> Self {
        Self { decompressor, consumed: 0, produced: 0, streams: 0, is_between_streams: true }
    }

    fn inflate(
        &mut self,
        mut data: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), InflateError> {
        if data.is_empty() {
            return Ok(());
        }
        loop {
            if out.len() == out.capacity() {
                let growth = (4 * data.len()).clamp(MIN_GROWTH, MAX_GROWTH);
                // One byte more than allowed shows that there is too much.
                out.reserve(growth.min(max.saturating_sub(self.produced).saturating_add(1)));
            }
            let (in_before, out_before) = (self.decompressor.total_in(), out.len());
            let status = self
                .decompressor
                .decompress_vec(data, out, FlushDecompress::None)
                .map_err(|_| InflateError::Malformed)?;
            let consumed = (self.decompressor.total_in() - in_before) as usize;
            data = &data[consumed..];
            self.produced += out.len() - out_before;
            if self.produced > max {
                return Err(InflateError::TooLarge);
            }
            self.is_between_streams = status == Status::StreamEnd;
            if self.is_between_streams {
                self.start_stream()?;
            }
            // Unless there is room left, more output may follow without more data.
            if data.is_empty() && (self.is_between_streams || out.len() < out.capacity()) {
                return Ok(());
            }
            if consumed == 0 && out.len() == out_before {
                return Err(InflateError::Malformed);
            }
        }
    }

    /// A block with BFINAL has ended the stream, but not the message (RFC 7692, 7.2.3.4). Most
    /// decompressors forget their window there, so no sender refers to it.
    fn start_stream(&mut self) -> Result<(), InflateError> {
        self.streams += 1;
        if self.streams > MAX_STREAMS {
            return Err(InflateError::Malformed);
        }
        self.decompressor.reset(false);
        Ok(())
    }

    /// Checks that the message is complete.
    fn finish(&mut self) -> Result<(), InflateError> {
        // A sender ends a message with an empty block, of which it removes all but the first byte.
        // After a block with BFINAL, some senders leave out that byte, too.
        if self.is_between_streams {
            return Ok(());
        }
        let (in_before, out_before) = (self.decompressor.total_in(), self.decompressor.total_out());
        let mut none = [0; TAIL_AND_END.len()];
        let status = self.decompressor.decompress(&TAIL_AND_END, &mut none, FlushDecompress::None);
        let is_complete = matches!(status, Ok(Status::StreamEnd))
            && self.decompressor.total_in() - in_before == TAIL_AND_END.len() as u64
            && self.decompressor.total_out() == out_before;
        if is_complete { Ok(()) } else { Err(InflateError::Malformed) }
    }
}

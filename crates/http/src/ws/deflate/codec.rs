//! Compresses and decompresses the messages of a connection (RFC 7692, 6 and 7.2).

use flate2::{Decompress, FlushCompress, FlushDecompress, Status};

use super::DeflateOptions;
use super::history::History;
use super::memory::DeflateMemory;
use super::negotiation::{Agreed, Direction};
use super::options::WINDOW_BITS;

/// The last four bytes of the empty stored block with which a compressor ends each message. The
/// sender removes them, and the receiver appends them again (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// [`TAIL`], then an empty final block. If the decompressor reads these bytes after a message and
/// reports the end of the stream, the message with its tail ended between blocks, so it was
/// complete.
const TAIL_AND_END: [u8; 6] = [0, 0, 0xff, 0xff, 3, 0];

/// A message of at most this many bytes after decompression may expand by any ratio, as logs of
/// equal lines and empty images do. The default limit on messages is 1 MiB, too.
const ANY_RATIO: usize = 1024 * 1024;

/// Maximum number of DEFLATE streams in a message. A final block (BFINAL = 1) ends a stream, and
/// senders write at most one such block per fragment. The limit is needed because the decompressor
/// is reset after each stream, which takes far longer than reading the 2 bytes of the shortest
/// stream.
const MAX_STREAMS: u32 = 1024;

/// Minimum number of bytes by which the output of decompression grows, unless the message's size
/// limit allows fewer.
const MIN_GROWTH: usize = 512;

/// Maximum number of bytes by which the output grows, except that `Vec` may double its capacity.
const MAX_GROWTH: usize = 16 * 1024;

/// Memory of one decompressor, in bytes.
pub(super) const DECOMPRESSOR: usize = 48 * 1024;

/// Why a message can't be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// The message is larger than allowed.
    TooLarge,
    /// The message expands to more than this many times its size.
    Ratio(usize),
    /// The message is not valid DEFLATE, ends within a block, or has more than [`MAX_STREAMS`]
    /// streams.
    Malformed,
}

/// Compresses and decompresses the messages of one connection, one at a time in each direction.
#[derive(Debug)]
pub(crate) struct Codec {
    /// The compression window, as a base-2 logarithm of bytes. `None`: the peer allows only a
    /// window of 256 bytes, which zlib doesn't support. So no message is compressed.
    send_window_bits: Option<u8>,
    /// The last bytes, before compression, of the messages that were sent compressed. Later
    /// messages may refer to them. Empty without context takeover.
    sent: History,
    /// The last bytes, after decompression, of the messages that were received compressed.
    received: History,
    /// The message that is being received, if it arrives in parts.
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

    /// Memory that the codec holds, in bytes. It changes with every message. Between messages, it
    /// is 0 without context takeover, and at most one window per direction with it. An incomplete
    /// message adds 48 KiB.
    pub(crate) fn held(&self) -> usize {
        let incomplete = if self.incomplete.is_some() { DECOMPRESSOR } else { 0 };
        self.sent.held() + self.received.held() + incomplete
    }

    /// Decompresses the next part of a message, and appends the result to `out`. `is_last`: the
    /// message ends with `data`. The parts may be cut anywhere. `max`: maximum bytes of the whole
    /// message after decompression.
    ///
    /// After an error, what was appended to `out` is unspecified, and the connection has to be
    /// closed.
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

    /// Compresses a message, and appends it to `out`. Returns `false` if the message is short,
    /// would not become smaller, or can't be compressed for this peer: then send it uncompressed,
    /// without the bit RSV1 in its frame. In this case, `out` has the same content as before, but
    /// its capacity may have grown by about nine eighths of the message's size.
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
        // A byte takes up to 9 bits at level 1, and less at other levels. The 64 bytes are for
        // headers and the tail.
        out.reserve(message.len() + message.len() / 8 + 64);
        let compressor = memory.compressor(window_bits, self.level, self.sent.bytes());
        let result = compressor.compress_vec(message, out, FlushCompress::Sync);
        // The output is complete if there is room left.
        let is_complete = result.is_ok()
            && compressor.total_in() == message.len() as u64
            && out.len() < out.capacity();
        if !is_complete {
            // In zlib-rs 0.6.8, resetting a compressor that has pending output doesn't clear its
            // whole state.
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
    /// Compressed bytes of the message so far.
    consumed: usize,
    /// Bytes of the message after decompression so far.
    produced: usize,
    /// DEFLATE streams that have ended so far.
    streams: u32,
    /// All data so far consists of complete DEFLATE streams, or there is no data.
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
            // If `out` is full, the decompressor may have more output for the data that it has
            // read.
            if data.is_empty() && (self.is_between_streams || out.len() < out.capacity()) {
                return Ok(());
            }
            if consumed == 0 && out.len() == out_before {
                return Err(InflateError::Malformed);
            }
        }
    }

    /// Starts a new DEFLATE stream: a block with BFINAL ends the stream, but not the message (RFC
    /// 7692, 7.2.3.4). The reset drops the window. Most other receivers drop it there, too, so no
    /// sender refers to bytes of an earlier stream.
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
        // After a last block with BFINAL, senders should append the first byte of an empty block
        // (RFC 7692, 7.2.3.4). A message without this byte is complete, too.
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

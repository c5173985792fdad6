//! The settings of compression.
//!
//! The defaults are based on these measurements: JSON messages without context takeover, on one
//! core. The compressed size is in percent of the message, and the time is that of compression:
//!
//! | level | 128 bytes    | 512 bytes    | 4 KiB        | 64 KiB        | 1 MiB        |
//! |-------|--------------|--------------|--------------|---------------|--------------|
//! | 1     | 96 %, 5 µs   | 53 %, 5 µs   | 36 %, 13 µs  | 30 %, 170 µs  | 30 %, 3 ms   |
//! | 2     | 87 %, 10 µs  | 42 %, 11 µs  | 25 %, 25 µs  | 22 %, 270 µs  | 22 %, 5 ms   |
//! | 3     | 87 %, 10 µs  | 42 %, 12 µs  | 24 %, 37 µs  | 21 %, 400 µs  | 20 %, 6 ms   |
//! | 6     | 87 %, 10 µs  | 42 %, 12 µs  | 23 %, 38 µs  | 20 %, 600 µs  | 19 %, 10 ms  |
//!
//! Most of the time of a short message is spent on clearing the compressor's hash table.

use std::ops::RangeInclusive;

/// The window sizes that zlib supports for raw DEFLATE, as base-2 logarithms of bytes. RFC 7692
/// also allows 8.
pub(super) const WINDOW_BITS: RangeInclusive<u8> = 9..=15;

/// The compression of WebSocket messages (permessage-deflate, RFC 7692).
///
/// ```
/// use sockeye_http::ws::DeflateOptions;
///
/// let options = DeflateOptions::new().context_takeover(true).min_len(128);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflateOptions {
    pub(super) context_takeover: bool,
    pub(super) window_bits: u8,
    pub(super) min_len: usize,
    pub(super) level: u8,
    pub(super) max_ratio: usize,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self { context_takeover: false, window_bits: 11, min_len: 512, level: 2, max_ratio: 200 }
    }
}

impl DeflateOptions {
    /// The default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether a message may refer to earlier messages, in both directions. Small messages
    /// that resemble each other then become much smaller. A connection keeps one window of messages
    /// in each direction (see [`window_bits`](Self::window_bits)): 4 KiB in total by default. A
    /// peer that can't limit its window sends messages without context takeover. Default: off.
    #[must_use]
    pub fn context_takeover(mut self, context_takeover: bool) -> Self {
        self.context_takeover = context_takeover;
        self
    }

    /// Sets how much of earlier messages a connection keeps in each direction with context
    /// takeover, as a base-2 logarithm of bytes: 9 (512 bytes) to 15 (32 KiB). Default: 11 (2 KiB).
    ///
    /// With context takeover, the peer's window is at most this large, which also limits references
    /// within its messages. References within our messages go back up to 32 KiB, or less if the
    /// peer limits our window.
    ///
    /// # Panics
    ///
    /// If `bits` is not one of 9 to 15.
    #[must_use]
    pub fn window_bits(mut self, bits: u8) -> Self {
        assert!(WINDOW_BITS.contains(&bits), "window_bits is {bits}: use 9 to 15");
        self.window_bits = bits;
        self
    }

    /// Sets the length of the shortest message that is compressed, in bytes. Shorter messages
    /// take about as long to compress as those of 512 bytes, and shrink less: without context
    /// takeover, JSON messages of 512 bytes shrink by more than half, and those of 128 bytes by an
    /// eighth. Default: 512.
    #[must_use]
    pub fn min_len(mut self, len: usize) -> Self {
        self.min_len = len;
        self
    }

    /// Sets the compression level of zlib: 1 (fastest) to 9 (smallest). Compression runs on the
    /// event loop, where a message of 1 MiB takes about 5 ms at the default level. Default: 2.
    ///
    /// # Panics
    ///
    /// If `level` is not one of 1 to 9.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        assert!((1..=9).contains(&level), "level is {level}: use 1 to 9");
        self.level = level;
        self
    }

    /// Sets the maximum ratio of a received message's size to its compressed size. It applies to
    /// messages of more than 1 MiB, in addition to [`Limits::message`](crate::ws::Limits::message).
    /// A message that exceeds it is refused as too large.
    ///
    /// DEFLATE reaches a ratio of up to 1,032. Text and JSON rarely exceed 50. Default: 200.
    #[must_use]
    pub fn max_ratio(mut self, ratio: usize) -> Self {
        self.max_ratio = ratio;
        self
    }
}

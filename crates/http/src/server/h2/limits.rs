//! Limits that hold for every HTTP/2 connection.

use std::time::Duration;

/// Maximum number of streams in flight (SETTINGS_MAX_CONCURRENT_STREAMS).
pub(super) const MAX_STREAMS: usize = 100;

/// A stream's output is full at this many bytes.
pub(super) const MAX_STREAM_OUTPUT: usize = 64 * 1024;

/// Maximum number of bytes of a stream's content in one frame, so that a more urgent response can
/// overtake it.
pub(super) const QUANTUM: u64 = 16 * 1024;

/// Frames are moved to the connection's output while less than this is unsent there.
pub(super) const MAX_UNSENT: u64 = 128 * 1024;

/// A DATA frame with less content than this is small, in bytes.
pub(super) const SMALL: u64 = 256;

/// If a window lets only a small part of the content through, this waits for so long for a larger
/// window. Otherwise a client that enlarges its windows by what each frame has used up would get
/// small frames for ever.
pub(super) const SMALL_DELAY: Duration = Duration::from_millis(200);

/// At most about this much waits in the kernel, so that a more urgent response needs not wait for a
/// whole send buffer.
pub(super) const MAX_KERNEL_UNSENT: u32 = 256 * 1024;

/// The window of a stream at first: bytes of content that wait for a handler that doesn't read.
pub(super) const STREAM_WINDOW: u32 = 65_535;

/// The window of a stream whose content a handler reads.
pub(super) const READ_STREAM_WINDOW: u32 = 512 * 1024;

/// The window of a connection.
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// While the streams of a connection hold this much content that no handler has read, its window
/// isn't enlarged again. That is more than a few streams may hold, so that these stall no others.
pub(super) const MAX_UNREAD_CONTENT: usize = 4 * 1024 * 1024;

/// Changes of the memory that streams hold are reported to the engine from this size on, in bytes.
pub(super) const REPORTED_CHANGE: usize = 16 * 1024;

/// If the budget for output is spent, streams that hold less than this may still be followed by
/// others.
pub(super) const UNCHARGED: usize = 40 * 1024;

/// The memory of streams that have ended is freed when the connection had none for this long.
pub(super) const KEEP_SPARE: Duration = Duration::from_secs(1);

/// The streams that this side has reset are forgotten when the connection had none for this long:
/// their frames have arrived by then.
pub(super) const KEEP_RESETS: Duration = Duration::from_secs(30);

/// Maximum number of settings in one frame.
pub(super) const MAX_SETTINGS: usize = 32;

/// Maximum number of CONTINUATION frames of a header block.
pub(super) const MAX_CONTINUATIONS: u8 = 8;

/// Maximum number of priorities that are kept for streams that have not begun.
pub(super) const MAX_EARLY_PRIORITIES: usize = MAX_STREAMS;

/// How many of the streams that this side has reset are remembered. Frames of them that were on
/// their way are no fault.
pub(super) const MAX_RESETS: usize = 2 * MAX_STREAMS;

/// How much more is discarded of a request that was answered before its end than in HTTP/1.1. There
/// the connection ends otherwise; here the stream is reset, which some clients take for a failure of
/// the whole request.
pub(super) const DISCARD_FACTOR: u64 = 16;

/// The time to send the rest of a request that was answered before its end. After it, the stream is
/// reset, which asks the client to stop. It is not reset at once, because some clients lose the
/// response then.
pub(super) const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// With streams open, a peer that has been silent for this long gets a PING. After the same time
/// without an answer, the connection ends.
pub(super) const PING_AFTER: Duration = Duration::from_secs(30);

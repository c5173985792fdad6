//! Limits that hold for every HTTP/2 connection.

use std::time::Duration;

/// Maximum number of streams in flight (SETTINGS_MAX_CONCURRENT_STREAMS).
pub(super) const MAX_STREAMS: usize = 100;

/// A stream's output is full at this many bytes.
pub(super) const MAX_STREAM_OUTPUT: usize = 64 * 1024;

/// Maximum number of bytes of content in one frame, and of one stream's content that is sent before
/// a more urgent stream can have its turn.
pub(super) const QUANTUM: u64 = 16 * 1024;

/// Frames are moved to the connection's output while it holds fewer unsent bytes than this.
pub(super) const MAX_UNSENT: u64 = 128 * 1024;

/// A DATA frame with fewer bytes of content than this is small.
pub(super) const SMALL: u64 = 256;

/// If a window allows fewer than `SMALL` bytes and less than the rest of the content, the stream
/// waits up to this long for a larger window, unless the client's initial window is small. Without
/// the wait, a client that enlarges its windows by the length of each frame would get small frames
/// forever.
pub(super) const SMALL_DELAY: Duration = Duration::from_millis(200);

/// About this many unsent bytes may wait in the kernel, so that a more urgent response doesn't wait
/// for a whole send buffer.
pub(super) const MAX_KERNEL_UNSENT: u32 = 256 * 1024;

/// The initial receive window of a stream, in bytes. It limits the content that waits for a handler
/// that doesn't read.
pub(super) const STREAM_WINDOW: u32 = 65_535;

/// The receive window of a stream whose content a handler reads, in bytes.
pub(super) const READ_STREAM_WINDOW: u32 = 512 * 1024;

/// The receive window of a connection, in bytes.
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The connection's window is not enlarged while its streams hold this many bytes of content that
/// no handler has read. A few streams can't hold that much, so they can't stall the others.
pub(super) const MAX_UNREAD_CONTENT: usize = 4 * 1024 * 1024;

/// If the connection's window is not enlarged because too much content waits for handlers, this
/// side checks again after this time: no event says that the engine's budget for memory has
/// recovered.
pub(super) const WINDOW_RECHECK: Duration = Duration::from_secs(1);

/// The memory that streams and an incomplete header block hold is reported to the engine when it
/// has changed by this many bytes, or is 0 again.
pub(super) const REPORTED_CHANGE: usize = 16 * 1024;

/// A connection that holds at most this many bytes is not charged to the output budget. While the
/// budget, or the client's share of it, is spent, a connection whose streams hold more bytes than
/// this refuses new streams, and the window of a connection is not enlarged if more bytes of
/// content than this wait for handlers.
pub(super) const UNCHARGED: usize = 40 * 1024;

/// If a connection has neither streams nor input for this long, the memory of its ended streams is
/// freed.
pub(super) const KEEP_SPARE: Duration = Duration::from_secs(1);

/// If a connection has neither streams nor input for this long after [`KEEP_SPARE`], it forgets
/// which streams this side has reset: the frames that the client sent on them have arrived by then.
pub(super) const KEEP_RESETS: Duration = Duration::from_secs(30);

/// Maximum number of settings in one frame.
pub(super) const MAX_SETTINGS: usize = 32;

/// Maximum number of CONTINUATION frames of a header block.
pub(super) const MAX_CONTINUATIONS: u8 = 8;

/// Maximum number of priorities that are kept for streams that have not begun.
pub(super) const MAX_EARLY_PRIORITIES: usize = MAX_STREAMS;

/// How many streams that this side has reset are remembered. If the client sent frames on them
/// before it received the reset, that is not an error.
pub(super) const MAX_RESETS: usize = 2 * MAX_STREAMS;

/// If a request is answered before its end, up to this factor times `Limits::discard` bytes of its
/// content are discarded; in HTTP/1.1, `Limits::discard` bytes. After more content, HTTP/1.1 closes
/// the connection, and HTTP/2 resets the stream, which some clients treat as a failure of the whole
/// request.
pub(super) const DISCARD_FACTOR: u64 = 16;

/// How long a client may take to send the rest of a request that was answered before its end. Then
/// the stream is reset, so that the client stops sending. It is not reset at once, because some
/// clients would lose the response.
pub(super) const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// With streams open and all output sent, a peer that has been silent for this long gets a PING. If
/// it stays silent for the same time again, the connection ends.
pub(super) const PING_AFTER: Duration = Duration::from_secs(30);

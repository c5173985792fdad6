//! Limits of every connection.

/// The window of a stream, and of the connection: content is read as soon as it arrives, so a
/// server needn't wait for a larger window. The window is enlarged again when half of it was used.
pub(super) const WINDOW: u32 = 1 << 30;

/// Maximum size of a header block, encoded, and of its fields as RFC 9113, 6.5.2, counts them: 32
/// bytes for each, besides its bytes. The same limit applies in HTTP/1.1. It is high because
/// servers send longer heads than clients.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Maximum number of CONTINUATION frames of a header block: more than a block of [`MAX_HEAD`] needs
/// in frames of 1 KiB.
pub(super) const MAX_CONTINUATIONS: u8 = 64;

/// Maximum number of interim (1xx) responses before a final one, as for HTTP/1.1.
pub(super) const MAX_INTERIM: u32 = 100;

/// Maximum number of consecutive frames without a part of a response, such as PING. Each PING and
/// SETTINGS frame adds an acknowledgement to the output.
pub(super) const MAX_OTHER_FRAMES: u32 = 10_000;

/// Maximum number of requests in flight before the server's settings have arrived. RFC 9113, 6.5.2,
/// recommends no smaller limit.
pub(super) const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// Maximum number of response heads that are remembered, one for each request of [`RequestHeads`].
/// If the next head is the same, it is not decoded.
///
/// [`RequestHeads`]: super::RequestHeads
pub(super) const MAX_KNOWN_HEADS: usize = 64;

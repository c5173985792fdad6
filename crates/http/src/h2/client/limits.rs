//! Limits of connections on the client's side. These limits can't be changed.

/// The flow-control window of each stream, and of the connection, in bytes. Content is read as soon
/// as it arrives, so a smaller window would only make the server wait for WINDOW_UPDATE. When half
/// of a window is used, it is enlarged to this size again.
pub(super) const WINDOW: u32 = 1 << 30;

/// Maximum size of an encoded header block, and of its decoded fields. For each field, the bytes of
/// its name and value count, and 32 more (RFC 9113, 6.5.2). Heads of HTTP/1.1 have the same limit.
/// The limit is high because servers send longer heads than clients.
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
/// recommends that servers allow at least 100.
pub(super) const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// Maximum number of response heads that are remembered: the last one for each request of
/// [`RequestHeads`], which are sent again and again. If the header block of the next response to
/// the same request is the same, and HPACK's dynamic table has not changed, the block is not
/// decoded.
///
/// [`RequestHeads`]: super::RequestHeads
pub(super) const MAX_KNOWN_HEADS: usize = 64;

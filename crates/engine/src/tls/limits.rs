//! Sizes of records and handshakes.

/// The most bytes of plaintext in a record (RFC 8446, 5.1).
pub(crate) const RECORD: usize = 16 * 1024;
/// Maximum ciphertext of an incomplete handshake message that a server keeps: a client hello, or
/// the certificates of a client.
#[cfg(feature = "tls")]
pub(crate) const MAX_FROM_CLIENT: usize = 16 * 1024 + 64;

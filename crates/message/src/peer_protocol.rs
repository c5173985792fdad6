//! The protocol that a peer uses, found by the first bytes of its connection.

use sockeye_http::is_token_byte;

/// The protocol that a peer uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerProtocol {
    /// Frames of this crate's messages, valid or not.
    Frames,
    /// HTTP, valid or not.
    Http,
    /// TLS, on a port without TLS. The HTTP server answers it with an error, whose first bytes make
    /// TLS libraries fail at once (OpenSSL: `wrong version number`).
    Tls,
}

impl PeerProtocol {
    /// Detects the protocol by the first bytes of a connection; `None` if more are needed. Three
    /// are always enough.
    ///
    /// - Three characters of a token (RFC 9110, 5.6.2) start the method of an HTTP request. They
    ///   can't begin a frame: its first two bytes are the length of its JSON header, which begins
    ///   with a `{` or white space.
    /// - The first bytes of a TLS record of type 22 (handshake), with major version 3 and a minor
    ///   version below 5, are TLS.
    /// - Anything else counts as a frame, even a blank line in front of an HTTP request.
    ///
    /// ```
    /// use sockeye_message::PeerProtocol;
    ///
    /// assert_eq!(PeerProtocol::detect(b"PO"), None); // Or a length of 20,559.
    /// assert_eq!(PeerProtocol::detect(b"POS"), Some(PeerProtocol::Http));
    /// assert_eq!(PeerProtocol::detect(b"PO{"), Some(PeerProtocol::Frames));
    /// assert_eq!(PeerProtocol::detect(b"\0"), Some(PeerProtocol::Frames));
    /// ```
    #[must_use]
    pub fn detect(first: &[u8]) -> Option<Self> {
        let is_token = |bytes: &[u8]| bytes.iter().all(|byte| is_token_byte(*byte));
        match first {
            [] | [0x16] | [0x16, 3] => None,
            [0x16, 3, 0..5, ..] => Some(Self::Tls),
            [a, b, c, ..] if is_token(&[*a, *b, *c]) => Some(Self::Http),
            [_] | [_, _] if is_token(first) => None,
            _ => Some(Self::Frames),
        }
    }
}

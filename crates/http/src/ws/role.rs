//! The two sides of a WebSocket.

/// The side of a WebSocket that a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Receives masked frames, and sends them without masks.
    Server,
    /// Sends masked frames.
    Client,
}

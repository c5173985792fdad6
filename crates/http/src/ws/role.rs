//! The two sides of a WebSocket.

/// Which side of a WebSocket a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Receives masked frames, and sends them without masks.
    Server,
    /// Sends masked frames, and receives them without masks.
    Client,
}

//! Compression of WebSocket messages: permessage-deflate (RFC 7692).
//!
//! [`accept`] is the server's side of the negotiation, [`offer`] and [`confirm`] are the client's.
//! A connection makes a [`Codec`] from what both sides have agreed on, and calls it for each
//! message. The connection itself writes the frames, with the bit RSV1 that marks a compressed
//! message.
//!
//! The states of compressors (up to 370 KiB each) and decompressors (48 KiB each) are in a
//! [`DeflateMemory`], which the connections of a worker (event loop) share. A connection holds a
//! decompressor only while a message has arrived in part. With context takeover, a connection also
//! keeps the end of what it has sent and received, as the dictionary for the next message: in each
//! direction at most the size of the window, 2 KiB by default. Without context takeover, a
//! connection keeps nothing between messages.

mod codec;
mod history;
mod memory;
mod negotiation;
mod options;
mod parameters;
#[cfg(test)]
mod tests;

pub(crate) use codec::{Codec, InflateError};
pub(crate) use memory::DeflateMemory;
pub(crate) use negotiation::{Agreed, accept, confirm, offer};
pub use options::DeflateOptions;

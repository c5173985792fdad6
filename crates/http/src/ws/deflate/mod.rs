//! Compression of WebSocket messages: permessage-deflate (RFC 7692).
//!
//! [`accept`] is the server's side of the negotiation, [`offer`] and [`confirm`] are the client's.
//! From what both sides agree on, a [`Codec`] is made, which a connection calls for each message.
//! The connection itself writes the frames, with the bit RSV1 that marks a compressed message.
//!
//! The states of compressors and decompressors, up to 370 KiB and 48 KiB each, are in a
//! [`DeflateMemory`], which the connections of a shard share. A connection holds a decompressor
//! only while it has received a part of a message. With context takeover it also keeps the end of
//! what it has sent and received, as the dictionary for the next message: at most a window in each
//! direction, 2 KiB by default. Without context takeover, it keeps nothing between messages.

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

//! Compression of WebSocket messages: permessage-deflate (RFC 7692).
//!
//! [`accept`] is the server's side of the negotiation, [`offer`] and [`confirm`] are the client's.
//! What they agree on makes a [`Codec`], which a connection calls for each message. The frames and
//! their bit RSV1 are up to the connection.
//!
//! The states of compressors and decompressors, up to 370 KiB and 48 KiB each, are in a
//! [`DeflateMemory`], which the connections of a shard share. A connection holds a decompressor
//! only while it has received a part of a message. With context takeover it also keeps the end of
//! what it has sent and received, as the dictionary for the next message: at most a window in each
//! direction, 2 KiB by default. Without, it keeps nothing between messages.

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

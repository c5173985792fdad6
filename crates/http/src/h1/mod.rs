//! HTTP/1.1 and 1.0 as bytes (RFC 9112).

pub(crate) mod block;
pub(crate) mod body;
pub mod client;
pub(crate) mod exchange;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod target;
pub(crate) mod write;

//! HTTP/1.1 and 1.0 as bytes (RFC 9112).

pub(crate) mod body;
pub(crate) mod cached_fields;
pub mod client;
mod codings;
pub(crate) mod exchange;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod target;
pub(crate) mod write;

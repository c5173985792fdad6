//! HTTP/2 as bytes (RFC 9113, RFC 7541).

pub mod client;
pub(crate) mod exchange;
pub(crate) mod frame;
pub(crate) mod head;
pub(crate) mod head_memory;
pub(crate) mod hpack;
pub(crate) mod priority;
pub(crate) mod window;

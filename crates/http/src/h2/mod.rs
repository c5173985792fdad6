//! The encoding of HTTP/2 (RFC 9113, RFC 7541), and the client's side of a connection.

mod checks;
pub mod client;
pub(crate) mod exchange;
pub(crate) mod frame;
pub(crate) mod head;
pub(crate) mod head_memory;
pub(crate) mod hpack;
pub(crate) mod priority;
pub(crate) mod trailers;
pub(crate) mod window;

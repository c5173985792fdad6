//! HTTP/2 as bytes (RFC 9113, RFC 7541).

#[allow(dead_code, unused_imports, reason = "until the server's side of a connection uses it")]
pub(crate) mod hpack;

//! WebSocket as pure code (RFC 6455).

#[cfg(feature = "deflate")]
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "no connection uses it yet"))]
pub(crate) mod deflate;

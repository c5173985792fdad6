//! One connection to the server under load: sends requests, and counts the responses. For HTTP/2
//! and WebSocket, a protocol in `http2` or `websocket` replaces [`Connection`] once the connection
//! is open.

mod base;
mod http2;
mod ordered;
mod websocket;

pub(crate) use self::ordered::Connection;

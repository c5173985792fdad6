//! One connection to the server under load: sends requests, and counts the responses.
//! [`Connection`] passes connections that speak HTTP/2 or WebSocket on to `http2` and `websocket`.

mod base;
mod http2;
mod ordered;
mod websocket;

pub(crate) use self::ordered::Connection;

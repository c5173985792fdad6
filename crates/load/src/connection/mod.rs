//! One connection of a load: sends requests, and counts the responses.

mod base;
mod http2;
mod ordered;
mod websocket;

pub(crate) use self::ordered::Connection;

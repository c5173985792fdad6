//! The server's side of an HTTP/2 connection (RFC 9113).

mod budget;
mod connection;
mod content;
mod error;
mod events;
mod frames;
mod limits;
mod receive;
mod requests;
mod scheduler;
mod send;
mod sender;
mod stream;
mod streams;
mod switched;
mod timers;
mod tunnel;

pub(super) use connection::H2Connection;

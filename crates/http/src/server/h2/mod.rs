//! The server's side of an HTTP/2 connection (RFC 9113).

mod budget;
mod connection;
mod content;
mod error;
mod frames;
mod limits;
mod requests;
mod scheduler;
mod send;
mod stream;
mod streams;

pub(super) use connection::H2Connection;

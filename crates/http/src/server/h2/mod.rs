//! The server's side of an HTTP/2 connection (RFC 9113).
//!
//! | file | what |
//! |---|---|
//! | `connection` | the state of a connection, its input and its events |
//! | `events`, `timers` | the server's stop, deadlines, the end of input, other threads' messages |
//! | `frames` | received frames other than HEADERS and DATA |
//! | `requests`, `content` | HEADERS and DATA: from frames to requests |
//! | `receive` | the content of a request on its way to the handler |
//! | `stream`, `streams` | one stream; all streams of a connection that are in flight |
//! | `scheduler` | which stream sends next |
//! | `send`, `sender` | from the output of streams to frames |
//! | `switched`, `tunnel` | streams that have switched to another protocol |
//! | `budget`, `limits` | limits against floods; all other limits |
//! | `error` | errors of a connection and of a stream |

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

//! The client's side of an HTTP/2 connection (RFC 9113), without I/O.
//!
//! A [`Connection`] writes requests, reads the server's frames, and returns what happened to each
//! request as [`Event`]s. The heads of requests that are sent over and over are prepared once, as
//! [`RequestHeads`]. On each connection, the first request with a field inserts it into the
//! server's dynamic table (RFC 7541), if there is room. Later requests refer to this entry, in a
//! few bytes. Fields in the static table and secrets, such as cookies, are not inserted.
//!
//! ```
//! use sockeye_http::h2_client::{Connection, Event, RequestHeads};
//! use sockeye_proto::Output;
//!
//! let mut heads = RequestHeads::default();
//! let get = heads.add("GET", "http", "localhost", "/", &[("user-agent", b"example")]);
//!
//! let mut out = Output::new();
//! let mut connection = Connection::new(&mut out);
//! connection.request(&heads, get, None, "the first", &mut out);
//!
//! // The server: its settings, and a response without content to stream 1.
//! let mut input: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x89";
//! let event = connection.read(&mut input, &mut out)?;
//! assert!(matches!(event, Some(Event::Head { head, .. }) if head.status == 204));
//! let event = connection.read(&mut input, &mut out)?;
//! assert!(matches!(event, Some(Event::End("the first"))));
//! assert!(connection.read(&mut input, &mut out)?.is_none());
//! # Ok::<(), sockeye_http::h2_client::Error>(())
//! ```
//!
//! Pushes are turned off. Fields of responses are decoded, checked and dropped, except for the
//! status, the content's length and the URL of a redirect. Redirects and content codings are up to
//! the caller.

mod connection;
mod control;
mod encoder;
mod error;
mod head;
mod limits;
mod send;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

pub use self::connection::{Connection, Event, GoAway};
pub use self::encoder::RequestHeads;
pub use self::error::{Error, code_name};
pub use self::head::Head;

//! A service that answers messages, with no more to write than its answers.
//!
//! A message is content with a type and an encoding; how it travels is [`protocol`]'s. [`serve`]
//! takes whoever answers: a closure, a function, or any value that is [`Respond`]. It gets a
//! [`Request`] and gives a [`Message`], an [`Error`], or a [`Response`] that comes later:
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use serde_json::json;
//! use sockeye::message::{self, Error, Message, Options, Request};
//!
//! let serving = message::serve(
//!     &["127.0.0.1:0".parse()?], // Port 0 takes a free one.
//!     Options::default(),
//!     // Runs on the event loop: don't block. Blocking work: `Response::run`.
//!     |request: Request| -> Result<Message, Error> {
//!         let value = request.message.to_json()?; // What is no JSON is answered with an error.
//!         Ok(Message::json(&json!({ "result": value["value"] }))?)
//!     },
//! )?;
//!
//! let mut peer = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! peer.write_all(
//!     b"\x00\x67{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
//!       \"content-encoding\": \"utf-8\", \"content-length\": 14}{\"value\": 1.5}",
//! )?;
//! let mut reply = Vec::new();
//! peer.read_to_end(&mut reply)?; // One request, one reply, for a peer that asks for no more.
//! assert!(reply.ends_with(b"\"content-length\": 15}{\"result\": 1.5}"));
//!
//! serving.handle().drain();
//! serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! HTTP is answered at the same address: `POST /`, whose Content-Type and body are the message's
//! type, encoding and content. What the handler does is the same, and so is what it says; an
//! [`Error`]'s status follows from its code: those of the protocol have their own, `not_found` is
//! 404, and every other is 422.
//!
//! ```
//! # use std::io::{Read, Write};
//! # use sockeye::message::{self, Options, Request};
//! # let serving = message::serve(
//! #     &["127.0.0.1:0".parse()?], Options::default(), |request: Request| request.message)?;
//! # let mut peer = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! peer.write_all(
//!     b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
//!       Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"value\": 1.5}",
//! )?;
//! # let mut reply = Vec::new();
//! # peer.read_to_end(&mut reply)?;
//! # assert!(reply.starts_with(b"HTTP/1.1 200 OK\r\n") && reply.ends_with(b"{\"value\": 1.5}"));
//! # serving.handle().drain();
//! # serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every limit has a default that holds against a peer that nobody knows: [`Options`].
//!
//! What it leaves out: content is handed over whole, within its limit. A handler that takes it as it
//! comes is a [`protocol::Handler`], which runs on [`Server`](crate::Server) like any protocol.

mod adapter;
mod options;
mod respond;

use sockeye_engine::ListenAddr;
pub use sockeye_http::{AllowedHosts, BadHostName};
pub use sockeye_message as protocol;
pub use sockeye_message::text::{BadText, Encoding};
pub use sockeye_message::{AllowedOrigins, JSON, LARGE, Limits, Message, Refusal};

pub use self::options::Options;
pub use self::respond::{Error, Later, Request, Respond, Response};
pub use crate::serving::{ServeError, Serving};

/// Has messages that come at `addresses` answered by `respond`, on threads of their own, until
/// [`Serving::handle`] says to stop, or the returned value is dropped.
///
/// # Errors
///
/// [`ServeError`] when it could not begin; nothing is answered then.
pub fn serve(
    addresses: &[ListenAddr],
    options: Options,
    respond: impl Respond,
) -> Result<Serving, ServeError> {
    let (workers, config) = (options.workers, options.config.clone());
    Serving::begin_at(addresses, workers, config, adapter::service(options, respond))
}

//! A message service from a closure: it answers HTTP, WebSocket, and frames over plain TCP, all on
//! one port.
//!
//! A message is content with a type and an encoding. A frame of a message is a length, a JSON
//! header and the content; the module [`protocol`] has the details. The closure gets a [`Request`]
//! and returns a [`Message`], an [`Error`], or a [`Reply`], which can be made later:
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use serde_json::json;
//! use sockeye::message::{self, Error, Message, Options, Request};
//!
//! // Runs on the event loop if the content is short: don't block. Blocking work: `Reply::run`.
//! fn answer(request: Request) -> Result<Message, Error> {
//!     let value = request.message.to_json()?; // Content that is not JSON gets an error.
//!     Ok(Message::json(&json!({ "result": value["value"] }))?)
//! }
//!
//! // Port 0 selects a free port.
//! let serving = message::serve(&["127.0.0.1:0".parse()?], Options::default(), answer)?;
//!
//! let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! client.write_all(
//!     b"\x00\x67{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
//!       \"content-encoding\": \"utf-8\", \"content-length\": 14}{\"value\": 1.5}",
//! )?;
//! let mut response = Vec::new();
//! // Without `"connection": "keep-alive"` in its header, a request is the last of its connection.
//! client.read_to_end(&mut response)?;
//! assert!(response.ends_with(b"\"content-length\": 15}{\"result\": 1.5}"));
//!
//! // The same address answers HTTP, and WebSockets at `/`.
//! let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! client.write_all(
//!     b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
//!       Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"value\": 1.5}",
//! )?;
//! let mut response = Vec::new();
//! client.read_to_end(&mut response)?;
//! assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n") && response.ends_with(b"{\"result\": 1.5}"));
//!
//! serving.handle().drain();
//! serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Over HTTP, Content-Type has the message's type and encoding, and the body is the content. Over
//! WebSocket, a text message is JSON, and a binary message is a frame. Over WebSocket, and in
//! frames with `keep-alive`, requests with an `id` are answered as soon as their responses are
//! ready, in any order. A browser that opens the address gets a page from which one can send
//! messages. `docs/message.md` in the repository has the details, and the example `messages` is a
//! whole service.
//!
//! Every limit has a default that is safe with unknown clients: see [`Options`]. The closure gets
//! the content of a request as a whole. If the content is longer than [`LARGE_CONTENT`], the
//! closure runs on a thread of the pool. To take content as it arrives, implement
//! [`protocol::Handler`], and run it with [`protocol::FramesOrHttp`], a protocol for
//! [`Server`](crate::Server).

mod options;
mod reply;
mod service;

pub use sockeye_http::{AllowedHosts, BadHostName};
pub use sockeye_message as protocol;
pub use sockeye_message::text::{BadText, Encoding};
pub use sockeye_message::{
    AllowedOrigins, JSON, LARGE_CONTENT, Limits, Message, Refusal, WebSocketLimits,
};

pub use self::options::Options;
pub use self::reply::{Error, PendingReply, Reply, Request};
pub use self::service::serve;
pub use crate::serving::{ServeError, Serving};

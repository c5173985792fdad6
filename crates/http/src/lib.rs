//! HTTP/1.1 and 1.0 as pure code: bytes in, bytes out (RFC 9110, RFC 9112).
//!
//! For handlers that read requests in place and answer without an allocation, and for the crates built
//! on them: `sockeye-files` answers with a folder, `sockeye::http` with a closure in the types of the
//! `http` crate. [`client`] reads responses.
//!
//! A [`Server`] is the [`Protocol`](sockeye_proto::Protocol) of one connection; what is asked for is
//! answered by a [`Handler`]. Strict where leniency has been an attack: what two parties could read in two
//! ways is refused, and nothing behind it is ever read as a request.
//!
//! ```text
//!  input ─▶ server ─▶ head ──────▶ framing ─────▶ Request ─▶ Handler ─▶ Responder ─▶ output
//!             │        tokens and   what follows,              ▲  │        │  ▲
//!             │        target       persistence                │  └─ later ┼──┘ a promise is settled
//!             │                                                │           ▼
//!             ├──▶ body: pieces without their framing ─────────┤         Stream ─▶ output, bit by bit
//!             │                                                └──── room ─┘
//!             └──▶ state: what is expected next, till when
//! ```
//!
//! One whole exchange, byte for byte:
//!
//! ```
//! use std::rc::Rc;
//! use sockeye_http::{Answer, Body, Fields, Handler, Request, Responder, Server, ServerConfig, Status};
//! use sockeye_proto::harness::Harness;
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn on_request(&mut self, _: &Request<'_>, reply: Responder<'_, '_>) -> Answer {
//!         let fields = Fields::new().with("Content-Type", b"text/plain").expect("a good field");
//!         reply.send(Status::OK, &fields, Body::Static(b"Hello\n"))
//!     }
//! }
//!
//! let mut client = Harness::new(Server::new(Rc::new(ServerConfig::default()), Hello));
//! client.input(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
//! assert_eq!(
//!     client.output(),
//!     b"HTTP/1.1 200 OK\r\n\
//!       Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
//!       Content-Type: text/plain\r\n\
//!       Content-Length: 6\r\n\
//!       \r\n\
//!       Hello\n"
//! );
//! client.eof();
//! assert!(client.finished());
//! ```
//!
//! A body is never decoded beyond its framing: what a `Content-Encoding` means is the handler's.
//! What is left to others as well: how much is buffered for a client that doesn't read, and for how
//! long, is the engine's; what lies behind a path is the handler's.

#![forbid(unsafe_code)]

mod h1;
mod handling;
mod semantics;
mod server;
#[cfg(test)]
mod tests;

pub use h1::client;
pub use handling::answer::Answer;
pub use handling::config::ServerConfig;
pub use handling::handler::Handler;
pub use handling::prepared::{Body, PreparedResponse};
pub use handling::responder::Responder;
pub use handling::stream::{Stream, StreamEvent};
pub use semantics::chars::is_token_byte;
pub use semantics::clients::Clients;
pub use semantics::control::Version;
pub use semantics::date;
pub use semantics::fields::{BadField, Fields};
pub use semantics::host::{AllowedHosts, BadHostName, HostCheck};
pub use semantics::kept::KeptRequest;
pub use semantics::limits::Limits;
pub use semantics::log::{Begun, Ended, Log, Outcome, Unread};
pub use semantics::method::Method;
pub use semantics::names::{FieldName, FieldNames};
pub use semantics::request::{Content, Request, Trailers};
pub use semantics::status::Status;
pub use server::Server;

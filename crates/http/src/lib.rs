//! HTTP as pure code: bytes in, bytes out (RFC 9110, RFC 9112).
//!
//! A [`Server`] is the server's side of one connection, for an engine that runs
//! [`Protocol`](sockeye_proto::Protocol)s. It makes a [`Handler`] for each request, which reads the
//! [`Request`] in place and answers by a [`Responder`], now or later, whole or as a [`Stream`]:
//!
//! ```
//! use sockeye_http::{Answer, Body, Fields, Handler, Request, Responder, Server, Status};
//! use sockeye_proto::Peer;
//! use sockeye_proto::harness::Harness;
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn on_request(&mut self, _: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
//!         let fields = Fields::new().with("Content-Type", b"text/plain").expect("a valid field");
//!         responder.send(Status::OK, &fields, Body::Static(b"Hello\n"))
//!     }
//! }
//!
//! let mut client = Harness::new(Server::new(Default::default(), |_: &Peer| Hello));
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
//! `sockeye-files` answers with a folder, `sockeye::http` with a closure in the types of the `http`
//! crate. [`client`] reads responses.
//!
//! Handlers see the semantics of HTTP only. A *wire* encodes them. The only one now is HTTP/1.1, which
//! [`Server`] speaks. HTTP/2 will be another, and no handler will have to change.
//!
//! ```text
//!  semantics   request, fields, status, …     HTTP without its bytes
//!  h1          head, framing, body, write     HTTP/1.1 as bytes
//!  handling    Handler, Responder, Stream     answering requests on any wire
//!  server      state, events                  one connection
//! ```
//!
//! The reader is strict: what two parties could read in two ways is refused, and nothing behind it is
//! ever read as a request. Content is not decoded: `Content-Encoding` is up to the handler.

#![forbid(unsafe_code)]

mod h1;
mod handling;
#[cfg(feature = "test-wire")]
mod json_lines;
mod semantics;
mod server;
#[cfg(test)]
mod tests;

pub use h1::client;
pub use handling::answer::Answer;
pub use handling::config::{Clients, ServerConfig};
pub use handling::handler::{Handler, Handlers};
pub use handling::prepared::PreparedResponse;
pub use handling::responder::Responder;
pub use handling::stream::{Stream, StreamEvent};
pub use semantics::body::Body;
pub use semantics::chars::is_token_byte;
pub use semantics::control::Version;
pub use semantics::date;
pub use semantics::fields::{BadField, Fields};
pub use semantics::host::{AllowedHosts, BadHostName, HostCheck};
pub use semantics::limits::Limits;
pub use semantics::log::{EndReason, Log, Outcome, RequestHead, UnparsedHead};
pub use semantics::method::Method;
pub use semantics::names::{FieldName, FieldNames};
pub use semantics::owned_request::OwnedRequest;
pub use semantics::request::{Content, Request, Trailers};
pub use semantics::status::Status;
pub use server::Server;
#[cfg(feature = "test-wire")]
pub use server::json_lines::JsonLines;

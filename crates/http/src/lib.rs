//! HTTP as pure code: bytes in, bytes out (RFC 9110, RFC 9112, RFC 9113).
//!
//! A [`Server`] is the server's side of one connection, for an engine that runs
//! [`Protocol`](sockeye_proto::Protocol)s. It makes a [`Handler`] for each request. The handler
//! reads the [`Request`] without a copy, and answers with a [`Responder`], now or later, whole or
//! as a [`Stream`]:
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
//! The crate `sockeye-files` has handlers that serve a folder, and `sockeye::http` has handlers
//! made of closures, with the types of the `http` crate. The module [`client`] reads responses of
//! HTTP/1.1, and [`h2_client`] is the client's side of an HTTP/2 connection.
//!
//! Handlers see only the semantics of HTTP. A *wire* is one encoding of them: HTTP/1.1 or HTTP/2.
//! [`Server`] speaks HTTP/2 if the TLS handshake has chosen it (ALPN), or, without TLS, if the
//! client begins with HTTP/2's preface. [`ServerConfig::http2`] can turn HTTP/2 off. Up to 100
//! requests of an HTTP/2 connection are answered at the same time, each on a stream of its own.
//!
//! ```text
//!  semantics   request, fields, status, …     HTTP without its bytes
//!  h1          head, framing, body, write     HTTP/1.1 as bytes
//!  h2          frame, hpack, head, window     HTTP/2 as bytes
//!  handling    Handler, Responder, Stream     answering requests on any wire
//!  server      h1, h2                         one connection
//! ```
//!
//! The parser is strict: it refuses input that two parties could parse in two ways. In HTTP/1.1,
//! the server reads no request after such input. Content is not decoded: `Content-Encoding` is up
//! to the handler.

#![forbid(unsafe_code)]

mod h1;
mod h2;
mod handling;
#[cfg(feature = "test-wire")]
mod json_lines;
mod semantics;
mod server;
#[cfg(test)]
mod tests;
pub mod ws;

pub use h1::client;
pub use h2::client as h2_client;
#[cfg(feature = "harness")]
pub use h2::hpack::reference::check_header_blocks;
pub use handling::answer::Answer;
pub use handling::config::{Clients, ServerConfig};
pub use handling::handler::{Handler, Handlers};
pub use handling::prepared::PreparedResponse;
pub use handling::responder::Responder;
pub use handling::stream::{Stream, StreamEvent};
pub use semantics::body::Body;
pub use semantics::chars::is_token_byte;
pub use semantics::control::Version;
pub use semantics::cors::preflight_fields;
pub use semantics::date;
pub use semantics::fields::{BadField, Fields};
pub use semantics::host::{AllowedHosts, BadHostName, HostCheck};
pub use semantics::limits::Limits;
pub use semantics::log::{EndReason, Log, Outcome, RequestHead, UnparsedHead};
pub use semantics::method::Method;
pub use semantics::names::{FieldName, FieldNames};
pub use semantics::origin::AllowedOrigins;
pub use semantics::owned_request::OwnedRequest;
pub use semantics::request::{Content, Request, Trailers};
pub use semantics::status::Status;
pub use server::Server;
#[cfg(feature = "test-wire")]
pub use server::json_lines::JsonLines;

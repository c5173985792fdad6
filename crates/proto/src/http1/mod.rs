//! HTTP/1.1 and 1.0, the server's side (RFC 9110, RFC 9112).
//!
//! A [`Server`] is the [`Protocol`](crate::Protocol) of one connection; what is asked for is answered
//! by a [`Handler`]. Strict where leniency has been an attack: what two parties could read in two
//! ways is refused, and nothing behind it is ever read as a request.
//!
//! ```text
//!  input ─▶ server ─▶ head ──────▶ framing ─────▶ Request ─▶ Handler ─▶ Reply ─▶ output
//!             │        tokens and   body, host,                │          ▲
//!             │        target       persistence                └─ later ──┘  a promise is settled
//!             └──▶ state: what is expected next, till when
//! ```
//!
//! One whole exchange, byte for byte:
//!
//! ```
//! use std::rc::Rc;
//! use sockeye_proto::harness::Harness;
//! use sockeye_proto::http1::{Answer, Body, Fields, Handler, Reply, Request, Server, Shared, Status};
//! use sockeye_proto::{Abandoned, Message, Ticket};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn on_request(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answer {
//!         let fields = Fields::new().with("Content-Type", b"text/plain").expect("a good field");
//!         reply.send(Status::OK, &fields, Body::Static(b"Hello\n"))
//!     }
//!
//!     fn on_message(&mut self, _: Ticket, _: Result<Message, Abandoned>, r: Reply<'_, '_>) -> Answer {
//!         r.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "nothing was promised")
//!     }
//! }
//!
//! let mut client = Harness::new(Server::new(Rc::new(Shared::default()), Hello));
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
//! What it leaves out today: a request's body is not read. Such a request is answered, and the
//! connection closed behind the reply. What it leaves to others: how much is buffered for a client
//! that doesn't read, and for how long, is the engine's; what lies behind a path is the handler's.

mod chars;
mod config;
pub mod date;
mod fields;
mod framing;
mod head;
mod refusal;
mod reply;
mod request;
mod server;
mod state;
mod status;
mod target;
#[cfg(test)]
mod tests;

pub use config::{Limits, Shared};
pub use fields::{BadField, Fields};
pub use reply::{Answer, Body, Reply};
pub use request::{Method, Request, Version};
pub use server::{Handler, Server};
pub use status::Status;

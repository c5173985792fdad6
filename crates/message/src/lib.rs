//! A request–response protocol of messages: content with a type and an encoding. Messages are sent
//! in frames over TCP, over HTTP, or over WebSocket.
//!
//! Use this crate for a [`Handler`] of your own. If a closure that answers whole messages is
//! enough, use `sockeye::message`.
//!
//! [`Server`] and [`Client`] are [`Protocol`](sockeye_proto::Protocol)s. A server passes messages
//! to a [`Handler`], which answers them; a client sends the messages of a [`ClientHandler`]. By
//! default a connection carries one request and one response. Requests with an `id` and
//! `"connection": "keep-alive"` can be pipelined; their responses carry the same ids, in any order.
//!
//! The same handlers answer HTTP and WebSocket: [`Http`] turns HTTP requests into messages, and
//! opens WebSockets. A [`FramesOrHttp`] detects by the first bytes of a connection whether it
//! carries frames or HTTP.
//!
//! ```text
//!  input ─▶ server ─▶ frame ─▶ header ─▶ Message ─▶ Handler ─▶ Responder ─▶ output
//!             │       lengths  keys                   │          ▲
//!             │       limits                          └─ later ──┘  any thread sends the result
//!             └──▶ state: what is expected next
//! ```
//!
//! A refused request gets an error response: for an invalid frame or header, at the first byte that
//! shows that it is invalid; for its content, when that is complete. The response is
//! `{"result": "Error: …", "error": {"code": …}}`. The codes are `bad_header`, `bad_content`,
//! `too_large`, `too_complex` (JSON with too many values), `unsupported_encoding`, `busy`,
//! `timeout`, `incomplete` (the input ended inside a frame), `tls_on_plain_port` and `internal`
//! (the server's fault); HTTP and handlers add their own codes.
//!
//! A server that sends every message back:
//!
//! ```
//! use std::rc::Rc;
//! use sockeye_message::{Answer, Handler, Limits, Message, Responder, Server};
//! use sockeye_proto::{Peer, harness::Harness};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn on_message(&mut self, message: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
//!         responder.send(message)
//!     }
//! }
//!
//! let mut connection = Harness::new(Server::new(Rc::new(Limits::default()), Echo));
//! let frame = b"\x00\x67{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
//!       \"content-encoding\": \"utf-8\", \"content-length\": 36}\
//!       {\"action\": \"search\", \"value\": \"cat\"}";
//! connection.input(frame);
//! # if cfg!(target_endian = "little") {
//! assert_eq!(connection.output(), frame);
//! # }
//! assert!(connection.finished());
//! ```

#![forbid(unsafe_code)]

mod answer;
mod client;
mod client_handler;
mod connection_state;
mod deadlines;
mod error;
pub mod frame;
mod frames_or_http;
mod handler;
mod header;
mod http;
mod json;
mod json_nodes;
mod limits;
mod media;
mod message;
mod page;
mod peer_protocol;
mod receive;
#[cfg(feature = "reference")]
pub mod reference;
mod refusal;
mod request;
mod responder;
mod server;
mod state;
#[cfg(test)]
mod tests;
pub mod text;
mod websocket;

pub use answer::Answer;
pub use client::{Client, other_protocol};
pub use client_handler::{ClientAction, ClientConfig, ClientEnd, ClientHandler, ConnectionMode};
pub use error::{ErrorResponse, error_response};
pub use frames_or_http::{FramesOrHttp, ServerConfig};
pub use handler::{ContentMode, Flow, Handler, Settled};
pub use header::{Header, Id};
pub use http::{Http, HttpRequest};
pub use limits::{LARGE_CONTENT, Limits};
pub use message::{JSON, Message};
pub use peer_protocol::PeerProtocol;
pub use refusal::Refusal;
pub use responder::Responder;
pub use server::Server;
pub use sockeye_http::AllowedOrigins;
pub use sockeye_http::ws::Limits as WebSocketLimits;

//! An application protocol of messages: frames of a length, a JSON header and content; the same
//! messages over HTTP.
//!
//! For programs that answer or send such messages with a handler of their own. Where a closure
//! answers whole messages, `sockeye::message` is the shorter way.
//!
//! A [`Server`] is the [`Protocol`](sockeye_proto::Protocol) of a connection on which a [`Handler`]
//! answers, a [`Client`] that of one on which an [`Asker`] asks. To a peer that says nothing else, a
//! connection has one request and one response. A request with an `id` and `"connection":
//! "keep-alive"` asks for more: many requests, pipelined, answered under their ids as they get
//! ready.
//!
//! The same handlers answer HTTP: [`Http`] makes messages of requests, and a [`Port`] finds out by
//! the first bytes of a connection whether it is one of frames or of HTTP.
//!
//! ```text
//!  input ─▶ server ─▶ frame ─▶ header ─▶ Message ─▶ Handler ─▶ Responder ─▶ output
//!             │       lengths  keys                   │          ▲
//!             │       limits                          └─ later ──┘  a promise is settled
//!             └──▶ state: what is expected next, till when
//! ```
//!
//! What is wrong is answered at the first byte that shows it, with a response that any client can
//! print: `{"result": "Error: …", "error": {"code": …}}`. The codes are `bad_header`, `bad_content`,
//! `too_large`, `too_complex`, `unsupported_encoding`, `busy`, `timeout`, `incomplete` (the input ended
//! inside a frame) and `internal` (our fault); HTTP and handlers add their own.
//!
//! One whole exchange, byte for byte:
//!
//! ```
//! use std::rc::Rc;
//! use sockeye_message::reference::Reference;
//! use sockeye_message::{Limits, Server};
//! use sockeye_proto::harness::Harness;
//!
//! let mut client = Harness::new(Server::new(Rc::new(Limits::default()), Reference::default()));
//! client.input(
//!     b"\x00\x67{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
//!       \"content-encoding\": \"utf-8\", \"content-length\": 36}\
//!       {\"action\": \"search\", \"value\": \"cat\"}",
//! );
//! # if cfg!(target_endian = "little") {
//! assert_eq!(
//!     client.output(),
//!     b"\x00\x67{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
//!       \"content-encoding\": \"utf-8\", \"content-length\": 33}\
//!       {\"result\": \"No match for 'cat'.\"}"
//! );
//! # }
//! assert!(client.finished());
//! ```
//!
//! What it leaves to others: how much is buffered for a peer that doesn't read, and for how long,
//! is the engine's; what messages mean is the handler's. It sees [`Message`] values and no frames,
//! so that they can travel otherwise, too.

#![forbid(unsafe_code)]

mod answer;
mod asker;
mod client;
mod content;
mod exchange;
mod fault;
pub mod frame;
mod handler;
mod header;
mod http;
pub mod json;
mod late;
mod limits;
mod media;
mod nodes;
mod origin;
mod port;
pub mod reference;
mod responder;
mod server;
mod state;
#[cfg(test)]
mod tests;
pub mod text;

pub use answer::Answer;
pub use asker::{Asker, Ending, Next, Settings, Style};
pub use client::{Client, other_protocol};
pub use content::{ContentError, JSON, Message};
pub use fault::{ErrorReply, Refusal, error_reply};
pub use handler::{Flow, Handler, Wants};
pub use header::{Header, Id};
pub use http::{Http, HttpRequest};
pub use limits::{LARGE, Limits};
pub use origin::AllowedOrigins;
pub use port::{Port, ServerConfig, Spoken};
pub use responder::Responder;
pub use server::Server;

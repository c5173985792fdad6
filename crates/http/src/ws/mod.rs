//! WebSocket (RFC 6455), without I/O.
//!
//! A request opens a WebSocket with a [`Handshake`]. Then a [`Handler`] gets whole messages, and
//! sends with a [`Socket`] or, from any thread, with a [`Sender`]:
//!
//! ```
//! use std::rc::Rc;
//!
//! use sockeye_http::ws::{Config, Handler, Handshake, Message, Socket};
//! use sockeye_http::{Answer, Request, Responder, Server};
//! use sockeye_proto::Peer;
//! use sockeye_proto::harness::Harness;
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
//!         socket.send(message);
//!     }
//! }
//!
//! struct Open(Rc<Config>);
//!
//! impl sockeye_http::Handler for Open {
//!     fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
//!         let has_tls = responder.peer().tls.is_some();
//!         match Handshake::read(request, has_tls, &self.0) {
//!             Ok(handshake) => handshake.accept(None, &self.0, Echo, responder),
//!             Err(refused) => refused.answer(responder),
//!         }
//!     }
//! }
//!
//! let config = Rc::<Config>::default();
//! let open = move |_: &Peer| Open(Rc::clone(&config));
//! let mut client = Harness::new(Server::new(Default::default(), open));
//! client.input(
//!     b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
//!       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
//! );
//! assert!(client.output().starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//! // A text message in one masked frame.
//! client.input(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
//! assert_eq!(client.output(), b"\x81\x05Hello");
//! ```
//!
//! The main modules:
//!
//! ```text
//!  frame, mask, close      the bytes of frames
//!  content                 the content of a message that arrives in parts
//!  receive                 from frames to messages
//!  state                   what may be sent, and what is expected from the peer
//!  connection              the Protocol: calls the handler
//!  handshake               from a request of HTTP/1.1 or HTTP/2 to a connection
//!  tunnel                  any protocol inside a WebSocket
//! ```

mod client;
mod close;
mod config;
mod connection;
mod content;
#[cfg(feature = "deflate")]
mod deflate;
mod extension;
mod frame;
mod handler;
mod handshake;
mod mask;
mod message;
mod receive;
mod role;
mod scratch;
mod sender;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod tunnel;
mod violation;

pub use self::client::{ClientHandshake, Opening};
pub use self::close::{CloseCode, Closed, MAX_REASON};
pub use self::config::{Config, Limits};
pub use self::connection::Connection;
#[cfg(feature = "deflate")]
pub use self::deflate::DeflateOptions;
pub use self::extension::Extension;
pub use self::frame::{FrameHeader, Opcode};
pub use self::handler::Handler;
pub use self::handshake::{Handshake, Refused, accept_value, is_websocket_request};
pub use self::mask::{MaskKey, MaskKeys, advance as advance_mask, mask};
pub use self::message::{Message, SharedMessage};
pub use self::sender::{Gone, Sender, TrySendError};
pub use self::socket::Socket;
pub use self::tunnel::Tunnel;

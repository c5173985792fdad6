//! WebSockets (RFC 6455), opened by the closure that answers requests.
//!
//! [`on_message`] opens a WebSocket, and calls another closure with each of its messages:
//!
//! ```
//! use sockeye::http::{self, Options, ws};
//!
//! // A request that asks for no WebSocket gets 400, one from a page of another origin 403.
//! let serving = http::serve(&["127.0.0.1:0".parse()?], Options::default(), |request| {
//!     ws::on_message(&request, |message, socket| socket.send(message))
//! })?;
//! # serving.handle().drain();
//! # serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`upgrade`] opens one with a [`Handler`], which has state and also learns when the WebSocket
//! opens, closes, has space in its output, or is woken by a [`Remote`](crate::Remote). [`Options`]
//! has limits, the origins of pages that may connect, and subprotocols:
//!
//! ```
//! use sockeye::http::{AllowedOrigins, Body, Reply, Request, ws};
//!
//! struct Counter(u64);
//!
//! impl ws::Handler for Counter {
//!     // Runs on the event loop: don't block. Blocking work: `Socket::run`.
//!     fn on_message(&mut self, message: ws::Message<'_>, socket: &mut ws::Socket<'_, '_>) {
//!         self.0 += message.bytes().len() as u64;
//!         socket.send(&format!("{} bytes so far", self.0));
//!     }
//! }
//!
//! fn options() -> ws::Options {
//!     ws::Options::default()
//!         .limits(ws::Limits { message: 64 * 1024, ..Default::default() })
//!         .allowed_origins(AllowedOrigins::default().allow("https://app.example"))
//! }
//!
//! // Make the options once, outside of the closure.
//! fn answer(options: &ws::Options, request: &Request<Body>) -> Reply {
//!     options.upgrade(request, Counter(0))
//! }
//! ```
//!
//! # Backpressure
//!
//! Nothing is read from a peer whose output is full
//! ([`Config::max_buffered_output`](crate::Config::max_buffered_output), by default 256 KiB), so a
//! handler that only answers each message needs no code for slow peers. A handler that sends other
//! messages, too, checks [`Socket::is_full`], and continues in [`Handler::on_room`].
//!
//! | to send | use |
//! |---|---|
//! | an answer | [`Socket::send`] |
//! | the same to many WebSockets | [`Broadcast`] |
//! | from another thread | [`Socket::sender`]: [`Sender::send`] waits for a slow peer |
//! | from another thread that also receives | [`channel`] |
//! | the result of blocking work | [`Socket::run`], [`Handler::on_delivery`] |

mod broadcast;
mod channel;
mod options;

#[cfg(feature = "deflate")]
pub use sockeye_http::ws::DeflateOptions;
pub use sockeye_http::ws::{
    CloseCode, Closed, Gone, Handler, Limits, MAX_REASON, Message, Sender, SharedMessage, Socket,
    TrySendError,
};

pub use self::broadcast::{Broadcast, Missed, Subscription};
pub use self::channel::Receiver;
pub use self::options::{Options, channel, on_message, upgrade};

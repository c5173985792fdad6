//! A service that answers messages, with no more to write than its answers.
//!
//! A message is content with a type and an encoding; how it travels is
//! [`proto::message`](sockeye_proto::message)'s. [`serve`] takes whoever answers: a closure, a
//! function, or any value that is [`Respond`]. It gets a [`Request`] and gives a [`Message`], an
//! [`Error`], or a [`Response`] that comes later:
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
//! Every limit has a default that holds against a peer that nobody knows: [`Options`].
//!
//! What it leaves out: content is handed over whole, within its limit. A handler that takes it as it
//! comes is a [`proto::message::Handler`](sockeye_proto::message::Handler), which runs on
//! [`Server`] like any conversation.

mod adapter;
mod respond;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use sockeye_engine::driver::{BindError, Bound};
use sockeye_engine::{Config, Handle, ListenAddr, Running, Server, Tally, usable_cores};
pub use sockeye_proto::message::text::{BadText, Encoding};
pub use sockeye_proto::message::{ContentError, JSON, Limits, Message};

pub use self::respond::{Error, Later, Request, Respond, Response};

/// How a service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads, each with an event loop of its own. By default, as many as there are cores that
    /// this process may use.
    pub workers: NonZeroUsize,
    /// Limits and deadlines of messages.
    pub limits: Limits,
    /// Limits and deadlines of connections.
    pub config: Config,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: usable_cores(), limits: Limits::default(), config: Config::default() }
    }
}

/// Why a service could not begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// An address could not be had.
    Bind(BindError),
    /// A thread or a poller could not be had.
    Start(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Start(error) => write!(f, "cannot start the workers: {error}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(error) => Some(error),
            Self::Start(error) => Some(error),
        }
    }
}

/// Has messages that come at `addresses` answered by `respond`, on threads of their own, until
/// [`Serving::handle`] says to stop.
///
/// # Errors
///
/// [`ServeError`] when it could not begin; nothing is answered then.
pub fn serve(
    addresses: &[ListenAddr],
    options: Options,
    respond: impl Respond,
) -> Result<Serving, ServeError> {
    let Options { workers, limits, config } = options;
    let server = Server::bind(addresses, workers, config).map_err(ServeError::Bind)?;
    let addresses = server.addresses().to_vec();
    let service = adapter::service(limits, respond);
    let running = server.start(service).map_err(ServeError::Start)?;
    Ok(Serving { addresses, running })
}

/// A service that answers.
#[derive(Debug)]
pub struct Serving {
    addresses: Vec<Bound>,
    running: Running,
}

impl Serving {
    /// Where it listens, with the ports that were taken where 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[Bound] {
        &self.addresses
    }

    /// Those of TCP among [`Serving::addresses`].
    pub fn ip_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().filter_map(|bound| match bound {
            Bound::Ip(address) => Some(*address),
            Bound::Unix(_) => None,
        })
    }

    /// What stops it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.running.handle()
    }

    /// Waits until it has been drained or stopped, and says what was counted.
    ///
    /// # Errors
    ///
    /// When a worker failed.
    pub fn join(self) -> io::Result<Tally> {
        self.running.join()
    }
}

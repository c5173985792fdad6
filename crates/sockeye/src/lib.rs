//! TCP servers and clients, from an echo to HTTP, on one event loop of our own.
//!
//! A server is two things: a *connection* (what bytes mean, what to answer) and an *engine*
//! (sockets, clocks, limits, overload). A connection is a plain value that implements
//! [`Protocol`]; the engine holds thousands of them on each core, with deadlines, limits,
//! backpressure and draining, whatever they say:
//!
//! ```text
//!   a peer ──bytes──▶ Server ── a thread per core ──▶ on_bytes, on_event ──▶ your Protocol
//!          ◀─bytes── (engine)        flushes once a turn ◀────── Turn::out ──┘
//! ```
//!
//! - [`proto`]: [`Protocol`] and what it is given; an echo; a harness for tests.
//! - [`http_core`]: HTTP/1.1 as a protocol, with handlers that read requests in place.
//! - [`engine`]: [`Server`], [`run_client`], [`Config`] with every limit and its default.
//! - [`files`]: a folder, or one file, as HTTP responses (feature `files`).
//! - [`http`]: a service that answers HTTP requests, of which only the answers are left to write.
//! - [`message`]: the same of messages, in frames and over HTTP.
//!
//! # Don't block the event loop
//!
//! A protocol's callbacks, and the closures of [`http`] and [`message`], run on the event loop of a
//! worker, which serves thousands of connections. While one of them blocks (sleeps, waits for a lock
//! or a channel, reads a file, computes for long), the worker serves nobody else. If a turn of the loop
//! takes more than 100 ms, a warning says so, at most every 10 s for each worker.
//!
//! | for | in a [`Protocol`] | in [`http`] | in [`message`] |
//! |---|---|---|---|
//! | what blocks | [`Turn::run`] | [`Reply::run`](http::Reply::run) | [`Response::run`](message::Response::run) |
//! | an answer from another thread | [`Turn::promise`] | [`Reply::later`](http::Reply::later) | [`Response::later`](message::Response::later) |
//! | news from elsewhere, again and again | [`Turn::remote`]: [`Remote::wake`] | [`Reply::follow`](http::Reply::follow), [`Reply::stream`](http::Reply::stream) | |
//!
//! # A protocol of one's own
//!
//! A line comes in, and goes back in capitals. The line that never ends is the protocol's business;
//! a peer that doesn't read, the thousandth connection and the server's end are not.
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use std::num::NonZeroUsize;
//!
//! use sockeye::{Bound, Config, End, Event, Fault, Protocol, Server, Time, Consumed, Turn};
//!
//! struct Shout;
//!
//! const LONGEST_LINE: usize = 1024;
//!
//! impl Protocol for Shout {
//!     // Runs on the event loop: don't block. Blocking work: `Turn::run`.
//!     fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
//!         let Some(end) = input.iter().rposition(|byte| *byte == b'\n') else {
//!             if input.len() > LONGEST_LINE {
//!                 turn.out.write(b"?\n");
//!                 return Err(Fault::peer("line_too_long", "sent a line of more than 1 KiB"));
//!             }
//!             return Ok(Consumed::more(0)); // All of it is offered again, with more behind it.
//!         };
//!         let lines = &input[..=end];
//!         turn.out.write(&lines.to_ascii_uppercase());
//!         Ok(Consumed::more(lines.len()))
//!     }
//!
//!     fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
//!         if let Event::Eof { .. } | Event::Drain { .. } = event {
//!             turn.end(End::Finish); // What is written still goes out.
//!         }
//!         Ok(())
//!     }
//!
//!     fn deadline(&self) -> Option<Time> {
//!         None
//!     }
//! }
//!
//! // Port 0 takes a free one.
//! let server = Server::bind(&["127.0.0.1:0".parse()?], NonZeroUsize::MIN, Config::default())?;
//! let Bound::Ip(address) = server.addresses()[0] else { unreachable!("TCP was asked for") };
//! let running = server.serve(|_peer| Shout)?;
//!
//! let mut peer = std::net::TcpStream::connect(address)?;
//! peer.write_all(b"hello ")?;
//! peer.write_all(b"world\n")?;
//! let mut reply = String::new();
//! BufReader::new(&peer).read_line(&mut reply)?;
//! assert_eq!(reply, "HELLO WORLD\n");
//! drop(peer);
//!
//! running.handle().drain();
//! let stats = running.join()?;
//! assert_eq!((stats.accepted, stats.cut), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same connection without a socket, byte by byte: `proto::harness`, with the feature `harness`.
//! How connections tell each other something, over all workers and without waiting for slow peers:
//! [`Remote`], and the example `chat`.
//!
//! # A folder over HTTP
//!
//! ```
//! use std::io::{Read, Write};
//! use std::num::NonZeroUsize;
//! use std::rc::Rc;
//!
//! # #[cfg(feature = "files")] {
//! use sockeye::files::{CacheLimits, Folder, memory::Memory};
//! use sockeye::{Bound, Config, Peer, Server, http_core};
//!
//! let files = Memory::new(); // Or `Folder::open("site")?`.
//! files.write("index.html", "Hello World");
//! let folder = Folder::new(files);
//!
//! let server = Server::bind(&["127.0.0.1:0".parse()?], NonZeroUsize::MIN, Config::default())?;
//! let Bound::Ip(address) = server.addresses()[0] else { unreachable!("TCP was asked for") };
//! let running = server.start(move |_shard| {
//!     let shared = Rc::new(http_core::ServerConfig::default());
//!     let site = folder.site(CacheLimits::default());
//!     // With the site beside it, files that nobody asks for any more are closed.
//!     (site.clone(), move |_: &Peer| http_core::Server::new(shared.clone(), site.handler()))
//! })?;
//!
//! let mut peer = std::net::TcpStream::connect(address)?;
//! peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! let mut reply = String::new();
//! peer.read_to_string(&mut reply)?;
//! assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"));
//! assert!(reply.ends_with("\r\n\r\nHello World"));
//!
//! running.handle().drain();
//! running.join()?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `files` | yes | [`files`]: a folder as HTTP responses |
//! | `compression` | yes | files in zstd, brotli and gzip, for folders; it takes a C compiler to build |
//!
//! What is absent: this crate has no code of its own but that of [`http`] and [`message`]. The program
//! `sockeye` is the crate `sockeye-cli`.

#![forbid(unsafe_code)]

pub mod http;
pub mod message;
mod serving;

pub use serving::{ServeError, Serving, check_hosts_on_loopback};
pub use sockeye_engine as engine;
#[cfg(feature = "files")]
pub use sockeye_files as files;
pub use sockeye_http as http_core;
pub use sockeye_proto as proto;

pub use sockeye_engine::driver::{BindError, Bound, Target};
pub use sockeye_engine::{
    BadListenAddr, BadNetwork, Config, Handle, Jobs, Linger, ListenAddr, Network, Running, Server,
    Service, Stats, Stopped, run_client, usable_cores,
};
pub use sockeye_proto::{
    Abandoned, Access, Address, Blame, Client, Consumed, End, Event, Fault, FileRange, FileSource,
    Job, JobKind, Mark, Message, Next, Output, Peer, Promise, Protocol, Reason, Remote, SendError,
    Ticket, Time, Timed, Turn, WallTime, echo,
};

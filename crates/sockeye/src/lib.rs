//! TCP servers and clients on an event loop of their own: HTTP, folders, messages, or your own
//! protocol.
//!
//! # HTTP
//!
//! ```
//! use sockeye::http::{self, Body, Options, Request};
//!
//! // Runs on the event loop: don't block. Blocking work: `Reply::run`.
//! fn answer(request: Request<Body>) -> String {
//!     format!("Hello from {}\n", request.uri().path())
//! }
//!
//! // Port 0 selects a free port.
//! let serving = http::serve(&["127.0.0.1:0".parse()?], Options::default(), answer)?;
//! println!("http://{}", serving.addresses()[0]);
//! # use std::io::{Read, Write};
//! # let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! # client.write_all(b"GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! # let mut response = String::new();
//! # client.read_to_string(&mut response)?;
//! # assert!(response.ends_with("\r\n\r\nHello from /a\n"), "{response}");
//! # serving.handle().drain();
//! serving.join()?; // Serves until `serving.handle()` stops it.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`http`] has bodies, streams and server-sent events, too; [`message`] does the same for
//! messages.
//!
//! # A folder
//!
//! ```
//! # #[cfg(feature = "files")] {
//! use std::rc::Rc;
//!
//! use sockeye::files::{CacheLimits, Folder};
//! use sockeye::{Config, Peer, Serving, http_core, usable_cores};
//!
//! let folder = Folder::open("src")?;
//! let addresses = ["127.0.0.1:0".parse()?];
//! let serving = Serving::start(&addresses, usable_cores(), Config::default(), move |_, _| {
//!     let config = Rc::new(http_core::ServerConfig::default());
//!     let site = folder.site(CacheLimits::default());
//!     // The pair also closes files that have not been requested for a while.
//!     (site.clone(), move |_: &Peer| http_core::Server::new(config.clone(), site.clone()))
//! })?;
//! # use std::io::{Read, Write};
//! # let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! # client.write_all(b"GET /lib.rs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! # let mut response = String::new();
//! # client.read_to_string(&mut response)?;
//! # assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
//! # serving.handle().drain();
//! serving.join()?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Your own protocol
//!
//! A protocol is pure code: bytes in, bytes out. The engine calls it, and adds limits, deadlines,
//! backpressure and draining. This one sends each line back in capitals:
//!
//! ```
//! use sockeye::{
//!     Config, Consumed, End, Event, Fault, Peer, Protocol, Serving, Time, Turn, usable_cores,
//! };
//!
//! struct Shout;
//!
//! impl Protocol for Shout {
//!     // Runs on the event loop: don't block. Blocking work: `Turn::run`.
//!     fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
//!         let Some(end) = input.iter().rposition(|byte| *byte == b'\n') else {
//!             if input.len() > 1024 {
//!                 return Err(Fault::peer("line_too_long", "sent a line of more than 1 KiB"));
//!             }
//!             return Ok(Consumed::more(0)); // Offered again, with the bytes that follow.
//!         };
//!         turn.out.write(&input[..=end].to_ascii_uppercase());
//!         Ok(Consumed::more(end + 1))
//!     }
//!
//!     fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
//!         if let Event::Eof { .. } | Event::Drain { .. } = event {
//!             turn.end(End::Finish); // The output is still sent.
//!         }
//!         Ok(())
//!     }
//!
//!     fn deadline(&self) -> Option<Time> {
//!         None
//!     }
//! }
//!
//! let addresses = ["127.0.0.1:0".parse()?];
//! let serving =
//!     Serving::start(&addresses, usable_cores(), Config::default(), |_, _| |_: &Peer| Shout)?;
//! # use std::io::{BufRead, BufReader, Write};
//! # let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! # client.write_all(b"hello ")?;
//! # client.write_all(b"world\n")?;
//! # let mut line = String::new();
//! # BufReader::new(&client).read_line(&mut line)?;
//! # assert_eq!(line, "HELLO WORLD\n");
//! # drop(client);
//! # serving.handle().drain();
//! serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `proto::harness`, with the feature `harness`, tests a protocol byte by byte, without sockets.
//! With [`Remote`], connections notify each other: see the example `chat`.
//!
//! # An axum app
//!
//! The crate `sockeye-tower` runs it, or any other `tower::Service`:
//!
//! ```
//! use axum::{Router, routing::get};
//! use sockeye::http::Options;
//!
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! let app = Router::new().route("/", get(|| async { "Hello World" }));
//! let addresses = ["127.0.0.1:0".parse()?];
//! let serving = sockeye_tower::serve(&addresses, Options::default(), runtime.handle(), app)?;
//! # serving.handle().drain();
//! serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Don't block the event loop
//!
//! Protocols, and the closures of [`http`] and [`message`], run on the event loop of a worker,
//! which serves thousands of connections. While one of them blocks (sleeps, waits for a lock or a
//! channel, reads a file, computes for long), the others wait. If a turn of the loop takes more
//! than 100 ms, the server logs a warning, at most every 10 s per worker. Use instead:
//!
//! | for | in a [`Protocol`] | in [`http`] | in [`message`] |
//! |---|---|---|---|
//! | blocking work | [`Turn::run`] | [`Reply::run`](http::Reply::run) | [`Reply::run`](message::Reply::run) |
//! | a response from another thread | [`Turn::promise`] | [`Reply::later`](http::Reply::later) | [`Reply::later`](message::Reply::later) |
//! | repeated notifications | [`Turn::remote`], [`Remote::wake`] | [`Reply::follow`](http::Reply::follow), [`Reply::stream`](http::Reply::stream) | |
//!
//! # Modules and features
//!
//! | module | contains |
//! |---|---|
//! | [`http`] | HTTP services from closures |
//! | [`message`] | message services from closures, in frames and over HTTP |
//! | [`files`] | a folder, or one file, as HTTP responses |
//! | [`http_core`] | HTTP/1.1 as a protocol, with handlers that read requests without copying them |
//! | [`engine`] | [`Server`], [`run_client`], and [`Config`] with every limit and its default |
//! | [`proto`] | [`Protocol`], the types that it uses, an echo, and a harness for tests (feature `harness`) |
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `files` | yes | [`files`] |
//! | `compression` | yes | zstd, brotli and gzip for [`files`]; needs a C compiler to build |
//! | `harness` | no | `proto::harness`, which drives a protocol in a test |
//!
//! The program `sockeye` is the crate `sockeye-cli`.

#![forbid(unsafe_code)]

pub mod http;
pub mod message;
mod serving;

pub use serving::{ServeError, Serving};
pub use sockeye_engine as engine;
#[cfg(feature = "files")]
pub use sockeye_files as files;
pub use sockeye_http as http_core;
pub use sockeye_proto as proto;

pub use sockeye_engine::driver::{BindError, Bound, Target};
pub use sockeye_engine::{
    BadListenAddr, BadNetwork, Config, Handle, JobStats, Linger, ListenAddr, Network, Running,
    Server, Service, Stats, Stopped, run_client, usable_cores,
};
pub use sockeye_proto::{
    Abandoned, Access, Address, Blame, Client, Consumed, End, Event, Fault, FileRange, FileSource,
    Job, JobKind, Mark, Message, Next, Output, Peer, Promise, Protocol, Reason, Remote, SendError,
    Ticket, Time, Timed, Turn, WallTime, echo,
};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

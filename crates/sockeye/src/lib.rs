//! TCP servers and clients on an event loop of their own: HTTP, folders, messages, or your own
//! protocol.
//!
//! ```toml
//! [dependencies]
//! sockeye = "0.2"
//! sockeye-tower = "0.2" # for axum, and for async code in general
//! ```
//!
//! Until these versions are published, depend on a clone of the repository: `sockeye = { path =
//! "…/crates/sockeye" }` and `sockeye-tower = { path = "…/crates/tower" }`, or `{ git = "…" }`.
//! Sockeye runs on Linux 5.10 or later and needs Rust 1.95 or later. [Features](#features) says
//! what can be left out.
//!
//! # HTTP in ten lines
//!
//! ```no_run
//! use sockeye::http::{self, Options};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Runs on the event loop: don't block. Instead: `Reply::run` for blocking work,
//!     // `Reply::later` for a response from another thread, `sockeye_tower::spawn` for async code.
//!     let serving = http::serve(&["127.0.0.1:8080".parse()?], Options::default(), |request| {
//!         format!("You asked for {}\n", request.uri().path())
//!     })?;
//!     println!("Listening at http://{}", serving.addresses()[0]);
//!     serving.join()?; // Serves until `serving.handle()` stops it.
//!     Ok(())
//! }
//! ```
//!
//! The same service speaks HTTP/2: over TLS by ALPN, and without TLS by prior knowledge. [`http`]
//! also has request bodies, streams, server-sent events and WebSockets ([`http::ws`]). [`message`]
//! answers messages (content with a type and an encoding) with a closure, over TCP, HTTP and
//! WebSocket.
//!
//! # An axum app in ten lines
//!
//! The crate `sockeye-tower` runs an axum app or any other `tower::Service`. The program also
//! depends on `axum = "0.8"` and `tokio = { version = "1", features = ["rt-multi-thread"] }`:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use sockeye::http::Options;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//!     let app = Router::new().route("/", get(|| async { "Hello World" }));
//!     let addresses = ["127.0.0.1:8080".parse()?];
//!     let serving = sockeye_tower::serve(&addresses, Options::default(), runtime.handle(), app)?;
//!     serving.join()?;
//!     Ok(())
//! }
//! ```
//!
//! # A protocol in thirty lines
//!
//! A protocol is pure code: bytes in, bytes out. The engine calls it, and adds limits, deadlines,
//! backpressure and draining. The protocol `Shout` sends each line back in capitals:
//!
//! ```no_run
//! use sockeye::{Config, Consumed, End, Event, Fault, Protocol, Time, Turn};
//!
//! struct Shout;
//!
//! impl Protocol for Shout {
//!     // Runs on the event loop: don't block. Blocking work: `Turn::run`.
//!     fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
//!         if input.split(|byte| *byte == b'\n').any(|line| line.len() > 1024) {
//!             return Err(Fault::peer("line_too_long", "sent a line of more than 1 KiB"));
//!         }
//!         let complete = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
//!         turn.out.write(&input[..complete].to_ascii_uppercase());
//!         Ok(Consumed::more(complete)) // The rest is offered again, with the bytes that follow.
//!     }
//!
//!     fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
//!         match event {
//!             Event::Eof { .. } => turn.end(End::Finish), // The output is still sent.
//!             Event::Drain { .. } => turn.end(End::Linger), // The server stops.
//!             _ => {}
//!         }
//!         Ok(())
//!     }
//!
//!     fn deadline(&self) -> Option<Time> {
//!         None
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let addresses = ["127.0.0.1:8080".parse()?];
//!     let serving = sockeye::serve(&addresses, Config::default(), |_peer| Shout)?;
//!     serving.join()?;
//!     Ok(())
//! }
//! ```
//!
//! `on_bytes` must use all complete parts of the input, such as all complete lines. The engine
//! offers the rest again only together with new bytes. [`Protocol`] lists what the engine
//! guarantees. `proto::harness`, with the feature `harness`, tests a protocol byte by byte, without
//! sockets. With [`Remote`], connections notify each other.
//!
//! # Don't block the event loop
//!
//! Protocols, and the closures of [`http`] and [`message`], run on the event loop of a worker,
//! which serves thousands of connections. While a protocol or a closure blocks (sleeps, waits for a
//! lock or a channel, reads a file, computes for long), all these connections wait. If a pass of
//! the loop takes more than 100 ms, the server logs a warning, at most every 10 s per worker. Use
//! instead:
//!
//! | for | in a [`Protocol`] | in [`http`] | in [`http::ws`] | in [`message`] |
//! |---|---|---|---|---|
//! | blocking work | [`Turn::run`] | [`Reply::run`](http::Reply::run) | [`Socket::run`](http::ws::Socket::run) | [`Reply::run`](message::Reply::run) |
//! | a response from another thread | [`Turn::promise`] | [`Reply::later`](http::Reply::later) | [`Socket::sender`](http::ws::Socket::sender), [`ws::channel`](http::ws::channel()) | [`Reply::later`](message::Reply::later) |
//! | an async block | [`Turn::promise`] | `sockeye_tower::spawn` | axum's `WebSocketUpgrade` | [`Reply::later`](message::Reply::later) |
//! | repeated notifications | [`Turn::remote`], [`Remote::wake`] | [`Reply::follow`](http::Reply::follow), [`Reply::stream`](http::Reply::stream) | [`ws::Broadcast`](http::ws::Broadcast) | |
//!
//! # What next
//!
//! The guide `docs/library.md` in the repository goes on from here: paths, request bodies, state,
//! errors, tests, limits, shutdown, logs, deployment, and common errors of the compiler. In a clone
//! of the repository, `cargo run --example NAME` runs an example:
//!
//! | example | shows |
//! |---|---|
//! | `hello` | the smallest HTTP service |
//! | `json_api` | a JSON API: paths, bodies, shared state |
//! | `background_work`, `async_handlers` | what to do instead of blocking |
//! | `axum_app` | an axum app with state |
//! | `graceful_stop` | signals, and a stop that loses no response |
//! | `https` | TLS: certificates that are reloaded, and those of clients |
//! | `websocket_echo`, `websocket_chat`, `websocket_counter` | WebSockets: answers, a chat room, pages that follow a state |
//! | `http_events`, `upload` | server-sent events; bodies of any size |
//! | `messages` | one handler for frames, HTTP and WebSocket on one port, with a page for browsers |
//! | `line_protocol`, `chat` | a protocol of your own; connections that notify each other |
//! | `http_core` | a handler that copies nothing |
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
//!     // The first part of the pair closes files that have not been requested for a while.
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
//! # Modules
//!
//! | module | contains |
//! |---|---|
//! | [`http`] | HTTP services from closures, with WebSockets ([`http::ws`]) |
//! | [`message`] | message services from closures, in frames, over HTTP and over WebSocket |
//! | [`files`] | a folder, or one file, as HTTP responses |
//! | [`http_core`] | HTTP/1.1, HTTP/2 and WebSocket as protocols, with handlers that read requests without copying them; [`http_core::h2_client`] |
//! | [`engine`] | [`Server`], [`run_client`], and [`Config`] with every limit and its default |
//! | [`proto`] | [`Protocol`], the types that it uses, an echo, and a harness for tests (feature `harness`) |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `files` | yes | [`files`] |
//! | `compression` | yes | zstd, brotli and gzip for [`files`]; needs a C compiler to build |
//! | `markdown` | no | for [`files`]: Markdown files as pages, and READMEs in listings |
//! | `deflate` | no | compression of WebSocket messages, if `http::ws::Options` enable it |
//! | `harness` | no | `proto::harness`, which drives a protocol or an HTTP service in a test |
//! | `tls` | no | `tls`, for [`Config::tls`]; needs a C compiler to build |
//! | `ring` | yes | the cryptography of `tls` |
//! | `aws-lc-rs` | no | cryptography by aws-lc-rs, used instead of `ring` if both are enabled |
//!
//! A service that serves no folder builds faster with `default-features = false`. If it uses `tls`,
//! it must then enable `ring` or `aws-lc-rs`, too. Compared with `ring`, `aws-lc-rs` halves the CPU
//! time of RSA handshakes, saves about 15 % for handshakes with P-256 keys, and makes key exchange
//! post-quantum with clients that support it. The build takes twice as long. The program `sockeye`
//! is the crate `sockeye-cli`, which also has the features `ring` and `aws-lc-rs`.

#![forbid(unsafe_code)]

pub mod http;
pub mod message;
mod serving;

pub use serving::{ServeError, Serving, serve};
pub use sockeye_engine as engine;
#[cfg(feature = "files")]
pub use sockeye_files as files;
pub use sockeye_http as http_core;
pub use sockeye_proto as proto;
#[cfg(feature = "tls")]
pub use sockeye_tls as tls;

pub use sockeye_engine::driver::{BindError, Bound, Target};
pub use sockeye_engine::{
    BadListenAddr, BadNetwork, Config, Handle, HandshakeStats, JobStats, Linger, ListenAddr,
    Network, Running, Server, Service, Stats, Stopped, TlsAcceptor, TlsConnector, run_client,
    run_client_tls, usable_cores,
};
pub use sockeye_proto::{
    Abandoned, Access, Address, Blame, Client, Consumed, End, Event, Fault, FileRange, FileSource,
    Job, JobKind, Mark, Message, Next, Output, Peer, Promise, Protocol, Reason, Remote, SendError,
    Ticket, Time, Timed, TlsInfo, Turn, WallTime, echo,
};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! A service that answers HTTP requests, with no more to write than its answers.
//!
//! [`serve`] takes whoever answers: a closure, a function, or any value that is [`Respond`]. It gets
//! a [`Request`] of the `http` crate and gives a [`Reply`], or what one is made from:
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use sockeye::http::{self, Body, Options, Reply, Request, StatusCode};
//!
//! // Runs on the event loop: don't block. Blocking work: `Reply::run`.
//! fn answer(request: Request<Body>) -> Reply {
//!     match request.uri().path() {
//!         "/" => "Hello World\n".into(),
//!         // Up to 1 MiB in memory; beyond it 413.
//!         "/shout" => request.into_body().collect(1 << 20, |body| body.to_ascii_uppercase()),
//!         // What blocks is run elsewhere.
//!         "/motd" => Reply::run(|| {
//!             std::fs::read_to_string("/etc/motd").map_err(|_| StatusCode::NOT_FOUND)
//!         }),
//!         _ => StatusCode::NOT_FOUND.into(),
//!     }
//! }
//!
//! let serving = http::serve(&["127.0.0.1:0".parse()?], Options::default(), answer)?;
//!
//! let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! client.write_all(
//!     b"POST /shout HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
//! )?;
//! let mut reply = String::new();
//! client.read_to_string(&mut reply)?;
//! assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"));
//! assert!(reply.ends_with("\r\n\r\nHELLO"));
//!
//! serving.handle().drain();
//! serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every limit has a default that holds against a client that nobody knows: [`Options`].
//!
//! A handler runs on the event loop of a worker. While it blocks, that worker's other connections wait:
//! what sleeps, waits for a lock, reads files or computes for long belongs into [`Reply::run`], and
//! what another thread or an async runtime answers into [`Reply::later`]. The same holds for what is
//! given to [`Body::collect`]. If the loop is held up for more than 100 ms, a warning says so, at most
//! every 10 s for each worker.
//!
//! # Answers
//!
//! | an answer that | is |
//! |---|---|
//! | is there | a [`Response`], text, bytes, a [`StatusCode`] |
//! | another thread gives | [`Reply::later`]. [`Limits::response_timeout`] limits how long that takes |
//! | blocks | [`Reply::run`]: on a bounded pool. How long work waits for it is counted: [`Stats::jobs`](crate::Stats) |
//! | needs the body, in memory | [`Body::collect`] |
//! | needs the body, as it comes | [`Body::receive`]: pieces, and work between them that may block |
//! | a thread sends, bit by bit | [`Reply::stream`]; without an end [`Reply::endless`], [`Reply::events`] |
//! | is pulled as there is room | [`Reply::pull`], [`Reply::pieces`] |
//! | is the same news for many clients | [`Reply::follow`], [`Reply::follow_events`] |
//! | is another protocol | [`Reply::upgrade`] |
//!
//! They can be put together: work may find that the body has to be read, and what becomes of the
//! body may be a stream.
//!
//! # What it costs
//!
//! A keep-alive request whose fields have names that the `http` crate knows, answered with text that
//! is in the program, makes 7 heap allocations: 2 for the copy of its head, 2 for its [`HeaderMap`],
//! 3 for the peer among its extensions. Each field with another name makes one more, and so does a
//! small body that is collected. A [`Response`] with fields adds 2 for its own map. Tests count them.
//! The borrowed view below it, [`http1`](crate::http_core), makes none.
//!
//! # What it leaves out
//!
//! A router: `match` does for few paths, as above, and any that goes from a path to a value for
//! many (the example `http_json` matches on parts of paths). Coding, cookies, forms: there are crates
//! for them that speak the types of the `http` crate. HTTP/2, and TLS.

mod body;
pub mod convert;
mod event;
mod exchange;
mod incomplete;
mod job;
mod options;
mod reply;
mod sender;
mod service;
mod source;

pub use ::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
pub use bytes::Bytes;
pub use sockeye_http::{AllowedHosts, BadHostName, Limits};
pub use sockeye_proto::Budget;

pub use self::body::Body;
pub use self::event::Event;
pub use self::incomplete::Incomplete;
pub use self::options::Options;
pub use self::reply::{BodyReceiver, PendingReply, Reply};
pub use self::sender::{ClientGone, Sender, SourceWaker, TrySendError};
pub use self::service::{HttpService, serve};
pub use self::source::{BodySource, SourceNext};
pub use crate::serving::{ServeError, Serving};

//! An HTTP service from a closure.
//!
//! The closure gets a [`Request`] of the `http` crate and returns a [`Reply`], or a value that
//! converts into one. It is called for every request, by all workers (event loops), so it must be
//! `Fn`, `Send` and `Sync`. Keep state that several calls need in an `Arc`.
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
//!         // Reads up to 1 MiB into memory. A larger body gets 413.
//!         "/shout" => request.into_body().collect(1 << 20, |body| body.to_ascii_uppercase()),
//!         // Runs on a thread of the pool.
//!         "/motd" => Reply::run(|| {
//!             std::fs::read_to_string("/etc/motd").map_err(|_| StatusCode::NOT_FOUND)
//!         }),
//!         _ => StatusCode::NOT_FOUND.into(),
//!     }
//! }
//!
//! // Port 0 selects a free port.
//! let serving = http::serve(&["127.0.0.1:0".parse()?], Options::default(), answer)?;
//!
//! let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! client.write_all(
//!     b"POST /shout HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
//! )?;
//! let mut response = String::new();
//! client.read_to_string(&mut response)?;
//! assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
//! assert!(response.ends_with("\r\n\r\nHELLO"));
//!
//! serving.handle().drain();
//! serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Reply`] lists what a closure can return. Every limit has a default that is safe with unknown
//! clients: see [`Options`].
//!
//! # Requests
//!
//! The closure gets requests of any method except TRACE and CONNECT. The server answers these two
//! with 405; the exception is extended CONNECT in [HTTP/2](#http2). The closure should answer
//! methods that it doesn't know with 501 (RFC 9110, 9.1). The request's extensions contain the
//! client's [`Peer`](crate::Peer). If the closure panics, the server answers 500 and logs the
//! panic.
//!
//! Over HTTP/1.1, the URI is the request target: usually a path, without scheme and host. Over
//! HTTP/2, it has a scheme and a host, unless it is `*`. With [`Options::with_tls`],
//! [`Peer::tls`](crate::Peer::tls) contains the result of the TLS handshake.
//!
//! Clients send some characters in URLs that RFC 3986 doesn't allow, such as `|`. [`Uri`] accepts
//! some of them. The others are percent-encoded, and the extensions contain the [`RawTarget`].
//!
//! The closure, and that of [`Body::collect`], run on the event loop of a worker. While they block,
//! other connections wait: see [what to do instead](crate#dont-block-the-event-loop). The function
//! `sockeye_tower::spawn` responds with the output of an async block.
//!
//! # HTTP/2
//!
//! [`Options::http2`] says when a connection speaks HTTP/2. Such a connection carries up to 100
//! requests at the same time, each on a stream. Where the documentation of this module says that a
//! connection is closed or reset, HTTP/2 closes or resets only the request's stream. In HTTP/2,
//! `Connection: close` has no effect.
//!
//! A request of HTTP/2 for a WebSocket, or for another protocol, has the method CONNECT (RFC 8441)
//! and a path. As in HTTP/1.1, its extensions contain an [`Upgrade`].
//! [`ws::upgrade`](ws::upgrade()) and [`Reply::upgrade`] work with both versions. If the closure
//! answers CONNECT with a success (2xx) in any other way, the server sends 501 instead. So a
//! closure that ignores the method opens no tunnel by accident.
//!
//! # Costs
//!
//! A keep-alive request of HTTP/1.1 makes 7 heap allocations if the `http` crate knows all its
//! field names and the response is static text: 2 for the copy of its head, 2 for its
//! [`HeaderMap`], 3 for the peer in its extensions. Each field with a name that the crate doesn't
//! know adds one, and so does collecting a small body. A [`Response`] with fields adds 2 for its
//! own map. With a handler of [`http_core`](crate::http_core), which borrows the request, there are
//! no allocations.
//!
//! # Limitations
//!
//! There is no router: use `match` for a few paths (the example `json_api` matches parts of paths),
//! and axum with `sockeye-tower` for many. For compression, cookies and forms, use crates that work
//! with the types of the `http` crate.

mod body;
pub mod convert;
mod event;
mod exchange;
mod link;
mod options;
mod raw_target;
mod reply;
mod sender;
mod service;
mod source;
mod upgrade;
mod websockets;
pub mod ws;

pub use ::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
pub use bytes::Bytes;
pub use sockeye_http::{AllowedHosts, AllowedOrigins, BadHostName, Limits};
pub use sockeye_proto::Budget;

pub use self::body::Body;
pub use self::event::Event;
pub use self::link::Gone;
pub use self::options::Options;
pub use self::raw_target::RawTarget;
pub use self::reply::{BodyReceiver, Incomplete, PendingReply, Reply};
pub use self::sender::{ClientGone, Sender, SourceWaker, TrySendError};
pub use self::service::{HttpService, serve};
pub use self::source::{BodySource, SourceNext};
pub use self::upgrade::Upgrade;
pub use crate::serving::{ServeError, Serving};

//! Runs an axum `Router`, any other [`tower::Service`](Service), or async blocks, on Sockeye's
//! engine.
//!
//! ```toml
//! [dependencies]
//! sockeye = "0.2"
//! sockeye-tower = "0.2"
//! tokio = { version = "1", features = ["rt-multi-thread"] }
//! ```
//!
//! ```
//! use axum::{Router, routing::get};
//! use sockeye::http::Options;
//!
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! let app = Router::new().route("/", get(|| async { "Hello World" }));
//! let addresses = ["127.0.0.1:0".parse()?]; // Port 0 selects a free port.
//! let serving = sockeye_tower::serve(&addresses, Options::default(), runtime.handle(), app)?;
//! # use std::io::{Read, Write};
//! # let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! # client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! # let mut response = String::new();
//! # client.read_to_string(&mut response)?;
//! # assert!(response.ends_with("Hello World"), "{response}");
//! # serving.handle().drain();
//! serving.join()?; // Serves until `serving.handle()` stops it.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Under `#[tokio::main]`, the runtime is `Handle::current()`, and `serving.stopped().await` waits
//! without blocking, in place of `join`. Without a framework, a closure of [`sockeye::http`] can
//! call [`spawn`], which runs an async block and responds with its output.
//!
//! The engine's threads read and write connections, and enforce limits and deadlines. Each request
//! is a task of the tokio runtime:
//!
//! ```text
//!  client ──▶ event loop ──head──▶ task: service.call(request).await
//!                        ──pieces──▶ RequestBody; while it is full, the client's input waits
//!         ◀── event loop ◀──head── response
//!                        ──batch request──▶ when the output has room
//!                        ◀──batch── frames of the body that are ready, until they have 64 KiB
//! ```
//!
//! # Requests
//!
//! - A request's extensions contain the [`Peer`], so axum's `Extension<Peer>` takes the place of
//!   its `ConnectInfo`. For code that needs `ConnectInfo`, add a layer that calls
//!   `request.extensions_mut().insert(ConnectInfo(address))`.
//! - With [`Options::with_tls`], [`Peer::tls`] contains the result of the TLS handshake: version,
//!   cipher suite, ALPN, SNI, and the client's certificates. Over HTTP/1.1, the URI usually has no
//!   scheme, as in hyper. If the client uses HTTPS, `peer.tls` is `Some`.
//! - Clients send some characters in URLs that RFC 3986 doesn't allow, such as `|`. `http::Uri`
//!   accepts some of them. The others (`<`, `>`, backquotes in a path, `"` in a query) are
//!   percent-encoded, and the extensions contain the [`RawTarget`]. axum's `Path` and `Query` give
//!   the same values with and without the encoding.
//! - The body is streamed with backpressure, and with trailers.
//!   [`Limits::body`](sockeye::http::Limits::body) doesn't apply; services bring their own limits
//!   (axum's extractors: 2 MiB). A client that expects `100 Continue` gets it when the body is
//!   first polled.
//! - An incomplete body ends with the error [`Incomplete`]: the client disconnected, closed its
//!   sending side of the connection, was too slow, or sent an invalid body. The server answers 400
//!   or 408 if it can, and drops the service's response. A task that still owns the body has 5 s to
//!   clean up, and is then aborted. A worker (event loop) gives this time to at most 1,024 tasks at
//!   once, and aborts the oldest one if there are more.
//! - If the request's body is complete when the client resets its connection or the server closes
//!   it, the task is aborted at its next `await`: its future and both bodies are dropped. A client
//!   that only closed its sending side (half-close) still gets its response. Once this response
//!   has started, the task is aborted when no byte has been sent for
//!   [`Limits::half_closed_timeout`](sockeye::http::Limits::half_closed_timeout) (default: 15 s),
//!   because a client that closed an event stream without a reset looks the same. To keep a stream
//!   to a half-closed client open, send something more often than that. axum's `KeepAlive`, at its
//!   default of 15 s, is not often enough.
//!
//! # Responses
//!
//! - Bodies are streamed with backpressure, and with trailers. Content-Length is what the service
//!   sets, or the exact size of the body (`size_hint`). Without either, the body is sent in chunks,
//!   or with its length if it is ready at once, in at most one frame of under 64 KiB and without
//!   trailers. If the service's Content-Length and the body's known size differ, the client gets a
//!   500. If the body turns out to be shorter or longer than the Content-Length, the connection is
//!   closed.
//! - A response to HEAD has the Content-Length of the response to GET, or none (RFC 9110, section
//!   8.6). Its body isn't polled. If the body is empty, a Content-Length of 0, which axum adds, is
//!   removed.
//! - If a response has not started within
//!   [`Limits::response_timeout`](sockeye::http::Limits::response_timeout) (default: none), the
//!   client gets a 503, and the task is aborted at its next `await`. The timeout restarts when the
//!   last piece of the request's body arrives.
//! - If the service panics or returns an error, the client gets a 500. If the response has already
//!   started, the connection is closed instead, so that the client notices. A body that returns
//!   1,024 empty frames in a row closes the connection, too. The log says why.
//! - On shutdown, the server ends responses of `text/event-stream` as complete. Other responses may
//!   take until the drain deadline.
//! - Some fields are written by the server only: [`Reply`](sockeye::http::Reply) lists them. So a
//!   `Date` or `Server` from the service is removed. `Transfer-Encoding: chunked` is removed, too.
//!   With any other transfer coding, the client gets a 500.
//!
//! # The runtime
//!
//! Some thread has to drive the runtime: poll its tasks. A multi-thread runtime (`#[tokio::main]`)
//! has threads for that. A current-thread runtime runs only while a thread is in its `block_on`. So
//! keep a thread there, and call [`Serving::join`], which blocks, on another one:
//!
//! ```
//! # use axum::{Router, routing::get};
//! # use sockeye::http::Options;
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # let app = Router::new().route("/", get(|| async { "Hello World" }));
//! # let addresses = ["127.0.0.1:0".parse()?];
//! let serving = sockeye_tower::serve(&addresses, Options::default(), runtime.handle(), app)?;
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let driver = std::thread::spawn(move || runtime.block_on(stopped));
//!
//! serving.handle().drain();
//! serving.join()?;
//! drop(stop); // The runtime is no longer needed.
//! # let _ = driver.join();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! If the runtime hasn't polled the task of a new request for 1 s, the server logs a warning, once.
//!
//! # HTTP/2
//!
//! Clients that support HTTP/2 use it: see [`Options::http2`]. Where this page says that a
//! connection is closed or reset, HTTP/2 closes or resets only the request's stream.
//!
//! # Upgrades
//!
//! With the feature `upgrade`, axum's `WebSocketUpgrade` works as on hyper, and so does any other
//! code that uses `hyper::upgrade`:
//!
//! ```toml
//! [dependencies]
//! axum = { version = "0.8", features = ["ws"] }
//! sockeye-tower = { version = "0.2", features = ["upgrade"] }
//! ```
//!
//! ```no_run
//! # #[cfg(feature = "upgrade")]
//! # fn app() -> axum::Router {
//! use axum::extract::ws::{WebSocket, WebSocketUpgrade};
//! use axum::{Router, routing::any};
//!
//! async fn echo(mut socket: WebSocket) {
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if socket.send(message).await.is_err() {
//!             break;
//!         }
//!     }
//! }
//!
//! let app = Router::new()
//!     .route("/echo", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }));
//! # app
//! # }
//! ```
//!
//! - The extensions of a request that asks for an upgrade contain hyper's `OnUpgrade`. In HTTP/1.1
//!   that is a request with `Upgrade`, `Connection: upgrade` and no content. The service accepts by
//!   a 101 with an `Upgrade` field that names one of the protocols that the client asked for. In
//!   every other case the `OnUpgrade` fails, as in hyper.
//! - In HTTP/2, a request for an upgrade is an extended CONNECT (RFC 8441). Its extensions contain
//!   hyper's `Protocol`, too. The service accepts by any 2xx; the client gets a 200. Until the
//!   service answers, 16 KiB for hyper's buffers are charged to the budget [`Options::collected`].
//!   When this budget is spent, the server answers 503. The upgraded protocol has the request's
//!   stream as its connection: what this page says about the connection applies to that stream. In
//!   axum, route both versions by `any(…)`, and enable axum's feature `http2`, so that it checks
//!   the name of the protocol.
//! - Bytes from the peer wait until the task reads them, and bytes from the task wait until the
//!   peer reads them. For this, up to 64 KiB per direction are buffered, in addition to the output
//!   that [`Config::max_buffered_output`](sockeye::Config::max_buffered_output) allows and to
//!   axum's buffers. By default, axum buffers 128 KiB per socket (`read_buffer_size`), and messages
//!   of up to 64 MiB (`max_message_size`): set lower limits if clients aren't trusted.
//! - `shutdown` on the task's side closes the sending side of the connection. When the task drops
//!   the connection, the server sends what the task has written, and closes the connection.
//! - When the connection ends, the task can read what arrived before, and then gets the end, or an
//!   error that says why. The server doesn't abort the task, which the service has spawned. A task
//!   that neither reads nor writes doesn't notice the end.
//! - A peer that doesn't read what was sent is disconnected after
//!   [`Config::write_timeout`](sockeye::Config::write_timeout). There is no timeout for silence:
//!   send pings if you need one. An upgraded connection counts as one of
//!   [`Config::max_connections`](sockeye::Config::max_connections), and is never closed as idle.
//! - On shutdown, upgraded connections live until they end, or are cut at the drain deadline
//!   ([`Config::drain_timeout`](sockeye::Config::drain_timeout), default: 30 s). To stop earlier,
//!   tell your tasks when you call `drain`; the example `axum_websocket` does that. A request that
//!   arrives after `drain` has no `OnUpgrade`, so axum refuses it.
//!
//! # Features
//!
//! | feature | enables | adds |
//! |---|---|---|
//! | `upgrade` | [upgrades](#upgrades); default: off | the crate `hyper` |
//!
//! # Limitations
//!
//! CONNECT without `:protocol`, which clients send to proxies, and interim responses other than
//! `100 Continue` are not supported. If the service returns a 101 to a request that asks for no
//! upgrade, or without the feature `upgrade`, the client gets a 500. hyper's `Upgraded::downcast`
//! always fails, because the connection's socket isn't in it.

#![forbid(unsafe_code)]

mod body;
mod ending;
mod exchange;
mod spawn;
mod task;
#[cfg(feature = "upgrade")]
mod upgrade;
mod watch;

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use http_body::Body;
use sockeye::http::Options;
pub use sockeye::http::{Incomplete, RawTarget};
use sockeye::http_core;
use sockeye::{ListenAddr, Peer, ServeError, Serving};
use tokio::runtime::Handle;
use tower_service::Service;

pub use self::body::RequestBody;
use self::ending::EndingTasks;
use self::exchange::{Exchange, WorkerState};
pub use self::spawn::spawn;
use self::watch::Watchdog;

/// Answers requests at `addresses` with clones of `service`, in tasks of `runtime`.
///
/// The service runs until [`Serving::handle`] stops it or the returned value is dropped. `runtime`
/// must outlive the service: if the runtime drops a request's task, the client gets a 500. See also
/// [the runtime](crate#the-runtime).
///
/// # Errors
///
/// [`ServeError`] if the service could not start.
pub fn serve<S, B>(
    addresses: &[ListenAddr],
    options: Options,
    runtime: &Handle,
    service: S,
) -> Result<Serving, ServeError>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: fmt::Display + Send,
    B: Body<Data: Send> + Send + 'static,
    B::Error: fmt::Display,
{
    // Each worker makes a clone on its own thread, so that the service need not be `Sync`.
    let (service, runtime) = (Mutex::new(service), runtime.clone());
    let warned = Arc::default();
    let (workers, config) = (options.workers, options.config.clone());
    Serving::start(addresses, workers, config, move |_, bound| {
        let service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let watchdog = Watchdog::new(&runtime, Arc::clone(&warned));
        let ending = EndingTasks::default();
        let worker = Rc::new(WorkerState {
            service,
            runtime: runtime.clone(),
            buffered: Arc::clone(&options.collected),
            watchdog: watchdog.clone(),
            ending: ending.clone(),
        });
        let config = Rc::new(options.server_config(bound));
        ((watchdog, ending), move |_: &Peer| {
            let worker = Rc::clone(&worker);
            let handlers = move |peer: &Peer| Exchange::new(Rc::clone(&worker), peer.clone());
            http_core::Server::new(Rc::clone(&config), handlers)
        })
    })
}

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

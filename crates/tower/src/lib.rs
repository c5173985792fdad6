//! Runs a [`tower::Service`](tower_service::Service), an axum `Router` for one, on Sockeye's engine.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use sockeye::http::Options;
//!
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! let app = Router::new().route("/", get(|| async { "Hello World" }));
//! let addresses = ["127.0.0.1:0".parse()?];
//! let serving = sockeye_tower::serve(&addresses, Options::default(), runtime.handle(), app)?;
//! # use std::io::{Read, Write};
//! # let mut client = std::net::TcpStream::connect(serving.ip_addresses().next().expect("one"))?;
//! # client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! # let mut reply = String::new();
//! # client.read_to_string(&mut reply)?;
//! # assert!(reply.ends_with("Hello World"), "{reply}");
//!
//! serving.handle().drain();
//! serving.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The engine's threads read, write and keep every limit and deadline; what the service does, it
//! does as a task of the tokio runtime that it is given, whose threads are others:
//!
//! ```text
//!  client ──▶ loop ──head──▶ task: service.call(request).await
//!                ──pieces──▶ RequestBody, polled       a full one: nothing is read from the client
//!         ◀── loop ◀──head── response
//!                ──a pull──▶                           only when there is room for more
//!                ◀──pieces── what is ready of its body, up to 64 KiB together
//! ```
//!
//! - Both bodies are streamed, with backpressure, and with trailers. There is no limit on a
//!   request's body here, for it is never held as a whole: [`Limits::body`](sockeye::http::Limits)
//!   does not count, and services bring limits of their own (axum's extractors: 2 MiB).
//! - A client that expects `100 Continue` is told so when the body is first polled.
//! - A request's extensions have the [`Peer`]. What extracts axum's `ConnectInfo` finds it after a
//!   layer of three lines has put it there:
//!   `request.extensions_mut().insert(ConnectInfo(address))`.
//! - When a client's connection is reset, or our end of it is closed, its task is aborted at its next
//!   `await`: the future that makes the response is dropped, and so are both bodies. A client that
//!   only ended its side (a half-close) is still answered, however late, unless there is a response
//!   timeout. Once its response has begun, it is cancelled if nothing was sent for
//!   [`Limits::half_closed_timeout`](sockeye::http::Limits::half_closed_timeout), 15 s by default: a
//!   client that closed an event stream without a reset looks the same. A stream that keeps
//!   half-closed clients has to send more often than that; axum's `KeepAlive` sends every 15 s unless
//!   its interval is set.
//! - A response's Content-Length is what the service sets, else the exact size of its body (`size_hint`).
//!   A body of unknown size goes in chunks, or with a length where all of it is ready at once. Where the
//!   two differ the response is a 500, and the log has both. A body of unknown size that turns out to
//!   be shorter or longer than the Content-Length is cut: its head has been sent by then.
//! - In a response to HEAD the body isn't polled. It has the Content-Length that GET's has, or none (RFC
//!   9110, section 8.6): an empty body and a Content-Length of 0, which axum writes beside one, say
//!   nothing of GET's, and neither does a body of unknown size. Transfer-Encoding is left out.
//! - A response that has not begun within
//!   [`Limits::response_timeout`](sockeye::http::Limits::response_timeout) is a 503, and its task is
//!   aborted at its next `await`. The connection goes on, unless more than 64 KiB of the request's body
//!   are unread. The time runs from when the service was given the request, and anew from when it was
//!   given the last piece of its body. Default: none.
//! - A request's body that will never be complete ends with the error [`Incomplete`]: its client has left
//!   or ended its side, was too slow, or sent what is no body. A task that still has
//!   the body is not aborted at once then: it sees the error and has 5 s to end, for up to 1,024 tasks of
//!   a worker at a time. What it responds goes nowhere: the server has answered with 400 or 408, where it
//!   could.
//! - An empty frame of a response's body sends nothing. With 1,024 of them in a row the response is
//!   aborted.
//! - A panic, or an error, of the service is a 500; in the middle of a response the connection is
//!   cut, so that the client sees that something is missing. The log says why.
//! - When the server stops, responses of `text/event-stream` are ended in order. Others have until
//!   the drain deadline.
//!
//! # The runtime
//!
//! Somebody has to drive it. A multi-thread runtime (`Builder::new_multi_thread`, `#[tokio::main]`) has
//! threads for that. A current-thread runtime (`Builder::new_current_thread`,
//! `#[tokio::main(flavor = "current_thread")]`) has none: it runs only while a thread is in its
//! `block_on`, and requests wait for that meanwhile. So where it is one, keep a thread there, and don't
//! call [`Serving::join`] inside of it, which blocks:
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
//! When a request has waited for 1 s without being polled once, the log has a warning that says so; one
//! for each server. [`Limits::response_timeout`](sockeye::http::Limits::response_timeout) has its
//! client answered.
//!
//! # What can't work here
//!
//! `hyper::upgrade` (so WebSockets by axum): there is no `OnUpgrade` among the
//! extensions, and a 101 is refused with a 500. HTTP/2 and TLS are not spoken. Interim responses
//! other than `100 Continue` can't be sent. The fields that
//! [`Responder`](sockeye::http::Response) says are the server's are the server's: a service's `Date` and
//! `Server` are left out, as is `Transfer-Encoding: chunked`; any other transfer coding is a 500.

#![forbid(unsafe_code)]

mod body;
mod ending;
mod exchange;
mod task;
mod watch;

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use http_body::Body;
pub use sockeye::http::Incomplete;
use sockeye::http::Options;
use sockeye::http_core::{self, ServerConfig};
use sockeye::{ListenAddr, Peer, ServeError, Serving, check_hosts_on_loopback};
use tokio::runtime::Handle;
use tower_service::Service;

pub use self::body::RequestBody;
use self::ending::EndingTasks;
use self::exchange::{Common, Exchange};
use self::watch::Watch;

/// Has requests that come at `addresses` answered by `service`, of which each gets a clone, on
/// `runtime`, until [`Serving::handle`] says to stop, or the returned value is dropped. To wait on the
/// runtime, await [`Serving::stopped`]. The runtime has to live longer: requests that it drops are
/// answered with 500. It has to be driven, too: see [the front page](crate#the-runtime).
///
/// # Errors
///
/// [`ServeError`] when it could not begin; nothing is answered then.
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
    // Bodies are handed over as they come: nothing is collected here.
    let Options { workers, limits, collected: _, config, names_itself, allowed_hosts } = options;
    // Each thread has a clone, made there; the service need not be shared by them.
    let (service, runtime) = (Mutex::new(service), runtime.clone());
    let warned = Arc::default();
    Serving::begin_at(addresses, workers, config, move |_, bound| {
        let service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (watch, ending) = (Watch::new(&runtime, Arc::clone(&warned)), EndingTasks::default());
        let common = Rc::new(Common {
            service,
            runtime: runtime.clone(),
            watch: watch.clone(),
            ending: ending.clone(),
        });
        let mut shared = ServerConfig::new(limits.clone()).names_itself(names_itself);
        if let Some(hosts) = &allowed_hosts {
            shared = shared.checking_hosts(check_hosts_on_loopback(hosts.clone(), bound));
        }
        let shared = Rc::new(shared);
        ((watch, ending), move |_: &Peer| {
            let common = Rc::clone(&common);
            let handlers = move |peer: &Peer| Exchange::new(Rc::clone(&common), *peer);
            http_core::Server::new(Rc::clone(&shared), handlers)
        })
    })
}

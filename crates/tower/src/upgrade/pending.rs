//! An upgrade that a client asked for and the service has not accepted yet.
//!
//! A service gets the upgraded connection from hyper's `OnUpgrade`, a future that only a connection
//! of hyper can make. So this module runs a connection of hyper without a socket: [`Handshake`]
//! acts as its client, and asks for an upgrade. hyper's connection accepts this upgrade when the
//! program's service has accepted the real one. hyper's connection needs no task: it never waits
//! for a socket, so it is polled here, when it can continue.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::header::UPGRADE;
use http::{Extensions, Request, Response, StatusCode, response};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use sockeye::http::convert;
use sockeye::http_core::{Answer, Fields, Responder, Status, is_token_byte};
use sockeye::proto::{Budget, Client, Permit};
use tracing::warn;

use super::connection_end::ConnectionEnd;
use super::task_end::TaskEnd;

/// How much memory a pending upgrade takes: hyper's buffers for reading and writing.
const PENDING_BYTES: u64 = 16 * 1024;

/// An upgrade that a client asked for. If this is dropped, the `OnUpgrade` fails.
pub(crate) struct PendingUpgrade {
    /// The protocols that the client asked for.
    names: Box<[u8]>,
    is_http2: bool,
    /// Charges the client for [`PENDING_BYTES`]. Only over HTTP/2, where a connection can have many
    /// pending upgrades.
    _permit: Option<Permit>,
    hyper: HyperConnection,
    connection_end: ConnectionEnd,
}

/// The client has spent its share of the budget, or all clients together have spent the budget,
/// which also limits buffered request bodies.
pub(crate) struct BudgetSpent<'a>(&'a Budget, Client);

impl BudgetSpent<'_> {
    /// Answers 503. Some of these answers are logged: see [`Budget::report`].
    pub(crate) fn answer(self, responder: Responder<'_, '_>) -> Answer {
        let Self(budget, client) = self;
        if let Some(requests) = budget.report(responder.now()) {
            warn!(
                target: "sockeye", budget = budget.name(), total = budget.total(),
                used = budget.used(), %client, requests,
                "a budget is spent: some upgrades are refused"
            );
        }
        let retry = Fields::new().with("Retry-After", b"1").unwrap_or_default();
        responder.error(Status::SERVICE_UNAVAILABLE, &retry, "")
    }
}

impl PendingUpgrade {
    /// Adds what the service needs to the extensions of a request whose client asks for an upgrade
    /// to one of `names`. `http2`: over HTTP/2, the budget to take from, and the client to charge.
    ///
    /// # Errors
    ///
    /// If the budget is spent.
    pub(crate) fn new<'a>(
        names: &[u8],
        extensions: &mut Extensions,
        http2: Option<(&'a Arc<Budget>, Client)>,
    ) -> Result<Self, BudgetSpent<'a>> {
        let mut permit = None;
        if let Some((budget, client)) = http2 {
            permit = Some(budget.take(client, PENDING_BYTES).ok_or(BudgetSpent(budget, client))?);
            extensions.insert(Protocol::from(&*String::from_utf8_lossy(names)));
        }
        let (connection_end, task_end) = ConnectionEnd::new();
        let mut hyper = HyperConnection::new(task_end);
        if let Some(on_upgrade) = hyper.on_upgrade() {
            extensions.insert(on_upgrade);
        }
        let (names, is_http2) = (names.into(), http2.is_some());
        Ok(Self { names, is_http2, _permit: permit, hyper, connection_end })
    }

    /// Whether a response with this head accepts the upgrade: a 101 (RFC 9110, 7.8), or in HTTP/2
    /// any 2xx (RFC 8441, 4).
    pub(crate) fn is_accepted_by(&self, head: &response::Parts) -> bool {
        if self.is_http2 {
            head.status.is_success()
        } else {
            head.status == StatusCode::SWITCHING_PROTOCOLS
        }
    }

    /// Sends the response that accepts the upgrade, and connects the service's task with the
    /// connection.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the response, and the responder.
    pub(crate) fn accept<'r, 't>(
        self,
        head: &response::Parts,
        responder: Responder<'r, 't>,
    ) -> Result<Answer, (String, Responder<'r, 't>)> {
        let names = String::from_utf8_lossy(&self.names);
        let Some(name) = self.accepted(&names, head) else {
            let what = format!(
                "a 101 needs a field Upgrade with one of these protocols, well-formed: {names}"
            );
            return Err((what, responder));
        };
        let mut fields = Fields::new();
        // Leaves out the fields that only the server writes, such as `Upgrade`:
        // `Responder::upgrade` adds them. `convert::response` refuses a 101, so it gets another
        // status, which isn't sent.
        if let Err(invalid) = convert::response(StatusCode::OK, &head.headers, &mut fields) {
            return Err((invalid.to_string(), responder));
        }
        match responder.upgrade(name, &fields, Box::new(self.connection_end)) {
            Ok(answer) => {
                self.hyper.upgrade();
                Ok(answer)
            }
            // `Responder::upgrade` fails if the client did not ask for `name`, if `name` is
            // malformed, or if the server is stopping. Only the last is possible here.
            Err(responder) => {
                let text = "The server is stopping.";
                Ok(responder.error(Status::SERVICE_UNAVAILABLE, &Fields::new(), text))
            }
        }
    }

    /// The protocol that the service has chosen, in the client's spelling. `None` if the client
    /// didn't ask for it, or it is malformed. Over HTTP/2, a client asks for one protocol only,
    /// which is well-formed.
    fn accepted<'n>(&self, names: &'n str, head: &response::Parts) -> Option<&'n str> {
        if self.is_http2 {
            return Some(names);
        }
        let chosen = head.headers.get(UPGRADE)?.to_str().ok()?.trim();
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
        let mut names = names.split(',').map(str::trim);
        let name = names.find(|name| name.eq_ignore_ascii_case(chosen))?;
        name.split('/').all(is_token).then_some(name)
    }
}

/// A connection of hyper that only makes an [`OnUpgrade`] and fulfills it.
struct HyperConnection {
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
    state: Rc<ServiceState>,
}

/// The state of the service of a [`HyperConnection`].
#[derive(Default)]
struct ServiceState {
    /// The `OnUpgrade` of the request that [`Handshake`] sends, until it is taken.
    on_upgrade: RefCell<Option<OnUpgrade>>,
    /// Whether the program's service has accepted the real upgrade. Then the service of hyper's
    /// connection responds with a 101, too.
    accepts: Cell<bool>,
}

impl HyperConnection {
    fn new(task_end: TaskEnd) -> Self {
        let state = Rc::<ServiceState>::default();
        let service = service_fn({
            let state = Rc::clone(&state);
            move |request: Request<Incoming>| {
                state.on_upgrade.replace(Some(hyper::upgrade::on(request)));
                let state = Rc::clone(&state);
                async move {
                    poll_fn(|_| if state.accepts.get() { Poll::Ready(()) } else { Poll::Pending })
                        .await;
                    // `Handshake` discards this response. `Responder::upgrade` sends the one of the
                    // program's service.
                    let mut response = Response::new(String::new());
                    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                    Ok::<_, Infallible>(response)
                }
            }
        });
        let io = Handshake::new(task_end);
        let connection = http1::Builder::new().serve_connection(io, service).with_upgrades();
        Self { connection: Box::pin(connection), state }
    }

    /// The `OnUpgrade`, a future that is pending until [`HyperConnection::upgrade`] is called.
    fn on_upgrade(&mut self) -> Option<OnUpgrade> {
        self.poll();
        self.state.on_upgrade.take()
    }

    /// Fulfills the `OnUpgrade`.
    fn upgrade(mut self) {
        self.state.accepts.set(true);
        let is_done = self.poll();
        debug_assert!(is_done, "hyper waits for nothing");
    }

    /// Returns whether the connection is done.
    fn poll(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.connection.as_mut().poll(&mut cx).is_ready()
    }
}

/// What hyper's connection uses in place of a socket. First it gives hyper a request for an
/// upgrade, and discards hyper's response. After that, reads and writes go to the task's end of a
/// pipe, whose other end belongs to the client's connection.
struct Handshake {
    /// The part of the request that hyper has not read.
    request: &'static [u8],
    /// How many bytes of [`END_OF_HEAD`] are matched by the end of what hyper has written so far.
    matched: usize,
    task_end: TaskEnd,
}

/// The end of hyper's response, which has a head and no content.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

impl Handshake {
    fn new(task_end: TaskEnd) -> Self {
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        Self { request, matched: 0, task_end }
    }

    /// Whether hyper has written the whole response.
    fn is_done(&self) -> bool {
        self.matched == END_OF_HEAD.len()
    }

    /// Discards the part of `bytes` that belongs to the response. Returns its length.
    fn discard(&mut self, bytes: &[u8]) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            if self.is_done() {
                return index;
            }
            // If the byte doesn't match, it may be the first one of a later `END_OF_HEAD`.
            self.matched = match END_OF_HEAD[self.matched] == *byte {
                true => self.matched + 1,
                false => usize::from(*byte == END_OF_HEAD[0]),
            };
        }
        bytes.len()
    }
}

impl Read for Handshake {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_done() {
            return Pin::new(&mut self.task_end).poll_read(cx, buffer);
        }
        if self.request.is_empty() {
            return Poll::Pending;
        }
        let (first, rest) = self.request.split_at(self.request.len().min(buffer.remaining()));
        buffer.put_slice(first);
        self.request = rest;
        Poll::Ready(Ok(()))
    }
}

impl Write for Handshake {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_done() {
            return Pin::new(&mut self.task_end).poll_write(cx, bytes);
        }
        Poll::Ready(Ok(self.discard(bytes)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.task_end).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.task_end).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes after hyper's response belong to the task, however hyper cuts its writes.
    #[test]
    fn the_response_is_discarded_and_nothing_else() {
        let head = b"HTTP/1.1 101 x\r\na: b\r\n\r\r\n\r\n";
        let written = [&head[..], b"\r\n\r\nmessage"].concat();
        for len in 1..=written.len() {
            let (_connection_end, task_end) = ConnectionEnd::new();
            let mut handshake = Handshake::new(task_end);
            let discarded: usize = written
                .chunks(len)
                .map_while(|chunk| (!handshake.is_done()).then(|| handshake.discard(chunk)))
                .sum();
            assert_eq!(discarded, head.len(), "chunks of {len}");
        }
    }
}

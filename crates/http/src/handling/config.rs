//! What the connections of a worker share.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use sockeye_proto::driver::Stream;
use sockeye_proto::{Client, Peer};

use super::log_buffer::LogBuffer;
use crate::h1::cached_fields::CachedFields;
use crate::h1::write::CachedPreamble;
use crate::h2::exchange::{CachedBlock, ConfiguredFields};
use crate::h2::head_memory::HeadMemory;
use crate::semantics::span::Span;
use crate::{HostCheck, Limits, Log, Request};

/// Maximum number of unused streams that are kept.
const MAX_SPARE_STREAMS: usize = 64;

/// Maximum memory that the output of an unused stream keeps, in bytes.
const KEPT_OUTPUT: usize = 16 * 1024;

/// What the connections of one worker (event loop) share: settings, and buffers that one connection
/// at a time uses. Create one per worker, in an `Rc`.
#[derive(Default)]
pub struct ServerConfig {
    pub(crate) limits: Limits,
    /// The start of HTTP/1.1 responses: the status line, and the fields that the server adds.
    pub(crate) preamble: CachedPreamble,
    /// The start of HTTP/2 responses: the status, and the fields that the server adds.
    block: CachedBlock,
    /// Memory for the fields of an HTTP/2 request. `None` while it is in use.
    pub(crate) head_memory: Cell<Option<Box<HeadMemory>>>,
    /// HTTP/2 streams that no request uses.
    #[expect(clippy::vec_box, reason = "a stream in use stays where it is")]
    streams: RefCell<Vec<Box<Stream>>>,
    /// The number of HTTP/2 connections so far. The next connection gets this number.
    pub(crate) h2_connections: Cell<u64>,
    /// Whether HTTP/2 is off.
    pub(crate) is_http1_only: bool,
    /// The fields of the last HTTP/1.1 head, and the memory in which the next head is parsed.
    /// `None` during parsing.
    pub(crate) cached_fields: Cell<Option<Box<CachedFields>>>,
    /// A buffer for the positions of trailer fields.
    pub(crate) trailers: Cell<Vec<Span>>,
    pub(crate) log: Option<Rc<dyn Log>>,
    pub(super) clients: Option<Rc<dyn Clients>>,
    /// Log buffers that no connection uses.
    pub(super) log_buffers: RefCell<Vec<LogBuffer>>,
    pub(crate) host_check: Option<HostCheck>,
}

impl ServerConfig {
    /// A configuration with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Adds `Server: sockeye` to every response. Default: off.
    #[must_use]
    pub fn server_header(mut self, server_header: bool) -> Self {
        self.preamble.server_header = server_header;
        self
    }

    /// Adds `Strict-Transport-Security` with this age to every response (RFC 6797): browsers then
    /// use only HTTPS for the host, for this long. Use it only for connections with TLS. Default:
    /// off.
    #[must_use]
    pub fn strict_transport_security(mut self, max_age: Duration) -> Self {
        self.preamble.strict_transport_security = Some(max_age);
        self
    }

    /// Sets whether connections may use HTTP/2. A connection uses it if its TLS handshake chose
    /// `h2` (ALPN) or, without TLS, if its input begins with HTTP/2's preface (RFC 9113, 3).
    /// Default: on.
    #[must_use]
    pub fn http2(mut self, http2: bool) -> Self {
        self.is_http1_only = !http2;
        self
    }

    /// The cached start of HTTP/2 responses, and the configured fields in it. The start is encoded
    /// at most once a second.
    pub(crate) fn cached_block(&self) -> (&CachedBlock, ConfiguredFields) {
        let CachedPreamble { server_header, strict_transport_security, .. } = self.preamble;
        (&self.block, ConfiguredFields { server_header, strict_transport_security })
    }

    /// Lends a stream whose output counts as full at `room` bytes. Every caller must pass the same
    /// `room`, since a reused stream keeps the `room` with which it was created.
    #[inline]
    pub(crate) fn lend_stream(&self, id: NonZeroU32, room: usize) -> Box<Stream> {
        match self.streams.borrow_mut().pop() {
            Some(mut stream) => {
                stream.set_id(id);
                stream
            }
            None => Box::new(Stream::new(id, room)),
        }
    }

    /// Takes a stream back.
    #[inline]
    pub(crate) fn take_back_stream(&self, mut stream: Box<Stream>) {
        let mut streams = self.streams.borrow_mut();
        if streams.len() < MAX_SPARE_STREAMS {
            stream.reset(KEPT_OUTPUT);
            streams.push(stream);
        }
    }

    /// Notifies `log` of every request.
    #[must_use]
    pub fn logging(mut self, log: Rc<dyn Log>) -> Self {
        self.log = Some(log);
        self
    }

    /// Decides which client is charged for a request. Default: the peer of its connection. The peer
    /// is always charged for output, and for jobs of [`Responder::run`](crate::Responder::run),
    /// [`Stream::run`](crate::Stream::run) and [`Socket::run`](crate::ws::Socket::run).
    #[must_use]
    pub fn clients(mut self, clients: Rc<dyn Clients>) -> Self {
        self.clients = Some(clients);
        self
    }

    /// Refuses requests for hosts that `check` doesn't allow. Default: all hosts are allowed.
    #[must_use]
    pub fn checking_hosts(mut self, check: HostCheck) -> Self {
        self.host_check = Some(check);
        self
    }
}

/// Decides which client is charged for a request: the peer, or the client that a trusted proxy
/// names.
///
/// Called when a handler needs the client, for example because a request makes the server hold a
/// resource such as an open file, or because an error is logged. Many requests need no call, so an
/// implementation may parse fields.
pub trait Clients: fmt::Debug {
    /// The client that sent `request`, which arrived from `peer`.
    fn client(&self, peer: &Peer, request: &Request<'_>) -> Client;
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}

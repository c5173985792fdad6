//! What a load sends, on how many connections, and for how long.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sockeye_engine::TlsConnector;
use sockeye_http::ws;
use sockeye_message::{Header, Id, Message, frame};
use sockeye_proto::Reason;

use crate::websocket_request::{WebSocketOpening, WebSocketRequest};

/// A load: a run of requests whose responses are measured. It always ends, also if the server stops
/// responding: with [`Until::Requests`], each thread then gives up after too many connections in a
/// row without a response, more than ten times the number of the thread's connections.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The protocol.
    pub kind: LoadKind,
    /// One or more requests. Each connection sends them in order, again and again.
    pub requests: Vec<PreparedRequest>,
    /// Let connections begin with different requests, evenly spaced in [`Plan::requests`]. Default:
    /// `false`, all connections begin with the first request.
    pub staggered: bool,
    /// Number of connections. Default: 64.
    pub connections: NonZeroUsize,
    /// Number of threads, each with an event loop and a share of the connections. Default: 1.
    pub threads: NonZeroUsize,
    /// When the load ends. Default: after 10 s.
    pub until: Until,
    /// Requests per second, of all connections together. Default: no rate; the next request is sent
    /// when a response has arrived.
    pub rate: Option<f64>,
    /// Maximum number of requests in flight on one connection. In HTTP/1.1, they are pipelined. In
    /// HTTP/2, each is a stream, and the server may allow fewer. Default: 1.
    pub pipeline: NonZeroUsize,
    /// Number of requests after which a connection is replaced by another. Default: no limit.
    pub per_connection: Option<NonZeroU64>,
    /// Compare the content of each response with that of the first response to the same request, or
    /// with what was sent for [`LoadKind::Echo`]. For [`LoadKind::WebSocket`], this is always
    /// compared. Default: `false`.
    pub verify: bool,
    /// Maximum size of a response's content, in bytes. A larger response is a
    /// [`Failure::BadResponse`](crate::Failure::BadResponse). Default: 1 GiB.
    pub max_content: u64,
    /// How long the server may make no progress while a response is pending. Default: 10 s.
    pub timeout: Duration,
    /// Maximum time to connect. Default: 10 s.
    pub connect_timeout: Duration,
    /// Use TLS. [`Plan::connect_timeout`] is also the maximum time of a handshake. Default: no TLS.
    pub tls: Option<Tls>,
}

impl Plan {
    /// A load of these requests, with the default settings.
    ///
    /// # Panics
    ///
    /// If there are no requests.
    #[must_use]
    pub fn new(kind: LoadKind, requests: Vec<PreparedRequest>) -> Self {
        assert!(!requests.is_empty(), "a load needs a request");
        const SECONDS: Duration = Duration::from_secs(10);
        Self {
            kind,
            requests,
            staggered: false,
            connections: const { NonZeroUsize::new(64).unwrap() },
            threads: NonZeroUsize::MIN,
            until: Until::Time(SECONDS),
            rate: None,
            pipeline: NonZeroUsize::MIN,
            per_connection: None,
            verify: false,
            max_content: 1 << 30,
            timeout: SECONDS,
            connect_timeout: SECONDS,
            tls: None,
        }
    }

    /// Describes to the user why a connection ended.
    pub(crate) fn explain(&self, reason: &Reason) -> String {
        let explained = self.tls.as_ref().and_then(|tls| (tls.explain)(reason));
        explained.unwrap_or_else(|| reason.to_string())
    }

    /// Maximum number of requests that one connection sends.
    pub(crate) fn max_per_connection(&self) -> u64 {
        self.per_connection.map_or(u64::MAX, NonZeroU64::get)
    }
}

/// TLS of a load's connections.
#[derive(Clone)]
pub struct Tls {
    /// Opens the TLS sessions with the server.
    pub connector: TlsConnector,
    /// Describes why a connection ended, where it can say more than the [`Reason`] itself.
    pub explain: Arc<Explain>,
}

/// Returns a description of a reason, or `None` if the reason's own text is the best one.
pub type Explain = dyn Fn(&Reason) -> Option<String> + Send + Sync;

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("connector", &self.connector).finish_non_exhaustive()
    }
}

/// The protocol of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadKind {
    /// HTTP/1.1, or HTTP/2 on connections where the server has chosen it by ALPN.
    Http,
    /// HTTP/2. With TLS, the server must choose it by ALPN. Without TLS, the client starts with
    /// HTTP/2 at once, and the server must support that (prior knowledge).
    Http2,
    /// Bytes that the server sends back.
    Echo,
    /// The message protocol of `sockeye_message`, in frames. The server answers each message.
    Messages,
    /// Messages that the server sends back on WebSockets.
    WebSocket,
}

impl LoadKind {
    /// The version of HTTP, unless the server chooses another one by ALPN. `None` for other
    /// protocols.
    pub(crate) fn protocol(self) -> Option<&'static str> {
        match self {
            Self::Http => Some("HTTP/1.1"),
            Self::Http2 => Some("HTTP/2"),
            Self::Echo | Self::Messages | Self::WebSocket => None,
        }
    }
}

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time, including the probe, which sends each request before the load. Then the
    /// load waits for pending responses, at most 1 s and at most the plan's timeout.
    Time(Duration),
    /// When this many requests were answered or have failed.
    Requests(u64),
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    /// The bytes to send if more requests follow on the connection.
    pub(crate) keep_alive: Bytes,
    /// The bytes to send if this is the last request on its connection.
    pub(crate) last: Bytes,
    /// The method is `HEAD`, so the response has no content, even if its head announces a length.
    pub(crate) is_head: bool,
    /// The request for HTTP/2; `None` if it is for another protocol, or uses a feature that only
    /// HTTP/1.1 has.
    pub(crate) http2: Option<Arc<Http2Request>>,
    /// The message for a WebSocket; `None` if the request is for another protocol.
    pub(crate) websocket: Option<Arc<WebSocketRequest>>,
}

/// A request of HTTP/2. Each connection encodes its head anew, since HPACK depends on the
/// connection's state.
#[derive(Debug)]
pub(crate) struct Http2Request {
    pub(crate) method: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    /// The header fields besides the pseudo-header fields, in order.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) content: Option<Bytes>,
}

impl PreparedRequest {
    /// Bytes for an echo server.
    #[must_use]
    pub fn bytes(bytes: Bytes) -> Self {
        Self {
            keep_alive: bytes.clone(),
            last: bytes,
            is_head: false,
            http2: None,
            websocket: None,
        }
    }

    /// A message in a frame. The header has an id and `"connection": "keep-alive"`, except in the
    /// last message on a connection. `None` if its type or encoding is too long for a header.
    #[must_use]
    pub fn message(message: &Message) -> Option<Self> {
        let mut header = Header::of(message);
        let last = [frame::head(&header)?, message.content.to_vec()].concat();
        header.id = Some(Id::number(1));
        header.keep_alive = true;
        let keep_alive = [frame::head(&header)?, message.content.to_vec()].concat();
        Some(Self {
            keep_alive: keep_alive.into(),
            last: last.into(),
            is_head: false,
            http2: None,
            websocket: None,
        })
    }

    /// A message for an echo server over WebSocket. `opening` says how the WebSockets are opened.
    #[must_use]
    pub fn websocket(opening: WebSocketOpening, message: ws::Message<'_>) -> Self {
        let request = WebSocketRequest::new(opening, message);
        let (keep_alive, last) = (request.sent.clone(), request.sent.clone());
        let websocket = Some(Arc::new(request));
        Self { keep_alive, last, is_head: false, http2: None, websocket }
    }

    /// Whether the request can be sent by HTTP/2.
    #[must_use]
    pub fn fits_http2(&self) -> bool {
        self.http2.is_some()
    }

    /// The message, for a WebSocket.
    pub(crate) fn websocket_request(&self) -> Option<&WebSocketRequest> {
        self.websocket.as_deref()
    }

    /// The content, for HTTP/2.
    pub(crate) fn http2_content(&self) -> Option<&Bytes> {
        self.http2.as_ref()?.content.as_ref()
    }

    /// The bytes to send. `is_last`: the request is the last one on its connection.
    #[must_use]
    pub fn to_send(&self, is_last: bool) -> &Bytes {
        if is_last { &self.last } else { &self.keep_alive }
    }

    /// The bytes to send if more requests follow on the connection.
    #[must_use]
    pub fn keep_alive(&self) -> &Bytes {
        &self.keep_alive
    }

    /// The bytes to send if this is the last request on its connection.
    #[must_use]
    pub fn last(&self) -> &Bytes {
        &self.last
    }
}

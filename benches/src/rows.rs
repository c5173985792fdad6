//! The measured loads: one per row of the report's table.

use std::num::{NonZeroU64, NonZeroUsize};

use sockeye::message::Message;
use sockeye_load::{HttpRequest, LoadKind, Plan, PreparedRequest, Until};

use crate::{
    Result, broadcast,
    browser::{self, BROWSERS},
    http2::Requests,
    pages::PAGE_FILES,
    tls::{Client, Handshakes},
    websocket,
};

/// A row of the table, and the load that is measured for it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The title in the table.
    pub(crate) title: &'static str,
    pub(crate) load: Shape,
    /// Number of connections. For a load that measures memory, `--idle` sets the number instead.
    pub(crate) connections: usize,
}

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// GET with `depth` requests in flight per connection. A connection closes after
    /// `max_requests` requests. With `tls`, connections use TLS 1.3.
    Get { file: File, depth: usize, max_requests: Option<u64>, tls: Option<Handshakes> },
    /// In turn: a GET with numbers in its query, a POST with a length, and a chunked POST. The
    /// response is the sum of all numbers, so that a server has to read everything.
    Mix,
    /// A page's files, one after the other, with [`ACCEPT_ENCODING`].
    Pages,
    /// A small response, with an access log.
    Logged,
    /// A small response to a request with a browser's headers. If `alike`, all requests are equal;
    /// otherwise, they have the headers of several browsers in turn.
    Browser { alike: bool },
    /// The client sends 64 bytes, and receives them again.
    Echo,
    /// A search in a frame of the protocol of [`sockeye::message`], and its response: with `depth`
    /// requests in flight per connection, or if `depth` is `None`, with one connection per request.
    Message { depth: Option<usize> },
    /// Connections that made one request and stay open. Measures memory, not time.
    Idle { file: File, tls: Option<Handshakes>, http2: bool },
    /// The client sends a text of `size` bytes on a WebSocket, and receives it again.
    WebSocket { size: usize },
    /// The server sends a text from one WebSocket to all of them, the sender included.
    Broadcast,
    /// WebSockets that echoed one message and stay open. Measures memory, not time.
    IdleWebSocket,
    /// GET over HTTP/2, with `streams` requests in flight per connection. Without TLS, the client
    /// begins with HTTP/2 at once, because it knows that the server supports it (RFC 9113, section
    /// 3.3).
    Http2 { content: Http2Content, streams: usize, tls: Option<Handshakes> },
}

/// The files that are requested over HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http2Content {
    File(File),
    /// A page's files in turn, with [`ACCEPT_ENCODING`].
    Pages,
}

/// A served file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
}

/// The file of a small response.
pub(crate) const SMALL: File = File { name: "small.txt", size: 13 };

/// The files of all rows except those that request a page.
pub(crate) const FILES: [File; 6] = [
    SMALL,
    File { name: "1k.bin", size: 1 << 10 },
    File { name: "16k.bin", size: 16 << 10 },
    File { name: "100k.bin", size: 100 << 10 },
    File { name: "1m.bin", size: 1 << 20 },
    File { name: "10m.bin", size: 10 << 20 },
];

/// The bare server (`limit`, which parses almost nothing) sends files of this size or more with
/// sendfile, and smaller files from memory. At this size, sendfile becomes the cheaper of the two.
pub(crate) const SENDFILE_FROM: usize = 64 << 10;

const fn get(name: &'static str, title: &'static str, file: usize, connections: usize) -> Row {
    let load = Shape::Get { file: FILES[file], depth: 1, max_requests: None, tls: None };
    Row { name, title, load, connections }
}

const fn tls(
    name: &'static str,
    title: &'static str,
    file: usize,
    max_requests: Option<u64>,
    handshakes: Handshakes,
) -> Row {
    let load = Shape::Get { file: FILES[file], depth: 1, max_requests, tls: Some(handshakes) };
    Row { name, title, load, connections: 64 }
}

const fn row(name: &'static str, title: &'static str, load: Shape) -> Row {
    Row { name, title, load, connections: 64 }
}

const fn http2(
    name: &'static str,
    title: &'static str,
    content: Http2Content,
    connections: usize,
    streams: usize,
    tls: Option<Handshakes>,
) -> Row {
    Row { name, title, load: Shape::Http2 { content, streams, tls }, connections }
}

const fn idle(
    name: &'static str,
    title: &'static str,
    http2: bool,
    tls: Option<Handshakes>,
) -> Row {
    Row { name, title, load: Shape::Idle { file: SMALL, tls, http2 }, connections: 1 }
}

const fn websocket(
    name: &'static str,
    title: &'static str,
    size: usize,
    connections: usize,
) -> Row {
    Row { name, title, load: Shape::WebSocket { size }, connections }
}

const SMALL_CONTENT: Http2Content = Http2Content::File(SMALL);
const LARGE_CONTENT: Http2Content = Http2Content::File(FILES[4]);
const PAGE_CONTENT: Http2Content = Http2Content::Pages;
const TLS: Option<Handshakes> = Some(Handshakes::Full);

/// The rows, in the order of the table.
pub(crate) const ROWS: [Row; 41] = [
    get("small", "small response (13 bytes), keep-alive, 64 connections", 0, 64),
    row(
        "pipelined",
        "small response, pipelined 16 deep",
        Shape::Get { file: SMALL, depth: 16, max_requests: None, tls: None },
    ),
    get("many", "small response, 1,000 connections", 0, 1000),
    row("logged", "small response, with an access log", Shape::Logged),
    row(
        "browser",
        "small response to a browser's head of 1.5 KiB, always the same",
        Shape::Browser { alike: true },
    ),
    row("mix", "sums: GET, POST with a length, POST in chunks", Shape::Mix),
    row("pages", "a page of 20 files of 3–300 KB, text compressed", Shape::Pages),
    row(
        "ten",
        "ten requests per connection",
        Shape::Get { file: SMALL, depth: 1, max_requests: Some(10), tls: None },
    ),
    row(
        "churn",
        "a connection per request",
        Shape::Get { file: SMALL, depth: 1, max_requests: Some(1), tls: None },
    ),
    get("1k", "file of 1 KiB", 1, 64),
    get("16k", "file of 16 KiB", 2, 64),
    get("100k", "file of 100 KiB", 3, 64),
    get("1m", "file of 1 MiB", 4, 64),
    get("10m", "file of 10 MiB, 8 connections", 5, 8),
    row("echo", "echo of 64 bytes, 64 connections", Shape::Echo),
    row(
        "message",
        "message and response, keep-alive, 64 connections",
        Shape::Message { depth: Some(1) },
    ),
    row(
        "message-deep",
        "message and response, pipelined 16 deep",
        Shape::Message { depth: Some(16) },
    ),
    row("message-churn", "a connection per message", Shape::Message { depth: None }),
    idle("idle", "memory", false, None),
    tls("tls-small", "small response over TLS 1.3, 64 connections", 0, None, Handshakes::Full),
    tls("tls-16k", "file of 16 KiB over TLS 1.3", 2, None, Handshakes::Full),
    tls("tls-1m", "file of 1 MiB over TLS 1.3", 4, None, Handshakes::Full),
    tls("tls-full", "a full handshake per request", 0, Some(1), Handshakes::Full),
    tls("tls-resumed", "a resumed handshake per request", 0, Some(1), Handshakes::Resumed),
    idle("tls-idle", "memory with TLS 1.3", false, TLS),
    http2("h2-small", "small response, 64 connections × 32 streams", SMALL_CONTENT, 64, 32, None),
    http2("h2-small-1", "small response, 64 connections × 1 stream", SMALL_CONTENT, 64, 1, None),
    http2("h2-page", "a page of 20 files, 16 connections × 32 streams", PAGE_CONTENT, 16, 32, None),
    http2("h2-1m", "file of 1 MiB, 8 connections × 8 streams", LARGE_CONTENT, 8, 8, None),
    idle("h2-idle", "memory with HTTP/2", true, None),
    http2(
        "h2-tls-small",
        "small response, HTTP/2 over TLS, 64 connections × 32 streams",
        SMALL_CONTENT,
        64,
        32,
        TLS,
    ),
    http2(
        "h2-tls-small-1",
        "small response, HTTP/2 over TLS, 64 connections × 1 stream",
        SMALL_CONTENT,
        64,
        1,
        TLS,
    ),
    http2(
        "h2-tls-page",
        "a page of 20 files, HTTP/2 over TLS, 16 connections × 32 streams",
        PAGE_CONTENT,
        16,
        32,
        TLS,
    ),
    http2(
        "h2-tls-1m",
        "file of 1 MiB, HTTP/2 over TLS, 8 connections × 8 streams",
        LARGE_CONTENT,
        8,
        8,
        TLS,
    ),
    idle("h2-tls-idle", "memory with HTTP/2 over TLS", true, TLS),
    websocket("ws-echo", "WebSocket: text of 5 bytes, 64 connections", 5, 64),
    websocket("ws-many", "WebSocket: text of 5 bytes, 1,000 connections", 5, 1000),
    websocket("ws-1k", "WebSocket: text of 1 KiB, 64 connections", 1 << 10, 64),
    websocket("ws-64k", "WebSocket: text of 64 KiB, 64 connections", 64 << 10, 64),
    Row {
        name: "ws-broadcast",
        title: "WebSocket: text of 64 bytes from one to 1,000 connections, per delivery",
        load: Shape::Broadcast,
        connections: 1000,
    },
    Row {
        name: "ws-idle",
        title: "memory with WebSocket",
        load: Shape::IdleWebSocket,
        connections: 1,
    },
];

/// The names of the rows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

impl Row {
    /// The row as a plan for the load client, over TLS if `tls` is given.
    pub(crate) fn plan(&self, tls: Option<&Client>) -> Result<Plan> {
        let mut plan = Plan::new(self.load.kind(), self.load.prepared()?);
        plan.connections = NonZeroUsize::new(self.connections).ok_or("no connection")?;
        plan.pipeline = NonZeroUsize::new(self.load.depth()).ok_or("no request in flight")?;
        plan.per_connection = self.load.max_requests().and_then(NonZeroU64::new);
        plan.tls = tls.map(Client::load);
        // No limit: a run ends after a time, which the caller passes to the load client.
        plan.until = Until::Requests(u64::MAX);
        Ok(plan)
    }
}

impl Shape {
    fn kind(self) -> LoadKind {
        match self {
            Self::Echo => LoadKind::Echo,
            Self::Message { .. } => LoadKind::Messages,
            _ if self.is_websocket() => LoadKind::WebSocket,
            _ => LoadKind::Http,
        }
    }

    /// The requested file, if there is only one.
    pub(crate) fn file(self) -> Option<File> {
        match self {
            Self::Get { file, .. }
            | Self::Idle { file, .. }
            | Self::Http2 { content: Http2Content::File(file), .. } => Some(file),
            Self::Logged | Self::Browser { .. } => Some(SMALL),
            Self::Mix
            | Self::Pages
            | Self::Echo
            | Self::Message { .. }
            | Self::WebSocket { .. }
            | Self::Broadcast
            | Self::IdleWebSocket
            | Self::Http2 { content: Http2Content::Pages, .. } => None,
        }
    }

    /// How each connection begins, if the load uses TLS: with a full handshake, or with a resumed
    /// session.
    pub(crate) fn tls(self) -> Option<Handshakes> {
        match self {
            Self::Get { tls, .. } | Self::Idle { tls, .. } | Self::Http2 { tls, .. } => tls,
            _ => None,
        }
    }

    /// Whether the load requests a page's files.
    pub(crate) fn is_page(self) -> bool {
        matches!(self, Self::Pages | Self::Http2 { content: Http2Content::Pages, .. })
    }

    /// Whether the load uses HTTP/2.
    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 { .. } | Self::Idle { http2: true, .. })
    }

    /// The size of the messages in bytes, if the load uses WebSockets.
    pub(crate) fn websocket_size(self) -> Option<usize> {
        match self {
            Self::WebSocket { size } => Some(size),
            Self::Broadcast => Some(broadcast::SIZE),
            Self::IdleWebSocket => Some(5),
            _ => None,
        }
    }

    /// Whether the load uses WebSockets.
    pub(crate) fn is_websocket(self) -> bool {
        self.websocket_size().is_some()
    }

    /// Whether the load measures memory, not time.
    pub(crate) fn is_idle(self) -> bool {
        matches!(self, Self::Idle { .. } | Self::IdleWebSocket)
    }

    /// The requests of a load that uses HTTP/2. For any other load, the result is not used.
    pub(crate) fn http2_requests(self) -> Requests {
        let with_tls = self.tls().is_some();
        if self.is_page() {
            let paths = PAGE_FILES.iter().map(|page| format!("/pages/{}", page.name));
            return Requests::new(paths, with_tls, Some(ACCEPT_ENCODING));
        }
        let path = format!("/{}", self.file().unwrap_or(SMALL).name);
        Requests::new([path].into_iter(), with_tls, None)
    }

    /// Number of requests in flight per connection.
    pub(crate) fn depth(self) -> usize {
        match self {
            Self::Get { depth, .. }
            | Self::Message { depth: Some(depth) }
            | Self::Http2 { streams: depth, .. } => depth,
            _ => 1,
        }
    }

    /// Number of requests after which a connection is closed.
    pub(crate) fn max_requests(self) -> Option<u64> {
        match self {
            Self::Get { max_requests, .. } => max_requests,
            Self::Message { depth: None } => Some(1),
            _ => None,
        }
    }

    /// The requests, in turn, of a load that doesn't use HTTP/2.
    pub(crate) fn prepared(self) -> Result<Vec<PreparedRequest>> {
        let get = |path: &str| HttpRequest::get("localhost", path);
        if let Some(size) = self.websocket_size() {
            return Ok(vec![websocket::Echo::of(size).request]);
        }
        Ok(match self {
            Self::Echo => vec![PreparedRequest::bytes(vec![b'.'; 64].into())],
            Self::Message { .. } => {
                let search = r#"{"action": "search", "value": "morpheus"}"#;
                let request = PreparedRequest::message(&Message::json_text(search.into()));
                vec![request.ok_or("the header is too long")?]
            }
            Self::Get { file, .. } | Self::Idle { file, .. } => {
                vec![get(&format!("/{}", file.name)).prepare()?]
            }
            Self::Logged => vec![get(&format!("/{}", SMALL.name)).prepare()?],
            Self::Browser { alike } => {
                let request = |browser| {
                    let fields = browser::fields(browser);
                    HttpRequest { fields, ..get(&format!("/{}", SMALL.name)) }.prepare()
                };
                let browsers = if alike { 1 } else { BROWSERS };
                (0..browsers).map(request).collect::<std::result::Result<_, _>>()?
            }
            Self::Mix => {
                let post = HttpRequest {
                    method: "POST".into(),
                    body: Some("20".into()),
                    ..get("/baseline?a=13&b=42")
                };
                let chunked = HttpRequest { chunked: true, ..post.clone() };
                vec![get("/baseline?a=13&b=42").prepare()?, post.prepare()?, chunked.prepare()?]
            }
            Self::Http2 { .. } | Self::WebSocket { .. } | Self::Broadcast | Self::IdleWebSocket => {
                return Err("the requests are frames".into());
            }
            Self::Pages => {
                let accept = ("Accept-Encoding".to_owned(), ACCEPT_ENCODING.to_owned());
                let page = |page: &crate::pages::PageFile| {
                    let path = format!("/pages/{}", page.name);
                    HttpRequest { fields: vec![accept.clone()], ..get(&path) }.prepare()
                };
                PAGE_FILES.iter().map(page).collect::<std::result::Result<_, _>>()?
            }
        })
    }
}

/// Two of the encodings that browsers accept, with weights, so that servers have to parse the
/// field.
const ACCEPT_ENCODING: &str = "br;q=1, gzip;q=0.8";

/// The response to the search of [`Shape::Message`].
pub(crate) const FOUND: &[u8] = "{\"result\": \"Follow the white rabbit. 🐰\"}".as_bytes();

/// A file's content: text, so that another server's configuration can contain it.
pub(crate) fn content(size: usize) -> Vec<u8> {
    b"Hello, world. ".iter().copied().cycle().take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_requested_size() {
        assert_eq!(content(13), b"Hello, world.");
        assert_eq!(content(100_000).len(), 100_000);
    }
}

//! Whole exchanges: requests as bytes in, responses as bytes out, on a store in memory or on disk.

mod attacks;
mod backslashes;
mod budgets;
mod cached;
mod changes;
mod coalescing;
mod codings;
mod content_types;
mod error_pages;
mod event_loop;
mod exchange;
mod explain;
mod folders;
mod freshness;
mod headers;
mod idle;
#[cfg(feature = "test-wire")]
mod json_lines;
mod links;
mod links_above;
mod links_elsewhere;
mod live;
#[cfg(feature = "markdown")]
mod markdown_pages;
mod mounts;
mod pages;
mod precompressed;
mod precompressed_on_disk;
mod ranges;
pub(crate) mod scratch;
mod shared_pages;
mod unknown_sizes;
mod validators;

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use sockeye_http::{OwnedRequest, Server};
use sockeye_proto::harness::Harness;
use sockeye_proto::{self as proto, Budget, Consumed, Event, Fault, Protocol, Time, Turn};

use crate::coding::codec::encode;
use crate::limits::lease::Lease;
use crate::request::accept_encoding::{AcceptEncoding, Accepted};
use crate::store::memory::Memory;
use crate::{CacheLimits, Coding, Folder, MAX_SMALL_FILE, Site, Store};

/// A site in memory.
fn memory(files: &[(&str, &str)]) -> (Memory, Site) {
    let store = Memory::new();
    for (name, content) in files {
        store.write(name, *content);
    }
    store.pass(1_000_000);
    (store.clone(), site(store))
}

fn site(store: impl Store + 'static) -> Site {
    Folder::new(store).site(CacheLimits::default())
}

/// One connection, and its server, which may be dropped: then messages are lost.
struct Client(Harness, Rc<RefCell<Option<Server<Site>>>>);

/// A connection that may be closed while the harness drives it.
struct Closable(Rc<RefCell<Option<Server<Site>>>>);

impl Protocol for Closable {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        match &mut *self.0.borrow_mut() {
            Some(server) => server.on_bytes(input, turn),
            None => Ok(Consumed::more(input.len())),
        }
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &mut *self.0.borrow_mut() {
            Some(server) => server.on_event(event, turn),
            None => Ok(()),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.0.borrow().as_ref().and_then(Protocol::deadline)
    }
}

/// A parsed response.
#[derive(Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Client {
    fn new(site: &Site) -> Self {
        let server = Server::new(Rc::default(), site.clone());
        let server = Rc::new(RefCell::new(Some(server)));
        Self(Harness::new(Closable(Rc::clone(&server))), server)
    }

    /// Closes the connection, and drops what its server held.
    fn close(&self) {
        *self.1.borrow_mut() = None;
    }

    fn ask(&mut self, method: &str, target: &str, fields: &str) {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        self.0.input(head.as_bytes());
    }

    /// The response so far; runs no jobs.
    fn response(&mut self) -> Option<Response> {
        let bytes = self.0.output();
        if bytes.is_empty() {
            return None;
        }
        Some(parse_response(&bytes))
    }

    fn request(&mut self, method: &str, target: &str, fields: &str) -> Response {
        self.ask(method, target, fields);
        // For a missing name, the error page is looked up next.
        self.run_all();
        self.response().expect("an answer")
    }

    /// Runs jobs until none is left.
    fn run_all(&mut self) {
        while self.0.run_jobs() > 0 {}
    }

    fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, "")
    }

    fn pass(&mut self, millis: u64) {
        self.0.pass(Duration::from_millis(millis));
    }
}

fn parse_response(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is ASCII here");
    let status = head[9..12].parse().expect("three digits");
    Response { status, head, body: bytes[end..].to_vec() }
}

impl Response {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// What a request with these values of `Accept-Encoding` accepts.
pub(crate) fn accepted<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Accepted {
    let mut list = AcceptEncoding::default();
    values.into_iter().for_each(|value| list.push(value));
    list.finish()
}

/// A request for `path` with these fields.
pub(crate) fn request(path: &str, fields: &[(&str, &str)]) -> OwnedRequest {
    let mut head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    OwnedRequest::read(head.as_bytes()).expect("a good head")
}

/// A lease of a budget of its own.
pub(crate) fn lease(bytes: u64) -> Lease {
    // A local client may have half.
    let budget = Budget::new("listings", 2 * bytes);
    Lease::new(&budget, proto::Client::Unix).expect("a lease of nothing")
}

/// Compresses `content`, even if that saves nothing.
pub(crate) fn compressed(coding: Coding, content: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    encode(coding, content, content.len(), &mut compressed).expect("memory for an encoder");
    compressed
}

/// Decodes content as a client does: with the readers of the crates, not the code under test.
pub(crate) fn decompress(coding: &str, compressed: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let read = match coding {
        "zstd" => zstd::Decoder::new(compressed).expect("memory").read_to_end(&mut content),
        "br" => brotli::Decompressor::new(compressed, 4096).read_to_end(&mut content),
        "gzip" => flate2::read::GzDecoder::new(compressed).read_to_end(&mut content),
        other => panic!("no such coding: {other}"),
    };
    read.expect("compressed content");
    content
}

/// A number from the debug text of a site.
fn debug_number(site: &Site, name: &str) -> usize {
    let shown = format!("{site:?}");
    let rest = shown.split(&format!("{name}: ")).last().expect("the last part");
    rest.split([',', ' ', '}']).next().and_then(|digits| digits.parse().ok()).expect("a figure")
}

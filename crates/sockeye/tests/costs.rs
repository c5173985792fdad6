//! Costs of a request: heap allocations and system calls of a keep-alive GET of a small cached
//! file, compressed or not, and of one that a closure of `sockeye::http` answers. The worker runs
//! on the test's thread, with a real socket.

mod stepped;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;

use sockeye::engine::Worker;
use sockeye::engine::driver::{Epoll, SyscallCounts};
use sockeye::files::{CacheLimits, Folder, memory::Memory};
use sockeye::proto::WallTime;
use sockeye::{Peer, Protocol, Service, http, http_core};

const REQUEST: &[u8] = b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
const CONTENT: &[u8] = b"Hello, World!";
/// The relevant part of a browser's request.
const BROWSER: &[u8] = b"GET /compressed.txt HTTP/1.1\r\nHost: localhost\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\r\n";
const REQUESTS: u64 = 200;

/// A log that counts complete responses and the length of targets.
#[derive(Debug, Default)]
struct CountingLog {
    complete: Cell<u64>,
    target_bytes: Cell<u64>,
}

impl http_core::Log for CountingLog {
    fn on_request(
        &self,
        request: http_core::RequestHead<'_>,
        _: &Peer,
        _: WallTime,
        notes: &mut Vec<u8>,
    ) {
        if let http_core::RequestHead::Parsed(request) = request {
            notes.extend_from_slice(request.target());
        }
    }

    fn on_end(&self, notes: &[u8], outcome: &http_core::Outcome) {
        self.complete.update(|count| {
            count + u64::from(outcome.end_reason == http_core::EndReason::Complete)
        });
        self.target_bytes.update(|count| count + notes.len() as u64);
    }
}

/// A worker and a client.
struct Fixture {
    worker: Worker<Epoll>,
    client: TcpStream,
    request: Vec<u8>,
    /// The length of a response.
    len: usize,
    /// The end of a response.
    content: Vec<u8>,
}

impl Fixture {
    /// A fixture with [`CONTENT`] in a file.
    fn new() -> Self {
        Self::of_file("small.txt", CONTENT, REQUEST)
    }

    /// A fixture with text in a file, which is compressed for browsers.
    fn compressed() -> Self {
        Self::of_file("compressed.txt", &b"A line of some text.\n".repeat(1000), BROWSER)
    }

    /// As [`Fixture::new`], with a log.
    fn logged(log: &Rc<CountingLog>) -> Self {
        let shared = http_core::ServerConfig::default().logging(log.clone());
        Self::of_file_with(shared, "small.txt", CONTENT, REQUEST)
    }

    fn of_file(name: &str, content: &[u8], request: &[u8]) -> Self {
        Self::of_file_with(http_core::ServerConfig::default(), name, content, request)
    }

    fn of_file_with(
        shared: http_core::ServerConfig,
        name: &str,
        content: &[u8],
        request: &[u8],
    ) -> Self {
        let store = Memory::new();
        store.write(name, content);
        store.pass(1_000_000);
        let site = Folder::new(store).site(CacheLimits::default());
        let shared = Rc::new(shared);
        let service = move |_: &Peer| -> Box<dyn Protocol> {
            Box::new(http_core::Server::new(Rc::clone(&shared), site.clone()))
        };
        Self::of(service, request)
    }

    /// A fixture with a closure that responds with [`CONTENT`].
    fn of_function<R: Into<http::Reply>>(
        answer: impl Fn(http::Request<http::Body>) -> R + Send + Sync + 'static,
        request: &[u8],
    ) -> Self {
        let http = http::HttpService::new(answer);
        let shared = Rc::new(http_core::ServerConfig::default());
        let service = move |_: &Peer| -> Box<dyn Protocol> {
            Box::new(http_core::Server::new(Rc::clone(&shared), http.handlers()))
        };
        Self::of(service, request)
    }

    fn of(service: impl Service + 'static, request: &[u8]) -> Self {
        let (worker, address) = stepped::worker(service, None);
        let client = TcpStream::connect(address).unwrap();
        let mut fixture =
            Self { worker, client, request: request.to_vec(), len: 0, content: Vec::new() };
        fixture.warm_up();
        fixture
    }

    /// Makes requests until the file is in the cache, and memory in the pools.
    fn warm_up(&mut self) {
        self.client.set_nonblocking(true).unwrap();
        self.client.write_all(&self.request).unwrap();
        let mut response = vec![0; 4096];
        let head = loop {
            // The first response waits for a lookup on another thread, which wakes the worker.
            self.worker.turn().unwrap();
            match self.client.read(&mut response[self.len..]) {
                Ok(count) => self.len += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            match lengths(&response[..self.len]) {
                Some((head, content)) if self.len >= head + content => break head,
                _ => {}
            }
        };
        self.content = response[head..self.len].to_vec();
        self.client.set_nonblocking(false).unwrap();
        for _ in 0..100 {
            self.exchange(1);
        }
    }

    /// Makes `count` requests in one write, and reads their responses.
    fn exchange(&mut self, count: usize) {
        const MAX_COUNT: usize = 16;
        let mut requests = [0; 1024 * MAX_COUNT];
        let len = self.request.len();
        for request in requests.chunks_exact_mut(len).take(count) {
            request.copy_from_slice(&self.request);
        }
        self.client.write_all(&requests[..count * len]).unwrap();
        let until = self.worker.stats().sent + (count * self.len) as u64;
        while self.worker.stats().sent < until {
            self.worker.turn().unwrap();
        }
        let mut responses = [0; 1024 * MAX_COUNT];
        let responses = &mut responses[..count * self.len];
        self.client.read_exact(responses).unwrap();
        assert!(responses.chunks(self.len).all(|response| response.ends_with(&self.content)));
    }

    /// The system calls of `work`.
    fn calls_of(&mut self, work: impl FnOnce(&mut Self)) -> SyscallCounts {
        let before = self.worker.driver().calls();
        work(self);
        let after = self.worker.driver().calls();
        SyscallCounts {
            wait: after.wait - before.wait,
            accept: after.accept - before.accept,
            watch: after.watch - before.watch,
            receive: after.receive - before.receive,
            send: after.send - before.send,
            sendfile: after.sendfile - before.sendfile,
            probe: after.probe - before.probe,
        }
    }
}

/// The length of a response, once its head is complete.
fn lengths(response: &[u8]) -> Option<(usize, usize)> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&response[..end]).expect("a head is text");
    let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
    Some((end + 4, len.parse().expect("a number")))
}

/// The smallest result of a few attempts, because the file is looked up again once per second.
fn best_of<T: Ord>(mut attempt: impl FnMut() -> T) -> T {
    (0..5).map(|_| attempt()).min().unwrap()
}

#[test]
fn a_request_for_a_hot_small_file_allocates_nothing() {
    let fixture = Fixture::new();
    assert_eq!(fixture.content, CONTENT);
    assert_eq!(allocations_each(fixture), 0.0);
}

#[test]
fn a_browsers_request_for_a_hot_compressed_file_allocates_nothing() {
    let fixture = Fixture::compressed();
    assert!(fixture.content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "it is zstd");
    assert_eq!(allocations_each(fixture), 0.0);
}

#[test]
fn a_request_with_a_log_allocates_nothing() {
    let log = Rc::new(CountingLog::default());
    let mut fixture = Fixture::logged(&log);
    let before = log.complete.get();
    fixture.exchange(16);
    assert_eq!(log.complete.get(), before + 16, "it logs each of them");
    assert_eq!(log.target_bytes.get(), log.complete.get() * "/small.txt".len() as u64);
    assert_eq!(allocations_each(fixture), 0.0);
}

#[test]
fn a_request_for_a_hot_small_file_makes_one_receive_and_one_send() {
    makes_one_receive_and_one_send(Fixture::new());
}

#[test]
fn a_browsers_request_for_a_hot_compressed_file_makes_one_receive_and_one_send() {
    makes_one_receive_and_one_send(Fixture::compressed());
}

fn makes_one_receive_and_one_send(mut fixture: Fixture) {
    let (wait, calls) = best_of(|| {
        let calls = fixture.calls_of(|fixture| (0..REQUESTS).for_each(|_| fixture.exchange(1)));
        (calls.wait, (calls.receive, calls.send, calls.sendfile, calls.accept))
    });
    assert_eq!(calls, (REQUESTS, REQUESTS, 0, 0));
    assert_eq!(wait, REQUESTS, "each wait finds a request");
}

#[test]
fn pipelined_requests_are_received_together_and_answered_in_one_send() {
    let mut fixture = Fixture::new();
    let calls = best_of(|| {
        let calls = fixture.calls_of(|fixture| fixture.exchange(16));
        (calls.wait, calls.receive, calls.send)
    });
    assert_eq!(calls, (1, 1, 1));
}

/// The allocations per request.
fn allocations_each(mut fixture: Fixture) -> f64 {
    let allocations = best_of(|| {
        let measured = allocation_counter::measure(|| {
            for _ in 0..REQUESTS {
                fixture.exchange(1);
            }
        });
        measured.count_total
    });
    allocations as f64 / REQUESTS as f64
}

#[test]
fn a_request_in_the_types_of_the_http_crate_allocates_as_its_docs_say() {
    const FEW: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\
        User-Agent: a\r\nAccept-Encoding: gzip\r\n\r\n";
    const OWN: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-One: 1\r\nX-Two: 2\r\n\r\n";
    const BODY: &[u8] = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";

    let text = |_: http::Request<http::Body>| "Hello, World!";
    assert_eq!(allocations_each(Fixture::of_function(text, FEW)), 7.0);
    assert_eq!(allocations_each(Fixture::of_function(text, OWN)), 9.0);
    let collected =
        |request: http::Request<http::Body>| request.into_body().collect(100, |_| "Hello, World!");
    assert_eq!(allocations_each(Fixture::of_function(collected, BODY)), 8.0);
    let response = |_: http::Request<http::Body>| {
        let tag = http::HeaderValue::from_static("\"a\"");
        http::Response::builder().header("etag", tag).body("Hello, World!").unwrap()
    };
    assert_eq!(allocations_each(Fixture::of_function(response, FEW)), 9.0);
}

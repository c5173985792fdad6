//! What the access log receives, and when.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sockeye_proto::{Fault, Reason, WallTime};

use super::*;
use crate::{EndReason, Handlers, Limits, Log, Outcome, RequestHead, Stream, StreamEvent};

/// Records the requests that have ended, in order.
#[derive(Debug, Default)]
struct Entries(RefCell<Vec<(String, Outcome)>>);

impl Log for Entries {
    fn on_request(
        &self,
        request: RequestHead<'_>,
        peer: &Peer,
        when: WallTime,
        notes: &mut Vec<u8>,
    ) {
        assert_eq!(peer.address.to_string(), "127.0.0.1:9");
        assert!(when >= WallTime::from_secs(1_445_412_480));
        match request {
            RequestHead::Parsed(request) => {
                notes.extend_from_slice(request.method().as_str().as_bytes());
                notes.push(b' ');
                notes.extend_from_slice(request.target());
            }
            RequestHead::Unparsed(unread) => {
                notes.extend_from_slice(unread.line);
                if let Some(host) = unread.field("host") {
                    notes.extend_from_slice(b" at ");
                    notes.extend_from_slice(host);
                }
            }
        }
    }

    fn on_end(&self, notes: &[u8], outcome: &Outcome) {
        let notes = String::from_utf8(notes.to_vec()).unwrap();
        self.0.borrow_mut().push((notes, *outcome));
    }
}

impl Entries {
    /// The entries since the last call: the request, the status, the bytes, how it ended.
    fn take(&self) -> Vec<(String, u16, u64, &'static str)> {
        let entry = self.0.take().into_iter();
        entry
            .map(|(notes, Outcome { status, content, end_reason, .. })| {
                (notes, status.map_or(0, Status::code), content, end_reason.as_str())
            })
            .collect()
    }
}

fn scene() -> (Rc<Entries>, Harness) {
    scene_of(|_: &Peer| Mirror::default())
}

fn scene_of(handlers: impl Handlers + 'static) -> (Rc<Entries>, Harness) {
    let log = Rc::new(Entries::default());
    let shared = ServerConfig::new(Limits::default()).logging(log.clone());
    (log, Harness::new(Server::new(Rc::new(shared), handlers)))
}

/// The entry of a GET request for `path`.
fn entry(
    path: &str,
    status: u16,
    bytes: u64,
    ended: &'static str,
) -> (String, u16, u64, &'static str) {
    (format!("GET {path}"), status, bytes, ended)
}

#[test]
fn a_request_is_logged_when_its_response_is_sent() {
    let (log, mut client) = scene();
    client.input(get("/a").as_bytes());
    assert_eq!(log.take(), []);
    client.output();
    assert_eq!(log.take(), [entry("/a", 200, 6, "complete")]);
    client.input(b"HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n");
    client.output();
    assert_eq!(log.take(), [("HEAD /b".into(), 200, 0, "complete")]);
    client.eof();
    client.output();
    assert_eq!(log.take(), [], "the end of a connection is not logged as a request");
}

#[test]
fn pipelined_requests_are_logged_in_order_each_with_its_own_bytes() {
    let (log, mut client) = scene();
    let paths = ["/one", "/none", "/error", "/three"];
    client.input(paths.map(get).concat().as_bytes());
    client.output();
    let [one, none, error, three] = paths;
    let page = "404 Not Found\nThere is no such thing.\n".len() as u64;
    assert_eq!(
        log.take(),
        [
            entry(one, 200, 8, "complete"),
            entry(none, 304, 0, "complete"),
            entry(error, 404, page, "complete"),
            entry(three, 200, 10, "complete"),
        ]
    );
}

#[test]
fn the_duration_is_from_the_head_to_the_last_byte_sent() {
    let (log, mut client) = scene();
    client.input(get("/later").as_bytes());
    client.pass(Duration::from_millis(1500));
    client.run_jobs();
    client.pass(Duration::from_millis(500));
    client.output();
    let entry = log.0.take();
    assert_eq!(entry[0].1.duration, Duration::from_secs(2));
}

#[test]
fn an_aborted_request_is_logged_with_the_bytes_that_were_sent() {
    let table = [
        (Reason::Reset, "client-aborted"),
        (Reason::WriteStalled, "timed-out"),
        (Reason::FileChanged, "file-changed"),
        (Reason::FileTimedOut, "failed"),
        (Reason::FileFailed(std::io::ErrorKind::Other.into()), "failed"),
        (Reason::ReadRefused, "failed"),
        (Reason::Cut, "stopped"),
        (Reason::Panicked, "failed"),
        (Reason::Fault(Fault::ours("unused_input_limit", "")), "failed"),
    ];
    for (reason, ended) in table {
        let (log, mut client) = scene();
        client.input(get("/a").as_bytes());
        client.output();
        client.input([get("/b"), get("/later")].concat().as_bytes());
        client.end_for(&reason);
        assert_eq!(
            log.take(),
            [
                entry("/a", 200, 6, "complete"),
                entry("/b", 200, 0, ended),
                entry("/later", 0, 0, ended)
            ],
            "{reason}"
        );
    }
}

#[test]
fn refused_requests_are_logged_as_far_as_they_were_read() {
    let path = "a".repeat(9000);
    let long = format!("GET /{path} HTTP/1.1\r\n");
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(200));
    for (input, known, status, code) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /", 400, "bad_request"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a b HTTP/1.1 at a", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n", "GET / HTTP/1.1 at a", 400, "bad_request"),
        ("\x16\x03\x01\x02", "\x16\x03\x01\x02", 400, "tls_on_plain_port"),
        ("BR\0W / HTTP/1.1\r\nHost: a\r\n\r\n", "BR\0W / HTTP/1.1 at a", 400, "bad_request"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "TRACE /", 405, "refused_method"),
        ("GET / HTTP/3.0\r\n\r\n", "GET / HTTP/3.0", 505, "unsupported_version"),
        (&long, long.trim_end(), 414, "uri_too_long"),
        (&many, "GET / HTTP/1.1 at a", 431, "too_many_fields"),
    ] {
        for whole in [true, false] {
            let (log, mut client) = scene();
            if whole {
                client.input(input.as_bytes());
            } else {
                client.drip(input.as_bytes());
            }
            client.output();
            let log = log.0.take();
            let [(entry, outcome)] = &log[..] else { panic!("{input}: {log:?}") };
            let known = if whole { known } else { &known[..entry.len()] };
            let status = Some(status);
            assert_eq!((&**entry, outcome.status.map(Status::code)), (known, status), "{input}");
            assert_eq!(
                (outcome.end_reason, outcome.fault_code),
                (EndReason::Complete, Some(code)),
                "{input}"
            );
            assert!(outcome.content > 0);
        }
    }
}

#[test]
fn slow_requests_are_logged_as_timed_out() {
    let long = format!("GET /{}", "a".repeat(5000));
    for (input, known) in [
        ("GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX", "GET / HTTP/1.1 at a"),
        ("GET /slow", "GET /slow"),
        ("G", "G"),
        // The first 2 KiB of a long head are kept.
        (&long, &long[..2048]),
    ] {
        for whole in [true, false] {
            let (log, mut client) = scene();
            // An entry must not show the request before it.
            client.input(get("/before").as_bytes());
            client.output();
            log.take();
            if whole {
                client.input(input.as_bytes());
            } else {
                client.drip(input.as_bytes());
            }
            client.pass(Duration::from_secs(11));
            assert!(client.output().starts_with(b"HTTP/1.1 408 "));
            let log = log.0.take();
            let [(entry, outcome)] = &log[..] else { panic!("{input}: {log:?}") };
            assert_eq!((&**entry, outcome.status.map(Status::code)), (known, Some(408)));
            assert_eq!(
                (outcome.end_reason, outcome.fault_code),
                (EndReason::TimedOut, Some("head_timeout"))
            );
            // The duration starts at the first byte.
            assert_eq!(outcome.duration, Limits::default().head_timeout);
        }
    }

    // A client that sends nothing has made no request.
    let (log, mut client) = scene();
    client.pass(Duration::from_secs(61));
    client.output();
    assert_eq!(log.take(), []);
}

/// Streams a response that ends in order, is aborted, or panics before or after its head.
struct Streams;

impl Handler for Streams {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let path = request.path();
        assert_ne!(path, b"/panic");
        let mut stream: Stream<'_, '_> = responder.stream(Status::OK, &Fields::new(), None);
        stream.write(b"hello");
        assert_ne!(path, b"/panic/late");
        match path {
            b"/abort" => stream.abort(),
            b"/open" => stream.later(),
            _ => stream.more(),
        }
    }

    fn on_stream(&mut self, _: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        stream.write(b" world");
        stream.end()
    }
}

#[test]
fn a_streamed_response_is_logged_at_its_end() {
    let framed = "5\r\nhello\r\n".len() as u64;
    let all = framed + "6\r\n world\r\n0\r\n\r\n".len() as u64;
    let page = "500 Internal Server Error\n".len() as u64;
    for (path, status, bytes, ended) in [
        ("/", 200, all, "complete"),
        ("/abort", 200, framed, "failed"),
        ("/panic", 500, page, "complete"),
        ("/panic/late", 200, framed, "failed"),
    ] {
        let (log, mut client) = scene_of(|_: &Peer| Streams);
        client.input(get(path).as_bytes());
        assert_eq!(log.take(), []);
        client.output();
        assert_eq!(log.take(), [entry(path, status, bytes, ended)], "{path}");
    }
    let (log, mut client) = scene_of(|_: &Peer| Streams);
    client.input(get("/open").as_bytes());
    client.output();
    client.end_for(&Reason::Reset);
    assert_eq!(log.take(), [entry("/open", 200, framed, "client-aborted")]);
}

/// Reads every body, and accepts every upgrade.
struct AcceptsAll;

impl Handler for AcceptsAll {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        if request.upgrade().is_none() {
            return responder.read();
        }
        let echo = Box::new(sockeye_proto::echo::Echo::default());
        responder.upgrade("echo", &Fields::new(), echo).expect("the client asks for it")
    }

    fn on_body_end(&mut self, _: &crate::Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        responder.send(Status::OK, &Fields::new(), Body::Empty)
    }
}

#[test]
fn a_request_with_a_body_is_logged_once() {
    for (body, entry) in [
        ("Content-Length: 3\r\n\r\nabc", ("POST /".to_owned(), 200, 0, "complete")),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ("POST /".into(), 200, 0, "complete"),
        ),
    ] {
        let (log, mut client) = scene_of(|_: &Peer| AcceptsAll);
        client.drip(
            format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{body}").as_bytes(),
        );
        client.output();
        assert_eq!(log.take(), [entry]);
    }
    // The rest of the body never arrives.
    let (log, mut client) = scene_of(|_: &Peer| AcceptsAll);
    client.input(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    client.pass(Duration::from_secs(31));
    client.output();
    let log = log.take();
    assert_eq!((log.len(), log[0].1, log[0].3), (1, 408, "timed-out"));
}

#[test]
fn a_request_is_logged_before_another_protocol_takes_over() {
    let (log, mut client) = scene_of(|_: &Peer| AcceptsAll);
    client.input(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello");
    assert_eq!(log.take(), [entry("/", 101, 0, "complete")]);
    assert!(client.output().ends_with(b"\r\n\r\nhello"));
    client.eof();
    client.output();
    assert_eq!(log.take(), []);
}

#[test]
fn log_notes_of_a_client_that_reads_nothing_are_bounded() {
    let (log, mut client) = scene();
    // The output is far from full.
    let sent = 3000;
    client.input(get("/none").repeat(sent).as_bytes());
    let held = client.held();
    assert!(client.unused() > 0 && held < Harness::ROOM, "{held}");
    client.output();
    let entry = log.take();
    assert_eq!(entry.len(), sent, "all are answered when there is room again");
    assert!(entry.iter().all(|entry| *entry == ("GET /none".into(), 304, 0, "complete")));
}

#[test]
fn long_requests_are_noted_up_to_256_kib_at_a_time() {
    let (log, mut client) = scene();
    let path = format!("/{}", "x".repeat(4090));
    let request = get(&path).replace("GET", "HEAD");
    // The responses have no content, so the output is far from full.
    let (sent, noted) = (200, "HEAD ".len() + path.len());
    client.input(request.repeat(sent).as_bytes());
    assert!(client.held() < Harness::ROOM / 4, "{}", client.held());
    let answered = sent - client.unused() / request.len();
    assert_eq!(answered, (256 * 1024_usize).div_ceil(noted));
    client.output();
    assert_eq!(log.take().len(), sent, "all are answered when there is room again");
}

#[test]
fn log_notes_of_requests_are_never_mixed() {
    // If a connection always has unsent output, its notes are moved within their buffer.
    let (log, mut client) = scene();
    let mut expected = Vec::new();
    for n in 0..500 {
        let path = format!("/{n}/{}", "x".repeat(n));
        client.input([get(&path), get("/later")].concat().as_bytes());
        expected.push(entry(&path, 200, 4 + path.len() as u64, "complete"));
        expected.push(entry("/later", 200, 15, "complete"));
        client.output();
        client.run_jobs();
    }
    client.output();
    let entry = log.take();
    assert_eq!(entry.len(), expected.len());
    for (entry, expected) in entry.iter().zip(&expected) {
        assert_eq!(entry, expected);
    }
}

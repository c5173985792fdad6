//! Bodies of requests: collected, received in pieces, and unread.

use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};

use std::time::Duration;

use sockeye::http::{
    Body, BodyReceiver, Budget, HeaderMap, HttpService, Incomplete, Limits, Reply, Request,
    StatusCode,
};
use sockeye::http_core;
use sockeye::proto::harness::Harness;

use crate::client::{Client, TIMEOUT, serve, serve_with, stop};

#[test]
fn a_body_is_collected_in_every_framing() {
    let (serving, address) = serve(|request: Request<Body>| {
        let path = request.uri().path().to_owned();
        request
            .into_body()
            .collect(10, move |body| format!("{path} {}", String::from_utf8_lossy(&body)))
    });
    let mut client = Client::new(&address);
    assert_eq!(client.request_with_body("POST /a", b"hello").text(), "/a hello");
    assert_eq!(client.request("POST /b").text(), "/b ");
    client.head("POST /c", &["Transfer-Encoding: chunked"]);
    for part in ["5\r\nhel", "lo\r\n", "5\r\nworld\r\n0\r", "\n\r\n"] {
        client.send(part);
    }
    assert_eq!(client.response().text(), "/c helloworld");
    client.head("POST /d", &["Expect: 100-continue", "Content-Length: 2"]);
    assert_eq!(client.response_head().status, 100);
    client.send("go");
    assert_eq!(client.response().text(), "/d go");
    stop(serving);
}

#[test]
fn a_body_above_the_limit_gets_413_at_once_if_its_length_is_known() {
    let (serving, address) = serve(|request: Request<Body>| {
        request.into_body().collect(10, |_| -> Reply { panic!("it is never complete") })
    });
    let fields = ["Content-Length: 11", "Expect: 100-continue"];
    for (fields, body) in [
        (&fields[..1], ""),
        (&fields[..], ""),
        (&["Transfer-Encoding: chunked"][..], "9\r\n123456789\r\n2\r\n"),
    ] {
        let mut client = Client::new(&address);
        client.head("POST /", fields);
        client.send(body);
        assert_eq!(client.response().status, 413, "{fields:?}");
        assert!(client.is_closed());
    }
    stop(serving);
}

#[test]
fn a_collected_body_may_lead_to_work_and_to_a_stream() {
    let (serving, address) = serve(|request: Request<Body>| {
        Reply::run(move || {
            request.into_body().collect(100, |body| {
                Reply::run(move || {
                    let pieces: Vec<_> = body.chunks(2).map(<[u8]>::to_vec).collect();
                    Reply::pieces(sockeye::http::Response::new(()), pieces)
                })
            })
        })
    });
    let mut client = Client::new(&address);
    assert_eq!(client.request_with_body("POST /", b"abcde").text(), "abcde");
    assert_eq!(client.request_with_body("POST /", b"fg").text(), "fg");
    stop(serving);
}

#[test]
fn an_unread_body_is_skipped() {
    let (serving, address) = serve(|_: Request<Body>| "no, thanks");
    let mut client = Client::new(&address);
    assert_eq!(client.request_with_body("POST /", &[b'x'; 1000]).text(), "no, thanks");
    assert_eq!(client.request("GET /").text(), "no, thanks");
    stop(serving);
}

/// Counts the bytes of a body, with a job for each piece.
struct CountingReceiver {
    bytes: usize,
    pieces: Arc<Mutex<Vec<usize>>>,
}

impl BodyReceiver for CountingReceiver {
    fn piece(mut self: Box<Self>, piece: &[u8]) -> Reply {
        if piece.starts_with(b"stop") {
            return StatusCode::CONFLICT.into();
        }
        self.bytes += piece.len();
        let len = piece.len();
        let panics = piece.starts_with(b"panic");
        Reply::run(move || {
            assert!(!panics, "on purpose");
            self.pieces.lock().unwrap().push(len);
            Reply::read_more(self)
        })
    }

    fn end(self: Box<Self>, trailers: HeaderMap) -> Reply {
        format!("{} {:?}", self.bytes, trailers.get("x-sum")).into()
    }
}

#[test]
fn a_receiver_gets_a_body_in_pieces_and_runs_work_between_them() {
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&pieces);
    let (serving, address) = serve(move |request: Request<Body>| {
        let pieces = Arc::clone(&pieces);
        request.into_body().receive(10_000_000, CountingReceiver { bytes: 0, pieces })
    });
    let mut client = Client::new(&address);
    assert_eq!(client.request("POST /").text(), "0 None");
    assert_eq!(client.request_with_body("POST /", &vec![b'x'; 3_000_000]).text(), "3000000 None");
    let pieces = std::mem::take(&mut *received.lock().unwrap());
    assert_eq!(pieces.iter().sum::<usize>(), 3_000_000);
    assert!(pieces.iter().all(|len| *len <= 68 * 1024), "{pieces:?}");

    client.head("POST /", &["Transfer-Encoding: chunked"]);
    client.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n");
    assert_eq!(client.response().text(), "7 Some(\"7\")");

    client.head("POST /", &["Content-Length: 9"]);
    client.send("panic");
    assert_eq!(client.response().status, 500);
    drop(client);
    // After an early response, the rest of the body is not parsed as a request.
    let mut client = Client::new(&address);
    client.head("POST /", &["Content-Length: 100"]);
    client.send("stop");
    assert_eq!(client.response().status, 409);
    client.send([b'x'; 96]);
    assert_eq!(client.request_with_body("POST /", b"abc").text(), "3 None");
    // The limit of `receive`.
    client.head("POST /", &["Content-Length: 10000001"]);
    assert_eq!(client.response().status, 413);
    stop(serving);
}

/// Blocks after the first piece until the test continues it.
struct BlockingReceiver {
    pieces: usize,
    bytes: usize,
    may_proceed: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl BodyReceiver for BlockingReceiver {
    fn piece(mut self: Box<Self>, piece: &[u8]) -> Reply {
        self.pieces += 1;
        self.bytes += piece.len();
        if self.pieces != 1 {
            return Reply::read_more(self);
        }
        Reply::run(move || {
            self.may_proceed.lock().unwrap().recv().unwrap();
            Reply::read_more(self)
        })
    }

    fn end(self: Box<Self>, _: HeaderMap) -> Reply {
        self.bytes.to_string().into()
    }
}

#[test]
fn backpressure_slows_the_client_while_the_receiver_blocks() {
    const BYTES: usize = 64 << 20;
    let (proceed, may_proceed) = mpsc::channel();
    let may_proceed = Arc::new(Mutex::new(may_proceed));
    let (serving, address) = serve(move |request: Request<Body>| {
        let may_proceed = Arc::clone(&may_proceed);
        request
            .into_body()
            .receive(BYTES as u64, BlockingReceiver { pieces: 0, bytes: 0, may_proceed })
    });
    let mut client = std::net::TcpStream::connect(&address).unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n");
    std::io::Write::write_all(&mut client, head.as_bytes()).unwrap();
    client.set_nonblocking(true).unwrap();
    // The kernel's buffers are smaller than the body, and nothing reads from them.
    let chunk = vec![0; 1 << 20];
    let (mut sent, mut refused) = (0, 0);
    while refused < 1000 {
        match std::io::Write::write(&mut client, &chunk) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                refused += 1;
                std::thread::yield_now();
            }
        }
        assert!(sent < BYTES, "everything was read, though the receiver blocks");
    }
    // Other requests don't wait.
    assert_eq!(Client::new(&address).request("POST /").text(), "0");
    proceed.send(()).unwrap();
    client.set_nonblocking(false).unwrap();
    while sent < BYTES {
        let count = chunk.len().min(BYTES - sent);
        std::io::Write::write_all(&mut client, &chunk[..count]).unwrap();
        sent += count;
    }
    let mut reply = [0; 15];
    std::io::Read::read_exact(&mut client, &mut reply).unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200 OK");
    drop(client);
    stop(serving);
}

#[test]
fn a_receiver_is_dropped_when_the_client_leaves() {
    struct Dropped(mpsc::Sender<()>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    impl BodyReceiver for Dropped {
        fn piece(self: Box<Self>, _: &[u8]) -> Reply {
            Reply::read_more(self)
        }

        fn end(self: Box<Self>, _: HeaderMap) -> Reply {
            panic!("it has no end")
        }
    }

    let (dropped, was_dropped) = mpsc::channel();
    let (serving, address) = serve(move |request: Request<Body>| {
        request.into_body().receive(100, Dropped(dropped.clone()))
    });
    let mut client = Client::new(&address);
    client.head("POST /", &["Content-Length: 9"]);
    client.send("four");
    drop(client);
    was_dropped.recv().unwrap();
    stop(serving);
}

#[test]
fn collected_bodies_of_all_connections_are_charged_until_the_response_begins() {
    let budget = Budget::new("bytes", 1 << 20); // A local client has half.
    let answer = |request: Request<Body>| {
        request.into_body().collect(1 << 20, |body| Reply::run(move || body.len().to_string()))
    };
    let http = HttpService::with_budget(answer, Arc::clone(&budget));
    let connect = || {
        let shared = Rc::new(http_core::ServerConfig::default());
        Harness::new(http_core::Server::new(shared, http.handlers()))
    };
    let request = |len: usize| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; len]].concat()
    };
    let is = |client: &mut Harness, status: &str| {
        let output = String::from_utf8(client.output()).unwrap();
        assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{output}");
        output
    };

    let mut first = connect();
    first.input(&request(400 << 10));
    let held = budget.used();
    assert!((336 << 10..=512 << 10).contains(&held), "{held}");
    let mut second = connect();
    second.input(&request(400 << 10));
    assert!(is(&mut second, "503").contains("\r\nRetry-After: 1\r\n"));
    assert_eq!(budget.used(), held, "the refused body is released, and a job holds the other");
    let mut third = connect();
    third.input(&request(64 << 10));
    third.run_jobs();
    is(&mut third, "200");

    first.run_jobs();
    is(&mut first, "200");
    assert_eq!(budget.used(), 0);
    first.input(&request(400 << 10)[..200 << 10]);
    assert!(budget.used() > 0);
    drop(first);
    assert_eq!(budget.used(), 0, "the client has left");
}

/// A frame of HTTP/2.
fn h2_frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn each_byte_of_a_collected_body_is_charged_over_http2() {
    let budget = Budget::new("bytes", 1 << 20);
    let answer =
        |request: Request<Body>| request.into_body().collect(1 << 20, |_| Reply::from("whole"));
    let http = HttpService::with_budget(answer, Arc::clone(&budget));
    let shared = Rc::new(http_core::ServerConfig::default());
    let mut client = Harness::new(http_core::Server::new(shared, http.handlers()));
    client.input(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.input(&h2_frame(4, 0, 0, b""));
    for stream in [1, 3] {
        // POST, http and / are in the static table; the name of :authority, too.
        client.input(&h2_frame(1, 4, stream, &[0x83, 0x86, 0x84, 0x01, 1, b'a']));
        client.input(&h2_frame(0, 0, stream, &[b'x'; 1000]));
    }
    assert_eq!(budget.used(), 2000);
    client.input(&h2_frame(0, 1, 1, b""));
    assert_eq!(budget.used(), 1000, "one is answered");
    drop(client);
    assert_eq!(budget.used(), 0);
}

/// Reports an incomplete body. After the piece `job`, it blocks in a job until the test continues
/// it.
struct NotifyingReceiver {
    to_test: mpsc::Sender<String>,
    bytes: usize,
    may_proceed: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl BodyReceiver for NotifyingReceiver {
    fn piece(mut self: Box<Self>, piece: &[u8]) -> Reply {
        self.bytes += piece.len();
        if piece != b"job" {
            return Reply::read_more(self);
        }
        self.to_test.send("in the job".to_owned()).unwrap();
        Reply::run(move || {
            self.may_proceed.lock().unwrap().recv_timeout(TIMEOUT).unwrap();
            Reply::read_more(self)
        })
    }

    fn end(self: Box<Self>, _: HeaderMap) -> Reply {
        "complete".into()
    }

    fn incomplete(self: Box<Self>, why: Incomplete) {
        assert_eq!(why.to_string(), "the request's body is incomplete");
        self.to_test.send(format!("{} bytes", self.bytes)).unwrap();
        assert_ne!(self.bytes, 5, "on purpose");
    }
}

#[test]
fn a_handler_that_reads_a_body_is_notified_that_it_is_incomplete() {
    let (to_test, notifications) = mpsc::channel();
    let (proceed, may_proceed) = mpsc::channel();
    let may_proceed = Arc::new(Mutex::new(may_proceed));
    // Longer than a delayed acknowledgement.
    let limits = Limits { body_timeout: Duration::from_millis(300), ..Limits::default() };
    let (serving, address) = serve_with(limits, move |request: Request<Body>| {
        let (to_test, may_proceed) = (to_test.clone(), Arc::clone(&may_proceed));
        match request.uri().path() {
            "/collect" => request.into_body().try_collect(10, move |body| {
                to_test.send(format!("{body:?}")).unwrap();
                "collected"
            }),
            _ => request
                .into_body()
                .receive(10, NotifyingReceiver { to_test, bytes: 0, may_proceed }),
        }
    });
    type Cut = fn(Client) -> u16;
    let end: Cut = |mut client| {
        client.end();
        client.response().status
    };
    let wait: Cut = |mut client| client.response().status;
    let reset: Cut = |client| {
        client.reset();
        0
    };
    let length = "Content-Length: 9";
    let chunked = "Transfer-Encoding: chunked";
    for (path, field, body, cut, status, notification) in [
        ("/collect", length, "abc", end, 400, "Err(Incomplete)"),
        ("/collect", length, "abc", wait, 408, "Err(Incomplete)"),
        ("/collect", length, "abc", reset, 0, "Err(Incomplete)"),
        ("/collect", chunked, "3\r\nabc\r\nx", wait, 400, "Err(Incomplete)"),
        ("/collect", chunked, "b\r\n", wait, 413, "Err(Incomplete)"),
        ("/receive", length, "abc", end, 400, "3 bytes"),
        ("/receive", length, "abc", wait, 408, "3 bytes"),
        ("/receive", length, "", reset, 0, "0 bytes"),
        ("/receive", chunked, "3\r\nabc\r\n", end, 400, "3 bytes"),
        ("/receive", chunked, "3\r\nabc\r\n8\r\n", wait, 413, "3 bytes"),
        // A panic in `incomplete` changes nothing.
        ("/receive", length, "abcde", end, 400, "5 bytes"),
    ] {
        let mut client = Client::new(&address);
        // The client leaves a response unread, so that its close is a reset.
        if status == 0 {
            client.head("POST /", &["Content-Length: 0"]);
            client.wait();
        }
        client.head(&format!("POST {path}"), &[field]);
        client.send(body);
        assert_eq!(cut(client), status, "{path} {field} {body}");
        assert_eq!(
            notifications.recv_timeout(TIMEOUT).unwrap(),
            notification,
            "{path} {field} {body}"
        );
    }
    // While a job owns the receiver, it is notified after the job.
    let mut client = Client::new(&address);
    client.head("POST /", &["Content-Length: 0"]);
    client.wait();
    client.head("POST /receive", &[length]);
    client.send("job");
    assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), "in the job");
    client.reset();
    proceed.send(()).unwrap();
    assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), "3 bytes");
    let mut client = Client::new(&address);
    assert_eq!(client.request_with_body("POST /receive", b"abc").text(), "complete");
    assert_eq!(client.request_with_body("POST /collect", b"abc").text(), "collected");
    assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), "Ok(b\"abc\")");
    drop(client);
    stop(serving);
    assert!(notifications.try_recv().is_err(), "each is notified once");
}

#[test]
fn reading_more_without_a_body_to_read_is_a_500() {
    /// Asks for more after the end.
    struct Insatiable;

    impl BodyReceiver for Insatiable {
        fn piece(self: Box<Self>, _: &[u8]) -> Reply {
            Reply::read_more(self)
        }

        fn end(self: Box<Self>, _: HeaderMap) -> Reply {
            Reply::read_more(self)
        }
    }

    let (serving, address) = serve(|request: Request<Body>| match request.uri().path() {
        "/unread" => Reply::read_more(Box::new(Insatiable)),
        _ => request.into_body().receive(10, Insatiable),
    });
    for path in ["/unread", "/complete"] {
        let answer = Client::new(&address).request_with_body(&format!("POST {path}"), b"abc");
        assert_eq!(answer.status, 500, "{path}");
    }
    stop(serving);
}

//! System calls and segments of each kind of response, and whether the response waits for a delayed
//! acknowledgement.
//!
//! A head should be sent with the first bytes of its content, and a response in as few segments as
//! possible, without a delay. With Nagle's algorithm, a small segment waits until the client has
//! acknowledged the previous one. The client may delay this acknowledgement by 40 ms.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use super::{
    fixture::Fixture,
    trace::{self, Calls},
};
use crate::{Result, probe, servers::Server};

/// Number of timed responses.
pub(super) const TIMED: usize = 100;
/// Number of traced responses.
const TRACED: u64 = 200;
/// Longer than any response here should take, and shorter than a delayed acknowledgement.
const STALL: Duration = Duration::from_millis(30);
/// A response is complete when nothing has arrived for this long.
const QUIET: Duration = Duration::from_millis(200);

/// The server: `sockeye http`, or the service of [`streams`](super::streams).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Files,
    Streams,
}

/// A kind of response, and how the client requests it.
#[derive(Clone, Copy, Debug)]
struct ResponseKind {
    title: &'static str,
    service: Service,
    /// What the client sends. It sends a step when the server has responded to the previous one.
    steps: &'static [&'static str],
    /// Whether the server closes the connection after the response.
    last: bool,
}

const fn kind(
    title: &'static str,
    service: Service,
    steps: &'static [&'static str],
) -> ResponseKind {
    ResponseKind { title, service, steps, last: false }
}

macro_rules! request {
    ($line:literal $($fields:literal)*) => {
        concat!($line, " HTTP/1.1\r\nHost: localhost\r\n", $($fields, "\r\n",)* "\r\n")
    };
}

const KINDS: [ResponseKind; 22] = {
    use Service::{Files, Streams};
    [
        kind("file of 13 bytes", Files, &[request!("GET /small.txt")]),
        kind("the same, HEAD", Files, &[request!("HEAD /small.txt")]),
        kind("the same, 304", Files, &[request!("GET /small.txt" "If-None-Match: *")]),
        ResponseKind {
            title: "the same, last of its connection",
            service: Files,
            steps: &[request!("GET /small.txt" "Connection: close")],
            last: true,
        },
        kind("file of 16 KiB", Files, &[request!("GET /16k.bin")]),
        kind("file of 100 KiB", Files, &[request!("GET /100k.bin")]),
        ResponseKind {
            title: "the same, last of its connection",
            service: Files,
            steps: &[request!("GET /100k.bin" "Connection: close")],
            last: true,
        },
        kind("file of 1 MiB", Files, &[request!("GET /1m.bin")]),
        kind("100 bytes of 16 KiB", Files, &[request!("GET /16k.bin" "Range: bytes=500-599")]),
        kind("20 KB of 1 MiB", Files, &[request!("GET /1m.bin" "Range: bytes=100-20099")]),
        kind(
            "two ranges of 16 KiB",
            Files,
            &[request!("GET /16k.bin" "Range: bytes=0-99,9000-9099")],
        ),
        kind(
            "two ranges of 1 MiB",
            Files,
            &[request!("GET /1m.bin" "Range: bytes=0-999,500000-500999")],
        ),
        kind("404", Files, &[request!("GET /nothing")]),
        kind("416", Files, &[request!("GET /small.txt" "Range: bytes=99-")]),
        kind("a listing", Files, &[request!("GET /list/")]),
        kind("the same, as JSON", Files, &[request!("GET /list/?format=json")]),
        kind("the same, as an archive", Files, &[request!("GET /list/?format=tar")]),
        kind(
            "small, 100 KiB and small, pipelined",
            Files,
            &[concat!(
                request!("GET /small.txt"),
                request!("GET /100k.bin"),
                request!("GET /small.txt")
            )],
        ),
        kind("a stream in one piece", Streams, &[request!("GET /whole")]),
        kind("a stream in 100 pieces, at once", Streams, &[request!("GET /pieces")]),
        kind(
            "a body after its head, and its echo",
            Streams,
            &[concat!(request!("POST /echo" "Content-Length: 5"), "hello")],
        ),
        kind(
            "the same, after a 100 (Continue)",
            Streams,
            &[request!("POST /echo" "Content-Length: 5" "Expect: 100-continue"), "hello"],
        ),
    ]
};

/// The figures of one kind of response.
#[derive(Clone, Debug)]
pub(super) struct WireRow {
    pub(super) title: &'static str,
    /// The length of the response, or of the responses to all steps together.
    pub(super) bytes: usize,
    pub(super) calls: Calls,
    /// Number of received segments with data, per response. `None` if `ss` doesn't say.
    pub(super) segments: Option<f64>,
    /// Number of responses, of [`TIMED`], that took [`STALL`] or longer.
    pub(super) stalled: usize,
}

/// Requests every kind of response.
pub(super) fn run(fixture: &mut Fixture) -> Result<Vec<WireRow>> {
    let one = |kind: &ResponseKind| {
        measure_kind(fixture, kind).map_err(|error| format!("{}: {error}", kind.title).into())
    };
    KINDS.iter().map(one).collect()
}

fn measure_kind(fixture: &mut Fixture, kind: &ResponseKind) -> Result<WireRow> {
    let server = start(fixture, kind)?;
    let lengths = response_lengths(server.address, kind)?;
    let mut client = Client::new(server.address, kind, &lengths);
    let (mut stalled, mut before) = (0, None);
    for _ in 0..TIMED {
        let begin = Instant::now();
        client.exchange()?;
        stalled += usize::from(begin.elapsed() >= STALL);
        before = before.or_else(|| client.segments());
    }
    let responses = if kind.last { 1 } else { TIMED - 1 };
    // With a connection per response, only the segments of the last connection are known. With one
    // connection for all, the first response is not counted: `before` was read after it.
    let base = if kind.last { Some(0) } else { before };
    let segments = client.segments().zip(base);
    let segments = segments.map(|(after, before)| (after - before) as f64 / responses as f64);
    drop(server);

    let calls = fixture.traced(TRACED, |fixture| {
        let server = start(fixture, kind)?;
        let mut client = Client::new(server.address, kind, &lengths);
        // The first response needs lookups, so it isn't counted.
        client.exchange()?;
        let begin = trace::now();
        (0..TRACED).try_for_each(|_| client.exchange())?;
        let end = trace::now();
        drop(client);
        server.end()?;
        Ok(begin..end)
    })?;
    Ok(WireRow { title: kind.title, bytes: lengths.iter().sum(), calls, segments, stalled })
}

fn start(fixture: &Fixture, kind: &ResponseKind) -> Result<Server> {
    match kind.service {
        Service::Files => fixture.serve("site", &["--listing"]),
        Service::Streams => fixture.streams(),
    }
}

/// The length of the response to each step. A response ends when nothing has arrived for [`QUIET`],
/// or when the server closes the connection.
fn response_lengths(address: SocketAddr, kind: &ResponseKind) -> Result<Vec<usize>> {
    let mut socket = probe::connect(address)?;
    socket.set_read_timeout(Some(QUIET))?;
    let mut buffer = vec![0; 64 << 10];
    let mut length = |step: &&str| -> Result<usize> {
        socket.write_all(step.as_bytes())?;
        let mut length = 0;
        loop {
            match socket.read(&mut buffer) {
                Ok(0) if length == 0 => return Err("no response".into()),
                Ok(0) => return Ok(length),
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock && length > 0 => {
                    return Ok(length);
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    kind.steps.iter().map(&mut length).collect()
}

/// Requests one kind of response repeatedly.
struct Client<'a> {
    address: SocketAddr,
    kind: &'a ResponseKind,
    lengths: &'a [usize],
    socket: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl<'a> Client<'a> {
    fn new(address: SocketAddr, kind: &'a ResponseKind, lengths: &'a [usize]) -> Self {
        let longest = lengths.iter().copied().max().unwrap_or_default();
        Self { address, kind, lengths, socket: None, buffer: vec![0; longest] }
    }

    fn exchange(&mut self) -> Result<()> {
        let fresh = || -> Result<_> {
            let socket = probe::connect(self.address)?;
            // The client must not delay anything itself.
            socket.set_nodelay(true)?;
            Ok(socket)
        };
        if self.kind.last || self.socket.is_none() {
            self.socket = Some(fresh()?);
        }
        let socket = self.socket.as_mut().ok_or("no connection")?;
        for (step, length) in self.kind.steps.iter().zip(self.lengths) {
            socket.write_all(step.as_bytes())?;
            socket.read_exact(&mut self.buffer[..*length])?;
        }
        if self.kind.last && socket.read(&mut [0])? > 0 {
            return Err("the connection stays open".into());
        }
        Ok(())
    }

    /// The number of received segments with data, from `ss`.
    fn segments(&self) -> Option<u64> {
        let port = self.socket.as_ref()?.local_addr().ok()?.port();
        let filter = format!("sport = :{port} and dport = :{}", self.address.port());
        let output = Command::new("ss").args(["-tinH", &filter]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let word = text.split_whitespace().find_map(|word| word.strip_prefix("data_segs_in:"))?;
        word.parse().ok()
    }
}

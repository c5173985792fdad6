//! A connection of HTTP/2.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sockeye_http::{Server, ServerConfig};
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

use crate::SplitInput;
use crate::connection::Ending;
use crate::http1::limits;
use crate::http1_handler::FuzzHandler;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame without settings.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// Longer than the sum of all deadlines of a connection.
const LONG: Duration = Duration::from_secs(3600);
/// Maximum number of bytes that the output of the connection may hold.
const MAX_HELD: usize = 200 * 1024;
/// The maximum window.
const MAX_WINDOW: i64 = 0x7fff_ffff;

/// Sends the preface, a SETTINGS frame and the bytes of a [`SplitInput`] to a server. One run sends
/// the bytes in the input's parts, another one sends them frame by frame.
///
/// # Panics
///
/// If the output isn't a sequence of frames that RFC 9113 permits, exceeds a window, leaves a
/// stream without an end, or takes too much memory; or if the connection doesn't end.
pub fn h2_server(input: &[u8]) {
    let Some(split) = SplitInput::read(input) else { return };
    let shared = Rc::new(ServerConfig::new(limits()));
    for ending in [Ending::Eof, Ending::Silence, Ending::Drain] {
        run(&shared, frames(split.stream), ending);
        run(&shared, split.parts(), ending);
    }
}

/// The frames in the bytes of `stream`. The last one may be incomplete.
fn frames(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let len = FrameHeader::read(rest).map_or(rest.len(), |header| 9 + header.len);
        let (frame, later) = rest.split_at(len.min(rest.len()));
        rest = later;
        (!frame.is_empty()).then_some(frame)
    })
}

fn run<'a>(shared: &Rc<ServerConfig>, parts: impl Iterator<Item = &'a [u8]>, ending: Ending) {
    let requests = Rc::default();
    let server =
        Server::new(Rc::clone(shared), move |_: &Peer| FuzzHandler::new(Rc::clone(&requests)));
    let (mut client, mut checker) = (Harness::new(server), Checker::default());
    for part in [PREFACE, SETTINGS].into_iter().chain(parts) {
        // An ended connection gets no more input.
        if client.fault().is_some() || client.end().is_some() {
            break;
        }
        if part != PREFACE {
            checker.send(part);
        }
        client.input(part);
        settle(&mut client, &mut checker);
        // After too many resets of streams, the server reads nothing for 100 ms. They pass here.
        client.pass(Duration::from_millis(100));
    }
    match ending {
        Ending::Eof => client.eof(),
        Ending::Silence => {}
        Ending::Drain => client.drain(),
    }
    settle(&mut client, &mut checker);
    // At a deadline, the server may write output. The connection ends only after the output is read
    // (or by the engine's write timeout, which the harness doesn't have), so more than one call of
    // `pass` may be necessary.
    for _ in 0..3 {
        client.pass(LONG);
        settle(&mut client, &mut checker);
    }
    assert!(client.fault().is_some() || client.end().is_some(), "the connection does not end");
    checker.finish(client.fault().is_some());
}

/// Reads output and runs jobs until there are none.
fn settle(client: &mut Harness, checker: &mut Checker) {
    loop {
        assert!(client.held() <= MAX_HELD, "{} bytes are held", client.held());
        let output = client.output();
        checker.receive(&output);
        if client.run_jobs() == 0 && output.is_empty() {
            return;
        }
    }
}

#[derive(Clone, Copy)]
struct FrameHeader {
    len: usize,
    /// 0 is DATA, 1 HEADERS, 3 RST_STREAM, 4 SETTINGS, 6 PING, 7 GOAWAY, 8 WINDOW_UPDATE, and 9
    /// CONTINUATION.
    kind: u8,
    flags: u8,
    stream: u32,
}

impl FrameHeader {
    fn read(bytes: &[u8]) -> Option<Self> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes.first_chunk()?;
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        Some(Self { len, kind, flags, stream })
    }
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What was sent on a stream.
#[derive(Default)]
struct Stream {
    /// The final response has begun.
    has_status: bool,
    has_ended: bool,
    is_reset: bool,
    /// The client has reset it.
    is_cancelled: bool,
    /// The increments by the client's WINDOW_UPDATE frames, less the DATA that the server has sent.
    /// This plus the initial window, which SETTINGS may change, is what the server may still send.
    window: i64,
}

/// Follows what the client sends, and checks what the server sends.
struct Checker {
    /// What the client has sent of an incomplete frame.
    sent: Vec<u8>,
    /// What the server has sent of an incomplete frame.
    received: Vec<u8>,
    streams: BTreeMap<u32, Stream>,
    /// The window of the connection.
    window: i64,
    /// The default of the initial window of streams, then its value after each SETTINGS frame of
    /// the client. The value at the index `acknowledged` applies.
    initial_windows: Vec<i64>,
    /// Number of SETTINGS frames that the client has sent.
    settings: usize,
    /// Number of these frames that the server has acknowledged.
    acknowledged: usize,
    /// An incomplete header block: its stream, whether END_STREAM is set, and the bytes so far.
    block: Option<(u32, bool, Vec<u8>)>,
    has_settings: bool,
    last_goaway: u32,
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            sent: Vec::new(),
            received: Vec::new(),
            streams: BTreeMap::new(),
            window: 65_535,
            initial_windows: vec![65_535],
            settings: 0,
            acknowledged: 0,
            block: None,
            has_settings: false,
            last_goaway: u32::MAX,
        }
    }
}

/// Removes a frame from the front.
fn take_frame(bytes: &mut Vec<u8>) -> Option<(FrameHeader, Vec<u8>)> {
    let header = FrameHeader::read(bytes).filter(|header| bytes.len() >= 9 + header.len)?;
    let rest = bytes.split_off(9 + header.len);
    let frame = std::mem::replace(bytes, rest);
    Some((header, frame[9..].to_vec()))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("four bytes"))
}

impl Checker {
    /// The client sends bytes.
    fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        while let Some((header, payload)) = take_frame(&mut self.sent) {
            match header.kind {
                4 if header.flags & 1 == 0 => {
                    // The setting 4 is SETTINGS_INITIAL_WINDOW_SIZE.
                    let (settings, _) = payload.as_chunks::<6>();
                    let sizes = settings.iter().filter(|setting| setting[..2] == [0, 4]);
                    let size = sizes.map(|setting| i64::from(number(&setting[2..]))).next_back();
                    let before = self.initial_windows[self.settings];
                    self.settings += 1;
                    self.initial_windows.push(size.unwrap_or(before));
                }
                3 => self.streams.entry(header.stream).or_default().is_cancelled = true,
                8 if payload.len() == 4 => {
                    let by = i64::from(number(&payload) & 0x7fff_ffff);
                    let window = match header.stream {
                        0 => &mut self.window,
                        stream => &mut self.streams.entry(stream).or_default().window,
                    };
                    *window = (*window + by).min(2 * MAX_WINDOW);
                }
                _ => {}
            }
        }
    }

    /// The server sends bytes.
    fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        while let Some((header, payload)) = take_frame(&mut self.received) {
            self.frame(header, payload);
        }
    }

    fn frame(&mut self, header: FrameHeader, payload: Vec<u8>) {
        let FrameHeader { len, kind, flags, stream } = header;
        assert!(len <= 16_384, "a frame of {len} bytes");
        assert!(self.has_settings || kind == 4, "SETTINGS come first");
        if let Some((id, ..)) = &self.block {
            assert_eq!((kind, stream), (9, *id), "a header block is one piece");
        }
        let of_connection = matches!(kind, 4 | 6 | 7) || (kind == 8 && stream == 0);
        assert_eq!(of_connection, stream == 0, "type {kind} on stream {stream}");
        assert!(of_connection || stream % 2 == 1);
        match kind {
            0 => {
                let (id, stream) = (stream, self.streams.get_mut(&stream).expect("HEADERS first"));
                assert!(stream.has_status && !stream.has_ended && !stream.is_reset, "{id}");
                stream.has_ended = flags & END_STREAM != 0;
                stream.window -= len as i64;
                self.window -= len as i64;
                let initial = self.initial_windows[self.acknowledged];
                assert!(len == 0 || self.window >= 0, "beyond the connection's window");
                assert!(len == 0 || initial + stream.window >= 0, "beyond the window of {id}");
            }
            1 => {
                let block = (stream, flags & END_STREAM != 0, payload);
                match flags & END_HEADERS {
                    0 => self.block = Some(block),
                    _ => self.headers(block),
                }
            }
            9 => {
                let (id, ends, mut block) = self.block.take().expect("HEADERS come first");
                block.extend(payload);
                match flags & END_HEADERS {
                    0 => self.block = Some((id, ends, block)),
                    _ => self.headers((id, ends, block)),
                }
            }
            3 => {
                let stream = self.streams.entry(stream).or_default();
                assert!(len == 4 && !std::mem::replace(&mut stream.is_reset, true));
            }
            4 if flags & 1 != 0 => {
                assert_eq!(len, 0);
                self.acknowledged += 1;
                assert!(self.acknowledged <= self.settings, "an acknowledgement too many");
            }
            4 => assert!(len % 6 == 0 && !std::mem::replace(&mut self.has_settings, true)),
            6 => assert_eq!(len, 8),
            7 => {
                let last = number(&payload);
                assert!(len == 8 && last <= self.last_goaway, "{last} after {}", self.last_goaway);
                self.last_goaway = last;
            }
            8 => assert!(len == 4 && number(&payload) > 0),
            _ => panic!("an unexpected frame of type {kind}"),
        }
    }

    /// A header block of the server.
    fn headers(&mut self, (id, ends, block): (u32, bool, Vec<u8>)) {
        let stream = self.streams.entry(id).or_default();
        assert!(!stream.has_ended && !stream.is_reset, "HEADERS after the end of {id}");
        let status = status(&block);
        match (stream.has_status, status) {
            (false, Some(status)) => {
                assert!(!ends || status >= 200, "an interim response ends nothing");
                stream.has_status = status >= 200;
            }
            (has_status, status) => {
                assert!(has_status && status.is_none() && ends, "trailers with {status:?}");
            }
        }
        stream.has_ended = ends;
    }

    /// The connection has ended.
    fn finish(&self, has_fault: bool) {
        assert!(self.received.is_empty() && self.block.is_none(), "an incomplete frame");
        for (id, stream) in &self.streams {
            let is_over = stream.has_ended || stream.is_reset || !stream.has_status;
            assert!(is_over || stream.is_cancelled || has_fault, "stream {id} has no end");
        }
    }
}

/// The status of a response; `None` for trailers. Checks that the block refers to the static table
/// only.
fn status(mut block: &[u8]) -> Option<u16> {
    // A dynamic table size update to 0 (RFC 7541, 6.3).
    if block.first() == Some(&0x20) {
        block = &block[1..];
    }
    let mut status = None;
    let mut is_first = true;
    while let Some((&first, rest)) = block.split_first() {
        block = rest;
        let is_indexed = first & 0x80 != 0;
        let (index, value) = if is_indexed {
            (usize::from(first & 0x7f), &b""[..])
        } else {
            assert!(first & 0xe0 == 0, "only literals without indexing");
            let index = integer(first & 0xf, 0xf, &mut block);
            if index == 0 {
                string(&mut block);
            }
            (index, string(&mut block))
        };
        assert!(index < 62, "the index {index}");
        const CODES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        let code = match index {
            8..=14 if is_indexed => Some(CODES[index - 8]),
            8 => Some(str::from_utf8(value).expect("digits").parse().expect("a number")),
            1..=14 => panic!("a pseudo-header field of requests"),
            _ => None,
        };
        assert!(code.is_none() || is_first, "the status comes first");
        status = status.or(code);
        is_first = false;
    }
    status
}

fn integer(first: u8, max: u8, block: &mut &[u8]) -> usize {
    let mut number = usize::from(first);
    if first < max {
        return number;
    }
    let mut shift = 0;
    loop {
        let (&byte, rest) = block.split_first().expect("a whole number");
        *block = rest;
        number += usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

/// Removes a string from the front of `block`, and returns it undecoded: it may be Huffman-coded.
fn string<'a>(block: &mut &'a [u8]) -> &'a [u8] {
    let (&first, rest) = block.split_first().expect("a string");
    *block = rest;
    let len = integer(first & 0x7f, 0x7f, block);
    let (string, rest) = block.split_at(len);
    *block = rest;
    string
}

//! Connections with a server that a test plays byte by byte, and with our own server.

mod errors;
mod requests;
mod responses;
mod server;

use bytes::Bytes;
use sockeye_proto::{Output, Part};

use super::{Connection, Error, Event, RequestHeads, code_name};
use crate::h2::frame::{self, FrameHeader, PREFACE, flags, kind, settings};
use crate::h2::hpack::encode;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(kind, flags, stream, payload, &mut bytes);
    bytes
}

fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write_settings(all, &mut bytes);
    bytes
}

/// A header block.
fn block(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    if status > 0 {
        encode::status(status, &mut block);
    }
    for (name, value) in fields {
        encode::field(name.as_bytes(), value.as_bytes(), true, &mut block);
    }
    block
}

fn headers(end: u8, stream: u32, status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, flags::END_HEADERS | end, stream, &block(status, fields))
}

fn data(end: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    frame(kind::DATA, end, stream, content)
}

/// The heads of requests: GET, HEAD and POST.
const GET: usize = 0;
const HEAD: usize = 1;
const POST: usize = 2;

/// A client, whose requests have their numbers as data: 1, 2, and so on.
struct Client {
    connection: Connection<u32>,
    heads: RequestHeads,
    out: Output,
    count: u32,
    /// What has happened so far.
    events: Vec<String>,
}

impl Client {
    /// Has sent what a client sends first, which the test has read.
    fn new() -> Self {
        let mut heads = RequestHeads::default();
        for method in ["GET", "HEAD", "POST"] {
            heads.add(method, "http", "localhost", "/", &[]);
        }
        let mut out = Output::new();
        let connection = Connection::new(&mut out);
        let mut client = Self { connection, heads, out, count: 0, events: Vec::new() };
        assert!(client.sent().starts_with(PREFACE));
        client
    }

    fn request(&mut self, number: usize, content: Option<&Bytes>) {
        assert!(self.connection.can_send());
        self.count += 1;
        self.connection.request(&self.heads, number, content, self.count, &mut self.out);
    }

    /// Reads `input`, and returns how many bytes were used. Pieces of content that follow each
    /// other are one event.
    fn read(&mut self, input: &[u8]) -> Result<usize, Error> {
        let mut rest = input;
        while let Some(event) = self.connection.read(&mut rest, &mut self.out)? {
            let text = match event {
                Event::Head { head, interim, data } => {
                    let length = head.length.map(|length| format!(" of {length}"));
                    let location = head.location.map(|location| format!(" to {location}"));
                    let interim = if interim > 0 { format!(" after {interim}") } else { "".into() };
                    let (length, location) =
                        (length.unwrap_or_default(), location.unwrap_or_default());
                    format!("{data}: {}{length}{location}{interim}", head.status)
                }
                Event::Content { bytes, data } => {
                    let (start, content) = (format!("{data}: '"), bytes.escape_ascii());
                    let last = self.events.last_mut().filter(|last| last.starts_with(&start));
                    if let Some(last) = last {
                        *last = format!("{}{content}'", last.trim_end_matches('\''));
                        continue;
                    }
                    format!("{start}{content}'")
                }
                Event::End(data) => format!("{data}: end"),
                Event::Reset(code, data) => format!("{data}: {}", code_name(code)),
                Event::Unprocessed(data) => format!("{data}: unprocessed"),
            };
            self.events.push(text);
        }
        Ok(input.len() - rest.len())
    }

    /// Reads `input`, which is valid and complete.
    fn read_all(&mut self, input: &[u8]) {
        assert_eq!(self.read(input), Ok(input.len()));
    }

    fn events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    /// The bytes that were sent since the last call.
    fn sent(&mut self) -> Vec<u8> {
        take(&mut self.out)
    }

    /// The frames that were sent since the last call, each as its type, flags, stream and length.
    fn frames(&mut self) -> Vec<(u8, u8, u32, usize)> {
        let sent = self.sent();
        let (mut frames, mut rest) = (Vec::new(), &sent[..]);
        while let Some(header) = FrameHeader::read(rest) {
            frames.push((header.kind, header.flags, header.stream, header.len));
            rest = &rest[FrameHeader::LEN + header.len..];
        }
        assert!(rest.is_empty());
        frames
    }
}

/// Takes all bytes.
fn take(out: &mut Output) -> Vec<u8> {
    let mut taken = Vec::new();
    while let Part::Memory(_) = out.part(u64::MAX) {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let (filled, _) = out.slices(&mut slices);
        let before = taken.len();
        slices[..filled].iter().for_each(|slice| taken.extend_from_slice(slice));
        out.advance((taken.len() - before) as u64);
    }
    taken
}

const END: u8 = flags::END_STREAM;
const NONE: u8 = flags::NONE;

//! A client of HTTP/2 for tests. It sends raw frames, and checks each frame of the server.

use std::collections::{BTreeMap, VecDeque};

use sockeye_proto::harness::Harness;

use crate::h2::frame::{self, FrameHeader, PREFACE, flags, kind, settings};
use crate::h2::hpack::{Decoder, encode};

/// One connection, from the client's side.
pub(in crate::tests) struct Client {
    pub(in crate::tests) harness: Harness,
    decoder: Decoder,
    /// Output that is not a whole frame.
    partial: Vec<u8>,
    /// A header block without its end: the stream, the flags of its first frame, and the number of
    /// CONTINUATION frames.
    block: Option<(u32, u8, usize, Vec<u8>)>,
    /// The settings that the server has not acknowledged.
    sent_settings: VecDeque<Vec<(u16, u32)>>,
    max_frame_size: usize,
    initial_window: i64,
    /// What the server may send on the connection.
    window: i64,
    has_settings: bool,
    /// Random bytes were sent: the server may acknowledge any settings, and windows aren't known.
    is_random: bool,
    /// The header blocks that came.
    pub(in crate::tests) blocks: Vec<Vec<u8>>,
    pub(in crate::tests) streams: BTreeMap<u32, Received>,
}

/// What came on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tests) struct Received {
    /// The statuses of interim responses and of the response.
    pub(in crate::tests) statuses: Vec<u16>,
    pub(in crate::tests) fields: Vec<(String, String)>,
    pub(in crate::tests) content: Vec<u8>,
    pub(in crate::tests) trailers: Option<Vec<(String, String)>>,
    pub(in crate::tests) has_ended: bool,
    pub(in crate::tests) reset: Option<u32>,
    /// What the server may send, apart from the initial window.
    window: i64,
}

impl Received {
    pub(in crate::tests) fn text(&self) -> &str {
        str::from_utf8(&self.content).expect("text")
    }

    pub(in crate::tests) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| &*field.1)
    }
}

const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// A frame as bytes.
pub(in crate::tests) fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(kind, flags, stream, payload, &mut bytes);
    bytes
}

/// A header block. It doesn't refer to the dynamic table.
pub(in crate::tests) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            // The encoder would convert it.
            block.extend([0, name.len() as u8]);
            block.extend(name.bytes());
            block.push(value.len() as u8);
            block.extend(value.bytes());
        } else {
            encode::field(name.as_bytes(), value.as_bytes(), false, &mut block);
        }
    }
    block
}

/// The pseudo-header fields of a request, and other fields.
pub(in crate::tests) fn head<'a>(
    method: &'a str,
    path: &'a str,
    fields: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut all =
        vec![(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")];
    all.extend(fields);
    all
}

pub(in crate::tests) const END: u8 = flags::END_HEADERS | flags::END_STREAM;

impl Client {
    /// A client that has sent nothing.
    pub(in crate::tests) fn before_preface(harness: Harness) -> Self {
        Self {
            harness,
            decoder: Decoder::new(),
            partial: Vec::new(),
            block: None,
            sent_settings: VecDeque::new(),
            max_frame_size: 16_384,
            initial_window: 65_535,
            window: 65_535,
            has_settings: false,
            is_random: false,
            blocks: Vec::new(),
            streams: BTreeMap::new(),
        }
    }

    /// A client that has sent the preface and these settings, and received those of the server.
    pub(in crate::tests) fn with_settings(harness: Harness, settings: &[(u16, u32)]) -> Self {
        let mut client = Self::before_preface(harness);
        client.harness.input(PREFACE);
        client.settings(settings);
        assert_eq!(
            client.read(),
            ["SETTINGS 3=100 6=32768 8=1 9=1", "0 WINDOW_UPDATE 983041", "SETTINGS ACK"]
        );
        client
    }

    /// From now on, what the client sends is random: windows and settings are not checked.
    pub(in crate::tests) fn expect_any_settings(&mut self) {
        self.is_random = true;
    }

    // ---- what it sends ----

    /// Sends bytes, unless the server has ended the connection.
    pub(in crate::tests) fn input(&mut self, bytes: &[u8]) {
        if self.harness.fault().is_none() && self.harness.end().is_none() {
            self.harness.input(bytes);
        }
    }

    pub(in crate::tests) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.note_sent(kind, flags, stream, payload);
        self.input(&raw(kind, flags, stream, payload));
    }

    /// Notes what a frame allows the server.
    pub(in crate::tests) fn note_sent(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        if kind == kind::SETTINGS && flags & flags::ACK == 0 {
            self.sent_settings.push_back(settings::read(payload).collect());
        }
        if kind == kind::WINDOW_UPDATE
            && let Some(increment) = frame::read_u31(payload)
        {
            match stream {
                0 => self.window += i64::from(increment),
                _ => self.streams.entry(stream).or_default().window += i64::from(increment),
            }
        }
    }

    pub(in crate::tests) fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut bytes = Vec::new();
        frame::write_settings(settings, &mut bytes);
        self.frame(kind::SETTINGS, 0, 0, &bytes[FrameHeader::LEN..]);
    }

    pub(in crate::tests) fn window_update(&mut self, stream: u32, increment: u32) {
        self.frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
    }

    pub(in crate::tests) fn headers(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        self.frame(kind::HEADERS, flags | flags::END_HEADERS, stream, &block(fields));
    }

    /// Sends a request without content.
    pub(in crate::tests) fn get(&mut self, stream: u32, path: &str) {
        self.headers(stream, flags::END_STREAM, &head("GET", path, &[]));
    }

    /// Sends the start of a request with content.
    pub(in crate::tests) fn post(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) {
        self.headers(stream, 0, &head("POST", path, fields));
    }

    pub(in crate::tests) fn data(&mut self, stream: u32, content: &[u8]) {
        self.frame(kind::DATA, 0, stream, content);
    }

    pub(in crate::tests) fn end(&mut self, stream: u32, content: &[u8]) {
        self.frame(kind::DATA, flags::END_STREAM, stream, content);
    }

    pub(in crate::tests) fn reset(&mut self, stream: u32) {
        self.frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }

    // ---- what it receives ----

    /// The frames since the last call, one text each. Checks them.
    #[track_caller]
    pub(in crate::tests) fn read(&mut self) -> Vec<String> {
        let output = self.harness.output();
        self.partial.extend(output);
        let bytes = std::mem::take(&mut self.partial);
        let mut rest = &bytes[..];
        let mut shown = Vec::new();
        while let Some(header) = FrameHeader::read(rest)
            && let Some(payload) = rest[FrameHeader::LEN..].get(..header.len)
        {
            assert_eq!(rest[5] & 0x80, 0, "the reserved bit");
            assert!(self.is_random || header.len <= self.max_frame_size, "{header:?}");
            rest = &rest[FrameHeader::LEN + header.len..];
            shown.extend(self.receive(header, payload));
        }
        self.partial = rest.to_vec();
        shown
    }

    /// As [`Client::read`], with jobs, and windows that are given back, until nothing comes.
    pub(in crate::tests) fn read_all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let jobs = self.harness.run_jobs();
            let frames = self.read();
            let is_over = frames.is_empty() && jobs == 0;
            for frame in &frames {
                let mut words = frame.split(' ');
                if let (Some(stream), Some("DATA"), Some(len)) =
                    (words.next(), words.next(), words.next())
                    && len != "0"
                {
                    // Windows that are opened by a few bytes at a time have a limit.
                    let len = len.parse::<u32>().expect("a length").max(2000);
                    self.window_update(0, len);
                    self.window_update(stream.parse().expect("a stream"), len);
                }
            }
            all.extend(frames);
            if is_over {
                return all;
            }
        }
    }

    /// Checks a frame. Returns its text, unless a header block is incomplete.
    #[track_caller]
    fn receive(&mut self, header: FrameHeader, payload: &[u8]) -> Option<String> {
        let FrameHeader { len, kind, flags, stream } = header;
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let code = |at: usize| CODES[number(at) as usize];
        assert!(self.has_settings || kind == kind::SETTINGS, "SETTINGS come first");
        let is_ack = flags & flags::ACK != 0;
        if let Some((id, ..)) = &self.block {
            assert_eq!((kind, stream), (kind::CONTINUATION, *id), "a header block is one piece");
        }
        Some(match kind {
            kind::SETTINGS if is_ack => {
                assert_eq!((len, flags, stream), (0, flags::ACK, 0));
                self.apply_settings();
                "SETTINGS ACK".into()
            }
            kind::SETTINGS => {
                assert_eq!((len % 6, flags, stream), (0, 0, 0));
                self.has_settings = true;
                let all = settings::read(payload).map(|(name, value)| format!(" {name}={value}"));
                format!("SETTINGS{}", all.collect::<String>())
            }
            kind::PING => {
                assert_eq!((len, stream), (8, 0));
                let ack = if is_ack { " ACK" } else { "" };
                format!("PING{ack} {}", payload.escape_ascii())
            }
            kind::GOAWAY => {
                assert_eq!((len, flags, stream), (8, 0, 0));
                format!("GOAWAY {} {}", number(0), code(4))
            }
            kind::WINDOW_UPDATE => {
                assert_eq!((len, flags), (4, 0));
                assert!(number(0) > 0);
                format!("{stream} WINDOW_UPDATE {}", number(0))
            }
            kind::RST_STREAM => {
                assert_eq!((len, flags), (4, 0));
                let received = self.streams.entry(stream).or_default();
                assert_eq!(received.reset.replace(number(0)), None, "two resets of {stream}");
                format!("{stream} RST_STREAM {}", code(0))
            }
            kind::DATA => {
                assert_eq!(flags & !flags::END_STREAM, 0);
                let received = self.streams.get_mut(&stream).expect("HEADERS come first");
                assert!(!received.has_ended && received.reset.is_none(), "{stream} has ended");
                assert!(received.statuses.last().is_some_and(|status| *status >= 200));
                received.has_ended = flags & flags::END_STREAM != 0;
                received.content.extend_from_slice(payload);
                received.window -= len as i64;
                self.window -= len as i64;
                if len > 0 && !self.is_random {
                    assert!(self.window >= 0, "beyond the connection's window: {}", self.window);
                    let window = self.initial_window + received.window;
                    assert!(window >= 0, "beyond the window of {stream}: {window}");
                }
                format!("{stream} DATA {len}{}", if received.has_ended { " END" } else { "" })
            }
            kind::HEADERS => {
                assert_eq!(flags & !END, 0);
                return self.receive_block((stream, flags, 0, payload.to_vec()), flags);
            }
            kind::CONTINUATION => {
                assert_eq!(flags & !flags::END_HEADERS, 0);
                let (id, first, count, mut bytes) = self.block.take().expect("HEADERS come first");
                bytes.extend_from_slice(payload);
                return self.receive_block((id, first, count + 1, bytes), flags);
            }
            _ => panic!("an unexpected frame: {header:?}"),
        })
    }

    #[track_caller]
    fn receive_block(
        &mut self,
        (stream, first, count, bytes): (u32, u8, usize, Vec<u8>),
        flags: u8,
    ) -> Option<String> {
        if flags & flags::END_HEADERS == 0 {
            self.block = Some((stream, first, count, bytes));
            return None;
        }
        let mut fields = Vec::new();
        self.decoder
            .decode(&bytes, &mut Vec::new(), |field| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                fields.push((text(field.name), text(field.value)));
                true
            })
            .expect("a header block");
        assert_eq!(self.decoder.memory(), 0, "the server doesn't use the dynamic table");
        self.blocks.push(bytes);
        let received = self.streams.entry(stream).or_default();
        assert!(!received.has_ended && received.reset.is_none(), "{stream} has ended");
        received.has_ended = first & flags::END_STREAM != 0;
        let end = if received.has_ended { " END" } else { "" };
        let continued = if count > 0 { format!("+{count}") } else { String::new() };
        if received.statuses.last().is_some_and(|status| *status >= 200) {
            assert!(received.has_ended && fields.iter().all(|field| !field.0.starts_with(':')));
            assert_eq!(received.trailers.replace(fields), None);
            return Some(format!("{stream} TRAILERS{continued}{end}"));
        }
        assert_eq!(fields[0].0, ":status");
        let status: u16 = fields.remove(0).1.parse().expect("a number");
        assert!(fields.iter().all(|field| !field.0.starts_with(':')), "{fields:?}");
        assert!(status >= 200 || !received.has_ended, "an interim response ends nothing");
        received.statuses.push(status);
        received.fields = fields;
        Some(format!("{stream} HEADERS{continued} {status}{end}"))
    }

    /// The server has acknowledged settings: they hold from now on.
    #[track_caller]
    fn apply_settings(&mut self) {
        let all = self.sent_settings.pop_front();
        let all = all.or(self.is_random.then(Vec::new)).expect("settings were sent");
        for (name, value) in all {
            match name {
                settings::INITIAL_WINDOW_SIZE => self.initial_window = value.into(),
                settings::MAX_FRAME_SIZE => self.max_frame_size = value as usize,
                _ => {}
            }
        }
    }
}

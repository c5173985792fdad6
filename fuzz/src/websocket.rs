//! Either side of a WebSocket, with and without compression.

use std::cell::RefCell;
use std::rc::Rc;

use flate2::{Decompress, FlushDecompress};
use sockeye_http::ws::{
    ClientHandshake, CloseCode, Closed, Config, Connection, DeflateOptions, Extension, Handler,
    Handshake, Limits, MaskKeys, Message, Opening, Socket,
};
use sockeye_http::{self as http_core, Answer, Fields, Request, Responder, Server, ServerConfig};
use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Message as Delivery, Peer, Ticket};

use crate::SplitInput;
use crate::connection::{Ending, Jobs, run_connection};

const NONCE: [u8; 16] = [7; 16];
/// The limit on messages of the peer. It is so low that short inputs can exceed it.
const MAX_MESSAGE: usize = 600;

/// What the first byte of an input chooses.
#[derive(Clone, Copy, Debug)]
struct Mode {
    deflates: bool,
    context_takeover: bool,
    /// The input is what a server sends to our client. Otherwise it is what a client sends.
    is_client: bool,
}

impl Mode {
    fn config(self) -> Rc<Config> {
        let limits = Limits { message: MAX_MESSAGE, fragments: 8, ..Limits::default() };
        let options = DeflateOptions::new().min_len(1).context_takeover(self.context_takeover);
        let config = Config::new(limits);
        Rc::new(if self.deflates { config.deflating(options) } else { config })
    }
}

/// The input's first byte chooses a side of a WebSocket, and whether messages are compressed. The
/// rest is a [`SplitInput`], which is sent to this side after the handshake: in parts, and as a
/// whole.
///
/// # Panics
///
/// If the parts change what the handler gets or what is sent, or the output isn't a sequence of
/// frames that RFC 6455 and RFC 7692 permit.
pub fn websocket(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else { return };
    let Some(split) = SplitInput::read(input) else { return };
    let mode = Mode {
        deflates: first & 1 != 0,
        context_takeover: first & 2 != 0,
        is_client: first & 4 != 0,
    };
    // All connections share `config`: if one leaves something in it, the next one's outcome may
    // change.
    let config = mode.config();
    for ending in [Ending::Eof, Ending::Silence, Ending::Drain] {
        let whole = run(mode, &config, &mut [split.stream].into_iter(), ending, Jobs::Quick);
        // Slow jobs end a pause only after the ending. A drain has closed the WebSocket by then, so
        // the messages that have waited are dropped. The end of input has closed it, too, unless
        // bytes behind the message that began the pause have waited.
        let slow = matches!(ending, Ending::Silence).then_some(Jobs::Slow);
        for jobs in [Jobs::Quick].into_iter().chain(slow) {
            let parts = run(mode, &config, &mut split.parts(), ending, jobs);
            assert_eq!(parts, whole, "the parts change the result: {mode:?}, {ending:?}, {jobs:?}");
        }
    }
}

/// The result of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// What the handler got.
    events: Vec<String>,
    /// What was sent, except for pings, whose number depends on when the jobs run.
    frames: Vec<Frame>,
    fault: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    opcode: u8,
    payload: Vec<u8>,
}

fn run(
    mode: Mode,
    config: &Rc<Config>,
    parts: &mut dyn Iterator<Item = &[u8]>,
    ending: Ending,
    jobs: Jobs,
) -> Outcome {
    let events = Rc::<RefCell<Vec<String>>>::default();
    let handler = Recorder { events: Rc::clone(&events), is_closed: false };
    let mut side = if mode.is_client { client(config, handler) } else { server(config, handler) };
    let opening = side.output();
    assert_eq!(mode.is_client, opening.is_empty());
    assert!(mode.is_client || opening.starts_with(b"HTTP/1.1 101 "), "{}", opening.escape_ascii());
    let result = run_connection(side, parts, ending, jobs);
    let mut frames = Reader::new(mode).read(&result.output);
    let (mut events, mut fault) = (events.take(), result.fault);
    assert_eq!(events.iter().filter(|event| event.starts_with("closed")).count(), 1, "{events:?}");
    if mode.deflates && fault.is_some() {
        // If a compressed message has several errors, the parts decide which one is found first.
        events.pop();
        frames.pop_if(|frame| frame.opcode == 8);
        fault = Some("an error".to_owned());
    }
    Outcome { events, frames, fault }
}

/// A client's request for a WebSocket. It offers compression if `config` enables that.
fn request(config: &Rc<Config>) -> Vec<u8> {
    ClientHandshake::new(NONCE, config).request("localhost", "/", &Fields::new())
}

fn server(config: &Rc<Config>, handler: Recorder) -> Harness {
    let handler = RefCell::new(Some(handler));
    let shared = Rc::clone(config);
    let opens = move |_: &Peer| Opens(Rc::clone(&shared), handler.take());
    let server = Server::new(Rc::new(ServerConfig::default()), opens);
    let mut side = Harness::new(server);
    side.input(&request(config));
    side
}

fn client(config: &Rc<Config>, handler: Recorder) -> Harness {
    let other = server(config, Recorder { events: Rc::default(), is_closed: false }).output();
    let extension = match ClientHandshake::new(NONCE, config).read(&other) {
        Ok(Opening::Open { extension, .. }) => extension,
        other => panic!("{other:?}"),
    };
    Harness::new(connection(config, handler, extension))
}

fn connection(
    config: &Rc<Config>,
    handler: Recorder,
    extension: Extension,
) -> Connection<Recorder> {
    Connection::client(Rc::clone(config), MaskKeys::new(NONCE), handler).with_extension(extension)
}

/// Opens a WebSocket for the first request.
struct Opens(Rc<Config>, Option<Recorder>);

impl http_core::Handler for Opens {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let handshake = Handshake::read(request, false, &self.0).expect("a good request");
        let handler = self.1.take().expect("no other request is read");
        handshake.accept(None, &self.0, handler, responder)
    }
}

/// Notes what it gets, and sends messages back. The text `close` closes the WebSocket, and `job`
/// pauses it until a job has run.
struct Recorder {
    events: Rc<RefCell<Vec<String>>>,
    is_closed: bool,
}

impl Recorder {
    fn note(&self, event: String) {
        assert!(!self.is_closed, "after the end: {event}");
        self.events.borrow_mut().push(event);
    }
}

impl Handler for Recorder {
    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        self.note(format!("{message:?}"));
        let len = match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        };
        assert!(len <= MAX_MESSAGE, "a message of {len} bytes");
        socket.send(message);
        match message {
            Message::Text("close") => socket.close(CloseCode(3000), "as you say"),
            Message::Text("job") => {
                let _ = socket.run(|| ());
                socket.pause();
            }
            _ => {}
        }
    }

    fn on_delivery(
        &mut self,
        _: Ticket,
        delivery: Result<Delivery, Abandoned>,
        socket: &mut Socket<'_, '_>,
    ) {
        self.note(format!("a job has run: {}", delivery.is_ok()));
        socket.send("done");
        socket.resume();
    }

    fn on_close(&mut self, Closed { code, reason }: Closed<'_>, _: &mut Socket<'_, '_>) {
        self.note(format!("closed {code} {reason}"));
        self.is_closed = true;
    }
}

/// Reads what one side has sent.
struct Reader {
    mode: Mode,
    inflate: Decompress,
}

impl Reader {
    fn new(mode: Mode) -> Self {
        Self { mode, inflate: Decompress::new(false) }
    }

    /// All frames of `output`, except for pings.
    fn read(&mut self, output: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut rest = output;
        let mut is_closed = false;
        while !rest.is_empty() {
            assert!(!is_closed, "frames after the close frame: {}", rest.escape_ascii());
            let (opcode, is_compressed, payload, later) = self.frame(rest);
            rest = later;
            let payload = if is_compressed { self.inflate(&payload) } else { payload };
            match opcode {
                1 => assert!(str::from_utf8(&payload).is_ok(), "text that is not UTF-8"),
                8 => {
                    is_closed = true;
                    if let Some((code, reason)) = payload.split_first_chunk() {
                        let code = u16::from_be_bytes(*code);
                        assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "{code}");
                        assert!(str::from_utf8(reason).is_ok());
                    } else {
                        assert!(payload.is_empty());
                    }
                }
                2 | 10 => {}
                9 => continue,
                _ => panic!("the opcode {opcode}"),
            }
            frames.push(Frame { opcode, payload });
        }
        frames
    }

    /// The opcode of a frame, whether it is compressed, its payload, and what comes after it.
    fn frame<'a>(&self, bytes: &'a [u8]) -> (u8, bool, Vec<u8>, &'a [u8]) {
        let (&[first, second], mut rest) = bytes.split_first_chunk().expect("a whole header");
        let len = match second & 0x7f {
            126 => {
                let (len, later) = rest.split_first_chunk().expect("a whole length");
                rest = later;
                let len = u16::from_be_bytes(*len);
                assert!(len > 125);
                usize::from(len)
            }
            // No message has as many as 64 KiB.
            127 => panic!("too long"),
            len => usize::from(len),
        };
        let mut key = [0; 4];
        assert_eq!(second & 0x80 != 0, self.mode.is_client, "only a client masks");
        if self.mode.is_client {
            let (mask, later) = rest.split_first_chunk().expect("a whole key");
            (key, rest) = (*mask, later);
        }
        let (payload, rest) = rest.split_at_checked(len).expect("a whole frame");
        let payload =
            payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let opcode = first & 0xf;
        let is_compressed = first & 0x40 != 0;
        assert!(first & 0x80 != 0 && first & 0x30 == 0, "a fragment, or a reserved bit");
        assert!(!is_compressed || (self.mode.deflates && opcode < 8), "compressed");
        assert!(opcode < 8 || len <= 125, "a control frame of {len} bytes");
        (opcode, is_compressed, payload, rest)
    }

    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.mode.context_takeover {
            self.inflate.reset(false);
        }
        let payload = [payload, b"\0\0\xff\xff"].concat();
        let mut message = Vec::with_capacity(MAX_MESSAGE + 16);
        let before = self.inflate.total_in();
        self.inflate
            .decompress_vec(&payload, &mut message, FlushDecompress::Sync)
            .expect("DEFLATE");
        assert_eq!(self.inflate.total_in() - before, payload.len() as u64, "a part is unread");
        message
    }
}

//! Tests of WebSockets.

mod client;
mod closing;
mod compressed;
mod handshake;
mod messages;
mod timing;
mod tunnel;
mod violations;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Message as Delivery, Remote, Ticket, Time};

use super::{
    CloseCode, Closed, Config, Connection, FrameHeader, Handler, Limits, Message, Opcode, Sender,
    Socket, mask,
};

/// What a handler has got, in order.
#[derive(Default)]
struct Seen {
    events: RefCell<Vec<String>>,
    sender: RefCell<Option<Sender>>,
    remote: RefCell<Option<Remote>>,
    deadline_panics: Cell<bool>,
}

impl Seen {
    fn note(&self, event: impl Into<String>) {
        self.events.borrow_mut().push(event.into());
    }

    fn take(&self) -> Vec<String> {
        self.events.take()
    }
}

/// Notes what it gets, and obeys texts: `echo …`, `close CODE …`, `job`, `fill COUNT`, `room`,
/// `panic` and `panic deadline`.
struct Recorder(Rc<Seen>);

impl Handler for Recorder {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        *self.0.sender.borrow_mut() = Some(socket.sender());
        *self.0.remote.borrow_mut() = Some(socket.remote());
        self.0.note("open");
    }

    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        let text = match message {
            Message::Binary(bytes) => {
                self.0.note(format!("binary {}", bytes.escape_ascii()));
                return;
            }
            Message::Text(text) => text,
        };
        self.0.note(format!("text {text}"));
        match text.split_once(' ').unwrap_or((text, "")) {
            ("echo", _) => socket.send(message),
            ("close", rest) => {
                let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                socket.close(CloseCode(code.parse().unwrap()), reason);
                assert!(socket.is_closing());
                socket.send("dropped");
            }
            ("job", _) => {
                let _ = socket.run(|| 7_u32);
                socket.pause();
            }
            ("fill", count) => {
                (0..count.parse().unwrap()).for_each(|_| socket.send("0123456789"));
            }
            ("room", _) => socket.want_room(),
            ("panic", "deadline") => self.0.deadline_panics.set(true),
            ("panic", _) => panic!("on purpose"),
            _ => {}
        }
    }

    fn on_delivery(
        &mut self,
        ticket: Ticket,
        delivery: Result<Delivery, Abandoned>,
        socket: &mut Socket<'_, '_>,
    ) {
        let from = if ticket == Ticket::REMOTE { "remote" } else { "job" };
        let value = delivery.ok().and_then(|value| value.downcast::<u32>().ok());
        self.0.note(format!("{from} {value:?}"));
        socket.resume();
    }

    fn on_woken(&mut self, _: &mut Socket<'_, '_>) {
        self.0.note("woken");
    }

    fn on_room(&mut self, _: &mut Socket<'_, '_>) {
        self.0.note("room");
    }

    fn deadline(&self) -> Option<Time> {
        assert!(!self.0.deadline_panics.get(), "on purpose");
        None
    }

    fn on_close(&mut self, Closed { code, reason }: Closed<'_>, _: &mut Socket<'_, '_>) {
        self.0.note(format!("closed {code} {reason}"));
    }
}

/// A client of a server whose handler is a [`Recorder`].
struct Client {
    harness: Harness,
    seen: Rc<Seen>,
}

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

impl Client {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let seen = Rc::<Seen>::default();
        let recorder = Recorder(Rc::clone(&seen));
        let harness = Harness::new(Connection::server(Rc::new(Config::new(limits)), recorder));
        let mut client = Self { harness, seen };
        assert_eq!(client.seen.take(), ["open"]);
        client.seen.events.borrow_mut().reserve(100);
        assert!(client.harness.output().is_empty());
        client
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.harness.input(&frame(opcode, true, payload));
    }

    fn text(&mut self, text: &str) {
        self.send(Opcode::Text, text.as_bytes());
    }

    /// The frames that the server has sent.
    fn frames(&mut self) -> Vec<String> {
        read_frames(&self.harness.output())
    }

    fn events(&self) -> Vec<String> {
        self.seen.take()
    }
}

/// A masked frame.
fn frame(opcode: Opcode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final, ..FrameHeader::whole(opcode, payload.len(), Some(KEY)) };
    let (bytes, len) = header.encode();
    let mut frame = bytes[..len].to_vec();
    frame.extend(payload);
    mask(&mut frame[len..], KEY);
    frame
}

/// The frames in `output`, without masks.
fn read_frames(mut output: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some((header, len)) = FrameHeader::read(output).unwrap() {
        let (payload, rest) = output[len..].split_at(header.len as usize);
        let mut payload = payload.to_vec();
        if let Some(key) = header.mask {
            mask(&mut payload, key);
        }
        output = rest;
        let fin = if header.is_final { "" } else { "…" };
        frames.push(match header.opcode {
            Opcode::Close if payload.len() >= 2 => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                format!("Close {code} {}", str::from_utf8(&payload[2..]).unwrap())
            }
            opcode => format!("{opcode:?}{fin} {}", payload.escape_ascii()),
        });
    }
    assert!(output.is_empty(), "a part of a frame: {}", output.escape_ascii());
    frames
}

//! A protocol that runs others on streams of its own, with flow control, as HTTP/2 does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Context, Key, Owner, Session};
use crate::harness::Harness;
use crate::{Consumed, End, Event, Fault, Output, Peer, Protocol, Reason, Time, Turn};

/// The events that the protocols of the streams got.
type EventLog = Rc<RefCell<Vec<String>>>;

/// Reads frames of three bytes: a kind, the stream's id and a byte of content. The kinds: `+` opens
/// a stream, `>` carries content, `.` ends the peer's side, `w` adds ten times the digit in its
/// content to the window. Writes `<`, the id and up to four bytes of content; `.` and the id at the
/// end of our side.
struct Streams {
    streams: BTreeMap<u8, Stream>,
    log: EventLog,
}

/// A stream, and how many more bytes may be sent to its peer.
struct Stream {
    session: Session,
    window: usize,
}

/// The owner of a stream's session. Its output is full at [`StreamOwner::ROOM`] bytes.
struct StreamOwner<'a>(Context<'a>);

impl StreamOwner<'_> {
    const ROOM: usize = 8;
}

impl Owner for StreamOwner<'_> {
    fn context(&self, _: &Peer) -> Context<'_> {
        Context { room: Self::ROOM, ..self.0 }
    }

    fn high_water(&self) -> usize {
        Self::ROOM
    }

    fn max_unused_input(&self) -> usize {
        2
    }

    fn lend_output(&mut self) -> Box<Output> {
        Box::default()
    }

    fn take_back_output(&mut self, _: Box<Output>) {}

    fn charge(&mut self, _: Key) {}

    fn limit_unsent(&mut self, _: Key, _: u32) {}

    /// A panic ends the connection, with all of its streams.
    fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
        Some(call())
    }
}

impl Protocol for Streams {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let (frames, _) = input.as_chunks();
        for [kind, id, content] in frames {
            let mut owner = StreamOwner(turn.context);
            if *kind == b'+' {
                let protocol = Tens { id: *id, left: 0, log: Rc::clone(&self.log) };
                let mut session = Session::new(Box::new(protocol), turn.key, turn.peer().clone());
                session.open(&mut owner);
                self.streams.insert(*id, Stream { session, window: 0 });
            }
            let Some(stream) = self.streams.get_mut(id) else { continue };
            match kind {
                b'>' => stream.session.input(&[*content], &mut owner),
                b'w' => stream.window += 10 * usize::from(*content - b'0'),
                b'.' => {
                    stream.session.half_close();
                    stream.session.end_of_input(&mut owner);
                }
                _ => {}
            }
            if let Some(reason) = stream.flush(*id, turn) {
                stream.session.close(&reason, &mut StreamOwner(turn.context));
                self.streams.remove(id);
            }
        }
        Ok(Consumed::more(frames.len() * 3))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Closed(reason) = event {
            for stream in self.streams.values_mut() {
                stream.session.close(reason, &mut StreamOwner(turn.context));
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.streams.values().map(|stream| stream.session.deadline()).min()
    }
}

impl Stream {
    /// Moves as much output to the connection as the window allows. Returns why the stream has
    /// ended, if it has.
    fn flush(&mut self, id: u8, turn: &mut Turn<'_>) -> Option<Reason> {
        while self.window > 0
            && let Some(mut output) = self.session.take_output()
        {
            let bytes = output.plain().expect("the protocols write nothing else");
            let count = bytes.len().min(self.window).min(4);
            turn.out.write_all(&[&[b'<', id], &bytes[..count]]);
            self.window -= count;
            output.advance(count as u64);
            let mut owner = StreamOwner(turn.context);
            self.session.put_back(output, count as u64, &mut owner);
            self.session.progress(&mut owner);
        }
        if self.session.end().is_none() || !self.session.is_flushed() {
            return None;
        }
        turn.out.write(&[b'.', id]);
        Some(self.session.take_reason().unwrap_or_else(|| self.session.orderly_reason()))
    }
}

/// Writes its id ten times for each byte of input, whenever its output has room. Reads nothing
/// meanwhile.
struct Tens {
    id: u8,
    left: usize,
    log: EventLog,
}

impl Tens {
    fn write(&mut self, turn: &mut Turn<'_>) {
        while self.left > 0 && !turn.is_full() {
            turn.out.write(&[self.id]);
            self.left -= 1;
        }
        if self.left > 0 { turn.want_room() } else { turn.resume() }
    }
}

impl Protocol for Tens {
    fn on_bytes(&mut self, _: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.left = 10;
        self.write(turn);
        Ok(Consumed::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let what = match &event {
            Event::Open(_) => "Open".into(),
            Event::Closed(reason) => reason.code().into(),
            event => format!("{event:?}"),
        };
        self.log.borrow_mut().push(format!("{} {what}", self.id as char));
        match event {
            Event::Room => self.write(turn),
            Event::Eof { .. } => turn.end(End::Finish),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

fn connect() -> (Harness, impl Fn() -> Vec<String>) {
    let log = EventLog::default();
    let peer = Harness::new(Streams { streams: BTreeMap::new(), log: Rc::clone(&log) });
    (peer, move || log.take())
}

#[test]
fn a_stream_is_driven_as_a_connection_is() {
    let (mut peer, events) = connect();
    peer.input(b"+a >a!>a!.a ");
    assert_eq!(peer.output(), b"", "no window");
    assert_eq!(events(), ["a Open", "a HalfClosed"]);
    peer.input(b"wa1");
    assert_eq!(peer.output(), b"<aaaaa<aaaaa<aaa");
    assert_eq!(events(), ["a Room"]);
    peer.input(b"wa2");
    assert_eq!(peer.output(), b"<aaaaa<aaaaa<aaa.a");
    assert_eq!(events(), ["a Room", "a Eof { clean: true }", "a finished"]);
}

#[test]
fn each_stream_ends_for_its_own_reason_or_with_the_connection() {
    let (mut peer, events) = connect();
    peer.input(b"+a >a!+b >b!>b!>b!");
    assert_eq!(events(), ["a Open", "b Open"]);
    peer.input(b">b!wb1wa1");
    assert_eq!(peer.output(), b"<bbbbb<bbbbb.b<aaaaa<aaaaa<aaa");
    assert_eq!(events(), ["b unused_input_limit", "a Room"]);
    peer.end_for(&Reason::Reset);
    assert_eq!(events(), ["a reset"]);
}

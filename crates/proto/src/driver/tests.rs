//! A protocol that runs others on streams of its own, with flow control, as HTTP/2 does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Context, Owner, Session};
use crate::harness::Harness;
use crate::{Consumed, End, Event, Fault, Output, Peer, Protocol, Reason, Time, Turn};

/// What the protocols of the streams were told.
type Told = Rc<RefCell<Vec<String>>>;

/// Reads frames of three bytes: a kind (`+` opens a stream, `>` is content, `.` the end of the peer's side,
/// `w` makes the window wider by ten times a digit), the stream, one byte of content. Writes frames that
/// begin with `<` and the stream, or `.` and the stream at the end of our side.
struct Streams {
    streams: BTreeMap<u8, Stream>,
    told: Told,
}

/// A stream, and how many bytes its peer takes.
struct Stream {
    session: Session,
    window: usize,
}

/// What a stream has of the connection that carries it, and little room of its own.
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
                let protocol = Tens { id: *id, left: 0, told: Rc::clone(&self.told) };
                let mut session = Session::new(Box::new(protocol), turn.key, *turn.peer());
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
    /// Moves to the connection's output what the window allows. Returns why the stream is over, if it is.
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
        Some(self.session.take_reason().unwrap_or_else(|| self.session.conclusion()))
    }
}

/// Writes ten bytes for each byte, as its output has room; reads nothing meanwhile.
struct Tens {
    id: u8,
    left: usize,
    told: Told,
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
        self.told.borrow_mut().push(format!("{} {what}", self.id as char));
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
    let told = Told::default();
    let peer = Harness::new(Streams { streams: BTreeMap::new(), told: Rc::clone(&told) });
    (peer, move || told.take())
}

#[test]
fn a_stream_is_driven_as_a_connection_is() {
    let (mut peer, told) = connect();
    peer.input(b"+a >a!>a!.a ");
    assert_eq!(peer.output(), b"", "no window");
    assert_eq!(told(), ["a Open", "a HalfClosed"]);
    peer.input(b"wa1");
    assert_eq!(peer.output(), b"<aaaaa<aaaaa<aaa");
    assert_eq!(told(), ["a Room"]);
    peer.input(b"wa2");
    assert_eq!(peer.output(), b"<aaaaa<aaaaa<aaa.a");
    assert_eq!(told(), ["a Room", "a Eof { clean: true }", "a finished"]);
}

#[test]
fn streams_end_each_for_its_own_reason_and_with_their_connection() {
    let (mut peer, told) = connect();
    peer.input(b"+a >a!+b >b!>b!>b!");
    assert_eq!(told(), ["a Open", "b Open"]);
    peer.input(b">b!wb1wa1");
    assert_eq!(peer.output(), b"<bbbbb<bbbbb.b<aaaaa<aaaaa<aaa");
    assert_eq!(told(), ["b unused_input_limit", "a Room"]);
    peer.end_for(&Reason::Reset);
    assert_eq!(told(), ["a reset"]);
}

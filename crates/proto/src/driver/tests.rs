//! A protocol that runs others inside of it, with flow control.

mod resumed;
mod wrapped;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use super::{NestedSession, Stream};
use crate::harness::Harness;
use crate::{
    Consumed, End, Event, Fault, Mark, Promise, Protocol, Reason, Remote, Ticket, Time, Turn,
};

/// The events that the nested protocols got, and what they have made.
#[derive(Default)]
struct Seen {
    events: RefCell<Vec<String>>,
    promises: RefCell<Vec<Promise>>,
    remotes: RefCell<Vec<Remote>>,
    /// What nested protocols try to send by when they get a message.
    probe: RefCell<Option<Remote>>,
}

/// Reads frames of three bytes: a kind, the stream's id and a byte of content. The kinds: `+` opens
/// a stream, `>` carries content, `.` ends the peer's side, `w` adds ten times the digit in its
/// content to the window, `t` ends the peer's side without a sign of its end, and `o` makes a
/// remote of the connection. Writes `<`, the id and up to four bytes of content; `.` and the id at
/// the end of our side.
struct Frames {
    streams: BTreeMap<u8, FramedStream>,
    /// Whether output goes through a [`Stream`].
    has_streams: bool,
    seen: Rc<Seen>,
}

/// A stream, and how many more bytes may be sent to its peer.
struct FramedStream {
    session: NestedSession,
    stream: Option<Stream>,
    window: usize,
}

/// The output of a nested session is full at this many bytes.
const ROOM: usize = 8;

impl Frames {
    fn open(&mut self, id: u8, turn: &Turn<'_>) -> FramedStream {
        let protocol = Tens { id, left: 0, deadline: None, seen: Rc::clone(&self.seen) };
        let (session, stream) = if self.has_streams {
            let id = NonZeroU32::new(id.into()).expect("no zero is sent");
            let mut stream = Stream::new(id, ROOM);
            stream.turn(turn).switch_to(Box::new(protocol));
            let session = NestedSession::in_stream(&mut stream, turn).expect("it switches");
            assert!(NestedSession::in_stream(&mut stream, turn).is_none(), "it switches once");
            (session, Some(stream))
        } else {
            (NestedSession::new(Box::new(protocol), ROOM, turn), None)
        };
        FramedStream { session, stream, window: 0 }
    }

    /// Calls a nested session, and then moves its output.
    fn call(
        &mut self,
        id: u8,
        turn: &mut Turn<'_>,
        call: impl FnOnce(&mut NestedSession, &Turn<'_>),
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        call(&mut stream.session, turn);
        if let Some(reason) = stream.flush(id, turn) {
            stream.session.close(&reason, turn);
            self.streams.remove(&id);
        }
    }
}

impl Protocol for Frames {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let (frames, _) = input.as_chunks();
        for &[kind, id, content] in frames {
            match kind {
                b'+' => {
                    let stream = self.open(id, turn);
                    self.streams.insert(id, stream);
                    self.call(id, turn, NestedSession::open);
                }
                b'>' => self.call(id, turn, |session, turn| session.input(&[content], turn)),
                b'.' => self.call(id, turn, NestedSession::end_of_input),
                b'o' => self.seen.remotes.borrow_mut().push(turn.remote()),
                b't' => self.call(id, turn, |session, turn| {
                    session.truncate();
                    session.end_of_input(turn);
                }),
                _ => {
                    let stream = self.streams.get_mut(&id);
                    let count = 10 * usize::from(content - b'0');
                    stream.into_iter().for_each(|stream| stream.window += count);
                    self.call(id, turn, |_, _| {});
                }
            }
        }
        Ok(Consumed::more(frames.len() * 3))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Closed(reason) => {
                self.streams.values_mut().for_each(|stream| stream.session.close(reason, turn));
            }
            // Its own.
            Event::Message(..) if self.has_streams && turn.stream() == 0 => {}
            Event::Message(..) | Event::Woken => {
                let ids: Vec<u8> = self.streams.keys().copied().collect();
                // Without streams, there is one.
                let id = if self.has_streams { turn.stream() as u8 } else { ids[0] };
                self.call(id, turn, |session, turn| session.deliver(event, turn));
            }
            Event::Deadline => {
                for id in self.streams.keys().copied().collect::<Vec<_>>() {
                    self.call(id, turn, NestedSession::check_deadline);
                }
            }
            Event::Drain { .. } => {
                for id in self.streams.keys().copied().collect::<Vec<_>>() {
                    self.call(id, turn, NestedSession::drain);
                    self.call(id, turn, NestedSession::drain);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let deadlines = self.streams.values().map(|stream| stream.session.deadline());
        deadlines.min().filter(|deadline| *deadline != Time::NEVER)
    }
}

impl FramedStream {
    /// Moves as much output to the connection as the window allows. Returns why the stream has
    /// ended, if it has.
    fn flush(&mut self, id: u8, turn: &mut Turn<'_>) -> Option<Reason> {
        let Self { session, stream, window } = self;
        loop {
            if let Some(stream) = stream {
                session.move_to_stream(stream);
                assert_eq!(session.unsent(), 0);
            }
            let unsent = stream.as_ref().map_or(session.unsent(), Stream::unsent);
            let count = unsent.min(*window as u64).min(4);
            if count == 0 && !session.is_progress_due() {
                break;
            }
            if count > 0 {
                turn.out.write(&[b'<', id]);
                *window -= count as usize;
                match stream {
                    Some(stream) => {
                        assert_eq!(stream.move_to(turn.out, count), count);
                        session.move_to_stream(stream);
                    }
                    None => assert_eq!(session.move_to(turn.out, count), count),
                }
            }
            session.progress(turn);
        }
        let unsent = stream.as_ref().map_or(session.unsent(), Stream::unsent);
        if session.has_panicked() {
            return Some(Reason::Panicked);
        }
        if session.end().is_none() || unsent > 0 {
            return None;
        }
        turn.out.write(&[b'.', id]);
        Some(session.take_reason())
    }
}

/// Writes its id ten times for each byte of input, whenever its output has room. Reads nothing
/// meanwhile. Other commands: `p` makes a promise, and pauses until then. `r` makes a remote. `d`
/// sets a deadline in a second. `s` switches to another one. `m` marks the end of the output. `f`
/// is a fault, `!` panics, `-` is unused until another byte has come, which it skips. Upper-case
/// letters are echoed.
struct Tens {
    id: u8,
    left: usize,
    deadline: Option<Time>,
    seen: Rc<Seen>,
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
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        while let Some(byte) = input.get(used) {
            used += 1;
            match byte {
                b'p' => {
                    self.seen.promises.borrow_mut().push(turn.promise());
                    return Ok(Consumed::pause(used));
                }
                b'r' => self.seen.remotes.borrow_mut().push(turn.remote()),
                b'd' => self.deadline = Some(turn.now() + Duration::from_secs(1)),
                b's' => {
                    let (id, seen) = (self.id, Rc::clone(&self.seen));
                    turn.switch_to(Box::new(Self { id, left: 0, deadline: None, seen }));
                    break;
                }
                b'm' => {
                    let mark = turn.mark();
                    assert_eq!((mark, turn.unsent()), (turn.written(), mark.0 - turn.sent().0));
                }
                b'f' => return Err(Fault::peer("bad", "sent f")),
                b'!' => panic!("on purpose"),
                b'-' if used == input.len() => return Ok(Consumed::more(used - 1)),
                b'-' => used += 1,
                byte @ b'A'..=b'Z' => turn.out.write(&[*byte]),
                _ => {
                    self.left = 10;
                    self.write(turn);
                    return Ok(Consumed::pause(used));
                }
            }
        }
        Ok(Consumed::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let what = match &event {
            Event::Open(_) => "Open".into(),
            Event::Closed(reason) => reason.code().into(),
            Event::Message(ticket, _) if *ticket == Ticket::REMOTE => "remote".into(),
            Event::Message(..) => "promise".into(),
            event => format!("{event:?}"),
        };
        self.seen.events.borrow_mut().push(format!("{} {what}", self.id as char));
        match event {
            Event::Room => self.write(turn),
            Event::Eof { .. } => turn.end(End::Finish),
            Event::Drain { .. } => turn.end(End::Close),
            Event::Message(..) => {
                let probe = self.seen.probe.borrow();
                if probe.as_ref().is_some_and(|probe| probe.try_send(Box::new(())).is_ok()) {
                    self.seen.events.borrow_mut().push("the probe has credit".into());
                }
                turn.resume();
            }
            Event::Sent(mark) => assert_eq!(mark, turn.sent()),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

/// A peer of [`Frames`], and what is seen there.
struct Scene {
    peer: Harness,
    seen: Rc<Seen>,
}

impl Scene {
    fn new(has_streams: bool) -> Self {
        let seen = Rc::<Seen>::default();
        let (streams, ours) = (BTreeMap::new(), Rc::clone(&seen));
        let peer = Harness::new(Frames { streams, has_streams, seen: ours });
        Self { peer, seen }
    }

    /// The frames that come for `input`, and the events.
    #[track_caller]
    fn check(&mut self, input: &[u8], output: &[u8], events: &[&str]) {
        self.peer.input(input);
        let written = self.peer.output();
        assert_eq!(written.escape_ascii().to_string(), output.escape_ascii().to_string());
        assert_eq!(self.events(), events);
    }

    fn events(&self) -> Vec<String> {
        self.seen.events.take()
    }
}

/// Runs a test with and without a [`Stream`] between the output of the session and that of the
/// connection.
fn both(test: impl Fn(Scene)) {
    test(Scene::new(false));
    test(Scene::new(true));
}

#[test]
fn a_nested_session_is_driven_as_a_connection_is() {
    both(|mut scene| {
        // No window.
        scene.check(b"+a >a?>a?.a ", b"", &["a Open", "a HalfClosed"]);
        scene.check(b"wa1", b"<aaaaa<aaaaa<aaa", &["a Room"]);
        let events = ["a Room", "a Eof { clean: true }", "a finished"];
        scene.check(b"wa2", b"<aaaaa<aaaaa<aaa.a", &events);
    });
}

#[test]
fn each_session_ends_for_its_own_reason_or_with_the_connection() {
    both(|mut scene| {
        scene.check(b"+a >a?+b >bXwb1>bf", b"<bX.b", &["a Open", "b Open", "b bad"]);
        scene.check(b"wa1", b"<aaaaa<aaaaa<aaa", &["a Room"]);
        scene.peer.end_for(&Reason::Reset);
        assert_eq!(scene.events(), ["a reset"]);
    });
}

#[test]
fn a_panic_ends_its_session_only() {
    both(|mut scene| {
        scene.check(b"+a +b >a!", b"", &["a Open", "b Open"]);
        scene.check(b"wb1>bX>aX", b"<bX", &[]);
    });
}

#[test]
fn input_waits_while_the_output_is_full() {
    both(|mut scene| {
        // The output is full at eight bytes.
        scene.check(b"+a >aA>aB>aC>aD>aE>aF>aG>aH>aI>aJ.a ", b"", &["a Open", "a HalfClosed"]);
        let events = ["a Eof { clean: true }", "a finished"];
        scene.check(b"wa1", b"<aABCD<aEFGH<aIJ.a", &events);
    });
}

#[test]
fn too_much_unused_input_is_a_fault() {
    both(|mut scene| {
        scene.check(b"+a >ap", b"", &["a Open"]);
        scene.peer.input(&b">a?".repeat(NestedSession::MAX_UNUSED_INPUT));
        assert_eq!(scene.peer.output(), b"");
        scene.check(b">a?", b".a", &["a unused_input_limit"]);
        // While the output is full.
        scene.check(&[b"+a ", &b">aA".repeat(8)[..]].concat(), b"", &["a Open"]);
        scene.peer.input(&b">aA".repeat(NestedSession::MAX_UNUSED_INPUT + 1));
        scene.check(b"wa1", b"<aAAAA<aAAAA.a", &["a unused_input_limit"]);
    });
}

#[test]
fn input_may_be_unused_or_cut_at_its_end() {
    both(|mut scene| {
        scene.check(b"+a wa1>a->a->aX", b"<aX", &["a Open"]);
        scene.check(b">a-.a ", b".a", &["a Eof { clean: false }", "a finished"]);
        let events = ["b Open", "b Truncated", "b Eof { clean: true }", "b finished"];
        scene.check(b"+b tb ", b".b", &events);
    });
}

#[test]
fn promises_and_remotes_reach_their_session() {
    both(|mut scene| {
        scene.check(b"+a wa1>ar>ap>aX", b"", &["a Open"]);
        for promise in scene.seen.promises.take() {
            promise.fulfill(Box::new(()));
        }
        scene.peer.deliver();
        assert_eq!(
            (scene.peer.output(), scene.events()),
            (b"<aX".to_vec(), vec!["a promise".into()])
        );
        let remote = scene.seen.remotes.take().remove(0);
        // Its credit comes back.
        for _ in 0..3 * Remote::MESSAGES {
            remote.try_send(Box::new(())).unwrap();
            scene.peer.deliver();
        }
        assert_eq!(scene.events().len(), 3 * Remote::MESSAGES as usize);
        remote.wake();
        scene.peer.deliver();
        assert_eq!(scene.events(), ["a Woken"]);
        // Without room, it doesn't.
        scene.check(b">a?>a?", b"<aaaaa<aaaaa<aa", &["a Room"]);
        let is_sent = |_: &u32| remote.try_send(Box::new(())).is_ok();
        let mut sent = 0;
        while is_sent(&sent) {
            scene.peer.deliver();
            sent += 1;
            assert!(sent <= Remote::MESSAGES);
        }
        assert_eq!(sent, Remote::MESSAGES);
        scene.events();
        scene.check(b"wa2", b"<aaaaa<aaaaa<aaaa", &["a Room"]);
        assert!(is_sent(&0) && !remote.is_gone());
        scene.peer.input(b".a ");
        assert!(remote.is_gone());
    });
}

/// Both have the same address, so messages of one give credit back to both.
#[test]
fn no_remote_gets_more_credit_than_there_is() {
    let mut scene = Scene::new(false);
    scene.check(b"o  +a >ar", b"", &["a Open"]);
    let remotes = scene.seen.remotes.take();
    for _ in 0..3 * Remote::MESSAGES {
        remotes[1].try_send(Box::new(())).unwrap();
        scene.peer.deliver();
    }
    let sent = (0..).take_while(|_| remotes[0].try_send(Box::new(())).is_ok()).count();
    assert_eq!(sent, Remote::MESSAGES as usize);
}

#[test]
fn messages_of_a_stream_give_no_credit_to_the_connection() {
    let mut scene = Scene::new(true);
    scene.check(b"o  +a >ar", b"", &["a Open"]);
    let remotes = scene.seen.remotes.take();
    // The nested protocol tries to send by the connection's remote when it gets its own messages.
    *scene.seen.probe.borrow_mut() = Some(remotes[0].clone());
    (0..2).for_each(|_| remotes[1].try_send(Box::new(())).unwrap());
    while remotes[0].try_send(Box::new(())).is_ok() {}
    scene.peer.deliver();
    assert_eq!(scene.events(), ["a remote", "a remote"]);
}

#[test]
fn each_stream_gets_the_messages_of_its_own_promises() {
    let mut scene = Scene::new(true);
    scene.check(b"+a +b >ap>bp", b"", &["a Open", "b Open"]);
    let last = scene.seen.promises.borrow_mut().pop();
    last.unwrap().fulfill(Box::new(()));
    scene.peer.deliver();
    assert_eq!(scene.events(), ["b promise"]);
}

#[test]
fn deadlines_and_the_stop_of_the_server_are_passed_on() {
    both(|mut scene| {
        scene.check(b"+a >ad+b ", b"", &["a Open", "b Open"]);
        scene.peer.pass(Duration::from_secs(1));
        assert_eq!(scene.events(), ["a Deadline"]);
        scene.peer.drain();
        assert_eq!(scene.peer.output(), b".a.b");
        let closed = [
            "a Drain { unused: false, unread: false }",
            "a drained",
            "b Drain { unused: false, unread: false }",
        ];
        assert_eq!(scene.events()[..3], closed);
    });
}

#[test]
fn another_protocol_gets_the_rest_and_marks_are_those_of_the_session() {
    both(|mut scene| {
        let opened = ["a Open", "a Open"];
        scene.check(b"+a >aX>am>as>aY>am", b"", &opened);
        scene.check(b"wa1", b"<aXY", &[&format!("a {:?}", Event::Sent(Mark(2)))]);
    });
}

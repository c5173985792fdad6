//! One of several streams of a session (a connection's protocol, input and output): for a protocol
//! that has more than one exchange in flight.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::protocol::Effects;
use crate::remote::Credit;
use crate::{Mark, Output, Protocol, Turn};

/// One of several streams of a session. It has an output of its own.
///
/// The session's protocol writes to the stream through a [`Turn`] that [`Stream::turn`] returns,
/// and moves the stream's output into the session's output with [`Stream::move_to`] when there is
/// room. If a [`Promise`](crate::Promise) or [`Remote`](crate::Remote) was made in a stream's turn,
/// the protocol gets its messages in a turn with the stream's number: [`Turn::stream`].
///
/// [`Turn::end`], [`Turn::resume`], [`Turn::set_held`] and [`Turn::limit_unsent`] do nothing in a
/// stream's turn, and [`Turn::mark`] causes no [`Event::Sent`](crate::Event::Sent). After
/// [`Turn::want_room`], the session's protocol calls [`Stream::take_room`]; after
/// [`Turn::switch_to`], it calls [`NestedSession::in_stream`](super::NestedSession::in_stream).
#[derive(Debug)]
pub struct Stream {
    id: NonZeroU32,
    out: Output,
    /// How many bytes the output may hold before it counts as full.
    room: usize,
    /// How many bytes of output were moved to the session's output in total.
    moved: u64,
    /// Flow control for the stream's remotes: see [`Credit`]. `None` until the first remote is
    /// made.
    credit: Option<Arc<Credit>>,
    /// How many messages of remotes are being handled, or were handled while the output was full.
    /// Their credit is given back when the output has room.
    unreturned_credit: u32,
    /// What the protocol asked for in the stream's turns.
    effects: Effects,
    /// Something was moved since [`Stream::take_room`] last returned true.
    moved_some: bool,
}

impl Stream {
    /// An empty stream whose output counts as full at `room` bytes.
    #[must_use]
    pub fn new(id: NonZeroU32, room: usize) -> Self {
        let (out, effects) = (Output::new(), Effects::default());
        Self {
            id,
            out,
            room,
            moved: 0,
            credit: None,
            unreturned_credit: 0,
            effects,
            moved_some: false,
        }
    }

    /// Prepares the stream for reuse under another number: set that next, with [`Stream::set_id`].
    /// Drops unmoved output. Of the memory that the output has allocated, keeps up to `kept` bytes.
    pub fn reset(&mut self, kept: usize) {
        self.out.clear();
        if self.out.is_oversized(kept) {
            self.out.shrink(kept);
        }
        (self.moved, self.moved_some) = (0, false);
        if let Some(credit) = self.credit.take() {
            credit.close();
        }
        self.unreturned_credit = 0;
        if self.effects.is_any() {
            self.effects = Effects::default();
        }
    }

    /// Sets the number of a new stream, or of one after [`Stream::reset`].
    pub fn set_id(&mut self, id: NonZeroU32) {
        self.id = id;
    }

    /// The stream's number.
    #[must_use]
    pub fn id(&self) -> NonZeroU32 {
        self.id
    }

    /// A turn of this stream, during the session's turn `outer`.
    pub fn turn<'a, 't: 'a>(&'a mut self, outer: &Turn<'t>) -> Turn<'a> {
        let mut context = outer.context;
        // If the budget for output is spent, an output counts as full from its first byte.
        context.room = if context.is_over_budget { 1 } else { self.room };
        Turn {
            out: &mut self.out,
            context,
            key: outer.key,
            stream: self.id.get(),
            peer: outer.peer,
            effects: &mut self.effects,
            credit: &mut self.credit,
            position: self.moved,
            in_flight: 0,
        }
    }

    /// Bytes that were written and not yet moved.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.out.unsent()
    }

    /// Bytes in memory that were written and not yet moved.
    #[must_use]
    pub fn held(&self) -> usize {
        self.out.held()
    }

    /// The position up to which output was moved.
    #[must_use]
    pub fn moved(&self) -> Mark {
        Mark(self.moved)
    }

    /// Moves up to `max` bytes of the stream's output to the end of `out`. Returns how many it
    /// moved.
    pub fn move_to(&mut self, out: &mut Output, max: u64) -> u64 {
        let moved = self.out.move_front(out, max);
        self.moved += moved;
        self.moved_some |= moved > 0;
        self.return_credit();
        moved
    }

    /// If the output has only bytes that were copied into it, passes them to `take`, and counts
    /// them as moved. Returns whether they were passed on.
    pub fn move_plain(&mut self, take: impl FnOnce(&[u8])) -> bool {
        let Some(bytes) = self.out.plain() else { return false };
        let len = bytes.len() as u64;
        take(bytes);
        self.out.advance(len);
        self.moved += len;
        self.moved_some |= len > 0;
        self.return_credit();
        true
    }

    /// Whether [`Turn::want_room`] asked for room, and there is room now: the output is at most a
    /// quarter full and can hold another file range, and either some of it was moved since
    /// [`Stream::take_room`] last returned true, or nothing is left to move.
    #[must_use]
    pub fn is_room_due(&self) -> bool {
        self.effects.want_room
            && self.out.held() <= self.room / 4
            && self.out.file_ranges() < Output::MAX_FILE_RANGES
            && (self.moved_some || self.out.is_empty())
    }

    /// Returns [`Stream::is_room_due`]. If that is true, the wish for room counts as fulfilled:
    /// this returns false until [`Turn::want_room`] is called again. The session's protocol calls
    /// this, since [`Turn::want_room`] in a stream's turn causes no
    /// [`Event::Room`](crate::Event::Room).
    pub fn take_room(&mut self) -> bool {
        let is_due = self.is_room_due();
        if is_due {
            (self.effects.want_room, self.moved_some) = (false, false);
        }
        is_due
    }

    /// The protocol that [`Turn::switch_to`] was called with.
    pub(super) fn take_switch(&mut self) -> Option<Box<dyn Protocol>> {
        self.effects.rare.as_mut()?.switch.take()
    }

    /// The credit of the stream's remotes, and the number of messages whose credit is still to be
    /// given back.
    pub(super) fn take_credit(&mut self) -> (Option<Arc<Credit>>, u32) {
        (self.credit.take(), std::mem::take(&mut self.unreturned_credit))
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Appends all of `newer` to the output.
    pub(super) fn append(&mut self, mut newer: Box<Output>) {
        if self.out.is_empty() {
            std::mem::swap(&mut self.out, &mut *newer);
        } else {
            self.out.append(&mut newer);
        }
    }

    /// Frees the memory of the output, if the output is empty. This keeps idle streams small.
    pub(super) fn free_output(&mut self) {
        if self.out.is_empty() {
            self.out = Output::new();
        }
    }

    pub(super) fn output(&self) -> &Output {
        &self.out
    }

    /// Call this before a message of a [`Remote`](crate::Remote) of this stream is handled, and
    /// [`Stream::end_delivery`] afterwards.
    pub fn start_delivery(&mut self) {
        // If the stream switches to another protocol meanwhile, that protocol's session returns
        // the credit.
        self.unreturned_credit += 1;
    }

    /// A message of a [`Remote`](crate::Remote) of this stream has been handled. The remote may
    /// send another one in its place, now or when the output has room.
    pub fn end_delivery(&mut self) {
        self.return_credit();
    }

    /// Gives credit back to the stream's remotes if the output has room.
    fn return_credit(&mut self) {
        if self.unreturned_credit > 0
            && self.out.held() < self.room
            && let Some(credit) = &self.credit
        {
            credit.give_back(std::mem::take(&mut self.unreturned_credit));
        }
    }
}

/// After the drop, remotes of the stream can't send: see
/// [`Remote::is_gone`](crate::Remote::is_gone).
impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(credit) = &self.credit {
            credit.close();
        }
        // Catches panics of the destructors of shared bytes.
        self.out.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::harness::Harness;
    use crate::{Consumed, Event, Fault, Remote, Time};

    /// Opens a stream for each byte of input, with the byte as its number, and starts a job in the
    /// stream's turn. When the job's message comes, writes to the stream and moves its output.
    #[derive(Default)]
    struct Streams {
        streams: Vec<Stream>,
        remotes: Vec<Remote>,
        messages: std::rc::Rc<std::cell::RefCell<Vec<(u32, bool)>>>,
    }

    impl Protocol for Streams {
        fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
            for byte in input {
                let id = NonZeroU32::new((*byte).into()).expect("no zero is sent");
                let mut stream = Stream::new(id, 10);
                let mut own = stream.turn(turn);
                let _ = own.run(|| ());
                self.remotes.push(own.remote());
                self.streams.push(stream);
            }
            Ok(Consumed::more(input.len()))
        }

        fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
            match event {
                Event::Message(_, body) => {
                    self.messages.borrow_mut().push((turn.stream(), body.is_ok()));
                    let id = turn.stream();
                    let stream = self.streams.iter_mut().find(|stream| stream.id.get() == id);
                    let stream = stream.expect("the stream is there");
                    let mut own = stream.turn(turn);
                    assert_eq!((own.stream(), own.written()), (id, Mark(0)));
                    own.out.write_shared(Bytes::from_static(b"shared"));
                    own.out.write(b"0123456789");
                    assert!(own.is_full());
                    own.want_room();
                    assert!(!stream.take_room(), "nothing was moved");
                    assert_eq!(stream.move_to(turn.out, 3), 3);
                    assert_eq!((stream.unsent(), stream.moved()), (13, Mark(3)));
                    assert_eq!(stream.move_to(turn.out, 100), 13);
                    assert!(stream.take_room() && !stream.take_room(), "it is true once");
                }
                Event::Eof { .. } => {
                    let gone: Vec<bool> = self.remotes.iter().map(Remote::is_gone).collect();
                    assert!(gone.iter().all(|gone| !gone));
                    self.streams.clear();
                    assert!(self.remotes.iter().all(Remote::is_gone));
                }
                _ => {}
            }
            Ok(())
        }

        fn deadline(&self) -> Option<Time> {
            None
        }
    }

    #[test]
    fn messages_of_a_stream_come_in_turns_of_it_and_its_output_moves_in_parts() {
        let messages = std::rc::Rc::default();
        let streams = Streams { messages: std::rc::Rc::clone(&messages), ..Streams::default() };
        let mut client = Harness::new(streams);
        client.input(&[7, 2]);
        client.run_jobs();
        assert_eq!(messages.take(), [(7, true), (2, true)]);
        assert_eq!(client.output(), b"shared0123456789".repeat(2));
        client.eof();
    }

    /// At any input, fills a stream with the response to a message of a remote whose credit is
    /// spent, and moves this response with [`Stream::move_plain`].
    struct PlainResponse;

    impl Protocol for PlainResponse {
        fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
            let mut stream = Stream::new(NonZeroU32::MIN, 10);
            let remote = stream.turn(turn).remote();
            (0..Remote::MESSAGES).for_each(|_| remote.try_send(Box::new(())).unwrap());
            stream.start_delivery();
            stream.turn(turn).out.write(b"0123456789");
            stream.end_delivery();
            remote.try_send(Box::new(())).expect_err("the output is full");
            assert!(stream.move_plain(|bytes| turn.out.write(bytes)));
            remote.try_send(Box::new(())).expect("the output has room");
            Ok(Consumed::more(input.len()))
        }

        fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
            Ok(())
        }

        fn deadline(&self) -> Option<Time> {
            None
        }
    }

    #[test]
    fn moving_plain_output_gives_credit_back() {
        let mut client = Harness::new(PlainResponse);
        client.input(b"x");
        assert_eq!(client.output(), b"0123456789");
    }

    #[test]
    fn owners_of_shared_bytes_may_panic_when_a_stream_is_dropped() {
        struct Bomb;
        impl AsRef<[u8]> for Bomb {
            fn as_ref(&self) -> &[u8] {
                b"bytes"
            }
        }
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("on purpose, in a destructor");
            }
        }
        let mut stream = Stream::new(NonZeroU32::MIN, 100);
        stream.out.write_shared(Bytes::from_owner(Bomb));
        stream.out.write_shared(Bytes::from_owner(Bomb));
        drop(stream);
    }
}

//! A session: one protocol instance with its unused input and unsent output. Its owner, such as the
//! engine, reads and changes the session's state by the methods here.

use std::fmt;
use std::mem;
use std::sync::Arc;

use super::owner::Owner;
use super::unused::Unused;
use crate::remote::{Credit, Key};
use crate::{End, Mark, Output, Peer, Protocol, Reason, Time, TlsInfo};

/// A protocol instance with its unused input and unsent output.
pub struct Session {
    pub(super) key: Key,
    pub(super) peer: Peer,
    /// `None` after a panic, and in a closed session.
    pub(super) protocol: Option<Box<dyn Protocol>>,
    pub(super) expects: Expects,
    pub(super) input_state: InputState,
    /// How to end the session, if the protocol asked for that or failed.
    pub(super) end: Option<End>,
    /// A fault of the protocol, or its panic. In a closed session, this can also be a panic in the
    /// protocol's handling of [`Event::Closed`](crate::Event::Closed) or in its destructor.
    pub(super) reason: Option<Box<Reason>>,
    pub(super) deadline: Time,
    pub(super) unused: Unused,
    /// Unsent output. `None` instead of an empty output.
    pub(super) output: Option<Box<Output>>,
    pub(super) in_flight: InFlight,
    /// Bytes sent.
    pub(super) sent: u64,
    /// The last mark, until it is reached.
    pub(super) mark: Option<Mark>,
    /// Flow control of the session's remotes (handles that send messages to it). `None` until the
    /// first one is made.
    pub(super) credit: Option<Arc<Credit>>,
    /// Credit to give back when the output has room.
    pub(super) unreturned_credit: u32,
    pub(super) wants_room: bool,
    /// See [`Turn::set_held`](crate::Turn::set_held).
    pub(super) held_outside: u32,
    /// Bytes were sent since the last call of `progress`.
    pub(super) sent_some: bool,
    /// See [`Session::is_drained`].
    pub(super) is_drained: bool,
    /// The input may have been cut: [`Event::Truncated`](crate::Event::Truncated) is due.
    pub(super) is_truncated: bool,
    /// See [`Session::take_needs_flush`].
    pub(super) needs_flush: bool,
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// The owner's call of [`Session::open`].
    Opening,
    /// Input, or an event.
    Input,
    /// An event in which the protocol ends its pause.
    Resume,
    /// That the last byte is sent: the protocol has failed, or asked to be closed. It gets only
    /// [`Event::Sent`](crate::Event::Sent) (not if it has failed) and
    /// [`Event::Closed`](crate::Event::Closed).
    LastByteSent,
    /// Nothing: the protocol got [`Event::Closed`](crate::Event::Closed).
    Nothing,
}

/// What input may still come from the peer, and what the protocol knows about that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum InputState {
    /// The peer may send more.
    Open,
    /// The peer has closed its sending side. Input that it sent before may still arrive.
    HalfClosed,
    /// As `HalfClosed`, and the protocol got [`Event::HalfClosed`](crate::Event::HalfClosed).
    HalfClosedNotified,
    /// No more input will arrive.
    Ended,
    /// As `Ended`, and the protocol got [`Event::Eof`](crate::Event::Eof).
    EofNotified,
}

/// The part of an output that the owner has taken ([`Session::take_output`]) and still has to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct InFlight {
    pub(super) bytes: u64,
    // 32 bits keep sessions small. A number that doesn't fit saturates, and counts as full.
    /// How many of these bytes are in memory.
    held: u32,
    /// The number of file ranges.
    ranges: u32,
}

impl InFlight {
    /// Output of `bytes` bytes, all in memory.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        let held = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { bytes: bytes as u64, held, ranges: 0 }
    }

    /// All of `output`.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            bytes: output.unsent(),
            held: narrow(output.held()),
            ranges: narrow(output.file_ranges()),
        }
    }

    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.bytes > 0
    }

    /// How many bytes [`Session::output`] may hold in memory before it is full: `max` less the
    /// bytes in memory that are in flight. 0 while [`Output::MAX_FILE_RANGES`] are in flight.
    #[cold]
    pub(super) fn remaining_room(&self, max: usize) -> usize {
        let may_add_range = (self.ranges as usize) < Output::MAX_FILE_RANGES;
        if may_add_range { max.saturating_sub(self.held as usize) } else { 0 }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("expects", &self.expects)
            .field("input_state", &self.input_state)
            .field("end", &self.end)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session with `peer`. Call `open` next, or `close` if the connection failed. Messages from
    /// other threads to the session carry `key` in their [`Envelope`](super::Envelope).
    #[must_use]
    pub fn new(protocol: Box<dyn Protocol>, key: Key, peer: Peer) -> Self {
        Self {
            key,
            peer,
            protocol: Some(protocol),
            expects: Expects::Opening,
            input_state: InputState::Open,
            end: None,
            reason: None,
            deadline: Time::NEVER,
            unused: Unused::default(),
            output: None,
            in_flight: InFlight::default(),
            sent: 0,
            mark: None,
            credit: None,
            unreturned_credit: 0,
            wants_room: false,
            held_outside: 0,
            sent_some: false,
            is_drained: false,
            is_truncated: false,
            needs_flush: false,
        }
    }

    /// The key that envelopes for this session carry.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Who is at the other end.
    #[inline]
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Sets [`Peer::tls`], before [`Session::open`].
    pub fn set_tls(&mut self, tls: Arc<TlsInfo>) {
        self.peer.tls = Some(tls);
    }

    /// Whether the session was opened, and has neither failed nor asked to be closed.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.expects, Expects::Input | Expects::Resume)
    }

    /// Whether to read from the peer: the session is open and not paused, input may come, and less
    /// than `high_water` bytes of output are held.
    #[inline]
    #[must_use]
    pub fn wants_input(&self, high_water: usize) -> bool {
        self.expects == Expects::Input
            && self.input_state < InputState::Ended
            && self.held() < high_water
    }

    /// When [`Session::expire`] is due. [`Time::NEVER`]: not at all.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// How to end the session when everything is sent, if the protocol asked for that or failed.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether the protocol can write no more: it has ended, and gets no event before
    /// [`Event::Closed`](crate::Event::Closed).
    #[must_use]
    pub fn writes_no_more(&self) -> bool {
        self.end.is_some() && !self.is_open() && (self.mark.is_none() || self.reason.is_some())
    }

    /// The fault or panic that ends the session.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_deref()
    }

    /// Takes [`Session::reason`].
    pub fn take_reason(&mut self) -> Option<Reason> {
        self.reason.take().map(|reason| *reason)
    }

    /// Why the session ends, if neither a fault nor a panic ends it.
    #[must_use]
    pub fn orderly_reason(&self) -> Reason {
        match self.end {
            _ if self.is_drained => Reason::Drained,
            Some(End::Close | End::Linger) if self.is_at_end_of_input() => Reason::PeerClosed,
            _ => Reason::Finished,
        }
    }

    /// Whether the protocol panicked, before the session was closed: close the session now.
    #[inline]
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.protocol.is_none() && self.expects != Expects::Nothing
    }

    /// Whether to flush the session, and to read if [`Session::wants_input`]. This is so if, since
    /// the last call of this method, the protocol has written output, asked for something by a
    /// method of [`Turn`](crate::Turn), or failed, or the input has ended.
    #[inline]
    pub fn take_needs_flush(&mut self) -> bool {
        mem::take(&mut self.needs_flush)
    }

    /// Whether the protocol got [`Event::Drain`](crate::Event::Drain).
    #[inline]
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Since when the session has been idle: all output is sent, all input is used, the peer's side
    /// is open, and the protocol is idle.
    #[must_use]
    pub fn idle_since(&self) -> Option<Time> {
        let expects_input = self.expects == Expects::Input && self.input_state == InputState::Open;
        if !expects_input || !self.unused.is_empty() || self.end.is_some() || !self.is_flushed() {
            return None;
        }
        self.protocol.as_ref()?.idle_since()
    }

    /// How many bytes of input are unused.
    #[inline]
    #[must_use]
    pub fn unused(&self) -> usize {
        self.unused.len()
    }

    /// Drops unused input.
    pub fn drop_unused(&mut self) {
        self.unused = Unused::default();
    }

    /// Notes that the peer has closed its sending side. Input that it sent before may still come.
    #[inline]
    pub fn half_close(&mut self) {
        self.input_state = self.input_state.max(InputState::HalfClosed);
    }

    /// Notes that the input may have been cut, for example because it ended without TLS's
    /// close_notify. Call this before [`Session::end_of_input`].
    pub fn truncate(&mut self) {
        self.is_truncated = true;
    }

    /// Whether the peer has closed its sending side.
    #[inline]
    #[must_use]
    pub fn is_half_closed(&self) -> bool {
        self.input_state >= InputState::HalfClosed
    }

    /// Whether no more input will come.
    #[inline]
    #[must_use]
    pub fn is_at_end_of_input(&self) -> bool {
        self.input_state >= InputState::Ended
    }

    /// How many bytes were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The unsent output.
    #[must_use]
    pub fn output(&self) -> Option<&Output> {
        self.output.as_deref()
    }

    /// The unsent output, for [`Output::replace_with_read`].
    pub fn output_mut(&mut self) -> Option<&mut Output> {
        self.output.as_deref_mut()
    }

    /// Takes the unsent output, to be returned by [`Session::put_back`].
    #[inline]
    pub fn take_output(&mut self) -> Option<Box<Output>> {
        self.output.take()
    }

    /// Sets how much of the taken output the owner still has to send. That part counts as unsent.
    #[inline]
    pub fn set_in_flight(&mut self, in_flight: InFlight) {
        self.in_flight = in_flight;
    }

    /// Whether the owner still has to send a taken output.
    #[inline]
    #[must_use]
    pub fn has_in_flight(&self) -> bool {
        self.in_flight.is_any()
    }

    /// Takes back an output of which `count` bytes were sent. Returns whether the session has
    /// unsent output now. Call [`Session::progress`] next.
    #[inline(always)] // Runs for each response.
    pub fn put_back<O: Owner>(
        &mut self,
        mut output: Box<Output>,
        count: u64,
        owner: &mut O,
    ) -> bool {
        self.sent += count;
        self.sent_some |= count > 0;
        // What was written after `output` was taken is sent after it.
        if let Some(mut newer) = self.output.take() {
            output.append(&mut newer);
            owner.take_back_output(newer);
        }
        let is_left = !output.is_empty();
        if is_left {
            self.output = Some(output);
        } else {
            owner.take_back_output(output);
        }
        is_left
    }

    /// Bytes of output held in memory, including output in flight.
    #[inline]
    #[must_use]
    pub fn held(&self) -> usize {
        let queued = self.output.as_ref().map_or(0, |output| output.held());
        queued + self.in_flight.held as usize
    }

    /// Bytes of memory that are charged to the peer: output in memory, and what the protocol holds
    /// besides ([`Turn::set_held`](crate::Turn::set_held)).
    #[must_use]
    pub fn charged(&self) -> usize {
        self.held() + self.held_outside as usize
    }

    /// Whether all output is sent.
    #[inline]
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.output.is_none() && !self.in_flight.is_any()
    }

    /// Unsent ranges of files, including those in flight.
    pub(super) fn file_ranges(&self) -> usize {
        let queued = self.output.as_ref().map_or(0, |output| output.file_ranges());
        queued + self.in_flight.ranges as usize
    }
}

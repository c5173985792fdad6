//! A session (a protocol with its input and output) that runs inside another one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::owner::Owner;
use super::session::{InFlight, Session};
use super::stream::Stream;
use crate::protocol::Context;
use crate::remote::Key;
use crate::{End, Event, Fault, Output, Peer, Protocol, Reason, Time, Turn};

/// A session that runs inside another one, the outer session: in one of the outer session's
/// [`Stream`]s, or in messages to which the outer protocol adds headers. The outer protocol owns
/// the nested session, and calls its methods during the outer session's turns (calls into the outer
/// protocol), which provide the clocks and the context.
///
/// ```text
///   outer protocol                              nested session
///   receives        ── input, end_of_input ───▶ calls its protocol
///   gets an event   ── deliver, drain, close ─▶
///   has room        ◀─ move_to ───────────────  output
///                   ── progress ──────────────▶ sends Event::Room, Event::Sent
///   at deadline()   ── check_deadline ────────▶ sends Event::Deadline
///   ends it         ◀─ end, take_reason ──────
/// ```
///
/// The outer protocol limits the input: it stops reading while [`NestedSession::wants_input`] is
/// false. A panic ends the nested session only.
///
/// Promises and remotes that were made in the nested session's turns send their messages to the
/// outer session, with the number of the stream that the nested session runs in ([`Turn::stream`]).
/// The outer protocol passes these messages on: [`NestedSession::deliver`]. The turns of the nested
/// session carry this number, too. So a protocol that has streams itself, such as HTTP/2, can't run
/// in a stream, since the numbers would be ambiguous.
pub struct NestedSession {
    session: Session,
    /// The limit on its output: the output is full at this many bytes.
    room: usize,
    /// The number of the outer session's stream that it runs in, or 0: see [`Owner::stream`].
    stream: u32,
    /// The output was full when input arrived: some of the unused input was not offered.
    has_withheld_input: bool,
    /// The input has ended.
    has_ended: bool,
}

/// The owner of a nested session, during one of the outer session's turns.
struct NestedOwner<'a> {
    context: Context<'a>,
    room: usize,
    stream: u32,
}

impl Owner for NestedOwner<'_> {
    fn context(&self, _: &Peer) -> Context<'_> {
        self.context
    }

    fn high_water(&self) -> usize {
        self.room
    }

    fn max_unused_input(&self) -> usize {
        NestedSession::MAX_UNUSED_INPUT
    }

    fn stream(&self) -> u32 {
        self.stream
    }

    // Allocated instead of taken from a pool: a session keeps it only while output is unsent.
    fn lend_output(&mut self) -> Box<Output> {
        Box::default()
    }

    fn take_back_output(&mut self, mut output: Box<Output>) {
        // Drops pieces one by one, since destructors may panic.
        output.clear();
    }

    // The outer protocol charges what the nested session holds: `NestedSession::held`.
    fn charge(&mut self, _: Key) {}

    // The connection belongs to the outer session.
    fn limit_unsent(&mut self, _: Key, _: u32) {}

    fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
        catch_unwind(AssertUnwindSafe(call)).ok()
    }
}

impl NestedSession {
    /// How many bytes of unused input a nested session may hold. With more, it fails.
    pub const MAX_UNUSED_INPUT: usize = 1024 * 1024;

    /// A session of `protocol`, whose output is full at `room` bytes. `outer`: a turn of the outer
    /// session, in the stream that the new session runs in. Call [`NestedSession::open`] next.
    #[must_use]
    pub fn new(protocol: Box<dyn Protocol>, room: usize, outer: &Turn<'_>) -> Self {
        let session = Session::new(protocol, outer.key, outer.peer.clone());
        Self { session, room, stream: outer.stream, has_withheld_input: false, has_ended: false }
    }

    /// Creates the session that takes over `stream`, with the protocol that was passed to
    /// [`Turn::switch_to`] in a turn of the stream. Returns `None` if there was no such call.
    /// Remotes that were made in the stream send to the new session from now on. The session's
    /// output goes to the stream: [`NestedSession::move_to_stream`]. `outer`: a turn of the outer
    /// session. Call [`NestedSession::open`] next.
    pub fn in_stream(stream: &mut Stream, outer: &Turn<'_>) -> Option<Self> {
        let (protocol, room) = (stream.take_switch()?, stream.room());
        let mut nested = Self::new(protocol, room, &stream.turn(outer));
        // The credit of the stream's remotes (how many more messages they may have in flight), and
        // the part of it that is still to be returned to them.
        (nested.session.credit, nested.session.unreturned_credit) = stream.take_credit();
        // What was written in the stream before, such as a response's head, counts as unsent until
        // it is moved.
        nested.move_to_stream(stream);
        nested.session.sent_some = false;
        Some(nested)
    }

    fn owner<'a>(&self, outer: &Turn<'a>) -> NestedOwner<'a> {
        let Self { room, stream, .. } = *self;
        // If the budget for output is spent, the nested protocol's turn counts the output as full
        // from its first byte. `room` is not reduced: it decides when the session sends
        // `Event::Room`.
        let context_room = if outer.context.is_over_budget { 1 } else { room };
        NestedOwner { context: Context { room: context_room, ..outer.context }, room, stream }
    }

    /// Sends [`Event::Open`]. Call this first.
    pub fn open(&mut self, outer: &Turn<'_>) {
        self.session.open(&mut self.owner(outer));
    }

    /// Offers input to the protocol, and keeps unused input. While the output is full, no input is
    /// offered, and all of it is kept. After the session has failed or asked to be closed, input is
    /// dropped.
    pub fn input(&mut self, bytes: &[u8], outer: &Turn<'_>) {
        if bytes.is_empty() || !self.session.is_open() {
            return;
        }
        let owner = &mut self.owner(outer);
        self.has_withheld_input |= self.session.held() >= owner.room;
        if !self.has_withheld_input {
            return self.session.input(bytes, owner);
        }
        self.session.unused.push(bytes);
        if self.session.unused() > Self::MAX_UNUSED_INPUT {
            self.session.fail_for_unused();
        }
    }

    /// The input has ended. Sends [`Event::Eof`], unless the protocol pauses or some input was not
    /// offered. In these cases sends [`Event::HalfClosed`] now, and [`Event::Eof`] later.
    pub fn end_of_input(&mut self, outer: &Turn<'_>) {
        self.has_ended = true;
        self.session.half_close();
        let owner = &mut self.owner(outer);
        match self.has_withheld_input {
            true => self.session.notify_half_close(owner),
            false => self.session.end_of_input(owner),
        }
    }

    /// Notes that the input may have been cut. Call this before [`NestedSession::end_of_input`]:
    /// [`Event::Truncated`] comes before [`Event::Eof`].
    pub fn truncate(&mut self) {
        self.session.truncate();
    }

    /// Passes on an event that the outer session got in its turn `outer`: [`Event::Message`],
    /// [`Event::Woken`] or [`Event::LameDuck`].
    pub fn deliver(&mut self, event: Event<'_>, outer: &Turn<'_>) {
        // A nested protocol in a stream (`self.stream`) has no streams of its own. Any other may
        // have streams. Then `outer.stream` says for which of them the event is (0: for none).
        let stream = if self.stream == 0 { outer.stream } else { self.stream };
        self.session.deliver_event(event, stream, &mut self.owner(outer));
    }

    /// When [`NestedSession::check_deadline`] is due. [`Time::NEVER`]: not at all.
    #[must_use]
    pub fn deadline(&self) -> Time {
        if self.session.is_open() { self.session.deadline() } else { Time::NEVER }
    }

    /// Sends [`Event::Deadline`] if it is due.
    pub fn check_deadline(&mut self, outer: &Turn<'_>) {
        if self.deadline() <= outer.now() {
            self.session.expire(&mut self.owner(outer));
        }
    }

    /// Sends [`Event::Drain`]: the server is stopping. Only the first call has an effect.
    pub fn drain(&mut self, outer: &Turn<'_>) {
        // All input was passed on. The session itself looks at what the protocol has not used.
        let has_unread = false;
        self.session.drain(has_unread, &mut self.owner(outer));
    }

    /// Ends the session for `reason`: sends [`Event::Closed`] and drops its output. Only the first
    /// call has an effect.
    pub fn close(&mut self, reason: &Reason, outer: &Turn<'_>) {
        self.session.close(reason, &mut self.owner(outer));
    }

    /// As [`NestedSession::close`]. The reason is the session's own if it has failed or if `reason`
    /// is `None`. Reports a failure ([`Turn::report`]), unless the protocol was only idle.
    /// `panicked` is what is reported of a panic, also of one in [`Event::Closed`].
    pub fn close_and_report(&mut self, reason: Option<&Reason>, panicked: &str, outer: &Turn<'_>) {
        let report_panic = || outer.report(Fault::ours("protocol_panicked", panicked.to_owned()));
        let own = self.take_reason();
        match &own {
            Reason::Fault(fault) if !own.is_orderly() => outer.report(fault.clone()),
            Reason::Panicked => report_panic(),
            _ => {}
        }
        let has_failed = matches!(own, Reason::Fault(_) | Reason::Panicked);
        self.close(reason.filter(|_| !has_failed).unwrap_or(&own), outer);
        if let Some(Reason::Panicked) = self.reason() {
            report_panic();
        }
    }

    /// Moves up to `max` bytes of output to the end of `out`. They count as sent. Returns how many.
    /// Call [`NestedSession::progress`] next.
    pub fn move_to(&mut self, out: &mut Output, max: u64) -> u64 {
        let Some(mut output) = self.session.take_output() else { return 0 };
        let moved = output.move_front(out, max);
        self.session.sent += moved;
        self.session.sent_some |= moved > 0;
        if !output.is_empty() {
            self.session.output = Some(output);
        }
        moved
    }

    /// Moves all output to the output of `stream`, where it counts as in flight until the stream
    /// moves it to the connection's output. From then on it counts as sent. Call this after each
    /// call of another method. Call it also when the stream has moved output; in that case, call
    /// [`NestedSession::progress`] next.
    pub fn move_to_stream(&mut self, stream: &mut Stream) {
        match self.session.take_output() {
            Some(output) => stream.append(output),
            None => stream.free_output(),
        }
        let moved = stream.moved().0;
        self.session.sent_some |= moved > self.session.sent;
        self.session.sent = moved;
        self.session.set_in_flight(InFlight::of(stream.output()));
    }

    /// Drops unsent output: nothing more can be sent.
    pub fn drop_output(&mut self) {
        if let Some(mut output) = self.session.output.take() {
            output.clear();
        }
    }

    /// Sends [`Event::Room`] and [`Event::Sent`] if they are due. Offers input that was kept
    /// because the output was full.
    pub fn progress(&mut self, outer: &Turn<'_>) {
        let owner = &mut self.owner(outer);
        self.session.progress(owner);
        if self.has_withheld_input && self.session.held() < owner.room {
            self.has_withheld_input = false;
            self.session.offer_unused(owner);
            if self.has_ended {
                self.session.end_of_input(owner);
            }
        }
    }

    /// Whether [`NestedSession::progress`] would send an event, return credit or offer input.
    #[must_use]
    pub fn is_progress_due(&self) -> bool {
        self.session.is_progress_due(self.room)
            || (self.has_withheld_input && self.session.held() < self.room)
    }

    /// Whether the session uses more input now: it is open and not paused, its input has not ended,
    /// and its output is not full.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.has_withheld_input && self.session.wants_input(self.room)
    }

    /// Whether no more input comes: see [`NestedSession::end_of_input`].
    #[must_use]
    pub fn has_input_ended(&self) -> bool {
        self.has_ended
    }

    /// How many bytes of input are unused.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.session.unused()
    }

    /// How many bytes of output were not moved.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.session.output().map_or(0, Output::unsent)
    }

    /// Bytes in memory: unused input, output, and what the protocol itself holds
    /// ([`Turn::set_held`]). Output that is in flight in a [`Stream`] counts.
    #[must_use]
    pub fn held(&self) -> usize {
        self.session.charged() + self.session.unused()
    }

    /// Whether the session was opened, and has neither failed nor asked to be closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// How to end the session when everything is sent, if its protocol asked for that or failed.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.session.end()
    }

    /// The fault or panic that ends the session.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.session.reason()
    }

    /// Why the session ends. Takes the fault or panic, if there is one.
    pub fn take_reason(&mut self) -> Reason {
        self.session.take_reason().unwrap_or_else(|| self.session.orderly_reason())
    }

    /// Whether the protocol has panicked. If so, close the session now.
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.session.has_panicked()
    }
}

/// Notifies remotes that wait to send to the session, even if the outer protocol has panicked and
/// could not close it.
impl Drop for NestedSession {
    fn drop(&mut self) {
        if let Some(credit) = self.session.credit.take() {
            credit.close();
        }
        // Drops pieces one by one, since destructors may panic.
        self.drop_output();
    }
}

impl fmt::Debug for NestedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NestedSession").field("session", &self.session).finish_non_exhaustive()
    }
}

//! The trait [`Protocol`], and the [`Turn`], through which a protocol acts during a call.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use crate::job::{Job, JobKind, Spawn};
use crate::remote::{Credit, Key, MailboxSender, Promise, Remote, Ticket};
use crate::{Address, Client, Event, Fault, Mark, Output, Peer, Time, WallTime};

/// One connection with one peer.
///
/// The *owner* of a protocol, such as the engine, guarantees:
///
/// - [`Event::Open`] comes first and [`Event::Closed`] last, each once. If we opened the connection
///   and that failed, [`Event::Closed`] is the only call. A protocol that [`Turn::switch_to`] has
///   replaced gets no further call.
/// - Input comes in order. What a call didn't use is offered again, followed by newer input.
/// - [`Event::Eof`] comes after all input was offered, and not during a pause. During a pause, and
///   while the output in memory is at its limit, nothing is read from the peer. If the peer closes
///   its sending side then, [`Event::HalfClosed`] comes first.
/// - After a call that returned a [`Fault`], only [`Event::Closed`] follows. After [`End::Close`]
///   and [`End::Linger`], only [`Event::Sent`] and [`Event::Closed`] follow.
/// - [`Protocol::deadline`] is called after every call of [`Protocol::on_bytes`] and
///   [`Protocol::on_event`].
/// - A panic closes this connection only. The protocol gets no further call.
///
/// Calls run on an event loop, which serves no other connection meanwhile. Run code that blocks
/// with [`Turn::run`].
pub trait Protocol {
    /// Takes input: all bytes that have arrived and were not used yet. Never empty.
    ///
    /// Returns how many bytes the protocol used, and what it needs next. After [`Next::More`] the
    /// unused bytes are offered again only together with new ones, so remember how far they were
    /// scanned. The owner limits unused input (the engine: 1 MiB).
    ///
    /// # Errors
    ///
    /// A [`Fault`] ends the connection. To tell the peer, write to [`Turn::out`] before returning
    /// the fault: the output is still sent.
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault>;

    /// Takes an event: anything that happens to the connection, other than input.
    ///
    /// # Errors
    ///
    /// As for [`Protocol::on_bytes`].
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault>;

    /// When [`Event::Deadline`] is due. `None`: only the owner's limits apply.
    fn deadline(&self) -> Option<Time>;

    /// Since when the connection has been idle: no request is unanswered, none is being received,
    /// and clients expect that idle connections may be closed. `None` if it isn't idle, or if
    /// silence doesn't mean idleness in this protocol. Default: `None`.
    ///
    /// At its limit on connections, the engine closes the longest-idle connection to make room for
    /// a new one ([`Reason::MadeRoom`](crate::Reason::MadeRoom)). It calls this method only then.
    fn idle_since(&self) -> Option<Time> {
        None
    }
}

/// Lets functions take a protocol of any type, boxed or not.
impl<P: Protocol + 'static> From<P> for Box<dyn Protocol> {
    fn from(protocol: P) -> Self {
        Box::new(protocol)
    }
}

/// How much input a call used, and what the protocol needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Bytes used, at most the length of the input.
    pub used: usize,
    /// What the protocol needs next.
    pub next: Next,
}

/// What a protocol needs before it can use more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More bytes than were offered.
    More,
    /// A call of [`Turn::resume`]. Until then, nothing is read. After it, the unused bytes are
    /// offered again without waiting for new ones.
    Pause,
}

impl Consumed {
    /// `used` bytes were used. More are needed: the rest is offered again only together with new
    /// bytes. So use everything that is complete, such as all whole lines, before returning this.
    #[must_use]
    pub const fn more(used: usize) -> Self {
        Self { used, next: Next::More }
    }

    /// `used` bytes were used. The rest waits for [`Turn::resume`].
    #[must_use]
    pub const fn pause(used: usize) -> Self {
        Self { used, next: Next::Pause }
    }
}

/// What an owner gives to each call into a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The monotonic clock, read once per turn of the loop.
    pub now: Time,
    /// The wall clock, read once per turn of the loop.
    pub wall: WallTime,
    /// The mailbox and job threads of the worker (event loop).
    pub handles: &'a WorkerHandles,
    /// The output is full when it holds this many bytes in memory.
    pub room: usize,
    /// The budget for output, or the client's share of it, is spent: see
    /// [`Turn::is_over_budget`].
    pub is_over_budget: bool,
}

/// How a protocol ends its connection. The variants are ordered: [`End::Finish`] is the smallest,
/// [`End::Linger`] the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Sends a FIN after the last byte. Reading goes on, and the connection closes when the peer
    /// has closed its sending side, too.
    Finish,
    /// Closes the connection when the last byte is sent. For peers that send nothing more.
    Close,
    /// As [`End::Finish`], but input is discarded, for some seconds. For peers that may still be
    /// sending: closing with unread input would reset the connection, and the peer could lose our
    /// last bytes.
    Linger,
}

/// What a protocol asked for during a call, besides output.
#[derive(Default)]
pub(crate) struct Effects {
    /// [`Turn::resume`].
    pub(crate) resume: bool,
    /// [`Turn::want_room`].
    pub(crate) want_room: bool,
    /// [`Turn::end`]. Of several calls, the one with the largest [`End`] counts.
    pub(crate) end: Option<End>,
    /// [`Turn::mark`].
    pub(crate) mark: Option<Mark>,
    pub(crate) rare: Option<Box<RareEffects>>,
}

/// The effects that few calls have. [`Effects`] boxes them, so that all other calls cost less.
#[derive(Default)]
pub(crate) struct RareEffects {
    /// [`Turn::switch_to`].
    pub(crate) switch: Option<Box<dyn Protocol>>,
    /// [`Turn::limit_unsent`].
    pub(crate) unsent_limit: Option<u32>,
    /// [`Turn::set_held`].
    pub(crate) held: Option<usize>,
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects").field("want_room", &self.want_room).finish_non_exhaustive()
    }
}

impl Effects {
    pub(crate) fn is_any(&self) -> bool {
        let Self { resume, want_room, end, mark, rare } = self;
        *resume || *want_room || end.is_some() || mark.is_some() || rare.is_some()
    }
}

/// A worker's mailbox and job threads, for the protocols that it runs.
pub struct WorkerHandles {
    mailbox: Arc<dyn MailboxSender>,
    spawn: Arc<dyn Spawn>,
    next_ticket: Cell<u64>,
    /// See [`Turn::report`].
    reported: RefCell<Vec<(Address, Fault)>>,
    has_reported: Cell<bool>,
    /// Memory for the rare effects of one call at a time.
    spare_effects: Cell<Option<Box<RareEffects>>>,
}

impl WorkerHandles {
    /// Handles that send addressed messages to `mailbox` and jobs to `spawn`.
    pub fn new(mailbox: Arc<dyn MailboxSender>, spawn: Arc<dyn Spawn>) -> Self {
        let next_ticket = Cell::new(Ticket::REMOTE.0 + 1);
        Self {
            mailbox,
            spawn,
            next_ticket,
            reported: RefCell::default(),
            has_reported: Cell::new(false),
            spare_effects: Cell::default(),
        }
    }

    /// Keeps the memory of `effects` for a later call. The effects in it were taken out before.
    pub(crate) fn keep_spare(&self, effects: Box<RareEffects>) {
        self.spare_effects.set(Some(effects));
    }

    /// Whether [`Turn::report`] was called since the last [`WorkerHandles::take_reported`].
    #[inline]
    #[must_use]
    pub fn has_reported(&self) -> bool {
        self.has_reported.get()
    }

    /// The faults of [`Turn::report`] since the last call, with their peers.
    #[must_use]
    pub fn take_reported(&self) -> Vec<(Address, Fault)> {
        self.has_reported.set(false);
        self.reported.take()
    }
}

impl fmt::Debug for WorkerHandles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandles").finish_non_exhaustive()
    }
}

/// What a protocol has during a call: its output, the time, and ways to act on its connection.
pub struct Turn<'a> {
    /// The output. What is written now is sent after what was written before.
    pub out: &'a mut Output,
    pub(crate) context: Context<'a>,
    pub(crate) key: Key,
    /// See [`Turn::stream`].
    pub(crate) stream: u32,
    pub(crate) peer: &'a Peer,
    pub(crate) effects: &'a mut Effects,
    /// Flow control for the remotes of the session (a protocol with its input and output) or of the
    /// stream: see [`Credit`]. Made by the first call of [`Turn::remote`].
    pub(crate) credit: &'a mut Option<Arc<Credit>>,
    /// How many bytes of this session or stream have left the output: sent or in flight.
    pub(crate) position: u64,
    /// How many of these are in flight: taken by the owner, but not sent yet.
    pub(crate) in_flight: u64,
}

impl<'a> Turn<'a> {
    /// The number of the stream that this turn is about: 0 is the connection itself. Only protocols
    /// that have streams ([`driver::Stream`](crate::driver::Stream)) get turns with other numbers.
    /// Exception: if a protocol runs in a stream of another one
    /// ([`driver::NestedSession`](crate::driver::NestedSession)), all of its turns are about that
    /// stream, and it can't have streams itself.
    #[must_use]
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// The time of the monotonic clock. It doesn't change during a turn of the event loop.
    #[must_use]
    pub fn now(&self) -> Time {
        self.context.now
    }

    /// The time of day. It doesn't change during a turn of the event loop.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        self.context.wall
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// Bytes that were written and are not sent: those in the output and those in flight.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.in_flight + self.out.unsent()
    }

    /// Whether the output is full: it has 1024 pieces, 2 ranges of files, or as many bytes in
    /// memory as the limit allows (in the engine: 256 KiB, or 1 byte if [`Turn::is_over_budget`]).
    /// A protocol that writes much checks this before each part, and calls [`Turn::want_room`] when
    /// it stops. Writing more is possible, but while 256 KiB are in memory, no input is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.out.held() >= self.context.room
            || self.out.pieces() >= Output::MAX_PIECES
            || self.out.file_ranges() >= Output::MAX_FILE_RANGES
    }

    /// Asks for one [`Event::Room`]. It comes when something was sent and the output is at most a
    /// quarter full, or as soon as nothing is left to send.
    pub fn want_room(&mut self) {
        self.effects.want_room = true;
    }

    /// Ends a pause: unused input is offered again, and reading goes on. Does nothing in a turn of
    /// a [`driver::Stream`](crate::driver::Stream).
    pub fn resume(&mut self) {
        self.effects.resume = true;
    }

    /// Marks the end of what was written. Until all of it is sent, an [`Event::Sent`] comes
    /// whenever output was sent. A mark in a turn of a
    /// [`driver::Stream`](crate::driver::Stream) causes no [`Event::Sent`].
    pub fn mark(&mut self) -> Mark {
        let mark = self.written();
        self.effects.mark = Some(mark);
        mark
    }

    /// The end of what was written.
    #[must_use]
    pub fn written(&self) -> Mark {
        Mark(self.position + self.out.unsent())
    }

    /// The end of what was sent.
    #[must_use]
    pub fn sent(&self) -> Mark {
        Mark(self.position.saturating_sub(self.in_flight))
    }

    /// Ends the connection when everything written is sent. Of several calls, the one with the
    /// largest [`End`] counts.
    ///
    /// Does nothing in a turn of a [`driver::Stream`](crate::driver::Stream).
    pub fn end(&mut self, end: End) {
        self.effects.end = self.effects.end.max(Some(end));
    }

    /// Replaces this protocol by another one after the current call of [`Protocol::on_bytes`] or
    /// [`Protocol::on_event`]. The other one gets [`Event::Open`], the unused input and, if the
    /// input has ended, [`Event::Eof`]. This one gets no further call.
    ///
    /// In a turn of a [`driver::Stream`](crate::driver::Stream), the other protocol takes over the
    /// stream, if the protocol that has the stream supports that.
    pub fn switch_to(&mut self, protocol: Box<dyn Protocol>) {
        self.rare_effects().switch = Some(protocol);
    }

    /// From now on, the kernel holds at most about `bytes` bytes of this connection that it has not
    /// sent to the network (on Linux: `TCP_NOTSENT_LOWAT`). The rest stays in the output. For
    /// protocols with streams: a small urgent frame then waits only for those bytes, and not for a
    /// whole send buffer. The kernel takes less per send, so a large transfer costs more calls.
    ///
    /// Call this once, while the connection is new. No effect on Unix sockets, in a turn of a
    /// [`driver::Stream`](crate::driver::Stream), and inside another protocol.
    pub fn limit_unsent(&mut self, bytes: u32) {
        self.rare_effects().unsent_limit = Some(bytes);
    }

    fn rare_effects(&mut self) -> &mut RareEffects {
        let spare = &self.context.handles.spare_effects;
        self.effects.rare.get_or_insert_with(|| spare.take().unwrap_or_default())
    }

    /// Sets how many bytes the protocol holds for this connection outside its output, such as the
    /// outputs of its streams. They are charged to the client, as output is. Default: 0. The number
    /// need not be exact: call this again when it has changed by some KiB.
    ///
    /// No effect in a turn of a [`driver::Stream`](crate::driver::Stream).
    pub fn set_held(&mut self, bytes: usize) {
        self.rare_effects().held = Some(bytes);
    }

    /// Whether the budget for output, or the share of this connection's client, is spent. Then a
    /// protocol should begin nothing that it has to hold memory for.
    #[must_use]
    pub fn is_over_budget(&self) -> bool {
        self.context.is_over_budget
    }

    /// Reports a fault that ends one of several streams, and not the connection. The engine logs
    /// it. It also counts the fault if this program is to blame.
    pub fn report(&self, fault: Fault) {
        self.context.handles.has_reported.set(true);
        self.context.handles.reported.borrow_mut().push((self.peer.address, fault));
    }

    /// A promise of one [`Event::Message`], to be fulfilled by any thread.
    #[must_use]
    pub fn promise(&self) -> Promise {
        let ticket = self.context.handles.next_ticket.get();
        self.context.handles.next_ticket.set(ticket + 1);
        let to = (self.key, self.stream);
        Promise::new(Arc::clone(&self.context.handles.mailbox), to, Ticket(ticket))
    }

    /// A handle by which any thread can send to this connection (or stream), or wake it.
    #[must_use]
    pub fn remote(&mut self) -> Remote {
        let credit = self.credit.get_or_insert_with(|| Arc::new(Credit::new()));
        let to = (self.key, self.stream);
        Remote::new(Arc::clone(&self.context.handles.mailbox), to, Arc::clone(credit))
    }

    /// Runs `work`, which may block, on another thread. Its result comes as [`Event::Message`] with
    /// the returned ticket: [`Abandoned`](crate::Abandoned) if it panics, or if too many jobs wait.
    /// To answer in order, return [`Consumed::pause`] until then, and call [`Turn::resume`]. The
    /// engine's `Config::job_threads` is how many jobs run at a time.
    ///
    /// The job is charged to the peer of the connection. To charge another client, such as one that
    /// a trusted proxy names, use [`Turn::spawn`] with a [`Job`] of the kind [`JobKind::Other`].
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Ticket {
        let promise = self.promise();
        let ticket = promise.ticket();
        let client = Client::of(self.peer.address);
        let job = Job::new(JobKind::Other, client, move || promise.fulfill(Box::new(work())));
        // Dropping a refused job abandons its promise.
        drop(self.spawn(job));
        ticket
    }

    /// Runs `job` on another thread. The job sends its results through promises that it holds.
    ///
    /// # Errors
    ///
    /// As for [`Spawn::spawn`].
    pub fn spawn(&self, job: Job) -> Result<(), Job> {
        self.context.handles.spawn.spawn(job)
    }
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("now", &self.context.now).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::harness::Harness;

    /// Writes one-byte pieces until none are left, whenever there is room.
    struct Pieces {
        left: usize,
    }

    impl Pieces {
        fn write(&mut self, turn: &mut Turn<'_>) {
            while self.left > 0 && !turn.is_full() {
                turn.out.write_shared(Bytes::from_static(b"x"));
                self.left -= 1;
            }
            assert!(turn.out.pieces() <= Output::MAX_PIECES, "{} pieces", turn.out.pieces());
            if self.left > 0 {
                turn.want_room();
            }
        }
    }

    impl Protocol for Pieces {
        fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
            self.write(turn);
            Ok(Consumed::more(input.len()))
        }

        fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
            if let Event::Room = event {
                self.write(turn);
            }
            Ok(())
        }

        fn deadline(&self) -> Option<Time> {
            None
        }
    }

    #[test]
    fn an_output_of_many_small_pieces_is_full_long_before_its_bytes_are() {
        let left = 3 * Output::MAX_PIECES + 1;
        let mut harness = Harness::new(Pieces { left });
        harness.input(b"!");
        assert_eq!(harness.held(), Output::MAX_PIECES, "a piece has one byte");
        assert_eq!(harness.output().len(), left, "the rest follows when there is room");
    }
}

//! What a protocol can do during one call: write, look at the time, ask for things. The
//! [`Session`](crate::driver::Session) makes a [`Turn`] for each call, and acts on what was asked for
//! when the call is over.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use crate::job::{Job, JobKind, Spawn};
use crate::remote::{Credit, Key, MailboxSender, Promise, Remote, Ticket};
use crate::{Client, Event, Fault, Mark, Output, Peer, Time, WallTime};

/// One connection with one peer.
///
/// Whoever drives a protocol, by a [`Session`](driver::Session), keeps these promises:
///
/// - [`Event::Open`] comes first and [`Event::Closed`] last, each exactly once. A connection that we
///   opened and that never came to stand hears only [`Event::Closed`].
/// - Input arrives in order. What a call did not use is offered again, with more behind it.
/// - [`Event::Eof`] comes after every input byte was offered, and no input follows it. It is not
///   told during a pause. When the peer ends its side during one, [`Event::HalfClosed`] says so.
/// - After a call that returned a [`Fault`], only [`Event::Closed`] follows.
/// - `deadline` is asked after every call, so a connection need not announce a change.
///
/// Every call is made by an event loop, which serves nobody else meanwhile. What blocks belongs into
/// [`Turn::run`].
pub trait Protocol {
    /// Takes input: all that has arrived and was not used yet.
    ///
    /// The returned [`Consumed`] says how many bytes were used and whether to go on. A protocol that
    /// returns [`Next::More`] with bytes left over is offered them again only together with new
    /// ones, so it should remember how far it has scanned.
    ///
    /// # Errors
    ///
    /// A [`Fault`] ends the connection. The response that the fault earns is written to the output
    /// before it is returned; it still reaches the peer.
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault>;

    /// Takes everything that is not input.
    ///
    /// # Errors
    ///
    /// As for [`Protocol::on_bytes`].
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault>;

    /// When [`Event::Deadline`] is wanted next; `None` when only the engine's own limits run.
    fn deadline(&self) -> Option<Time>;

    /// Since when the connection has been idle: nothing is owed to either side, and the peer has
    /// to expect that an idle connection is closed. `None` while something is in progress, and for
    /// protocols in which silence doesn't mean idleness; the default.
    ///
    /// When all connection slots are taken, the connection that has been idle longest is closed to
    /// make room for a new one ([`Reason::MadeRoom`]). This is not called otherwise.
    fn idle_since(&self) -> Option<Time> {
        None
    }
}

/// A protocol of any type can stand where a boxed one is wanted, as errors can in the standard library.
impl<P: Protocol + 'static> From<P> for Box<dyn Protocol> {
    fn from(protocol: P) -> Self {
        Box::new(protocol)
    }
}

/// How much input a call used, and what it needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Bytes used, at most the length of the input that was offered.
    pub used: usize,
    /// What the connection needs to go on.
    pub next: Next,
}

/// What a connection needs to go on: two different answers that are easily taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More bytes than were offered.
    More,
    /// Time: nothing is read or offered until [`Turn::resume`], when the unused bytes are offered
    /// again without waiting for new ones.
    Pause,
}

impl Consumed {
    /// `used` bytes were used; the connection needs more.
    #[must_use]
    pub const fn more(used: usize) -> Self {
        Self { used, next: Next::More }
    }

    /// `used` bytes were used; the rest is to wait until [`Turn::resume`].
    #[must_use]
    pub const fn pause(used: usize) -> Self {
        Self { used, next: Next::Pause }
    }
}

/// What one call into a protocol is told.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The monotonic clock, read once per turn of the loop.
    pub now: Time,
    /// The wall clock, read once per turn of the loop.
    pub wall: WallTime,
    /// Where messages and jobs go.
    pub handles: &'a ShardHandles,
    /// How many bytes the output may hold before it counts as full.
    pub room: usize,
}

/// How a connection wants to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Nothing more will be written: a FIN follows the last byte. Reading goes on, and the
    /// connection closes when the peer has ended its side too.
    Finish,
    /// The connection closes when the last byte is sent. The peer is not expected to send more.
    Close,
    /// As [`End::Close`], but the peer may still be sending: what comes is read and thrown away
    /// for a while, so that a reset doesn't eat what we sent last.
    Linger,
}

/// What a protocol asked for during a call.
#[derive(Default)]
pub(crate) struct Effects {
    /// Offer the unused input again.
    pub(crate) resume: bool,
    /// Say [`Event::Room`](crate::Event::Room), as [`Turn::want_room`] has it.
    pub(crate) want_room: bool,
    /// End the session; the strongest wish of the call.
    pub(crate) end: Option<End>,
    /// Say [`Event::Sent`](crate::Event::Sent) when this mark is reached.
    pub(crate) mark: Option<Mark>,
    /// Go on with another protocol.
    pub(crate) switch: Option<Box<dyn Protocol>>,
}

impl Effects {
    /// Whether anything was asked for.
    pub(crate) fn is_any(&self) -> bool {
        let Self { resume, want_room, end, mark, switch } = self;
        *resume || *want_room || end.is_some() || mark.is_some() || switch.is_some()
    }
}

/// Where messages to the sessions of one shard go, and their jobs.
pub struct ShardHandles {
    mailbox: Arc<dyn MailboxSender>,
    spawn: Arc<dyn Spawn>,
    next_ticket: Cell<u64>,
}

impl ShardHandles {
    /// Envelopes go to `mailbox`, jobs to `spawn`.
    pub fn new(mailbox: Arc<dyn MailboxSender>, spawn: Arc<dyn Spawn>) -> Self {
        Self { mailbox, spawn, next_ticket: Cell::new(Ticket::REMOTE.0 + 1) }
    }
}

impl fmt::Debug for ShardHandles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardHandles").finish_non_exhaustive()
    }
}

/// One call's means: what is to be sent, the time, and what may be asked for.
pub struct Turn<'a> {
    /// What is to be sent.
    pub out: &'a mut Output,
    pub(crate) context: Context<'a>,
    pub(crate) key: Key,
    pub(crate) peer: &'a Peer,
    pub(crate) effects: &'a mut Effects,
    /// The session's credit, made when it first asks for a [`Remote`].
    pub(crate) credit: &'a mut Option<Arc<Credit>>,
    /// How many bytes of this session have left the output before: sent, or in flight.
    pub(crate) position: u64,
    /// How many of these have not been sent yet.
    pub(crate) in_flight: u64,
}

impl<'a> Turn<'a> {
    /// What this call was told: for a protocol that runs others on streams of its own.
    #[doc(hidden)]
    #[must_use]
    pub fn context(&self) -> Context<'a> {
        self.context
    }

    /// What messages for this session carry: for a protocol that runs others on streams of its own.
    #[doc(hidden)]
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Time {
        self.context.now
    }

    /// The wall clock at this turn.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        self.context.wall
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// Bytes that were written and have not been sent: those in the output and those in flight.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.in_flight + self.out.unsent()
    }

    /// Whether the output holds as much as it should. A connection that answers many requests in
    /// one call looks here between them; one that stops for it asks [`Turn::want_room`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.out.held() >= self.context.room
            || self.out.pieces() >= Output::MAX_PIECES
            || self.out.file_ranges() >= Output::MAX_FILE_RANGES
    }

    /// Effects for [`Event::Room`](crate::Event::Room) once: when something has been sent and the
    /// output is below the low-water mark, or at once where there is nothing to send.
    pub fn want_room(&mut self) {
        self.effects.want_room = true;
    }

    /// Effects that unused input be offered again, and reading go on, after a pause.
    pub fn resume(&mut self) {
        self.effects.resume = true;
    }

    /// Marks the end of what has been written so far, and asks for
    /// [`Event::Sent`](crate::Event::Sent) when it has been sent.
    pub fn mark(&mut self) -> Mark {
        let mark = self.written();
        self.effects.mark = Some(mark);
        mark
    }

    /// The end of what has been written so far.
    #[must_use]
    pub fn written(&self) -> Mark {
        Mark(self.position + self.out.unsent())
    }

    /// The end of what has been sent so far.
    #[must_use]
    pub fn sent(&self) -> Mark {
        Mark(self.position.saturating_sub(self.in_flight))
    }

    /// Ends the connection when everything written has been sent. Of several wishes the
    /// strongest counts.
    pub fn end(&mut self, end: End) {
        self.effects.end = self.effects.end.max(Some(end));
    }

    /// Hands the connection to another protocol when this call returns: it gets
    /// [`Event::Open`](crate::Event::Open) and then the bytes that this call did not use. This
    /// connection hears no more.
    pub fn switch_to(&mut self, protocol: Box<dyn Protocol>) {
        self.effects.switch = Some(protocol);
    }

    /// Reserves a place for one answer from elsewhere.
    #[must_use]
    pub fn promise(&self) -> Promise {
        let ticket = self.context.handles.next_ticket.get();
        self.context.handles.next_ticket.set(ticket + 1);
        Promise::new(Arc::clone(&self.context.handles.mailbox), self.key, Ticket(ticket))
    }

    /// A handle into this connection for other threads.
    #[must_use]
    pub fn remote(&mut self) -> Remote {
        let credit = self.credit.get_or_insert_with(|| Arc::new(Credit::new()));
        Remote::new(Arc::clone(&self.context.handles.mailbox), self.key, Arc::clone(credit))
    }

    /// Runs `work` on another thread: for what blocks. Its result comes as
    /// [`Event::Message`](crate::Event::Message) under the returned ticket, [`crate::Abandoned`] if
    /// it panics, or where too much waits already.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Ticket {
        let promise = self.promise();
        let ticket = promise.ticket();
        let client = Client::of(self.peer.address);
        let job = Job::new(JobKind::Other, client, move || promise.keep(Box::new(work())));
        // Refused, it is dropped, which abandons its promise.
        drop(self.spawn(job));
        ticket
    }

    /// Runs `job` on another thread. What it has to say it says by the promises that it holds.
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

    /// Writes one-byte pieces until the output is full, each time there is room, up to a total.
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

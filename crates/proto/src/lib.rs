//! Protocols as pure code: the [`Protocol`] trait, and what every protocol shares.
//!
//! For those who write a protocol, or a driver that runs them.
//!
//! A [`Protocol`] is one connection with one peer: bytes come in, bytes go out, and nothing in
//! this crate can open a socket, read a clock, start a thread or touch a file. Whoever drives it
//! (the engine over TCP, the simulator, the [`harness`] in a test) owns everything that can block,
//! fail or be attacked, and tells the connection what happened through two doors:
//!
//! ```text
//!            input bytes ──▶ on_bytes ──┐                 ┌──▶ Output   bytes · shared bytes · file ranges
//!                                       ├── a protocol ───┤
//!  open, eof, room, deadline, message, ─▶ on_event ───────┘──▶ Turn     pause · resume · finish · close · promise
//!  woken, half-closed, sent, lame duck, drain, closed
//! ```
//!
//! [`echo`] is the smallest protocol and the one to read first; `sockeye-http` and `sockeye-message`
//! are larger ones, in crates of their own. One whole connection, byte for byte:
//!
//! ```
//! use sockeye_proto::{echo::Echo, harness::Harness};
//!
//! let mut peer = Harness::new(Echo::default());
//! peer.input(b"Hello World");
//! assert_eq!(peer.output(), b"Hello World");
//! peer.eof();
//! assert!(peer.finished());
//! ```
//!
//! What this crate leaves to others: sockets, scheduling, limits on connections and the write
//! deadline are the engine's; opening and reading files is `sockeye-files`'.

#![forbid(unsafe_code)]

use std::time::Duration;

mod budget;
mod client;
pub mod driver;
pub mod echo;
mod fault;
mod file;
pub mod harness;
mod job;
mod output;
mod peer;
mod remote;
mod stop;
mod time;
mod turn;

pub use budget::{Budget, Permit, Reports};
pub use client::Client;
pub use fault::{Blame, Fault, Reason};
pub use file::{Access, FileRange, FileSource};
pub use job::{Cancel, Job, JobKind, Place, Spawn, Waiter};
pub use output::{Output, Part};
pub use peer::{Address, Peer};
pub use remote::{Abandoned, Message, Promise, Remote, SendError, Ticket};
pub use stop::Stop;
pub use time::{Time, Timed, WallTime};
pub use turn::{End, Mark, Turn};

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

/// What happened to a connection, other than input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The connection stands. The first event of every connection, also of one that another
    /// connection switched to.
    Open(&'a Peer),
    /// The peer ended its side: no more input will come. `clean` is false when unused input was
    /// left over, that is, when the peer stopped in the middle of something. Output still goes out.
    Eof {
        /// No unused input was left over.
        clean: bool,
    },
    /// The peer has ended its side while nothing is read from it: during a pause, or because the
    /// output is full. At most once, and before [`Event::Eof`]: input that arrived earlier may still
    /// be offered in between. Output still goes out.
    HalfClosed,
    /// The output has come forward, and is below the low-water mark: [`Turn::want_room`] asked to be
    /// told.
    Room,
    /// The time that [`Protocol::deadline`] named has come.
    Deadline,
    /// A [`Promise`] of this connection was kept or abandoned, or a [`Remote`] sent something
    /// (its ticket is [`Ticket::REMOTE`]).
    Message(Ticket, Result<Message, Abandoned>),
    /// Something may be there for this connection, in a place that it knows: [`Remote::wake`] was
    /// called, any number of times since the last such event.
    Woken,
    /// Everything written before this mark has been accepted by the kernel. After [`Turn::mark`] it
    /// comes whenever that has moved, until the mark is reached.
    Sent(Mark),
    /// The server will drain soon, and accepts connections until then: a protocol that can ask its
    /// peer to come again elsewhere does so. May come before [`Event::Drain`], also more than once.
    LameDuck,
    /// The server is stopping: finish what is under way, and end the connection. What had arrived
    /// by now was offered before. A protocol whose peer may just be sending its next request gives it
    /// [`DRAIN_GRACE`] before it closes an idle connection.
    Drain {
        /// Input has arrived that was not used: the connection pauses, or its output is full.
        unread: bool,
    },
    /// The connection is over, and why. Whatever is written now goes nowhere.
    Closed(&'a Reason),
}

/// How long an idle connection stays open after [`Event::Drain`]. A request that was sent before its
/// client could know of the stop arrives within this time, and is answered. 1 s.
pub const DRAIN_GRACE: Duration = Duration::from_secs(1);

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

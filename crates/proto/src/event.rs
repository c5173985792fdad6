//! What a protocol is told besides input.

use std::time::Duration;

use crate::{Abandoned, Mark, Message, Peer, Reason, Ticket};

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

/// How far a server has come on its way to stop, as a protocol has heard of it.
///
/// A protocol that hands its connection to another one ([`Turn::switch_to`](crate::Turn::switch_to))
/// passes it on: the other one is not told again of what was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nobody said that it stops.
    No,
    /// It will soon: clients are asked to connect again elsewhere ([`Event::LameDuck`]).
    ///
    /// [`Event::LameDuck`]: crate::Event::LameDuck
    LameDuck,
    /// It is stopping: likewise, and idle connections are closed ([`Event::Drain`]).
    ///
    /// [`Event::Drain`]: crate::Event::Drain
    Drain,
}

//! Events: what a protocol gets besides input.

use std::time::Duration;

use crate::{Abandoned, Mark, Message, Peer, Reason, Ticket};

/// What happened to a connection, other than input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The connection is established. The first event of every protocol, also of one that another
    /// protocol switched to. Exception: if an outgoing connection can't be established, its
    /// protocol gets only [`Event::Closed`].
    Open(&'a Peer),
    /// The input may have been cut. Comes just before [`Event::Eof`]. Over TLS, it means that the
    /// input ended without close_notify, the only end that TLS authenticates. In a stream of
    /// HTTP/2, it means that the connection ended before the stream.
    ///
    /// A message that extends to the end of input, such as an HTTP response without a length, is
    /// then incomplete. Other protocols can ignore the event: many TLS clients close without
    /// close_notify.
    Truncated,
    /// The peer closed its sending side: no more input comes. Output is still sent.
    Eof {
        /// All input was used. `false`: the peer stopped in the middle of something.
        clean: bool,
    },
    /// The peer has closed its sending side while nothing is read from it: during a pause, or while
    /// too much output waits in memory. Comes at most once, before [`Event::Eof`]. Input that the
    /// peer sent earlier may arrive between the two events. Output is still sent.
    HalfClosed,
    /// The output is at most a quarter full. [`Turn::want_room`](crate::Turn::want_room) asked for
    /// this event.
    Room,
    /// The time that [`Protocol::deadline`](crate::Protocol::deadline) returned has come.
    Deadline,
    /// The [`Promise`](crate::Promise) that this ticket identifies was fulfilled or abandoned, or a
    /// [`Remote`](crate::Remote) sent a message (with [`Ticket::REMOTE`]).
    Message(Ticket, Result<Message, Abandoned>),
    /// [`Remote::wake`](crate::Remote::wake) was called, once or more, since the last such event.
    Woken,
    /// The kernel has taken all output up to this mark (a position in the output). If the protocol
    /// runs inside another one, the outer protocol has moved this output to its own. After a call
    /// of [`Turn::mark`](crate::Turn::mark), this event comes whenever output was sent, until the
    /// mark that the call returned is reached.
    Sent(Mark),
    /// The server will drain soon, and accepts connections until then. Ask the peer to connect
    /// again elsewhere, if the protocol can. May come several times, or never.
    LameDuck,
    /// The server is stopping: finish what is in flight, then end the connection. If the peer may
    /// just be sending a request, keep an idle connection open for [`DRAIN_GRACE`]. The protocol
    /// has been offered all input that arrived before this event, unless `unread` is set.
    Drain {
        /// Input was offered that the protocol has not used: it pauses, or needs more input.
        unused: bool,
        /// Behind any unused input, there may be input that was not offered: the connection is
        /// paused, its output is full, or more has arrived than is read before a drain.
        unread: bool,
    },
    /// The connection ended, for this reason. Output is discarded.
    Closed(&'a Reason),
}

/// How long an idle connection stays open after [`Event::Drain`]: 1 s. In this time, a request that
/// the client sent before it could know of the stop arrives, and is answered.
pub const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Which events of a stopping server a protocol got.
///
/// A protocol that [switches](crate::Turn::switch_to) to another one passes this value to the other
/// one, since an event that came before the switch is not repeated for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing.
    No,
    /// [`Event::LameDuck`].
    LameDuck,
    /// [`Event::Drain`].
    Drain,
}

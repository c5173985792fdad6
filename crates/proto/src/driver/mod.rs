//! How a protocol is driven: for engines, for the [`harness`](crate::harness), and for a protocol that
//! runs another one on a stream of its own. Whoever only writes a protocol needs nothing of it.
//!
//! A [`Session`] is one protocol instance with everything that its contract takes: the order of
//! events, unused input, pauses, room, marks, and the end. Its owner has what a session has not:
//!
//! ```text
//!   the owner                                          the session
//!   sockets, clocks, limits ── input, events ────────▶ calls the protocol, with an `Owner` at hand
//!   sends                  ◀── take_output ─────────── output
//!                          ─── put_back, progress ───▶ room, marks
//!   flushes, reads on      ◀── take_changed ────────── what was written or asked for
//!   closes                 ◀── end, reason ─────────── how it is to end
//! ```

mod contract;
mod session;
#[cfg(test)]
mod tests;
mod unused;

pub use crate::remote::{Envelope, Key, MailboxSender};
pub use crate::turn::ShardHandles;
pub use session::{InFlight, Session};

use crate::{Output, Peer, Time, Wall};

/// What a session needs of its owner during a call.
pub trait Owner {
    /// What a call is told, in a session with `peer`.
    fn context(&self, peer: &Peer) -> Context<'_>;

    /// With so many bytes of output in memory a session is not read from. Below a quarter of it the
    /// protocol is told of [`Event::Room`](crate::Event::Room).
    fn high_water(&self) -> usize;

    /// How many bytes of unused input a session may keep.
    fn max_unused_input(&self) -> usize;

    /// An empty output: a session has one only while it has something to send.
    fn lend_output(&mut self) -> Box<Output>;

    /// Takes back an output that was lent. It may hold what nobody will be sent.
    fn take_back_output(&mut self, output: Box<Output>);

    /// Runs a call into the protocol; `None` when it panicked. An owner that contains no panics just
    /// runs it.
    fn contain<T>(call: impl FnOnce() -> T) -> Option<T>;
}

/// What one call into a protocol is told.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The monotonic clock, read once per turn of the loop.
    pub now: Time,
    /// The wall clock, read once per turn of the loop.
    pub wall: Wall,
    /// Where messages and jobs go.
    pub handles: &'a ShardHandles,
    /// How many bytes the output may hold before it counts as full.
    pub room: usize,
}

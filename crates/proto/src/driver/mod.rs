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
mod owner;
mod session;
#[cfg(test)]
mod tests;
mod unused;

pub use crate::protocol::{Context, ShardHandles};
pub use crate::remote::{Envelope, Key, MailboxSender};
pub use owner::Owner;
pub use session::{InFlight, Session};

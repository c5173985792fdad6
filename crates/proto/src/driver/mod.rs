//! For drivers: runs one protocol. Code that only implements a protocol needs nothing from here.
//!
//! A [`Session`] is a protocol instance with its pending input and output. It keeps the guarantees
//! that [`Protocol`](crate::Protocol) states: the order of events, unused input, pauses, room,
//! marks, the end. Its owner has sockets, clocks and limits: the engine, the harness, or a protocol
//! that runs others on streams of its own.
//!
//! ```text
//!   owner                                          session
//!   receives           ── input, events ─────────▶ calls the protocol
//!   sends              ◀─ take_output ───────────
//!                      ── put_back, progress ────▶ sends events about room and marks
//!   flushes, reads     ◀─ take_changed ──────────  after the protocol wrote or asked for something
//!   closes             ◀─ end, reason ───────────
//! ```

mod contract;
mod owner;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod unused;

pub use crate::counts::Counts;
pub use crate::protocol::{Context, ShardHandles};
pub use crate::remote::{Envelope, Key, MailboxSender};
pub use owner::Owner;
pub use session::{InFlight, Session};
pub use stream::Stream;

//! The interface for code that runs protocols. Code that only implements a protocol needs nothing
//! from here: see [`Protocol`](crate::Protocol) and, for tests, the module `harness`.
//!
//! A [`Session`] is a protocol instance with its unused input and unsent output. It keeps the
//! guarantees that [`Protocol`](crate::Protocol) lists, such as the order of events. Its owner
//! provides the connection, the clocks and the limits, and implements [`Owner`]. Owners are the
//! engine and the harness for tests. A protocol that runs other protocols inside it, for example
//! one on each of its streams, uses a [`NestedSession`] for each.
//!
//! ```text
//!   owner                                          session
//!   receives           ── input, events ─────────▶ calls the protocol
//!   sends              ◀─ take_output ───────────
//!                      ── put_back, progress ────▶ sends Event::Room, Event::Sent
//!   flushes, reads     ◀─ take_needs_flush ──────  after output, a request, a fault, the end
//!   closes             ◀─ end, reason ───────────
//! ```

mod contract;
mod nested;
mod owner;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod unused;

pub use crate::counts::Counts;
pub use crate::destructor::drop_caught;
pub use crate::protocol::{Context, WorkerHandles};
pub use crate::remote::{Envelope, Key, MailboxSender};
pub use nested::NestedSession;
pub use owner::Owner;
pub use session::{InFlight, Session};
pub use stream::Stream;

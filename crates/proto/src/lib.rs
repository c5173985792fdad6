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

mod budget;
mod client;
pub mod driver;
pub mod echo;
mod event;
mod fault;
mod file;
#[cfg(feature = "harness")]
pub mod harness;
mod job;
mod output;
mod peer;
mod protocol;
mod remote;
mod time;

pub use budget::{Budget, Permit, Reports};
pub use client::Client;
pub use event::{DRAIN_GRACE, Event, Stop};
pub use fault::{Blame, Fault, Reason};
pub use file::{Access, FileRange, FileSource};
pub use job::{Cancel, Job, JobKind, Place, Spawn, Waiter};
pub use output::{Mark, Output, Part};
pub use peer::{Address, Peer};
pub use protocol::{Consumed, End, Next, Protocol, Turn};
pub use remote::{Abandoned, Message, Promise, Remote, SendError, Ticket};
pub use time::{Time, Timed, WallTime};

//! The [`Protocol`] trait, and what every protocol shares.
//!
//! A protocol value serves one connection, as pure code: bytes come in, bytes go out. This
//! crate opens no socket, reads no clock, starts no thread and touches no file. An *owner* does
//! that: the engine (on TCP and Unix sockets; in the simulator, on a network in memory) or, in a
//! test, the harness. The owner calls the protocol and acts on what the protocol wrote and asked
//! for:
//!
//! ```text
//!  input bytes ──────────▶ on_bytes ─┐              ┌─▶ Output: bytes, shared bytes, ranges of files
//!                                    ├─ a protocol ─┤
//!  Event: open, deadline, ▶ on_event ┘              └─▶ Turn: end, resume, mark, promise, job
//!  message, end of input …
//! ```
//!
//! A message comes from a [`Promise`] or a [`Remote`], which other threads can use. A mark is a
//! position in the output: an event reports that the output was sent up to there.
//!
//! A protocol that answers each line with its length, and a test of it:
//!
//! ```
//! use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Time, Turn, harness::Harness};
//!
//! struct LineLengths;
//!
//! impl Protocol for LineLengths {
//!     fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
//!         let mut used = 0;
//!         while let Some(len) = input[used..].iter().position(|byte| *byte == b'\n') {
//!             turn.out.write(format!("{len}\n").as_bytes());
//!             used += len + 1;
//!         }
//!         if input.len() - used > 1000 {
//!             return Err(Fault::peer("line_too_long", "sent a line of more than 1000 bytes"));
//!         }
//!         Ok(Consumed::more(used)) // The rest is offered again, followed by newer input.
//!     }
//!
//!     fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
//!         match event {
//!             Event::Eof { .. } => turn.end(End::Finish),
//!             Event::Drain { .. } => turn.end(End::Linger),
//!             _ => {}
//!         }
//!         Ok(())
//!     }
//!
//!     fn deadline(&self) -> Option<Time> {
//!         None
//!     }
//! }
//!
//! let mut peer = Harness::new(LineLengths);
//! peer.input(b"Hello\nWor");
//! peer.input(b"ld\n");
//! assert_eq!(peer.output(), b"5\n5\n");
//! peer.eof();
//! assert!(peer.finished());
//! ```
//!
//! [`echo`] is another small and complete protocol, with a deadline. `sockeye-http` and
//! `sockeye-message` are larger protocols.
//!
//! The feature `harness` adds the module `harness`, for tests. [`driver`] is for owners only. The
//! engine enforces the write timeout and limits on connections. Files come from `sockeye-files`.

#![forbid(unsafe_code)]

// The check is in this crate, because all others depend on it: where the check fails, none of them
// is compiled, and no other error hides this message.
#[cfg(not(target_os = "linux"))]
compile_error!(
    "Sockeye runs on Linux only (5.10 or later). On macOS and Windows, build and run it in a Linux \
     container, in a virtual machine, or in WSL 2."
);

mod budget;
mod client;
mod counts;
mod destructor;
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
mod report_limiter;
mod time;
mod tls;

pub use budget::{Budget, Permit};
pub use client::Client;
pub use event::{DRAIN_GRACE, Event, Stop};
pub use fault::{Blame, Fault, Reason};
pub use file::{Access, FileRange, FileSource, Validity};
pub use job::{CancelToken, Job, JobGroup, JobKind, Spawn, Waiter};
pub use output::{Mark, Output, Part, Parts};
pub use peer::{Address, Peer};
pub use protocol::{Consumed, End, Next, Protocol, Turn};
pub use remote::{Abandoned, Message, Promise, Remote, SendError, Ticket};
pub use report_limiter::ReportLimiter;
pub use time::{Time, Timed, WallTime};
pub use tls::TlsInfo;

/// Compiles the examples of this crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

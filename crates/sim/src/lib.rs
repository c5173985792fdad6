//! Runs the engine on a simulated network, in memory and on one thread.
//!
//! A [`World`] has one clock, connections, and a count of open descriptors. The workers (event
//! loops) are those of the real engine, each on a [`SimDriver`]. They are connected to each other
//! or to scripted peers ([`Script`]). A seed determines the random [`Faults`]. For example, sent
//! bytes are split or delayed, a call returns `WouldBlock` needlessly, a send completes after its
//! call, or a connection is refused, is reset or stops delivering. The same seed gives the same
//! run, call by call.
//!
//! ```text
//!  Worker ── SimDriver ──┐                       ┌── SimDriver ── Worker
//!                        ├── network, one clock ─┤
//!      its listeners ────┘                       └── Script (raw bytes)
//! ```
//!
//! ```
//! use sockeye_engine::{Config, driver::Target};
//! use sockeye_proto::{Peer, echo::Echo};
//! use sockeye_sim::{Faults, Rng, Script, World, seeds};
//!
//! let here = Target::Ip(([127, 0, 0, 1], 7).into());
//! seeds(0..10, |seed| {
//!     let mut world = World::new(seed, Faults::lossless(&mut Rng::new(seed)));
//!     world.server(std::slice::from_ref(&here), Config::default(), |_: &Peer| Echo::default());
//!     let peer = world.peer(&here, Script::new().send("Hello World").finish());
//!     world.settle();
//!     assert_eq!(world.peer_state(peer).bytes, b"Hello World");
//!     world.finish();
//! });
//! ```
//!
//! [`seeds()`] runs a test with many seeds. If the test fails with a seed, `seeds` prints the
//! command that repeats that run. [`World::finish`] checks the invariants of every run: each
//! descriptor was closed once, every connection ended, and every worker's memory is as it was
//! before its first connection. A worker that wakes up repeatedly without progress fails the run.
//!
//! Threads and the kernel's sockets are not simulated.

#![forbid(unsafe_code)]

mod delivery;
mod driver;
mod endpoint;
mod faults;
mod gather;
mod jobs;
mod net;
mod poll;
mod rng;
mod script;
mod scripted;
mod seeds;
mod spin_check;
mod world;

pub use driver::{SimDriver, SimListener, SimSocket};
pub use faults::Faults;
pub use rng::Rng;
pub use script::{Outcome, PeerState, Script};
pub use seeds::seeds;
pub use world::{PeerId, WorkerId, World};

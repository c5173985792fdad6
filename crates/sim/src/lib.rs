//! The whole engine on a network that exists only in memory.
//!
//! A [`World`] has one clock, links that carry bytes, and a count of open descriptors. Shards of
//! the real engine run in it unchanged, each on a [`SimDriver`], and talk to one another or to
//! scripted peers ([`Script`]). A seed decides everything random ([`Faults`]): how sent bytes are
//! split and delayed, which calls return `WouldBlock` needlessly, which sends are done after the
//! call, and which connections are reset, refused or silent for ever. The same seed gives the same
//! run, call by call.
//!
//! ```text
//!   Shard ── SimDriver ──┐                       ┌── SimDriver ── Shard
//!                        ├── network, one clock ─┤
//!        (listeners) ────┘                       └── Script (raw bytes)
//! ```
//!
//! ```
//! use sockeye_engine::{Config, driver::Target};
//! use sockeye_proto::{Peer, echo::Echo};
//! use sockeye_sim::{Faults, Rng, Script, World, seeds};
//!
//! let here = Target::Ip(([127, 0, 0, 1], 7).into());
//! seeds(0..10, |seed| {
//!     let mut world = World::new(seed, Faults::gentle(&mut Rng::new(seed)));
//!     world.server(std::slice::from_ref(&here), Config::default(), |_: &Peer| Echo::default());
//!     let peer = world.peer(&here, Script::new().send("Hello World").finish());
//!     world.settle();
//!     assert_eq!(world.heard(peer).bytes, b"Hello World");
//!     world.finish();
//! });
//! ```
//!
//! [`seeds`] runs a test with many seeds and says which one failed and how to replay it.
//! [`World::finish`] checks what must hold after every run: each descriptor was closed once, nothing
//! is owed for ever, and every shard's memory is as it was before its first connection. A shard
//! that wakes up again and again without progress fails the run.
//!
//! Not simulated: real sockets, threads, and what a kernel does that the engine can't see.

#![forbid(unsafe_code)]

mod carry;
mod driver;
mod faults;
mod gather;
mod jobs;
mod link;
mod net;
mod poll;
mod rng;
mod script;
mod scripted;
mod seeds;
mod vigil;
mod world;

pub use driver::{SimDriver, SimListener, SimSocket};
pub use faults::Faults;
pub use rng::Rng;
pub use script::{Heard, Outcome, Script};
pub use seeds::seeds;
pub use world::{PeerId, ShardId, World};

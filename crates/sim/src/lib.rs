//! The whole engine on a network that exists only in memory.
//!
//! A [`World`] has one clock, links with bytes in flight, and descriptors that are counted. Shards
//! of the real engine run in it unchanged, on a [`SimDriver`] each, against one another or against
//! scripted peers ([`Script`]). A seed decides everything that chance decides: how what is sent is
//! split and delayed, which call finds nothing, which send is done later, what is reset, refused or
//! silent for ever ([`Faults`]). The same seed gives the same run, to the last call.
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
//! is owed for ever, and every shard's memory is as it was before its first connection. That no
//! shard wakes up without getting anywhere is checked all the time.
//!
//! What it leaves out: real sockets, threads, and what a kernel does that the engine can't see.

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

//! A load client on our own engine: asks a server as fast as it answers, or at a rate, and measures
//! the answers.
//!
//! ```text
//!  Plan ─▶ learn: each request once, to see what its reply looks like
//!    │                                   │ models
//!    └──▶ Worker, one for each thread ◀──┘
//!           a Shard with its share of the connections, a Lane on each:
//!           writes requests ─▶ Talk finds where replies end ─▶ Stats (counts, a histogram)
//! ```
//!
//! A [`Plan`] says what is asked, by how many connections, and until when; [`learn`] finds an address
//! that answers, and what it answers; [`run`] makes the load on threads of its own. Whoever has to look
//! at other things between two stretches of load drives a [`Worker`] by hand.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sockeye_engine::driver::{Bound, Target};
//! use sockeye_engine::{Config, Server};
//! use sockeye_load::{Ask, Control, Plan, Speaks, Until};
//! use sockeye_proto::echo::Echo;
//!
//! let server = Server::bind(&["127.0.0.1:0".parse()?], NonZeroUsize::MIN, Config::default())?;
//! let Bound::Ip(address) = server.addresses()[0] else { unreachable!() };
//! let running = server.serve(|_peer| Echo::default())?;
//!
//! let mut plan = Plan::new(Speaks::Echo, vec![Ask::bytes("Hello World".into())]);
//! plan.until = Until::Requests(100);
//! let lesson = sockeye_load::learn(&plan, &[Target::Ip(address)])?;
//! let outcome = sockeye_load::run(&plan.into(), &lesson, &Control::default(), |_| {})?;
//! assert_eq!(outcome.stats.replies, 100);
//! assert_eq!(outcome.stats.troubles.total(), 0);
//!
//! running.handle().drain();
//! running.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What a time means.** The clock is read once a turn of the loop, when the kernel has said which
//! responses are there; requests are written in the same turn. So a latency has the length of one turn
//! as its grain: that of one request with one connection, some hundred microseconds with hundreds
//! that are all busy. Without a rate it counts from the turn in which the request was written, and
//! says nothing about the requests that a stalled server kept us from making. With a rate it counts
//! from the time at which the request was *meant* to be made, so a stall shows in all that it delayed.
//!
//! What it leaves to others: reading URLs and printing (the `sockeye` program), TLS, redirects,
//! cookies.

#![forbid(unsafe_code)]

mod common;
mod lane;
mod learn;
mod lesson;
mod pace;
mod plan;
mod request;
mod run;
mod stats;
mod talk;
#[cfg(test)]
mod tests;
mod trouble;
mod worker;

pub use learn::{LearnError, learn};
pub use lesson::{Lesson, Models};
pub use plan::{Ask, Plan, Speaks, Until};
pub use request::{BadRequest, Request};
pub use run::{Control, Outcome, Seen, run};
pub use stats::Stats;
pub use trouble::{Trouble, Troubles};
pub use worker::{Share, Worker};

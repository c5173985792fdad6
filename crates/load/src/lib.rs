//! A load client on Sockeye's engine: sends requests as fast as a server answers, or at a rate, and
//! measures the responses.
//!
//! ```text
//!  Plan ─▶ probe: sends each request in advance, to see what its response looks like
//!    │                                   │ expected responses
//!    └──▶ Worker, one for each thread ◀──┘
//!           an event loop with its share of the connections, each with a Connection (protocol) that
//!           sends requests ─▶ ResponseReader finds where responses end ─▶ Stats (counts, a histogram)
//! ```
//!
//! A [`Plan`] says what is sent, on how many connections, and for how long; [`probe`] finds an
//! address that answers, and the responses to expect; [`run`] runs the load on its own threads. To
//! run a load on a thread of your own, use a [`Worker`].
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sockeye_engine::driver::{Bound, Target};
//! use sockeye_engine::{Config, Server};
//! use sockeye_load::{LoadKind, Plan, PreparedRequest, StopHandle, Until};
//! use sockeye_proto::echo::Echo;
//!
//! let server = Server::bind(&["127.0.0.1:0".parse()?], NonZeroUsize::MIN, Config::default())?;
//! let Bound::Ip(address) = server.addresses()[0] else { unreachable!() };
//! let running = server.serve(|_peer| Echo::default())?;
//!
//! let mut plan = Plan::new(LoadKind::Echo, vec![PreparedRequest::bytes("Hello World".into())]);
//! plan.until = Until::Requests(100);
//! let probe = sockeye_load::probe(&plan, &[Target::Ip(address)])?;
//! let outcome = sockeye_load::run(&plan.into(), &probe, &StopHandle::default(), |_| {})?;
//! assert_eq!(outcome.stats.responses, 100);
//! assert_eq!(outcome.stats.failures.total(), 0);
//!
//! running.handle().drain();
//! running.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Latencies.** The clock is read once in each turn of the event loop, so a measured latency can
//! be wrong by up to the duration of a turn. With one request in flight, a turn handles one
//! response and sends the next request; with hundreds of busy connections, a turn takes a few
//! hundred microseconds. Without a rate, a latency starts when the request is sent. If the server
//! stalls, later requests are sent later, and their latencies don't include the stall (coordinated
//! omission). With a rate, a latency starts when the request is due, so it includes every delay.

#![forbid(unsafe_code)]

mod connection;
mod expected;
mod failure;
mod http_request;
mod plan;
mod probe;
mod response;
mod run;
mod schedule;
mod state;
mod stats;
#[cfg(test)]
mod tests;
mod websocket_request;
mod worker;

pub use expected::Probe;
pub use failure::{Failure, Failures};
pub use http_request::{BadRequest, HttpRequest, percent_encoded};
pub use plan::{Explain, LoadKind, Plan, PreparedRequest, Tls, Until};
pub use probe::{ProbeError, probe};
pub use run::{Outcome, Progress, StopHandle, run};
pub use stats::{Stats, Times};
pub use websocket_request::WebSocketOpening;
pub use worker::{Share, Worker};

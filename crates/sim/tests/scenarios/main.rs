//! Tests of the engine on a simulated network with random faults, each with many seeds.
//!
//! If a test fails, it prints its seed and the command that repeats the run.

mod bodies;
mod buffered;
mod checked;
mod connecting;
mod disconnects;
mod drain;
mod echo;
mod eviction;
mod files;
mod frames;
mod http;
mod http2;
mod limits;
mod logs;
mod message_port;
mod messages;
mod services;
mod signing;
mod slow_peers;
mod tls;
mod tls_limits;
mod turn_methods;
mod websocket;

use std::time::Duration;

use sockeye_engine::driver::Target;

/// The address of the server in most tests.
fn here() -> Target {
    Target::Ip(([127, 0, 0, 1], 7).into())
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

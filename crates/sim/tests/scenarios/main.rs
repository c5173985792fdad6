//! What the engine must do whatever the network does: each scenario with many seeds.
//!
//! A failing seed is printed with the command that runs it again, alone.

mod bodies;
mod buffered;
mod checked;
mod connecting;
mod disconnects;
mod drain;
mod echo;
mod eviction;
mod files;
mod http;
mod limits;
mod logs;
mod message_port;
mod messages;
mod services;
mod slow_peers;
mod turn_methods;

use std::time::Duration;

use sockeye_engine::driver::Target;

/// Where the server of a scenario listens.
fn here() -> Target {
    Target::Ip(([127, 0, 0, 1], 7).into())
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

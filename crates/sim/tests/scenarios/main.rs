//! What the engine must do whatever the network does: each scenario with many seeds.
//!
//! A failing seed is printed with the command that runs it again, alone.

mod bodies;
mod buffered;
mod conversations;
mod drain;
mod echo;
mod files;
mod http;
mod leaving;
mod limits;
mod logs;
mod messages;
mod opening;
mod peers;
mod port;
mod room;
mod services;
mod watched;

use std::time::Duration;

use sockeye_engine::driver::Target;

/// Where the server of a scenario listens.
fn here() -> Target {
    Target::Ip(([127, 0, 0, 1], 7).into())
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

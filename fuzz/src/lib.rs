//! Fuzz targets for the connections: what a peer sends is decided by a search for new paths.
//!
//! ```text
//! scripts/fuzz http1_stream 60     # searches for a minute, on the pinned stable toolchain
//! scripts/fuzz http1_stream FILE   # runs one input
//! cargo test -p sockeye-fuzz       # runs every input that is kept
//! ```
//!
//! A target is a function over bytes that panics when something is wrong. All of them ask the same:
//! nothing that a peer sends makes a connection panic; what it answers does not depend on how the
//! input was cut on its way; and what it answers can be read by somebody who knows nothing of our
//! code. [`Cut`] says how an input is read.
//!
//! `corpus/TARGET` has small inputs which together reach what was reached so far: a search starts
//! there, and `cargo test` runs them. `found/TARGET` has inputs that once made the target panic.
//!
//! What it leaves out: sockets, time between bytes, and peers that don't read. These are the
//! simulation's.

#![forbid(unsafe_code)]

mod chunked_body;
mod chunks;
mod cut;
mod http1;
mod http1_handler;
mod http1_head;
mod message;
mod play;
mod port;

pub use chunked_body::chunked_body;
pub use cut::Cut;
pub use http1::http1_stream;
pub use http1_head::head;
pub use message::message_stream;
pub use port::message_port;

/// A target: panics when something is wrong with how an input is answered.
pub type Target = fn(&[u8]);

/// Every target, by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("chunked_body", chunked_body),
    ("head", head),
    ("http1_stream", http1_stream),
    ("message_port", message_port),
    ("message_stream", message_stream),
];

//! Fuzz targets for the protocols: a coverage-guided fuzzer generates what a client sends.
//!
//! ```text
//! scripts/fuzz http1_stream 60     # fuzzes for 60 s, with the pinned stable toolchain
//! scripts/fuzz http1_stream FILE   # runs one input
//! cargo test -p sockeye-fuzz       # runs all inputs in corpus/ and found/
//! ```
//!
//! A target is a function of bytes that panics if something is wrong. For most targets, the bytes
//! are a [`SplitInput`]: what a client sends, and in which parts. Most targets check that no input
//! makes a connection panic, that the result doesn't depend on the parts, and that an independent
//! parser, of the input or of the output, agrees with it. These targets differ:
//!
//! - [`h2_server`] doesn't compare outputs: which frames they consist of depends on the parts.
//! - An input of [`websocket`] has one byte before the [`SplitInput`], which chooses a side and the
//!   compression.
//! - The parts of an input of [`hpack`] are header blocks, whose decoded fields are checked.
//! - An input of [`tls_records`] is what the network does to the records of a peer.
//!
//! `corpus/TARGET` has small inputs that together reach the coverage so far. The fuzzer starts from
//! them. `found/TARGET` has inputs that once made the target panic, or take too much time or
//! memory.
//!
//! Sockets, time between bytes, and clients that don't read are tested with `sockeye-sim` instead.

#![forbid(unsafe_code)]

mod chunk_decoder;
mod chunked_body;
mod connection;
mod h2;
mod hpack;
mod http1;
mod http1_handler;
mod http1_head;
mod message;
mod port;
mod split_input;
mod tls;
mod websocket;

pub use chunked_body::chunked_body;
pub use h2::h2_server;
pub use hpack::hpack;
pub use http1::http1_stream;
pub use http1_head::head;
pub use message::message_stream;
pub use port::message_port;
pub use split_input::SplitInput;
pub use tls::tls_records;
pub use websocket::websocket;

/// A target. It panics if an input is processed wrongly.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("chunked_body", chunked_body),
    ("h2_server", h2_server),
    ("head", head),
    ("hpack", hpack),
    ("http1_stream", http1_stream),
    ("message_port", message_port),
    ("message_stream", message_stream),
    ("tls_records", tls_records),
    ("websocket", websocket),
];

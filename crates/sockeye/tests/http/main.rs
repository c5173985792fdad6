//! Services of `sockeye::http`, and the examples, over plain sockets.

mod answers;
mod bodies;
mod client;
mod disconnects;
mod echo;
mod examples;
#[allow(dead_code, reason = "other crates' tests use it, too")]
mod h2_client;
mod response_timeouts;
mod simulated_network;
mod streams;
mod upgrades;
mod websocket_backpressure;
mod websockets;
mod websockets_http2;

//! Services of `sockeye::http`, and the examples, over plain sockets.

mod answers;
mod bodies;
mod client;
mod disconnects;
mod echo;
mod examples;
mod response_timeouts;
mod simulated_network;
mod streams;
mod websocket_backpressure;
mod websockets;

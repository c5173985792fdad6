//! Services of `sockeye::http`, and the examples, over plain sockets.

mod bodies;
mod client;
mod disconnects;
mod echo;
mod examples;
mod response_timeout;
mod responses;
mod simulated;
mod streams;

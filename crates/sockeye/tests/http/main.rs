//! Services of `sockeye::http`, and the examples, over plain sockets.

mod answers;
mod bodies;
mod client;
mod echo;
mod examples;
mod late;
mod leaving;
mod streams;
mod travel;

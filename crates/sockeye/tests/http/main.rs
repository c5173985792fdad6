//! Services by `sockeye::http`, and the examples, asked over plain sockets.

mod answers;
mod bodies;
mod client;
mod echo;
mod examples;
mod late;
mod leaving;
mod streams;
mod travel;

//! Runs the programs of the tour: each Rust program with the Python program of its step, both ways.
//! Needs `python3`.

mod echo;
mod endings;
mod http10;
mod http11;
mod json_header;
mod many;
mod messages;
mod one_at_a_time;
mod one_handler;
mod partial;
mod protocol;
mod readiness;
mod support;

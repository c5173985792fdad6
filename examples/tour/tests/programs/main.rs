//! Runs the programs of the tour: each Rust program with the Python program of its step, both ways.
//! Needs `python3`.

mod echo;
mod endings;
mod many;
mod readiness;
mod support;

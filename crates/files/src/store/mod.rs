//! Stores: where files come from. They are asked off the loop, by jobs that may block.
//!
//! - `traits`: what a store is, and an open file of it.
//! - `absent`: why there is nothing under a name.
//! - `identity`: what makes a file the same file with the same content.
//! - `digest`: what contents are, in 128 bits.
//! - `disk`: a folder on disk; with `open` (a name inside of it, and nowhere else), `scan` (what a
//!   folder holds), `device` (whether reading or closing may block) and `convert` (what the kernel
//!   says).
//! - `memory`: a store in memory, for tests.

pub(crate) mod absent;
pub(crate) mod convert;
pub(crate) mod device;
pub(crate) mod digest;
pub(crate) mod disk;
pub(crate) mod identity;
pub mod memory;
pub(crate) mod open;
pub(crate) mod scan;
pub(crate) mod traits;

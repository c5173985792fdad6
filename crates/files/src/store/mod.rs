//! Stores: sources of files. Calls to a store may block, so they are made in jobs, on threads other
//! than the event loops. `cached` is the exception.
//!
//! - `traits`: the traits of stores and of their open files.
//! - `absent`: why nothing is served for a name.
//! - `omitted`: what a listing leaves out, and why.
//! - `identity`: whether a file still has the same content.
//! - `digest`: hashes of contents.
//! - `disk`: a folder on disk. It uses `open` (opens names inside the folder, and nowhere else),
//!   `links` (follows symbolic links in names), `scan` (lists the entries of a folder), `device`
//!   (whether reading or closing may block), `presence` (whether the folder is still there),
//!   `open_error` (why a folder can't be served) and `convert` (from types of the kernel to ours).
//! - `cached`: lookups on an event loop, if the kernel has the names in memory.
//! - `memory`: a store in memory, for tests and examples (feature `memory`).

pub(crate) mod absent;
mod cached;
pub(crate) mod convert;
pub(crate) mod device;
pub(crate) mod digest;
pub(crate) mod disk;
pub(crate) mod identity;
pub(crate) mod links;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub(crate) mod omitted;
pub(crate) mod open;
pub(crate) mod open_error;
mod presence;
pub(crate) mod scan;
pub(crate) mod traits;

//! Lookups: what a path names. A lookup that needs only what the kernel has in memory can run on
//! the event loop; other lookups run as jobs on threads. Each event loop (worker) caches its
//! results. The key of a result is the path, percent-decoded and without its first slash.
//!
//! - `mounts`: which folder a path is in; `folder`: one of these folders, which all workers share.
//! - `find`: the lookup; `rule`: the rule by which it found its result.
//! - `entry`: the result; `purpose`: which name to look up next if nothing was found, such as
//!   `404.html`.
//! - `cache`: the results of a worker.
//! - `in_flight`: one job for each name, however many requests wait for it.

pub(crate) mod cache;
pub(crate) mod entry;
pub(crate) mod find;
pub(crate) mod folder;
pub(crate) mod in_flight;
pub(crate) mod mounts;
mod purpose;
pub(crate) mod rule;

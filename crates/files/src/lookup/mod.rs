//! Lookups: what a path leads to. They run off the loop, in jobs, and each shard caches the results.
//!
//! - `mounts`: which folder answers for a path; `folder`: one of them, as all shards share it.
//! - `find`: the lookup, and `rule`: how a path led to what it found.
//! - `entry`: what was found; `purpose`: what is looked up next if nothing was.
//! - `cache`: the results of a shard.
//! - `in_flight`: one job for each name, however many requests wait for it.

pub(crate) mod cache;
pub(crate) mod entry;
pub(crate) mod find;
pub(crate) mod folder;
pub(crate) mod in_flight;
pub(crate) mod mounts;
mod purpose;
pub(crate) mod rule;

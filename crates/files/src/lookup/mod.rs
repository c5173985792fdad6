//! Lookups: what a path leads to. They run off the loop, by jobs, and each shard keeps what they found.
//!
//! - `mounts`: which folder answers for a path; `folder`: one of them, as all shards share it.
//! - `find`: the lookup itself, and `rule`: how a path led to what it found.
//! - `entry`: what was found.
//! - `purpose`: what is looked up next where there is nothing.
//! - `cache`: what a shard has looked up lately.
//! - `in_flight`: one job for each name, however many requests wait for it; `job`: such a job.

pub(crate) mod cache;
pub(crate) mod entry;
pub(crate) mod find;
pub(crate) mod folder;
pub(crate) mod in_flight;
pub(crate) mod job;
pub(crate) mod mounts;
pub(crate) mod purpose;
pub(crate) mod rule;

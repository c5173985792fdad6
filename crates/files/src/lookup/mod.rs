//! Lookups: what a path names. They run as jobs on threads, and each shard caches the results. The
//! key of a result is the path, percent-decoded and without its first slash.
//!
//! - `mounts`: which folder a path is in; `folder`: one of these folders, which all shards share.
//! - `find`: the lookup; `rule`: the rule by which it found its result.
//! - `entry`: the result; `purpose`: what a lookup is for, and the next one if nothing was found.
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

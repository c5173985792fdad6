//! Limits on memory and work.
//!
//! - `clock_map`: the map type of this crate's caches, which evicts entries that are not used (by
//!   the clock algorithm).
//! - `single_flight`: work that several threads need at the same time, done once.
//! - `lease`: memory that is charged to a client.
//! - `lock`: locking mutexes without poisoning.

pub(crate) mod clock_map;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod single_flight;

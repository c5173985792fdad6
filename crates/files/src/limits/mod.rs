//! Limits on memory and work.
//!
//! - `clock_map`: a map for caches, which evicts entries that were not used lately (by the clock
//!   algorithm).
//! - `single_flight`: work that several threads need at the same time, done once.
//! - `lease`: memory that is charged to a client.
//! - `lock`: locking mutexes, poisoned or not.

pub(crate) mod clock_map;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod single_flight;

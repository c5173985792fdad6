//! Limits on memory and work.
//!
//! - `clock_map`: a map with a limit, the cache policy of this crate.
//! - `single_flight`: work that several threads need at the same time, done once.
//! - `lease`: memory that is charged to a client.
//! - `lock`: locking mutexes without poisoning.

pub(crate) mod clock_map;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod single_flight;

//! What bounds memory and work.
//!
//! - `clock_map`: a map with a limit, the cache policy of this crate.
//! - `single_flight`: work that several threads want at a time, done once.
//! - `lease`: memory that is charged to a client while something is made for it.
//! - `lock`: locking what a panic can't have broken.

pub(crate) mod clock_map;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod single_flight;

//! What bounds the memory that is kept.
//!
//! - `bounded_map`: a map that forgets what was not used lately.
//! - `lease`: memory that is charged to a client while something is made for it.

pub(crate) mod bounded_map;
pub(crate) mod lease;

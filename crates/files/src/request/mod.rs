//! What a request says, apart from what it is about.
//!
//! - `view`: its parts that a response depends on.
//! - `accept_encoding`: which content codings a client reads, as a weight for each.
//! - `conditional`: whether it has the content already, or wants only the one that it knows.
//! - `range`: which parts of a file it wants.

pub(crate) mod accept_encoding;
pub(crate) mod conditional;
pub(crate) mod range;
pub(crate) mod view;

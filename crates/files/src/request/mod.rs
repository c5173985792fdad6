//! What a request says besides its path.
//!
//! - `view`: the parts of a request that responses depend on.
//! - `accept_encoding`: which content codings the client accepts.
//! - `conditional`: its preconditions: `If-None-Match` and others.
//! - `range`: the ranges of a file that it asks for.

pub(crate) mod accept_encoding;
pub(crate) mod conditional;
pub(crate) mod range;
pub(crate) mod view;

//! Reading the fields of a request. Its path is parsed in `naming`.
//!
//! - `view`: the parts of a request that responses depend on.
//! - `accept`: which media types the client accepts.
//! - `accept_encoding`: which content codings the client accepts.
//! - `conditional`: the preconditions, such as `If-None-Match`.
//! - `range`: the requested ranges of a file.

pub(crate) mod accept;
pub(crate) mod accept_encoding;
pub(crate) mod conditional;
pub(crate) mod range;
pub(crate) mod view;

//! What a folder's owner may choose.
//!
//! - `choices`: all options of a folder.
//! - `codings`: the content codings that files are sent in.
//! - `headers`: the headers that are sent with every file; `cors`: those for other sites' scripts.
//! - `fields`: header fields made of parts that were checked before.

pub(crate) mod choices;
pub(crate) mod codings;
pub(crate) mod cors;
pub(crate) mod fields;
pub(crate) mod headers;

//! What a folder's owner may choose.
//!
//! - `choices`: all of it.
//! - `codings`: in which content codings files are sent.
//! - `headers`: fields that are sent with every file.
//! - `cors`: which other sites' scripts may read the files.

pub(crate) mod choices;
pub(crate) mod codings;
pub(crate) mod cors;
pub(crate) mod headers;

//! Names: which of them can be asked for, and what they say about a file.
//!
//! - `path`: the path of a request as a checked name.
//! - `mime`: the `Content-Type` of a name.
//! - `fingerprint`: whether a name changes with its content, as bundlers write them.
//! - `by_name`: values that an owner chooses by name.

pub(crate) mod by_name;
pub(crate) mod fingerprint;
pub(crate) mod mime;
pub(crate) mod path;

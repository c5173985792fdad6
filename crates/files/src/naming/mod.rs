//! Names: which can be requested, and what a name says about its file.
//!
//! - `path`: the path of a request, as a checked name.
//! - `mime`: the `Content-Type` of a name.
//! - `fingerprint`: whether a name contains a hash of the content.
//! - `by_name`: header values that an owner chooses by name.

pub(crate) mod by_name;
pub(crate) mod fingerprint;
pub(crate) mod mime;
pub(crate) mod path;

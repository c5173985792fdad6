//! Names: which can be requested, and what a name says about its file.
//!
//! - `path`: the path of a request, as a checked name.
//! - `mime`: the `Content-Type` of a name.
//! - `charset`: whether a text is UTF-8.
//! - `declared`: the encoding that a text declares in its content.
//! - `media_types`: the table of media types by extension, generated.
//! - `fingerprint`: whether a name contains a hash of the content.
//! - `by_name`: header values that are configured by file name.
//! - `content_types`: media types that are configured.

pub(crate) mod by_name;
pub(crate) mod charset;
pub(crate) mod content_types;
mod declared;
pub(crate) mod fingerprint;
mod media_types;
pub(crate) mod mime;
pub(crate) mod path;

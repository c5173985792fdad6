//! The options of a folder.
//!
//! - `folder_options`: all options of a folder.
//! - `codings`: the content codings that files are sent in; `content_encodings`: files that are
//!   stored in one.
//! - `headers`: the headers that are sent with every file; `cors`: those for other sites' scripts.
//! - `fields`: adding and removing header fields.

pub(crate) mod codings;
pub(crate) mod content_encodings;
pub(crate) mod cors;
pub(crate) mod fields;
pub(crate) mod folder_options;
pub(crate) mod headers;

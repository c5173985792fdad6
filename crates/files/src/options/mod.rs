//! The options of a folder.
//!
//! - `folder_options`: all options of a folder.
//! - `codings`: the content codings that files are sent in.
//! - `content_encodings`: files that are stored compressed, and sent with the coding that they are
//!   stored in.
//! - `headers`: the headers that are sent with every file, or with every page.
//! - `cors`: which other sites' scripts may read the files.
//! - `fields`: adding, removing and finding header fields.

pub(crate) mod codings;
pub(crate) mod content_encodings;
pub(crate) mod cors;
pub(crate) mod fields;
pub(crate) mod folder_options;
pub(crate) mod headers;

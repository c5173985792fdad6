//! One file, ready to be sent.
//!
//! - `representation`: a file, uncompressed or in a coding, with its prepared response.
//! - `content`: its content, in memory or as an open file.
//! - `content_type`: its media type, and the coding that it is stored in.
//! - `version`: one version of an open file. Before a response is completed, it is checked whether
//!   the file still has this version.
//! - `head`: the fields of its responses.
//! - `reader`: reads files when a lookup needs their content.

pub(crate) mod content;
pub(crate) mod content_type;
pub(crate) mod head;
pub(crate) mod reader;
pub(crate) mod representation;
pub(crate) mod version;

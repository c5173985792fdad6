//! One file, ready to be sent.
//!
//! - `representation`: a file, as it is or in a coding, with its prepared response.
//! - `content`: where its content is.
//! - `head`: the fields of its responses.
//! - `reader`: reading files, as far as a lookup may.

pub(crate) mod content;
pub(crate) mod head;
pub(crate) mod reader;
pub(crate) mod representation;

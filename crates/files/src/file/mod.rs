//! One file, ready to be sent.
//!
//! - `representation`: a file, as it is or in a content coding, with its prepared response.
//! - `content`: how its content is kept.
//! - `head`: the fields of its responses.
//! - `fields`: blocks of fields made of others.
//! - `reader`: reading files, as far as a lookup may.

pub(crate) mod content;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod reader;
pub(crate) mod representation;

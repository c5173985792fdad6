//! Content codings (RFC 9110, 8.4) of files: which there are, and which is sent.
//!
//! - `coder`: what a folder's owner chose, and what is known about its files, for all shards.
//! - `file_entry`: a file in all its representations, and the choice among them.
//! - `coded`: the codings of one file; `form`: the one that is sent.
//! - `precompressed`: those that are beside it, as files.
//! - `select`: which coding is sent, of those that there are.
//! - `codec`: the encoders and decoders; there are none without the feature `compression`.
//! - `pack`: compressing what is not compressed yet; `content`: what is read for it.
//! - `forms`: what was compressed, kept for all shards.
//! - `unpack`: whether what somebody compressed is the original.
//! - `verdicts`: which siblings are, found out once.

pub(crate) mod checks;
#[cfg_attr(not(feature = "compression"), path = "no_codec.rs")]
mod codec;
mod compare;
pub(crate) mod compress;
pub(crate) mod compressed_cache;
mod content_reader;
pub(crate) mod encoder;
pub(crate) mod encodings;
pub(crate) mod file_entry;
mod precompressed;
mod select;
pub(crate) mod selected;

use crate::options::codings::Coding;

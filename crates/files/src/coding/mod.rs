//! The representations of files in content codings (RFC 9110, 8.4), and which of them is sent.
//!
//! - `encoder`: what all workers (event loops) share to encode the files of a folder.
//! - `file_entry`: a file in all its representations, and which of them is sent for a request.
//! - `encodings`: the encodings of one file; `select`: which of them the client prefers.
//! - `precompressed`: precompressed files; `checks`, `compare`: whether they match the original.
//! - `compress`: compressing on demand; `compressed_cache`: its results, for all workers.
//! - `codec`: the encoders and decoders; `no_codec.rs` without the feature `compression`.

pub(crate) mod checks;
#[cfg_attr(not(feature = "compression"), path = "no_codec.rs")]
pub(crate) mod codec;
mod compare;
mod compress;
pub(crate) mod compressed_cache;
pub(crate) mod encoder;
mod encodings;
pub(crate) mod file_entry;
mod precompressed;
mod select;

//! HPACK: header blocks to fields and back (RFC 7541).
//!
//! A [`Decoder`] holds the dynamic table of one connection and reads whole header blocks. The
//! functions of [`encode`] append to a header block and keep no state.
//!
//! This module counts no fields and checks no characters: both are up to the caller.

mod decoder;
mod dynamic_table;
pub(crate) mod encode;
mod error;
mod field;
mod huffman;
mod integer;
#[cfg(feature = "harness")]
pub(crate) mod reference;
mod static_table;
#[cfg(test)]
mod tests;

pub(crate) use decoder::Decoder;
pub(crate) use error::CompressionError;
pub(crate) use field::Field;

//! Header blocks of one HTTP/2 connection.

use sockeye_http::check_header_blocks;

use crate::SplitInput;

/// Splits the input as [`SplitInput`] says, and decodes the parts as header blocks, up to the first
/// invalid one.
///
/// # Panics
///
/// If the server's decoder and a simple one decode a block differently, if the server's decoder
/// exceeds its limits, or if the fields change, except for the case of names, when they are encoded
/// and decoded again.
pub fn hpack(input: &[u8]) {
    let Some(split) = SplitInput::read(input) else { return };
    check_header_blocks(split.parts());
}

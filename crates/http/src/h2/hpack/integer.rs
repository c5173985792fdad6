//! Integers with a prefix of fewer than eight bits (RFC 7541, 5.1).

use super::error::CompressionError;

/// Maximum number of bytes after the prefix. Four bytes, with 7 bits of the value in each, can
/// encode values up to 2^28, and no valid length or index is larger. So a value never overflows.
const CONTINUATION_MAX: u32 = 4;

/// Reads the rest of an integer whose first byte is `first`, with a prefix of `BITS` bits. Removes
/// the bytes that it reads from `rest`.
#[inline]
pub(super) fn decode<const BITS: u32>(
    first: u8,
    rest: &mut &[u8],
) -> Result<usize, CompressionError> {
    let max = (1 << BITS) - 1;
    let prefix = usize::from(first) & max;
    if prefix < max { Ok(prefix) } else { decode_continuation(max, rest) }
}

/// Reads the bytes after a prefix whose bits are all set. `prefix` is the value of these bits.
fn decode_continuation(prefix: usize, rest: &mut &[u8]) -> Result<usize, CompressionError> {
    let mut value = prefix;
    for at in 0..CONTINUATION_MAX {
        let (&byte, later) = rest.split_first().ok_or(CompressionError::Truncated)?;
        *rest = later;
        value += usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(CompressionError::LongInteger)
}

/// Appends `value` with a prefix of `bits` bits. The other bits of the first byte, above the
/// prefix, are those of `first`.
#[inline]
pub(super) fn encode(first: u8, bits: u32, value: usize, out: &mut Vec<u8>) {
    let max = (1 << bits) - 1;
    if value < max {
        out.push(first | value as u8);
        return;
    }
    out.push(first | max as u8);
    let mut value = value - max;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

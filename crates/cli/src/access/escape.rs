//! Escapes what clients send, so that the access log is printable ASCII.

/// For each byte, whether all formats of the access log write it unchanged.
pub(super) const UNESCAPED: [bool; 256] = {
    let mut unescaped = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        unescaped[byte] = matches!(byte as u8, b' '..=b'~') && !matches!(byte as u8, b'"' | b'\\');
        byte += 1;
    }
    unescaped
};

/// The first `max` bytes of `value`, and three dots if `value` is longer.
pub(super) fn truncated(value: &[u8], max: usize) -> (&[u8], &'static [u8]) {
    if value.len() <= max { (value, b"") } else { (&value[..max], b"...") }
}

/// Appends the first `max` bytes of `value` to `line`, and three dots if `value` is longer. Each
/// double quote, backslash, and byte that is not printable ASCII is escaped, as in `\x1b`.
pub(super) fn write_escaped(value: &[u8], max: usize, line: &mut Vec<u8>) {
    let (mut value, dots) = truncated(value, max);
    while let Some(at) = value.iter().position(|byte| !UNESCAPED[usize::from(*byte)]) {
        line.extend_from_slice(&value[..at]);
        line.extend_from_slice(b"\\x");
        write_hex(value[at], line);
        value = &value[at + 1..];
    }
    line.extend_from_slice(value);
    line.extend_from_slice(dots);
}

pub(super) fn write_hex(byte: u8, line: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    line.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

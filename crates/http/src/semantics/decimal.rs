//! Numbers in decimal digits.

/// The number of digits of [`u64::MAX`].
pub(crate) const MAX_DIGITS: usize = 20;

/// Writes the digits of `number` at the end of `buffer`, and returns them.
pub(crate) fn decimal(mut number: u64, buffer: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let mut at = MAX_DIGITS;
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    &buffer[at..]
}

//! A client hello that a thread reads: answering it signs, which takes long.

use std::fmt;

use sockeye_proto::WallTime;

use super::{Secure, TlsError};

/// A client hello that was not read yet, with its connection.
pub(crate) struct Hello {
    pub(crate) secure: Box<Secure>,
    pub(crate) input: Vec<u8>,
    /// When it arrived.
    pub(crate) now: WallTime,
}

/// A connection that has read its client hello.
pub(crate) struct HelloRead {
    pub(crate) secure: Box<Secure>,
    /// The answer.
    pub(crate) records: Vec<u8>,
    pub(crate) result: Result<(), TlsError>,
}

impl Hello {
    /// Reads it. Takes from 0.1 ms (P-256) to some milliseconds (RSA).
    pub(crate) fn read(self) -> HelloRead {
        let Self { mut secure, mut input, now } = self;
        let mut records = Vec::new();
        let Secure { tls, early, .. } = &mut *secure;
        let result =
            tls.read(now, &mut input, &mut records, |plain| early.extend_from_slice(plain));
        HelloRead { secure, records, result }
    }
}

impl fmt::Debug for HelloRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloRead").field("result", &self.result).finish_non_exhaustive()
    }
}

/// Whether the record that begins with `unused` and goes on with `input` is whole.
pub(super) fn is_record_whole(unused: &[u8], input: &[u8]) -> bool {
    let mut header = unused.iter().chain(input).skip(3);
    let (Some(high), Some(low)) = (header.next(), header.next()) else { return false };
    unused.len() + input.len() >= 5 + usize::from(u16::from_be_bytes([*high, *low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_whole_with_its_last_byte_however_it_is_split() {
        let record: Vec<u8> = [22, 3, 1, 1, 2].into_iter().chain([7; 0x102]).collect();
        for end in 0..=record.len() {
            for split in [0, 1, 4, 5, 6, end] {
                let (unused, input) = record[..end].split_at(split.min(end));
                assert_eq!(is_record_whole(unused, input), end == record.len(), "{split} {end}");
            }
        }
    }
}

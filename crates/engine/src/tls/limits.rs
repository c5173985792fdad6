//! Sizes of records and handshake messages.

/// The most bytes of plaintext that a record may have (RFC 8446, section 5.1).
pub(crate) const RECORD: usize = 16 * 1024;
/// Maximum bytes of records that a server keeps while a handshake message is incomplete: a client
/// hello, or the certificates of a client. The limit is 16 KiB for the message, and a little
/// more for headers.
#[cfg(feature = "tls")]
pub(crate) const MAX_FROM_CLIENT: usize = 16 * 1024 + 64;
/// The type of records with handshake messages.
#[cfg(feature = "tls")]
const HANDSHAKE: u8 = 22;

/// Whether the records that begin with `unused` and go on with `input` may hold a whole handshake
/// message. This depends on the header of the first record, and on the header of a handshake
/// message if the record holds one.
#[cfg(feature = "tls")]
pub(super) fn may_complete_message(unused: &[u8], input: &[u8]) -> bool {
    let len = unused.len() + input.len();
    let mut head = [0; 9];
    for (to, from) in head.iter_mut().zip(unused.iter().chain(input)) {
        *to = *from;
    }
    let [kind, _, _, high, low, _, message @ ..] = head;
    let record = usize::from(u16::from_be_bytes([high, low]));
    if len < 5 || len < 5 + record {
        return false;
    }
    // A message may go on in further records, so the length in its header counts, too.
    let has_header = kind == HANDSHAKE && record >= 4;
    let [high, middle, low] = message.map(usize::from);
    !has_header || len >= 9 + (high << 16 | middle << 8 | low)
}

/// The capacity of a buffer for `len` bytes of ciphertext that begin with `bytes`: room for the
/// whole first record, but at most `2 * len` and at most `max`, and at least `len`. If the buffer
/// were reallocated for each part of a record that arrives, the freed smaller buffers would
/// fragment the heap.
#[cfg(feature = "tls")]
pub(super) fn buffer_capacity(bytes: &[u8], len: usize, max: usize) -> usize {
    let [_, _, _, high, low, ..] = *bytes else { return len };
    let record = 5 + usize::from(u16::from_be_bytes([high, low]));
    len.max(record.min(2 * len).min(max))
}

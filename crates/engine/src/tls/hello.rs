//! A client hello that a thread reads: answering it signs, which takes long.

use std::fmt;

use sockeye_proto::WallTime;

use super::{Secure, TlsError};

/// The type of records with handshake messages.
#[cfg(feature = "tls")]
const HANDSHAKE: u8 = 22;

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
    /// Reads it, and answers. Takes from 0.1 ms (P-256) to some milliseconds (RSA).
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

/// Whether the records that begin with `unused` and go on with `input` may have a whole handshake
/// message: told from the header of the first record, and from that of the message if it is there.
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
    // A message may go on in other records.
    let has_header = kind == HANDSHAKE && record >= 4;
    let [high, middle, low] = message.map(usize::from);
    !has_header || len >= 9 + (high << 16 | middle << 8 | low)
}

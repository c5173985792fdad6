//! A client hello that a thread of the pool reads and answers, because the signature in the answer
//! takes long.

use std::fmt;

use sockeye_proto::WallTime;

use super::{Secure, TlsError};

/// A client hello that was not read yet, with the TLS state of its connection.
pub(crate) struct Hello {
    pub(crate) secure: Box<Secure>,
    /// The received bytes that complete the client hello.
    pub(crate) input: Vec<u8>,
    /// When the client hello arrived.
    pub(crate) now: WallTime,
}

/// The TLS state of a connection after its client hello was read.
pub(crate) struct HelloRead {
    pub(crate) secure: Box<Secure>,
    /// The answer, to be sent.
    pub(crate) records: Vec<u8>,
    pub(crate) result: Result<(), TlsError>,
}

impl Hello {
    /// Reads the hello and makes the answer. Takes from 0.1 ms (P-256) to some milliseconds (RSA).
    pub(crate) fn read(self) -> HelloRead {
        let Self { mut secure, mut input, now } = self;
        let mut records = Vec::new();
        let Secure { tls, early, received, .. } = &mut *secure;
        let result = tls.read(now, &mut input, &mut records, |plain| {
            // The connection's protocol gets this plaintext after the handshake.
            *received += plain.len() as u64;
            early.extend_from_slice(plain);
        });
        HelloRead { secure, records, result }
    }
}

impl fmt::Debug for HelloRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloRead").field("result", &self.result).finish_non_exhaustive()
    }
}

//! One TLS connection without a socket, for fuzzing.

use std::fmt;

use sockeye_proto::{Fault, WallTime};

use super::acceptor::{TlsAcceptor, TlsConnector, WorkerAcceptor};
use super::{Tls, TlsError};

/// One TLS connection without a socket, for fuzzing.
pub struct TlsHarness(Tls);

impl TlsHarness {
    /// The time of day that every connection sees: 2026-11-26, 00:00 UTC. It is fixed, so that
    /// results don't depend on when a fuzz target runs.
    pub const NOW: WallTime = WallTime::from_secs(1_795_651_200);

    /// The server's side of a new connection.
    ///
    /// # Panics
    ///
    /// If the configuration can't work.
    #[must_use]
    pub fn server(acceptor: &TlsAcceptor) -> Self {
        Self(WorkerAcceptor::new(acceptor.clone()).accept().expect("the configuration works"))
    }

    /// The client's side of a new connection.
    ///
    /// # Panics
    ///
    /// If the configuration can't work.
    #[must_use]
    pub fn client(connector: &TlsConnector) -> Self {
        Self(connector.connect(Self::NOW).expect("the configuration works"))
    }

    /// Takes ciphertext from the peer, and overwrites it. Calls `on_plain` with the decrypted
    /// bytes, and appends records for the peer to `out`.
    ///
    /// # Errors
    ///
    /// If the connection can't go on.
    ///
    /// # Panics
    ///
    /// If the code of the connection panics. (In the engine, such a panic only ends the
    /// connection.)
    pub fn read(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        on_plain: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        self.0.read(Self::NOW, input, out, on_plain).map_err(fault)
    }

    /// Encrypts `plain`, and appends it to `out` in records.
    ///
    /// # Errors
    ///
    /// If the connection has failed, or its handshake is not complete.
    ///
    /// # Panics
    ///
    /// As for [`TlsHarness::read`].
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.0.seal(plain, out).map_err(fault)
    }

    /// Appends close_notify to `out`.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.0.close(out);
    }

    /// Whether the handshake is in progress.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// How many bytes of an incomplete record or handshake message the connection keeps.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.0.unused()
    }
}

fn fault(error: TlsError) -> Fault {
    assert!(!matches!(error, TlsError::Panicked), "the connection has panicked");
    error.fault()
}

impl fmt::Debug for TlsHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsHarness").finish_non_exhaustive()
    }
}

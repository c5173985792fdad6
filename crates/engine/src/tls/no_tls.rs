//! Without the feature `tls`, this file replaces those that use rustls. Nothing makes a
//! [`TlsAcceptor`] or [`TlsConnector`] then, so nothing here is called.

use std::fmt;

use sockeye_proto::{Fault, TlsInfo, WallTime};

/// TLS for the connections of a listener. Needs the feature `tls`.
#[derive(Clone, Debug)]
pub struct TlsAcceptor(());

/// TLS for connections to a server. Needs the feature `tls`.
#[derive(Clone, Debug)]
pub struct TlsConnector(());

pub(crate) struct Tls;

#[derive(Debug)]
pub(crate) struct TlsError;

pub(crate) struct WorkerAcceptor(());

impl WorkerAcceptor {
    pub(crate) fn new(acceptor: TlsAcceptor) -> Self {
        let TlsAcceptor(()) = acceptor;
        Self(())
    }

    pub(crate) fn accept(&mut self) -> Result<Tls, TlsError> {
        Ok(Tls)
    }
}

impl TlsConnector {
    pub(crate) fn connect(&self, _now: WallTime) -> Result<Tls, TlsError> {
        Ok(Tls)
    }
}

// The methods of the type in `connection.rs`, where they are explained.
impl Tls {
    pub(crate) fn has_begun(&self) -> bool {
        false
    }

    pub(crate) fn awaits_hello(&self) -> bool {
        false
    }

    pub(crate) fn take_signs_slowly(&mut self) -> Option<bool> {
        None
    }

    pub(crate) fn completes_hello(&self, _input: &[u8]) -> bool {
        false
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        true
    }

    pub(crate) fn is_closed_by_peer(&self) -> bool {
        false
    }

    pub(crate) fn unused(&self) -> usize {
        0
    }

    pub(crate) fn take_info(&mut self) -> TlsInfo {
        TlsInfo::default()
    }

    pub(crate) fn read(
        &mut self,
        _now: WallTime,
        _input: &mut [u8],
        _out: &mut Vec<u8>,
        _on_plain: impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        Err(TlsError)
    }

    pub(crate) fn seal(&mut self, _plain: &[u8], _out: &mut Vec<u8>) -> Result<(), TlsError> {
        Err(TlsError)
    }

    pub(crate) fn reset_record_size(&mut self) {}

    pub(crate) fn close(&mut self, _out: &mut Vec<u8>) {}
}

impl TlsError {
    pub(crate) fn fault(&self) -> Fault {
        Fault::ours("no_tls", self.to_string())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text of a fault of ours is the rest of a sentence that begins with "we".
        f.write_str("were built without TLS")
    }
}

//! One TLS connection: ciphertext in, plaintext out, and back.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{AlertDescription, CommonState, HandshakeKind, ProtocolVersion};
use sockeye_proto::{Fault, TlsInfo};

use super::limits::RECORD;
use super::server_name;

/// Maximum ciphertext that is kept until a record or a handshake message is complete. A record has
/// at most 16 KiB + 261 bytes (RFC 8446, 5.2; RFC 5246, 6.2.3: 16 KiB + 2,053).
const MAX_UNUSED: usize = 18 * 1024;
/// The same during the handshake: the largest client hello, certificate chain included.
const MAX_HANDSHAKE: usize = 16 * 1024 + 512;
/// Plaintext of one of the first records: it fits into a TCP segment, so that the peer can decrypt
/// it before the next segment arrives.
const FIRST_RECORD: usize = 1300;
/// Plaintext in small records at the beginning of a connection, while the congestion window is
/// small.
const SENT_IN_FIRST_RECORDS: u64 = 32 * 1024;

/// Why a TLS connection can't go on. The alert is in the output.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// The peer broke the protocol, or nothing that it offers is acceptable.
    Failed(rustls::Error),
    /// The peer's alert.
    Alert(AlertDescription),
    /// The peer sent a handshake message or record that is too large.
    TooLarge,
}

impl TlsError {
    /// The fault that ends the connection. Its code says what kind of error it is.
    pub(crate) fn fault(&self) -> Fault {
        use rustls::Error::{
            DecryptError, General, InvalidCertificate, InvalidMessage, NoApplicationProtocol,
            NoCertificatesPresented, PeerIncompatible,
        };
        let code = match self {
            Self::Alert(_) => "tls_alert",
            Self::TooLarge => "tls_too_large",
            Self::Failed(InvalidMessage(_) | DecryptError) => "tls_malformed",
            Self::Failed(PeerIncompatible(_)) => "tls_nothing_in_common",
            Self::Failed(NoApplicationProtocol) => "tls_unknown_protocol",
            Self::Failed(InvalidCertificate(_) | NoCertificatesPresented) => "tls_bad_certificate",
            // The resolver has no certificate for the name.
            Self::Failed(General(_)) => "tls_unknown_name",
            Self::Failed(_) => "tls_failed",
        };
        Fault::peer(code, format!("failed the TLS handshake: {self}"))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Alert(alert) => write!(f, "the peer sent the alert {alert:?}"),
            Self::TooLarge => f.write_str("a handshake message or record is too large"),
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => Self::Alert(alert),
            error => Self::Failed(error),
        }
    }
}

/// A TLS connection.
pub(crate) struct Tls {
    side: Side,
    /// Ciphertext of an incomplete record or handshake message.
    pub(crate) unused: Vec<u8>,
    /// Plaintext bytes sealed.
    sealed: u64,
    /// The peer has sent close_notify: no more plaintext comes.
    peer_closed: bool,
    has_begun: bool,
    /// The name that the client asked for. Only for servers.
    server_name: Option<Box<str>>,
}

// Both are about as large.
enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Calls `step` with the status of the connection, which has a type of its own for each side.
macro_rules! process {
    ($side:expr, $input:expr, $step:expr) => {
        match &mut $side {
            Side::Server(connection) => $step(connection.process_tls_records($input)),
            Side::Client(connection) => $step(connection.process_tls_records($input)),
        }
    };
}

impl Deref for Side {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }
}

/// What was done with a part of the input.
struct Step {
    /// Bytes of input that were used.
    used: usize,
    /// Nothing more can be done without more input.
    is_done: bool,
    peer_closed: bool,
}

impl Tls {
    /// The server's side of a connection.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(Side::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// The client's side of a connection to the server `name`.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, TlsError> {
        Ok(Self::new(Side::Client(UnbufferedClientConnection::new(config, name)?)))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            unused: Vec::new(),
            sealed: 0,
            peer_closed: false,
            has_begun: false,
            server_name: None,
        }
    }

    /// Whether it has read anything.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.side.is_handshaking()
    }

    /// Whether the peer has said that it sends no more.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    /// What the handshake has agreed on.
    pub(crate) fn info(&self) -> TlsInfo {
        let side = &*self.side;
        let suite = side.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let certificates = match self.side {
            Side::Server(_) => side.peer_certificates().unwrap_or_default(),
            Side::Client(_) => &[],
        };
        let mut info = TlsInfo::default();
        info.version = match side.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        info.cipher_suite = suite.unwrap_or_default();
        info.alpn = side.alpn_protocol().map(Into::into);
        info.server_name.clone_from(&self.server_name);
        info.resumed = side.handshake_kind() == Some(HandshakeKind::Resumed);
        info.client_certificates = certificates.iter().map(|der| der.as_ref().into()).collect();
        info
    }

    /// Takes ciphertext from the peer, and overwrites it. Calls `on_plain` with plaintext, in
    /// order, and appends records for the peer to `out`.
    ///
    /// # Errors
    ///
    /// If the connection can't go on. `out` has an alert for the peer then.
    pub(crate) fn read(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        mut on_plain: impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        if !self.is_handshaking() {
            return self.read_records(input, MAX_UNUSED, out, &mut on_plain);
        }
        self.has_begun = true;
        let result = self.read_records(input, MAX_HANDSHAKE, out, &mut on_plain);
        if let Some(name) = server_name::take() {
            self.server_name = Some(name);
        }
        result
    }

    fn read_records(
        &mut self,
        input: &mut [u8],
        max: usize,
        out: &mut Vec<u8>,
        on_plain: &mut impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        if self.unused.is_empty() {
            let used = self.process(input, out, on_plain)?;
            self.keep(&input[used..], max)
        } else {
            // Rare: a record that arrived in parts.
            let mut unused = std::mem::take(&mut self.unused);
            unused.extend_from_slice(input);
            let used = self.process(&mut unused, out, on_plain)?;
            unused.drain(..used);
            if unused.len() > max {
                return Err(TlsError::TooLarge);
            }
            if !unused.is_empty() {
                self.unused = unused;
            }
            Ok(())
        }
    }

    fn keep(&mut self, rest: &[u8], max: usize) -> Result<(), TlsError> {
        if rest.len() > max {
            return Err(TlsError::TooLarge);
        }
        if !rest.is_empty() {
            self.unused = rest.to_vec();
        }
        Ok(())
    }

    /// Processes `input` as far as it has whole records. Returns how many bytes are used.
    fn process(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        on_plain: &mut impl FnMut(&[u8]),
    ) -> Result<usize, TlsError> {
        let mut used = 0;
        loop {
            let step =
                process!(self.side, &mut input[used..], |status| advance(status, out, on_plain));
            match step {
                Ok(step) => {
                    used += step.used;
                    self.peer_closed |= step.peer_closed;
                    if step.is_done {
                        return Ok(used);
                    }
                }
                Err(error) => {
                    // The error has queued an alert.
                    while process!(self.side, &mut [], |status| advance(status, out, on_plain))
                        .is_ok_and(|step| !step.is_done)
                    {}
                    return Err(error.into());
                }
            }
        }
    }

    /// Appends `plain` to `out`, in records.
    ///
    /// # Errors
    ///
    /// If the keys are used up and can't be renewed.
    pub(crate) fn seal(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        while !plain.is_empty() {
            let max = if self.sealed < SENT_IN_FIRST_RECORDS { FIRST_RECORD } else { RECORD };
            let (record, rest) = plain.split_at(plain.len().min(max));
            plain = rest;
            self.sealed += record.len() as u64;
            process!(self.side, &mut self.unused, |status| encrypt(status, record, out))?;
        }
        Ok(())
    }

    /// Appends close_notify: no more plaintext follows.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        process!(self.side, &mut self.unused, |status| close(status, out));
    }
}

/// Handles one status of a connection.
fn advance<Data>(
    UnbufferedStatus { discard, state }: UnbufferedStatus<'_, '_, Data>,
    out: &mut Vec<u8>,
    on_plain: &mut impl FnMut(&[u8]),
) -> Result<Step, rustls::Error> {
    let mut step = Step { used: discard, is_done: false, peer_closed: false };
    match state? {
        ConnectionState::ReadTraffic(mut records) => {
            while let Some(record) = records.next_record() {
                let record = record?;
                step.used += record.discard;
                on_plain(record.payload);
            }
        }
        ConnectionState::EncodeTlsData(mut data) => {
            append(out, |room| data.encode(room).map_err(required_by_encode));
        }
        ConnectionState::TransmitTlsData(data) => data.done(),
        ConnectionState::PeerClosed => step.peer_closed = true,
        _ => step.is_done = true,
    }
    Ok(step)
}

/// Appends a record with `plain` to `out`.
fn encrypt<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    let ConnectionState::WriteTraffic(mut traffic) = status.state? else {
        return Err(TlsError::Failed(rustls::Error::HandshakeNotComplete));
    };
    match append(out, |room| traffic.encrypt(plain, room).map_err(required_by_encrypt)) {
        true => Ok(()),
        false => Err(TlsError::Failed(rustls::Error::EncryptError)),
    }
}

fn close<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Vec<u8>) {
    if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
        append(out, |room| traffic.queue_close_notify(room).map_err(required_by_encrypt));
    }
}

/// Appends what `write` writes to a slice. It is called again with more room if it returns how much
/// it needs. Returns whether it succeeded.
fn append(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> bool {
    let before = out.len();
    let mut room = 0;
    loop {
        out.resize(before + room, 0);
        match write(&mut out[before..]) {
            Ok(written) => {
                out.truncate(before + written);
                return true;
            }
            Err(Some(required)) if required > room => room = required,
            // Nothing can be written.
            Err(_) => {
                out.truncate(before);
                return false;
            }
        }
    }
}

fn required_by_encode(error: EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
            Some(required_size)
        }
        EncodeError::AlreadyEncoded => None,
    }
}

fn required_by_encrypt(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
            Some(required_size)
        }
        EncryptError::EncryptExhausted => None,
    }
}

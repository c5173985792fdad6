//! One TLS connection: ciphertext in, plaintext out, and back.

use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use sockeye_proto::{TlsInfo, WallTime};

use super::error::TlsError;
use super::limits::{MAX_FROM_CLIENT, RECORD, buffer_capacity, may_complete_message};
use super::names::name_of_suite;
use super::{clock, server_name};

/// Maximum ciphertext of an incomplete record that is kept. A record has at most 16 KiB + 261 bytes
/// in TLS 1.3 (RFC 8446, section 5.2), 16 KiB + 2,053 in TLS 1.2 (RFC 5246, section 6.2.3).
pub(super) const MAX_UNUSED: usize = 18 * 1024 + 64;
/// Maximum ciphertext of an incomplete handshake message that a client keeps. The longest one is
/// that with the server's certificates. rustls reads no larger message.
const MAX_FROM_SERVER: usize = 64 * 1024 + 64;
/// Maximum plaintext of each of the first records: such a record fits into a TCP segment, so that
/// the peer can decrypt it before the next segment arrives.
const FIRST_RECORD: usize = 1300;
/// How much plaintext is sent in such records: TCP's congestion window is small at first, too.
const SENT_IN_FIRST_RECORDS: u32 = 32 * 1024;
/// A record with the alert record_overflow, for use before anything is encrypted.
const RECORD_OVERFLOW: [u8; 7] = [21, 3, 3, 0, 2, 2, 22];

/// A TLS connection.
pub(crate) struct Tls {
    side: Side,
    /// Ciphertext of an incomplete record or handshake message. All of it is given to rustls again
    /// with further input. rustls remembers how much of it was read.
    unused: Vec<u8>,
    /// Plaintext bytes encrypted since the beginning or the last pause. While there are fewer than
    /// [`SENT_IN_FIRST_RECORDS`], records are small.
    sealed: u32,
    /// The peer has sent close_notify: no more plaintext comes.
    peer_closed: bool,
    /// See [`Tls::has_begun`].
    has_begun: bool,
    /// Whether the key found for a client hello is RSA, until [`Tls::take_signs_slowly`] takes it.
    signs_slowly: Option<bool>,
    /// An error has ended the connection. rustls must not be called again.
    has_failed: bool,
    /// The name that the client asked for, until [`Tls::take_info`]. Only for servers.
    server_name: Option<Box<str>>,
}

// Both variants have about the same size.
enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Gives `input` to rustls, and calls `step` with the resulting status. This is a macro, because
/// the type of the status depends on the side.
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
        let connection = UnbufferedServerConnection::new(config).map_err(TlsError::Ours)?;
        Ok(Self::new(Side::Server(connection)))
    }

    /// The client's side of a connection to the server `name`. `config` may hold a session ticket
    /// for this server.
    pub(crate) fn client(
        now: WallTime,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, TlsError> {
        clock::set(now);
        let connection = UnbufferedClientConnection::new(config, name).map_err(TlsError::Ours)?;
        Ok(Self::new(Side::Client(connection)))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            unused: Vec::new(),
            sealed: 0,
            peer_closed: false,
            has_begun: false,
            signs_slowly: None,
            has_failed: false,
            server_name: None,
        }
    }

    /// Whether the handshake has begun: the server has read input, or the client has made a hello.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether this is the server's side, and has not yet answered a client hello, except with a
    /// request for another hello (HelloRetryRequest: RFC 8446, section 4.1.4).
    pub(crate) fn awaits_hello(&self) -> bool {
        let Side::Server(server) = &self.side else { return false };
        match server.protocol_version() {
            None => true,
            Some(ProtocolVersion::TLSv1_3) => server.negotiated_key_exchange_group().is_none(),
            Some(_) => false,
        }
    }

    /// Whether the key that was found for a client hello is RSA. `None` if no key was found since
    /// the last call.
    pub(crate) fn take_signs_slowly(&mut self) -> Option<bool> {
        self.signs_slowly.take()
    }

    /// Whether `input` may complete a client hello, so that the answer takes a signature. False for
    /// a hello that is too large, which is refused without a signature.
    pub(crate) fn completes_hello(&self, input: &[u8]) -> bool {
        self.awaits_hello()
            && self.unused.len() + input.len() <= MAX_FROM_CLIENT
            && may_complete_message(&self.unused, input)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.side.is_handshaking()
    }

    /// Whether the peer has said that it sends no more.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    /// Bytes of an incomplete record or handshake message that are kept.
    pub(crate) fn unused(&self) -> usize {
        self.unused.len()
    }

    #[cfg(test)]
    pub(super) fn unused_capacity(&self) -> usize {
        self.unused.capacity()
    }

    /// What the handshake has agreed on. Only the first call returns the name of the server.
    pub(crate) fn take_info(&mut self) -> TlsInfo {
        let side = &*self.side;
        let client_certificate = match self.side {
            Side::Server(_) => side.peer_certificates().and_then(<[_]>::first),
            Side::Client(_) => None,
        };
        let mut info = TlsInfo::default();
        info.version = match side.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let suite = side.negotiated_cipher_suite().map(|suite| suite.suite());
        info.cipher_suite = suite.map_or("", name_of_suite);
        info.alpn = side.alpn_protocol().map(Into::into);
        info.server_name = self.server_name.take();
        info.resumed = side.handshake_kind() == Some(HandshakeKind::Resumed);
        info.client_certificates =
            client_certificate.iter().map(|der| der.as_ref().into()).collect();
        info
    }

    /// Takes ciphertext from the peer, and overwrites it. Calls `on_plain` with plaintext, in
    /// order, and appends records for the peer to `out`. After close_notify, input is dropped.
    ///
    /// # Errors
    ///
    /// If the connection can't go on. `out` may have an alert for the peer then: see [`TlsError`].
    pub(crate) fn read(
        &mut self,
        now: WallTime,
        input: &mut [u8],
        out: &mut Vec<u8>,
        mut on_plain: impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        if self.has_failed {
            return Err(TlsError::HasFailed);
        }
        if self.peer_closed {
            return Ok(());
        }
        clock::set(now);
        let result = catch_unwind(AssertUnwindSafe(|| match self.is_handshaking() {
            true => self.shake_hands(input, out, &mut on_plain),
            false => self.read_records(input, MAX_UNUSED, out, &mut on_plain),
        }))
        .unwrap_or(Err(TlsError::Panicked));
        if result.is_err() {
            self.fail();
        } else if self.peer_closed {
            self.unused = Vec::new();
        }
        result
    }

    /// Marks the connection as failed. rustls is not called again, so unused input is dropped.
    fn fail(&mut self) {
        self.has_failed = true;
        self.unused = Vec::new();
    }

    /// As [`Tls::read`], before the handshake is complete.
    #[cold]
    fn shake_hands(
        &mut self,
        mut input: &mut [u8],
        out: &mut Vec<u8>,
        on_plain: &mut impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        let max = match self.side {
            Side::Server(_) => MAX_FROM_CLIENT,
            Side::Client(_) => MAX_FROM_SERVER,
        };
        self.has_begun = true;
        // A client sends nothing between its hello and the answer: all input so far is a hello.
        if self.awaits_hello() && self.unused.len() + input.len() > MAX_FROM_CLIENT {
            out.extend(RECORD_OVERFLOW);
            return Err(TlsError::TooLarge);
        }
        // If another connection panicked on this thread while it read a hello, a thread-local
        // variable still has what that hello asked for. This discards it.
        server_name::take();
        loop {
            // rustls gets at most `max` bytes at a time, including the kept ones. So a message that
            // is too large is refused whether it arrives at once or in parts.
            let (now, later) = input.split_at_mut(input.len().min(max - self.unused.len()));
            let is_plaintext = self.awaits_hello() || self.side.protocol_version().is_none();
            let before = out.len();
            let mut result = self.read_records(now, max, out, on_plain);
            if result.is_ok() && self.unused.len() == max {
                result = Err(TlsError::TooLarge);
                // After the hellos, an alert may have to be encrypted, which only rustls can do.
                if is_plaintext {
                    out.extend(RECORD_OVERFLOW);
                }
            }
            if let Some(hello) = server_name::take() {
                // Makes some errors of rustls, and their alerts, more precise.
                result = result.map_err(|error| hello.correct(error, out, before));
                self.server_name = hello.name;
                self.signs_slowly = hello.signs_slowly;
            }
            result?;
            if later.is_empty() || self.peer_closed {
                return Ok(());
            }
            input = later;
            if !self.is_handshaking() {
                return self.read_records(input, MAX_UNUSED, out, on_plain);
            }
        }
    }

    /// Processes the kept ciphertext and `input`. Keeps what is incomplete, or fails if that is
    /// more than `max` bytes.
    fn read_records(
        &mut self,
        input: &mut [u8],
        max: usize,
        out: &mut Vec<u8>,
        on_plain: &mut impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        if self.unused.is_empty() {
            let used = self.process(input, out, on_plain)?;
            return self.keep(&input[used..], max);
        }
        // A record that arrived in parts, as in a long upload. On the client's side, `max` is lower
        // after the handshake than before, so a buffer whose capacity is above `max` is replaced.
        let mut unused = mem::take(&mut self.unused);
        let len = unused.len() + input.len();
        if len > unused.capacity() {
            unused.reserve_exact(buffer_capacity(&unused, len, max) - unused.len());
        }
        unused.extend_from_slice(input);
        let used = self.process(&mut unused, out, on_plain)?;
        if used > 0 || unused.capacity() > max {
            return self.keep(&unused[used..], max);
        }
        self.unused = unused;
        Ok(())
    }

    /// Keeps ciphertext until more comes. Fails if it is more than `max` bytes.
    fn keep(&mut self, rest: &[u8], max: usize) -> Result<(), TlsError> {
        if self.peer_closed || rest.is_empty() {
            return Ok(());
        }
        if rest.len() > max {
            return Err(TlsError::TooLarge);
        }
        self.unused = Vec::with_capacity(buffer_capacity(rest, rest.len(), max));
        self.unused.extend_from_slice(rest);
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
                    // rustls has queued an alert for the error. Once the alert is written, rustls
                    // must not be called again, because it would go on reading.
                    while self.side.wants_write()
                        && process!(self.side, &mut [], |status| advance(status, out, on_plain))
                            .is_ok()
                    {}
                    return Err(error.into());
                }
            }
        }
    }

    /// Encrypts `plain`, and appends it to `out` in TLS records.
    ///
    /// # Errors
    ///
    /// If the connection has failed, if the handshake is not complete, or if the keys are used up
    /// and can't be renewed.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.has_failed {
            return Err(TlsError::HasFailed);
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.seal_records(plain, out)))
            .unwrap_or(Err(TlsError::Panicked));
        if result.is_err() {
            self.fail();
        }
        result
    }

    fn seal_records(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        while !plain.is_empty() {
            let max = if self.sealed < SENT_IN_FIRST_RECORDS { FIRST_RECORD } else { RECORD };
            let (record, rest) = plain.split_at(plain.len().min(max));
            plain = rest;
            self.sealed = self.sealed.saturating_add(record.len() as u32);
            // rustls encrypts only in a call that is given the unread ciphertext, too.
            process!(self.side, &mut self.unused, |status| encrypt(status, record, out))?;
        }
        Ok(())
    }

    /// Makes the next records small again: after a pause, the congestion window may be small.
    pub(crate) fn reset_record_size(&mut self) {
        self.sealed = 0;
    }

    /// Appends close_notify: no more plaintext follows. Does nothing if the connection has failed,
    /// or can't encrypt data yet.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if self.has_failed {
            return;
        }
        let Self { side, unused, .. } = self;
        let closed = catch_unwind(AssertUnwindSafe(|| {
            process!(*side, unused, |status| close(status, out));
        }));
        if closed.is_err() {
            self.fail();
        }
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
        return Err(TlsError::Ours(rustls::Error::HandshakeNotComplete));
    };
    match append(out, |room| traffic.encrypt(plain, room).map_err(required_by_encrypt)) {
        true => Ok(()),
        false => Err(TlsError::Ours(rustls::Error::EncryptError)),
    }
}

fn close<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Vec<u8>) {
    if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
        append(out, |room| traffic.queue_close_notify(room).map_err(required_by_encrypt));
    }
}

/// Appends to `out` what `write` writes. If `write` fails and returns how much space it needs,
/// calls it again with that much space. Returns whether `write` succeeded.
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

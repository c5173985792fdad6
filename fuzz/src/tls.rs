//! Records of TLS: those of a real peer, changed, cut and mixed with others.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};
use sockeye_engine::{TlsAcceptor, TlsConnector, TlsHarness};

/// A connection keeps fewer bytes of incomplete input than this. It keeps most when it is a client
/// that has received part of a handshake message: 64 KiB and some headers.
const MAX_UNUSED: usize = 65 * 1024;

/// Runs a connection as the input says. The input's first byte chooses the side that is tested, the
/// version of TLS, and whether the handshake is complete at the beginning. The other bytes are
/// steps: see `Run::step`.
///
/// # Panics
///
/// If the connection panics, accepts plaintext that its peer has not sent, keeps too much, or does
/// anything after an error.
pub fn tls_records(input: &[u8]) {
    let Some((first, mut rest)) = input.split_first() else { return };
    let mut run = Run::new(first & 1 == 0, first & 2 == 0);
    if first & 4 == 0 {
        for _ in 0..3 {
            run.collect();
            run.deliver(usize::MAX);
        }
        assert!(!run.tested.is_handshaking(), "the handshake is complete");
    }
    while let Some((op, after)) = rest.split_first() {
        rest = run.step(*op, after);
    }
}

/// The tested connection, and its peer.
struct Run {
    tested: TlsHarness,
    peer: Connection,
    /// Records that the peer has made and the network has not delivered.
    in_flight: Vec<u8>,
    /// Plaintext that the peer has sent.
    sent: Vec<u8>,
    /// Plaintext that was accepted.
    accepted: Vec<u8>,
    has_failed: bool,
    /// The network has changed something.
    is_changed: bool,
    /// The tested connection has sent close_notify.
    has_closed: bool,
    /// The peer has sent close_notify.
    peer_has_closed: bool,
}

impl Run {
    fn new(is_server: bool, is_tls13: bool) -> Self {
        let configs = &configs()[usize::from(is_tls13)];
        let (client, server) = configs;
        let name = ServerName::try_from("localhost").expect("a name");
        let (tested, peer) = match is_server {
            true => (
                TlsHarness::server(&TlsAcceptor::new(server)),
                ClientConnection::new(Arc::clone(client), name).expect("it works").into(),
            ),
            false => (
                TlsHarness::client(&TlsConnector::new(Arc::clone(client), name)),
                ServerConnection::new(Arc::clone(server)).expect("it works").into(),
            ),
        };
        let (in_flight, sent, accepted) = (Vec::new(), Vec::new(), Vec::new());
        let mut run = Self {
            tested,
            peer,
            in_flight,
            sent,
            accepted,
            has_failed: false,
            is_changed: false,
            has_closed: false,
            peer_has_closed: false,
        };
        // The client, on whichever side, makes its hello.
        run.read(&mut []);
        run
    }

    /// Does one step. Returns the rest of the input.
    fn step<'a>(&mut self, op: u8, rest: &'a [u8]) -> &'a [u8] {
        self.is_changed |= (0x40..0xC0).contains(&op);
        match op {
            // The network delivers bytes of the peer: all, or some.
            0 => self.deliver(usize::MAX),
            1..0x40 => self.deliver(usize::from(op)),
            // It delivers other bytes.
            0x40..0x80 => {
                let (other, rest) = rest.split_at(usize::from(op & 0x3F).min(rest.len()));
                self.read(&mut other.to_vec());
                return rest;
            }
            // It changes a byte.
            0x80..0xA0 => {
                let at = usize::from(op & 0x1F);
                if let (Some(byte), [change, rest @ ..]) = (self.in_flight.get_mut(at), rest) {
                    *byte ^= change;
                    return rest;
                }
            }
            // It loses bytes.
            0xA0..0xC0 => {
                let count = usize::from(op & 0x1F).min(self.in_flight.len());
                self.in_flight.drain(..count);
            }
            0xC0..0xD0 => {
                let plain = vec![op; 1 << (op & 0xF)];
                if !self.peer.is_handshaking() && self.peer.writer().write_all(&plain).is_ok() {
                    self.sent.extend(plain);
                }
            }
            0xD0..0xD8 => {
                self.peer.send_close_notify();
                self.peer_has_closed = true;
            }
            0xD8..0xE0 => drop(self.peer.refresh_traffic_keys()),
            0xE0..0xF0 => {
                let mut out = Vec::new();
                let sealed = self.tested.seal(&vec![op; 1 << (op & 0xF)], &mut out);
                self.has_failed |= sealed.is_err();
                self.answer_peer(&out);
            }
            0xF0.. => {
                let mut out = Vec::new();
                self.tested.close(&mut out);
                self.has_closed = true;
                assert!(!self.has_failed || out.is_empty(), "nothing follows an error");
                self.answer_peer(&out);
            }
        }
        self.collect();
        rest
    }

    /// Takes what the peer wants to send.
    fn collect(&mut self) {
        while self.peer.wants_write() {
            self.peer.write_tls(&mut self.in_flight).expect("a vector takes all");
        }
    }

    fn deliver(&mut self, count: usize) {
        let mut bytes: Vec<u8> = self.in_flight.drain(..count.min(self.in_flight.len())).collect();
        self.read(&mut bytes);
    }

    fn read(&mut self, bytes: &mut [u8]) {
        if self.has_closed && self.is_changed {
            // In debug builds, rustls panics when it has to send an alert after its close_notify.
            // The engine catches that panic. Release builds send the alert.
            return;
        }
        let (mut out, accepted) = (Vec::new(), &mut self.accepted);
        let result = self.tested.read(bytes, &mut out, |plain| accepted.extend(plain));
        assert!(self.sent.starts_with(&self.accepted), "the peer has not sent this");
        assert!(self.tested.unused() < MAX_UNUSED, "{}", self.tested.unused());
        if self.has_failed {
            assert!(result.is_err() && out.is_empty(), "nothing follows an error");
        }
        if result.is_err() {
            self.has_failed = true;
            assert_eq!(self.tested.unused(), 0, "it needs no input any more");
        }
        self.answer_peer(&out);
        self.collect();
    }

    /// Passes records of the tested connection to the peer. The peer may find errors in them, since
    /// the records that it sent may have been changed on the way.
    fn answer_peer(&mut self, mut records: &[u8]) {
        // As in `read`: an alert of the peer after its close_notify would make rustls panic.
        if self.peer_has_closed && self.is_changed {
            return;
        }
        // After the tested connection's close_notify, the peer reads nothing.
        while !records.is_empty() && self.peer.read_tls(&mut records).is_ok_and(|read| read > 0) {
            if self.peer.process_new_packets().is_err() {
                return;
            }
        }
    }
}

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

/// The configurations for TLS 1.2, and those for TLS 1.3.
fn configs() -> &'static [Configs; 2] {
    static CONFIGS: OnceLock<[Configs; 2]> = OnceLock::new();
    CONFIGS.get_or_init(|| [&rustls::version::TLS12, &rustls::version::TLS13].map(made))
}

fn made(version: &'static SupportedProtocolVersion) -> Configs {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate and its key");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(client), Arc::new(server))
}

//! A TLS server's connection, byte by byte, with rustls as the client.

use std::io::Read;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use sockeye_proto::WallTime;
use sockeye_tls::provider;

use super::acceptor::{TlsAcceptor, WorkerAcceptor};
use super::{Tls, TlsError};

mod handshake;
mod records;

/// 2026-11-26.
const NOW: WallTime = WallTime::from_secs(1_795_651_200);

struct Certificate {
    der: rustls::pki_types::CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn certificate(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Certificate {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let key = rcgen::KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().clone();
    Certificate { der, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
}

fn roots(certificate: &Certificate) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der.clone()).unwrap();
    Arc::new(roots)
}

fn configs_with(certificate: &Certificate) -> (ClientConfig, ServerConfig) {
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der.clone()], certificate.key.clone_key())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(certificate))
        .with_no_client_auth();
    (client, server)
}

fn configs() -> (ClientConfig, ServerConfig) {
    configs_with(&certificate(|_| ()))
}

struct Pair {
    client: ClientConnection,
    server: Tls,
    /// Plaintext that the server got.
    received: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let (client, server) = configs();
        Self::with(&Arc::new(client), &server)
    }

    fn with(client: &Arc<ClientConfig>, server: &ServerConfig) -> Self {
        Self::of(client, WorkerAcceptor::new(TlsAcceptor::new(server)).accept().unwrap())
    }

    fn of(client: &Arc<ClientConfig>, server: Tls) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::clone(client), name).unwrap();
        Self { client, server, received: Vec::new() }
    }

    /// Whose handshake is complete.
    fn connected() -> Self {
        let mut pair = Self::new();
        pair.run(usize::MAX).unwrap();
        assert!(!pair.server.is_handshaking() && !pair.client.is_handshaking());
        pair
    }

    /// The records that the client wants to send.
    fn records(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut sent).unwrap();
        }
        sent
    }

    /// Passes what the client wants to send to the server, `step` bytes at a time, and the other
    /// way round, until both are silent.
    fn run(&mut self, step: usize) -> Result<(), TlsError> {
        loop {
            let mut sent = self.records();
            let mut back = Vec::new();
            let mut result = Ok(());
            let received = &mut self.received;
            for piece in sent.chunks_mut(step) {
                result = self.server.read(NOW, piece, &mut back, |plain| received.extend(plain));
                if result.is_err() {
                    break;
                }
            }
            if sent.is_empty() && back.is_empty() {
                return Ok(());
            }
            let delivered = self.deliver_to_client(&back);
            result?;
            delivered.unwrap();
        }
    }

    fn deliver_to_client(&mut self, mut records: &[u8]) -> Result<(), rustls::Error> {
        while !records.is_empty() {
            self.client.read_tls(&mut records).unwrap();
            self.client.process_new_packets()?;
        }
        Ok(())
    }

    fn received_by_client(&mut self) -> Vec<u8> {
        let mut got = Vec::new();
        let _ = self.client.reader().read_to_end(&mut got);
        got
    }

    fn read(&mut self, input: &mut [u8]) -> (Result<(), TlsError>, Vec<u8>) {
        let (mut out, received) = (Vec::new(), &mut self.received);
        let result = self.server.read(NOW, input, &mut out, |plain| received.extend(plain));
        (result, out)
    }
}

fn server() -> Tls {
    WorkerAcceptor::new(TlsAcceptor::new(&configs().1)).accept().unwrap()
}

/// What a new server makes of `input`: its error, and what it sends.
fn refused(input: &[u8]) -> (TlsError, Vec<u8>) {
    let (mut server, mut out) = (server(), Vec::new());
    let error = server.read(NOW, &mut input.to_vec(), &mut out, |_| panic!("no plaintext"));
    (error.unwrap_err(), out)
}

fn assert_is_failed(server: &mut Tls) {
    let mut out = Vec::new();
    server.read(NOW, &mut [22, 3, 3, 0, 1, 0], &mut out, |_| panic!("no plaintext")).unwrap_err();
    server.seal(b"late", &mut out).unwrap_err();
    server.close(&mut out);
    assert!(out.is_empty(), "{out:?}");
    assert_eq!(server.unused(), 0);
}

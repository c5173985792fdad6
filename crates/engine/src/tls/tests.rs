//! A TLS server's connection, byte by byte, with rustls as the client.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

use super::{Tls, TlsError};

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let cert = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = sockeye_tls::provider();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(client), Arc::new(server))
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
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            client: ClientConnection::new(client, name).unwrap(),
            server: Tls::server(server).unwrap(),
            received: Vec::new(),
        }
    }

    /// Passes what the client wants to send to the server, `step` bytes at a time, and the other
    /// way round, until both are silent.
    fn run(&mut self, step: usize) -> Result<(), TlsError> {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            let mut back = Vec::new();
            let received = &mut self.received;
            for piece in sent.chunks_mut(step) {
                let server = &mut self.server;
                server.read(piece, &mut back, |plain| received.extend_from_slice(plain))?;
            }
            if sent.is_empty() && back.is_empty() {
                return Ok(());
            }
            self.deliver_to_client(&back);
        }
    }

    fn deliver_to_client(&mut self, mut records: &[u8]) {
        while !records.is_empty() {
            self.client.read_tls(&mut records).unwrap();
            self.client.process_new_packets().unwrap();
        }
    }

    fn received_by_client(&mut self) -> Vec<u8> {
        let mut got = Vec::new();
        let _ = self.client.reader().read_to_end(&mut got);
        got
    }
}

#[test]
fn plaintext_passes_both_ways_however_records_are_split() {
    for step in [1, 2, 3, 5, 100, usize::MAX] {
        let mut pair = Pair::new();
        pair.run(step).unwrap();
        assert!(!pair.server.is_handshaking() && !pair.client.is_handshaking());
        assert!(pair.server.unused.is_empty());
        let request: Vec<u8> = (0..40_000_u32).map(|at| at as u8).collect();
        pair.client.writer().write_all(&request).unwrap();
        pair.run(step).unwrap();
        assert_eq!(pair.received, request);
        let mut records = Vec::new();
        let response: Vec<u8> = (0..15_000_u32).map(|at| (at / 7) as u8).collect();
        pair.server.seal(&response, &mut records).unwrap();
        pair.server.close(&mut records);
        pair.deliver_to_client(&records);
        assert_eq!(pair.received_by_client(), response);
        pair.client.send_close_notify();
        pair.run(step).unwrap();
        assert!(pair.server.is_closed_by_peer());
    }
}

#[test]
fn what_is_not_tls_gets_an_alert() {
    let mut server = Tls::server(configs().1).unwrap();
    let (mut out, mut input) = (Vec::new(), *b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let error = server.read(&mut input, &mut out, |_| panic!("no plaintext")).unwrap_err();
    assert!(matches!(error, TlsError::Failed(_)), "{error}");
    assert_eq!(out.first(), Some(&21), "an alert: {out:?}");
}

#[test]
fn an_endless_hello_is_refused() {
    let mut server = Tls::server(configs().1).unwrap();
    let mut out = Vec::new();
    // A handshake record that announces a client hello of 64 KiB.
    let mut sent = 0;
    let error = loop {
        let mut record = vec![22, 3, 1, 0x40, 0];
        record.resize(5 + 0x4000, 0);
        if sent == 0 {
            record[5..9].copy_from_slice(&[1, 0, 0xFF, 0xFF]);
        }
        sent += record.len();
        if let Err(error) = server.read(&mut record, &mut out, |_| ()) {
            break error;
        }
    };
    assert!(sent <= 3 * 0x4100, "{sent}: {error}");
}

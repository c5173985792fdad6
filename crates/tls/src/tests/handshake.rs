//! Handshakes in memory.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ServerConfig,
    ServerConnection, SignatureScheme, SupportedProtocolVersion,
};

use super::Pair;
use crate::provider;

/// What a handshake has agreed on.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) kind: HandshakeKind,
    pub(super) alpn: Option<Vec<u8>>,
    /// The server's, of the first handshake if this one resumes it.
    pub(super) certificate: CertificateDer<'static>,
    pub(super) has_client_certificate: bool,
}

/// A client, which keeps its tickets.
#[derive(Clone)]
pub(super) struct Client(pub(super) ClientConfig);

impl Client {
    /// One that trusts every certificate.
    pub(super) fn new() -> Self {
        Self::with(None, rustls::ALL_VERSIONS, None)
    }

    pub(super) fn with(
        certificate: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
        schemes: Option<&[SignatureScheme]>,
    ) -> Self {
        Self::of(provider(), certificate, versions, schemes)
    }

    /// The same, with this cryptography.
    pub(super) fn of(
        provider: Arc<CryptoProvider>,
        certificate: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
        schemes: Option<&[SignatureScheme]>,
    ) -> Self {
        let all = provider.signature_verification_algorithms.supported_schemes();
        let trusting = Trusting(schemes.map_or(all, <[SignatureScheme]>::to_vec));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trusting));
        Self(match certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        })
    }

    pub(super) fn alpn(mut self, names: &[&[u8]]) -> Self {
        self.0.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        self
    }

    /// Shakes hands, and takes the tickets. Returns the error of the server, if there is one.
    pub(super) fn connect(
        &self,
        server: Arc<ServerConfig>,
        name: &str,
    ) -> Result<Agreed, rustls::Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(self.0.clone()), name).unwrap();
        let mut server = ServerConnection::new(server).unwrap();
        let mut records = Vec::new();
        while client.wants_write() || server.wants_write() {
            records.clear();
            while client.wants_write() {
                client.write_tls(&mut records).unwrap();
            }
            read(&mut server, &records)?;
            records.clear();
            while server.wants_write() {
                server.write_tls(&mut records).unwrap();
            }
            read(&mut client, &records)?;
        }
        Ok(Agreed {
            kind: server.handshake_kind().unwrap(),
            alpn: server.alpn_protocol().map(<[u8]>::to_vec),
            certificate: client.peer_certificates().unwrap()[0].clone().into_owned(),
            has_client_certificate: server.peer_certificates().is_some(),
        })
    }

    /// Whether the handshake was that of a resumed session.
    pub(super) fn resumes(&self, server: Arc<ServerConfig>) -> Result<bool, rustls::Error> {
        Ok(self.connect(server, "www.example.org")?.kind == HandshakeKind::Resumed)
    }
}

fn read<Data>(
    side: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<Data>>,
    mut records: &[u8],
) -> Result<(), rustls::Error> {
    while !records.is_empty() {
        side.read_tls(&mut records).unwrap();
        side.process_new_packets()?;
    }
    Ok(())
}

/// Verifies signatures by these schemes, and no chain.
#[derive(Debug)]
struct Trusting(Vec<SignatureScheme>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

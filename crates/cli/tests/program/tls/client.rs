//! A client with TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use super::certificates::{authority_pem, issue};

/// Far longer than anything should take.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts the authority of the tests. Clones share tickets.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    pub(crate) fn new() -> Self {
        Self::trusting(&authority_pem())
    }

    pub(crate) fn trusting(authority: &str) -> Self {
        Self(Arc::new(Self::builder(authority).with_no_client_auth()))
    }

    /// With a certificate of the authority.
    pub(crate) fn with_certificate() -> Self {
        let [certificate, key] = issue(&["client"]);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let builder = Self::builder(&authority_pem());
        Self(Arc::new(builder.with_client_auth_cert(vec![certificate], key).unwrap()))
    }

    fn builder(
        authority: &str,
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }

    /// The same client, which offers these protocols.
    pub(crate) fn offering(&self, alpn: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Connects, and completes the handshake as far as the client can tell.
    pub(crate) fn connect(&self, address: SocketAddr, name: &str) -> io::Result<Stream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.0), name).unwrap();
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let mut stream = Stream::new(connection, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(stream)
    }

    /// The response to a GET.
    pub(crate) fn get(&self, address: SocketAddr, name: &str, path: &str) -> io::Result<String> {
        let mut stream = self.connect(address, name)?;
        get(&mut stream, name, path)
    }
}

/// The response to a GET with which the connection ends.
pub(crate) fn get(stream: &mut Stream, host: &str, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// The server's certificate.
pub(crate) fn certificate(stream: &Stream) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

pub(crate) fn is_resumed(stream: &Stream) -> bool {
    stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

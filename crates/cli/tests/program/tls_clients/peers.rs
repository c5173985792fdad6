//! Authorities, certificates, and servers with TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sockeye::tls::provider;

use crate::support::Running;

/// What signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_as(names, |_| {})
    }

    pub(crate) fn issue_expired(&self, names: &[&str]) -> Identity {
        self.issue_as(names, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    fn issue_as(&self, names: &[&str], change: fn(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    /// Writes both into one file.
    pub(crate) fn write(&self, path: impl AsRef<Path>) {
        std::fs::write(path, format!("{}{}", self.certificate, self.key)).unwrap();
    }

    /// Starts our program with this certificate, written to `folder`, on a free port.
    pub(crate) fn start(&self, folder: &Path, args: &[&str]) -> Running {
        let path = folder.join("server.pem");
        self.write(&path);
        let path = path.to_str().unwrap();
        Running::start(&[args, &["--tls", path, "--port", "0"]].concat())
    }

    fn config(&self, client_ca: Option<&Authority>) -> ServerConfig {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match client_ca {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        config.with_single_cert(chain, key).unwrap()
    }

    /// Serves with rustls: calls `act` for each connection, one after the other. With `client_ca`,
    /// clients need a certificate of this authority.
    pub(crate) fn serve(
        &self,
        client_ca: Option<&Authority>,
        act: impl Fn(Stream) + Send + 'static,
    ) -> SocketAddr {
        self.serve_with_alpn(&["http/1.1"], client_ca, act)
    }

    /// The same, with these protocols for ALPN.
    fn serve_with_alpn(
        &self,
        alpn: &[&str],
        client_ca: Option<&Authority>,
        act: impl Fn(Stream) + Send + 'static,
    ) -> SocketAddr {
        let mut config = self.config(client_ca);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let config = Arc::new(config);
        serve_plain(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            act(StreamOwned::new(connection, stream));
        })
    }
}

/// Serves HTTP/1.1 and, preferably, HTTP/2. Answers the first request of each connection with 204.
pub(crate) fn serve_both_versions(identity: &Identity) -> SocketAddr {
    identity.serve_with_alpn(&["h2", "http/1.1"], None, |mut stream| {
        // All of a small request comes in one record, and follows the preface of HTTP/2.
        let mut request = [0; 1024];
        if !matches!(stream.read(&mut request), Ok(1..)) {
            return;
        }
        let response = if stream.conn.alpn_protocol() == Some(b"h2") {
            // SETTINGS, and HEADERS on stream 1.
            &b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x89"[..]
        } else {
            b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        };
        let _ = stream.write_all(response);
        while matches!(stream.read(&mut request), Ok(1..)) {}
    })
}

pub(crate) type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Calls `act` for each connection, one after the other.
pub(crate) fn serve_plain(act: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| act(stream.unwrap())));
    address
}

//! TLS 1.3 for the rows (workloads) of the benchmark that use it. All servers have the same
//! certificate (P-256), and the client offers one cipher suite and one key exchange, so that all
//! servers make the same computations.

use std::{
    collections::VecDeque,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, StreamOwned,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue},
    crypto::{CryptoProvider, SupportedKxGroup, ring},
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use sockeye::{
    TlsAcceptor, TlsConnector,
    tls::{CertificateStore, Settings, self_signed},
};
use sockeye_load::Tls;

use crate::Result;

const NAME: &str = "localhost";
/// Maximum number of session tickets that the client keeps.
const MAX_TICKETS: usize = 1024;

/// How the connections of a row begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshakes {
    /// With a full handshake, for which the server makes a signature.
    Full,
    /// With a session resumed by a ticket of an earlier connection. Only the first connection makes
    /// a full handshake.
    Resumed,
}

/// The certificate of all servers, in files.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Makes a certificate in `dir`.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let (_, [certificate, key]) = self_signed(vec![NAME.to_owned()])?;
        let made = Self { certificate: dir.join("cert.pem"), key: dir.join("key.pem") };
        fs::write(&made.certificate, certificate)?;
        fs::write(&made.key, key)?;
        Ok(made)
    }

    /// The TLS configuration of a server with this certificate.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let pair = [self.certificate.clone(), self.key.clone()];
        Ok(CertificateStore::open(vec![pair], Settings::default())?.acceptor())
    }

    /// A client that trusts this certificate and has no tickets yet. It offers HTTP/2 if `http2` is
    /// set, else HTTP/1.1. Returns `None` if `tls` is `None`: the load doesn't use TLS then.
    pub(crate) fn client_for(
        &self,
        tls: Option<Handshakes>,
        http2: bool,
    ) -> Result<Option<Client>> {
        tls.map(|handshakes| self.client(handshakes, http2)).transpose()
    }

    fn client(&self, handshakes: Handshakes, http2: bool) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.certificate)?)?;
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![if http2 { &b"h2"[..] } else { b"http/1.1" }.to_vec()];
        let tickets = Arc::new(Tickets::default());
        config.resumption = match handshakes {
            Handshakes::Full => Resumption::disabled(),
            Handshakes::Resumed => Resumption::store(Arc::clone(&tickets) as _),
        };
        Ok(Client { config: Arc::new(config), name: NAME.try_into()?, tickets })
    }
}

/// A client of one server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tickets: Arc<Tickets>,
}

/// A connection of the client. Reads and writes block.
pub(crate) type Connection = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    /// The TLS state of a new connection.
    pub(crate) fn connection(&self) -> Result<ClientConnection> {
        Ok(ClientConnection::new(Arc::clone(&self.config), self.name.clone())?)
    }

    /// Uses TLS on a socket. The first read or write makes the handshake.
    pub(crate) fn connect(&self, socket: TcpStream) -> Result<Connection> {
        Ok(StreamOwned::new(self.connection()?, socket))
    }

    /// The number of connections that could not be resumed, because there was no ticket.
    pub(crate) fn missed(&self) -> u64 {
        self.tickets.missed.load(Ordering::Relaxed)
    }

    /// The TLS configuration of this client, for `sockeye-load`.
    pub(crate) fn load(&self) -> Tls {
        let connector = TlsConnector::new(Arc::clone(&self.config), self.name.clone());
        Tls { connector, explain: Arc::new(|_| None) }
    }
}

/// Checks that a connection has begun as `wanted`, with HTTP/2 if and only if `http2` is set, and
/// with the key exchange that all servers have to use.
pub(crate) fn check(connection: &ClientConnection, wanted: Handshakes, http2: bool) -> Result<()> {
    // A server without ALPN selects no protocol, and speaks HTTP/1.1. This is an error only with
    // `http2`.
    let protocol = connection.alpn_protocol();
    if (protocol == Some(b"h2")) != http2 {
        let name = String::from_utf8_lossy(protocol.unwrap_or(b"none"));
        return Err(format!("the protocol is {name}").into());
    }
    let kind = match wanted {
        Handshakes::Full => HandshakeKind::Full,
        Handshakes::Resumed => HandshakeKind::Resumed,
    };
    let made = connection.handshake_kind();
    if made != Some(kind) {
        return Err(format!("the handshake is {made:?} instead of {kind:?}").into());
    }
    let group = connection.negotiated_key_exchange_group().map(SupportedKxGroup::name);
    if group != Some(NamedGroup::X25519) {
        return Err(format!("the key exchange is {group:?}").into());
    }
    Ok(())
}

/// Tickets of one server, each for one connection. rustls' own store keeps eight, but 64
/// connections may begin at the same time.
#[derive(Debug, Default)]
struct Tickets {
    kept: Mutex<VecDeque<Tls13ClientSessionValue>>,
    /// Number of connections for which there was no ticket.
    missed: AtomicU64,
}

impl Tickets {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Tls13ClientSessionValue>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut kept = self.kept();
        if kept.len() < MAX_TICKETS {
            kept.push_back(ticket);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let ticket = self.kept().pop_front();
        if ticket.is_none() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        ticket
    }
}

/// A socket, or TLS on one.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

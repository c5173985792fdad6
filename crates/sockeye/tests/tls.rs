//! HTTP over TLS, with rustls as the client.

mod stepped;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, process};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned};
use sockeye::engine::driver::Driver;
use sockeye::files::{CacheLimits, Folder, memory::Memory};
use sockeye::http::{self, Body, Options, Request};
use sockeye::message;
use sockeye::tls::{CertificateStore, Settings, provider, self_signed};
use sockeye::{
    Config, Consumed, End, Event, Fault, HandshakeStats, ListenAddr, Peer, Protocol, Serving, Time,
    TlsAcceptor, Turn, http_core, usable_cores,
};

#[expect(dead_code, reason = "its main is unused here")]
#[path = "../examples/https.rs"]
mod https;

/// Timeout of each read of a test: far longer than any should take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A folder with `cert.pem` and `key.pem`, which is removed at the end.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tls-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Writes a certificate for localhost, and returns it in PEM.
    fn write(&self) -> String {
        let (_, [certificate, key]) = self_signed(vec!["localhost".into()]).unwrap();
        fs::write(self.0.join("cert.pem"), &certificate).unwrap();
        fs::write(self.0.join("key.pem"), key).unwrap();
        certificate
    }

    fn open(&self) -> CertificateStore {
        let pair = ["cert.pem", "key.pem"].map(|name| self.0.join(name));
        CertificateStore::open(vec![pair], Settings::default()).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What is left is in the folder of builds.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// TLS for localhost, and a client that trusts it.
fn tls() -> (TlsAcceptor, Arc<ClientConfig>) {
    let files = Files::new();
    let certificate = files.write();
    (files.open().acceptor(), client(&certificate))
}

/// A client that trusts this certificate in PEM.
fn client(pem: &str) -> Arc<ClientConfig> {
    let mut client = builder(pem).with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(client)
}

fn builder(pem: &str) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

type Client = StreamOwned<ClientConnection, TcpStream>;

fn connect(client: &Arc<ClientConfig>, address: SocketAddr) -> Client {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), socket)
}

/// The response to a request that asks to close. Without close_notify, reading fails.
fn get(client: &mut Client, path: &str) -> io::Result<Vec<u8>> {
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    client.read_to_end(&mut response)?;
    Ok(response)
}

fn any_port() -> ListenAddr {
    SocketAddr::from(([127, 0, 0, 1], 0)).into()
}

fn content(response: &[u8]) -> &[u8] {
    let at = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    &response[at + 4..]
}

#[test]
fn a_handler_knows_what_the_handshake_has_agreed_on() {
    let (acceptor, client) = tls();
    let options = Options::default().with_tls(acceptor);
    let answer = |request: Request<Body>| {
        let tls = request.extensions().get::<Peer>().and_then(|peer| peer.tls.clone());
        let tls = tls.expect("the connection has TLS");
        let alpn = tls.alpn.as_deref().map(String::from_utf8_lossy);
        format!("{} {} {:?} {:?}", tls.version, tls.cipher_suite, alpn, tls.server_name)
    };
    let serving = http::serve(&[any_port()], options, answer).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let response = get(&mut connect(&client, address), "/").unwrap();
    assert_eq!(
        String::from_utf8_lossy(content(&response)),
        "TLSv1.3 TLS_AES_256_GCM_SHA384 Some(\"http/1.1\") Some(\"localhost\")"
    );
    // By default, HTTP/2 is chosen if the client has it. Its server sends SETTINGS first.
    let mut both = ClientConfig::clone(&client);
    both.alpn_protocols.push(b"h2".to_vec());
    let mut client = connect(&Arc::new(both), address);
    let mut first = [0; 4];
    client.read_exact(&mut first).unwrap();
    assert_eq!((client.conn.alpn_protocol(), first[3]), (Some(&b"h2"[..]), 4));
    drop(client);
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn the_example_knows_its_clients_certificate() {
    let files = Files::new();
    let root = files.write();
    let pair = ["cert.pem", "key.pem"].map(|name| files.0.join(name));
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let client_ca = files.0.join("clients.pem");
    fs::write(&client_ca, params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "ann");
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.signed_by(&key, &authority).unwrap().der().clone()];
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let (serving, _store) = https::serve(any_port(), pair, Some(client_ca)).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let nobody = get(&mut connect(&client(&root), address), "/").unwrap();
    assert!(content(&nobody).ends_with(b", no client certificate\n"));
    let somebody = builder(&root).with_client_auth_cert(chain, key).unwrap();
    let somebody = get(&mut connect(&Arc::new(somebody), address), "/").unwrap();
    let text = String::from_utf8_lossy(content(&somebody));
    assert!(text.starts_with("TLSv1.3 with TLS") && text.ends_with(", CN=ann\n"), "{text}");
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn sessions_are_resumed_by_any_worker() {
    let (acceptor, client) = tls();
    let options = Options::default().with_tls(acceptor);
    let answer = |request: Request<Body>| {
        let tls = request.extensions().get::<Peer>().and_then(|peer| peer.tls.clone());
        tls.is_some_and(|tls| tls.resumed).to_string()
    };
    let serving = http::serve(&[any_port()], options, answer).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let mut resumed = 0;
    for _ in 0..8 {
        let response = get(&mut connect(&client, address), "/").unwrap();
        resumed += usize::from(content(&response) == b"true");
    }
    assert_eq!(resumed, 7, "all but the first");
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn handshakes_are_counted() {
    let (acceptor, client) = tls();
    let options = Options::default().with_tls(acceptor);
    let serving = http::serve(&[any_port()], options, |_| "ok").unwrap();
    let address = serving.ip_addresses().next().unwrap();
    for _ in 0..3 {
        get(&mut connect(&client, address), "/").unwrap();
    }
    // A malformed hello, the beginning of one, plain HTTP, and a port scan.
    for sent in [&b"\x16\x03\x01\0\x05\x01\0\0\x01\0"[..], b"\x16\x03", b"GET / HTTP/1.0", b""] {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(sent).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        // The server may reset the connection.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    serving.handle().drain();
    let stats = serving.join().unwrap();
    let HandshakeStats { completed, resumed, failed } = stats.handshakes;
    assert_eq!((completed, resumed, failed), (3, 2, 3), "{:?}", stats.closed);
    for code in ["tls_malformed", "tls_cut", "not_tls"] {
        assert_eq!(stats.closed_for(code), 1, "{:?}", stats.closed);
    }
}

#[test]
fn a_message_service_knows_that_it_has_tls() {
    let (acceptor, client) = tls();
    let options = message::Options::default().with_tls(acceptor);
    let serving =
        message::serve(&[any_port()], options, |request: message::Request| request.message)
            .unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let help = get(&mut connect(&client, address), "/").unwrap();
    let help = String::from_utf8_lossy(&help);
    assert!(help.contains(" https://HOST:PORT/\n"), "{help}");
    for (scheme, status) in [("https", "200 OK"), ("http", "403 Forbidden")] {
        let mut client = connect(&client, address);
        let fields = "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n";
        let origin = format!("Host: localhost\r\nOrigin: {scheme}://localhost\r\n");
        write!(client, "POST / HTTP/1.1\r\n{origin}{fields}\r\n{{}}").unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
    }
    serving.handle().drain();
    serving.join().unwrap();
}

/// Sends back what it gets first, and closes.
struct EchoOnce;

impl Protocol for EchoOnce {
    fn on_bytes(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        turn.out.write(bytes);
        turn.end(End::Close);
        Ok(Consumed::more(bytes.len()))
    }
    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// The client sends its request with the end of the handshake, as most do.
#[test]
fn tickets_the_last_response_and_close_notify_are_one_send() {
    let (acceptor, client) = tls();
    let (mut worker, address) = stepped::worker(|_: &Peer| EchoOnce, Some(acceptor));
    let mut client = connect(&client, address);
    client.sock.set_nonblocking(true).unwrap();
    client.conn.writer().write_all(b"Hello over TLS").unwrap();
    let mut received = Vec::new();
    loop {
        match client.read_to_end(&mut received) {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // The bytes may not have arrived yet, though the worker is idle.
                let until = worker.driver().now() + Duration::from_millis(10);
                worker.turn_until(until).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(received, b"Hello over TLS");
    assert_eq!(client.conn.tls13_tickets_received(), 2);
    assert_eq!(worker.driver().calls().send, 2, "the first one is the answer to the client hello");
}

#[test]
fn files_arrive_whole_over_tls() {
    let (acceptor, client) = tls();
    let store = Memory::new();
    let sizes = [0, 1, 1_000, 16_384, 70_000, 3_000_000];
    let bytes = |size: usize| (0..size).map(|at| (at / 5) as u8).collect::<Vec<_>>();
    for size in sizes {
        store.write(&format!("{size}.bin"), bytes(size));
    }
    let folder = Folder::new(store);
    let config = Config { tls: Some(acceptor), ..Config::default() };
    let serving = Serving::start(&[any_port()], usable_cores(), config, move |_, _| {
        let config = std::rc::Rc::new(http_core::ServerConfig::default());
        let site = folder.site(CacheLimits::default());
        (site.clone(), move |_: &Peer| http_core::Server::new(config.clone(), site.clone()))
    })
    .unwrap();
    let address = serving.ip_addresses().next().unwrap();
    for size in sizes {
        let mut client = connect(&client, address);
        let response = get(&mut client, &format!("/{size}.bin")).unwrap();
        assert!(content(&response) == bytes(size), "{size}: {} bytes", response.len());
    }
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn a_replaced_certificate_is_for_new_connections() {
    let files = Files::new();
    let first = files.write();
    let mut store = files.open();
    let options = Options::default().with_tls(store.acceptor());
    let serving = http::serve(&[any_port()], options, |_| "ok").unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let resuming = client(&first);
    let mut before = connect(&resuming, address);
    before.flush().unwrap();
    while before.conn.is_handshaking() {
        before.conn.complete_io(&mut before.sock).unwrap();
    }
    assert!(store.reload().is_none());
    let second = files.write();
    store.reload().expect("a change").unwrap();
    assert_eq!(content(&get(&mut connect(&client(&second), address), "/").unwrap()), b"ok");
    assert_eq!(content(&get(&mut before, "/").unwrap()), b"ok", "the connection goes on");
    // A ticket outlives the certificate; without one, the old certificate isn't there any more.
    get(&mut connect(&resuming, address), "/").unwrap();
    get(&mut connect(&client(&first), address), "/").unwrap_err();
    serving.handle().drain();
    serving.join().unwrap();
}

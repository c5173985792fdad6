//! Certificates that are replaced while a server runs, with rustls as the client.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use sockeye::http::{self, Options};
use sockeye::tls::{CertificateStore, ClientCa, Settings, provider, self_signed};
use sockeye::{Config, Serving};

/// Timeout of each read of a test: far longer than any should take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("sockeye-certificates-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Replaces the certificate in `both.pem`. Returns a client that trusts the new one only.
fn replace(folder: &Path) -> Arc<ClientConfig> {
    let (_, [cert, key]) = self_signed(vec!["localhost".into()]).unwrap();
    fs::write(folder.join("both.pem"), format!("{cert}{key}")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(client)
}

fn serve(folder: &Path) -> (CertificateStore, Serving, SocketAddr) {
    let both = folder.join("both.pem");
    let store = CertificateStore::open(vec![[both.clone(), both]], Settings::default()).unwrap();
    let config = Config { tls: Some(store.acceptor()), ..Config::default() };
    let options = Options { config, ..Options::default() };
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0)).into();
    let serving = http::serve(&[any_port], options, |_| "ok").unwrap();
    let address = serving.ip_addresses().next().unwrap();
    (store, serving, address)
}

type Client = StreamOwned<ClientConnection, TcpStream>;

fn connect(client: &Arc<ClientConfig>, address: SocketAddr) -> Client {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), socket)
}

/// Sends a request and returns how the handshake went.
fn get(client: &mut Client) -> io::Result<HandshakeKind> {
    write!(client, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    client.read_to_string(&mut response)?;
    assert!(response.ends_with("\r\n\r\nok"), "{response}");
    Ok(client.conn.handshake_kind().unwrap())
}

#[test]
fn a_reloaded_certificate_is_for_new_connections() {
    let folder = Folder::new("reload");
    // A resumed session would show the certificate that it began with.
    let mut first = ClientConfig::clone(&replace(&folder.0));
    first.resumption = Resumption::disabled();
    let first = Arc::new(first);
    let (mut store, serving, address) = serve(&folder.0);
    let mut open = connect(&first, address);
    open.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    while open.conn.is_handshaking() {
        open.conn.complete_io(&mut open.sock).unwrap();
    }
    let second = replace(&folder.0);
    store.reload().unwrap().unwrap();
    get(&mut connect(&second, address)).unwrap();
    get(&mut connect(&first, address)).unwrap_err();
    write!(open, "Host: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    open.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("\r\n\r\nok"), "{response}");
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn a_ticket_is_refused_once_clients_need_certificates() {
    let folder = Folder::new("tickets");
    let client = replace(&folder.0);
    let (mut store, serving, address) = serve(&folder.0);
    assert_eq!(get(&mut connect(&client, address)).unwrap(), HandshakeKind::Full);
    assert_eq!(get(&mut connect(&client, address)).unwrap(), HandshakeKind::Resumed);
    let ca = folder.0.join("ca.pem");
    fs::write(&ca, include_str!("tls_certificates/ca.pem")).unwrap();
    let client_ca = Some(ClientCa { path: ca, required: true });
    store.reconfigure(Settings { client_ca, ..Settings::default() }).unwrap();
    get(&mut connect(&client, address)).unwrap_err();
    store.reconfigure(Settings::default()).unwrap();
    assert_eq!(get(&mut connect(&client, address)).unwrap(), HandshakeKind::Full);
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn a_main_that_returns_an_error_prints_a_sentence() {
    let pair = ["none.pem".into(), "key.pem".into()];
    let store = CertificateStore::open(vec![pair], Settings::default());
    let error: Box<dyn std::error::Error> = store.unwrap_err().into();
    assert_eq!(
        format!("{error:?}"),
        "cannot read none.pem: No such file or directory (os error 2)"
    );
}

//! HTTP over TLS, with rustls as the client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sockeye::files::{CacheLimits, Folder, memory::Memory};
use sockeye::http::{self, Body, Options, Request};
use sockeye::tls::{Settings, provider, self_signed};
use sockeye::{Config, ListenAddr, Peer, Serving, TlsAcceptor, http_core, usable_cores};

/// Timeout of each read of a test: far longer than any should take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// TLS for this name, and a client that trusts it.
fn tls(name: &str) -> (TlsAcceptor, Arc<ClientConfig>) {
    let (certificate, [pem, _]) = self_signed(vec![name.into()]).unwrap();
    let config = Settings::default().server_config(vec![certificate]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::new(&config), Arc::new(client))
}

type Client = StreamOwned<ClientConnection, TcpStream>;

fn connect(client: &Arc<ClientConfig>, name: &str, address: SocketAddr) -> Client {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
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
    let (acceptor, client) = tls("localhost");
    let config = Config { tls: Some(acceptor), ..Config::default() };
    let options = Options { config, ..Options::default() };
    let answer = |request: Request<Body>| {
        let tls = request.extensions().get::<Peer>().and_then(|peer| peer.tls.clone());
        let tls = tls.expect("the connection has TLS");
        let alpn = tls.alpn.as_deref().map(String::from_utf8_lossy);
        format!("{} {} {:?} {:?}", tls.version, tls.cipher_suite, alpn, tls.server_name)
    };
    let serving = http::serve(&[any_port()], options, answer).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let response = get(&mut connect(&client, "localhost", address), "/").unwrap();
    assert_eq!(
        String::from_utf8_lossy(content(&response)),
        "TLSv1.3 TLS_AES_256_GCM_SHA384 Some(\"http/1.1\") Some(\"localhost\")"
    );
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn sessions_are_resumed_by_any_worker() {
    let (acceptor, client) = tls("localhost");
    let config = Config { tls: Some(acceptor), ..Config::default() };
    let options = Options { config, ..Options::default() };
    let answer = |request: Request<Body>| {
        let tls = request.extensions().get::<Peer>().and_then(|peer| peer.tls.clone());
        tls.is_some_and(|tls| tls.resumed).to_string()
    };
    let serving = http::serve(&[any_port()], options, answer).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let mut resumed = 0;
    for _ in 0..8 {
        let response = get(&mut connect(&client, "localhost", address), "/").unwrap();
        resumed += usize::from(content(&response) == b"true");
    }
    assert_eq!(resumed, 7, "all but the first");
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn files_arrive_whole_over_tls() {
    let (acceptor, client) = tls("localhost");
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
        let mut client = connect(&client, "localhost", address);
        let response = get(&mut client, &format!("/{size}.bin")).unwrap();
        assert!(content(&response) == bytes(size), "{size}: {} bytes", response.len());
    }
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn a_replaced_certificate_is_for_new_connections() {
    let ((acceptor, first), (_, second)) = (tls("localhost"), tls("localhost"));
    let (certificate, [pem, _]) = self_signed(vec!["localhost".into()]).unwrap();
    drop(second);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let second = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let second = Arc::new(second);
    let config = Config { tls: Some(acceptor.clone()), ..Config::default() };
    let options = Options { config, ..Options::default() };
    let serving = http::serve(&[any_port()], options, |_| "ok").unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let mut before = connect(&first, "localhost", address);
    before.flush().unwrap();
    while before.conn.is_handshaking() {
        before.conn.complete_io(&mut before.sock).unwrap();
    }
    acceptor.replace(&Settings::default().server_config(vec![certificate]).unwrap());
    assert_eq!(content(&get(&mut connect(&second, "localhost", address), "/").unwrap()), b"ok");
    assert_eq!(content(&get(&mut before, "/").unwrap()), b"ok", "the connection goes on");
    get(&mut connect(&first, "localhost", address), "/").unwrap_err();
    serving.handle().drain();
    serving.join().unwrap();
}

//! An axum app over TLS: its handlers know what the handshake has agreed on.

#[expect(dead_code, reason = "this test uses only a part of the client")]
#[path = "../../sockeye/tests/http/h2_client.rs"]
mod h2_client;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use axum::http::header::UPGRADE;
use axum::http::{Request, StatusCode, Uri};
use axum::routing::get;
use axum::{Extension, Router};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use sockeye::http::Options;
use sockeye::{Peer, TlsAcceptor, tls};
use tokio::io::AsyncReadExt;

/// Timeout of each read: far longer than any should take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A certificate, signed by itself, and its key.
fn pair(name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec![name.into()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

fn roots(certificate: &CertificateDer<'static>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    Arc::new(roots)
}

/// What a handler says about its client.
async fn who(Extension(peer): Extension<Peer>, uri: Uri) -> Result<String, StatusCode> {
    let tls = peer.tls.as_deref().ok_or(StatusCode::FORBIDDEN)?;
    let alpn = tls.alpn.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let name = tls.server_name.as_deref().unwrap_or_default();
    let client = tls.client_certificates.first().and_then(|certificate| tls::subject(certificate));
    let client = client.unwrap_or_else(|| "nobody".into());
    let resumed = tls.resumed;
    Ok(format!("{} {alpn} {name} {client} {resumed} {uri}", tls.version))
}

#[test]
fn a_handler_reads_version_alpn_name_and_client_certificate() {
    let (server, client) = (pair("localhost"), pair("client.example"));
    let provider = tls::provider();
    // A configuration of the user's own, with client certificates.
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(&client.0), Arc::clone(&provider));
    let verifier = verifier.allow_unauthenticated().build().unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.0.clone()], server.1)
        .unwrap();
    config.alpn_protocols = tls::HTTP_ALPN.map(<[u8]>::to_vec).into();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let app = Router::new().route("/{*path}", get(who));
    let addresses = ["127.0.0.1:0".parse().unwrap()];
    let options = Options::default().with_tls(TlsAcceptor::new(&config));
    let serving = sockeye_tower::serve(&addresses, options, runtime.handle(), app).unwrap();
    let address = serving.ip_addresses().next().unwrap();

    let builder = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&server.0))
    };
    let mut nobody = builder().with_no_client_auth();
    let mut over_http2 = nobody.clone();
    nobody.alpn_protocols = vec![b"http/1.1".to_vec()];
    over_http2.alpn_protocols = vec![b"h2".to_vec()];
    let somebody = builder().with_client_auth_cert(vec![client.0], client.1).unwrap();
    for (config, expected) in [
        (nobody, "TLSv1.3 http/1.1 localhost nobody false /a?b"),
        (somebody, "TLSv1.3  localhost CN=client.example false /a?b"),
    ] {
        assert_eq!(content(config, address), expected);
    }
    let expected = "TLSv1.3 h2 localhost nobody true https://localhost/a?b";
    assert_eq!(runtime.block_on(content_over_http2(over_http2, address)), expected);
    serving.handle().drain();
    serving.join().unwrap();
    runtime.shutdown_background();
}

/// Over TLS, only close_notify says that a peer has sent everything.
#[test]
fn an_upgraded_task_sees_whether_its_input_was_cut() {
    let server = pair("localhost");
    let provider = tls::provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.0.clone()], server.1)
        .unwrap();
    config.alpn_protocols = tls::HTTP_ALPN.map(<[u8]>::to_vec).into();
    let (to_test, ends) = mpsc::channel();
    let handler = |mut request: axum::extract::Request| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let mut received = Vec::new();
            let end = io.read_to_end(&mut received).await.map_err(|error| error.kind());
            to_test.send((received, end)).unwrap();
        });
        (StatusCode::SWITCHING_PROTOCOLS, [(UPGRADE, "raw")])
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let app = Router::new().route("/", get(handler));
    let addresses = ["127.0.0.1:0".parse().unwrap()];
    let options = Options::default().with_tls(TlsAcceptor::new(&config));
    let serving = sockeye_tower::serve(&addresses, options, runtime.handle(), app).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&server.0))
        .with_no_client_auth();
    for (is_cut, end) in [(false, Ok(3)), (true, Err(ErrorKind::UnexpectedEof))] {
        let mut stream = connect(client.clone(), address);
        let fields = "Host: localhost\r\nConnection: upgrade\r\nUpgrade: raw\r\n";
        write!(stream, "GET / HTTP/1.1\r\n{fields}\r\nabc").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 101");
        if !is_cut {
            stream.conn.send_close_notify();
        }
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ends.recv_timeout(TIMEOUT).unwrap(), (b"abc".to_vec(), end), "{is_cut}");
    }
    serving.handle().drain();
    serving.join().unwrap();
    runtime.shutdown_background();
}

fn connect(config: ClientConfig, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, socket)
}

/// The content that a GET over HTTP/2 gets.
async fn content_over_http2(config: ClientConfig, address: SocketAddr) -> String {
    let mut stream = connect(config, address);
    stream.conn.complete_io(&mut stream.sock).unwrap();
    let socket = stream.sock.try_clone().unwrap();
    let mut client = h2_client::start(&socket, stream).await;
    let request = Request::get("https://localhost/a?b").body(()).unwrap();
    h2_client::exchange(&mut client, request).await.unwrap().text().to_owned()
}

/// The content that `GET /a?b` gets.
fn content(config: ClientConfig, address: SocketAddr) -> String {
    let mut stream = connect(config, address);
    write!(stream, "GET /a?b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, content) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    content.to_owned()
}

//! TLS on real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, Server, TlsAcceptor};
use sockeye_proto::echo::Echo;

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

#[test]
fn an_echo_over_tls_ends_cleanly() {
    let (client, tls) = configs();
    let config = Config { tls: Some(TlsAcceptor::new(&tls)), ..Config::default() };
    let server =
        Server::bind(&["127.0.0.1:0".parse().unwrap()], NonZeroUsize::MIN, config).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    let running = server.serve(|_| Echo::default()).unwrap();
    for size in [1, 1000, 100_000, 3_000_000] {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream =
            StreamOwned::new(ClientConnection::new(Arc::clone(&client), name).unwrap(), socket);
        let sent: Vec<u8> = (0..size).map(|at: u32| (at / 3) as u8).collect();
        let mut got = vec![0; size as usize];
        for (sent, got) in sent.chunks(50_000).zip(got.chunks_mut(50_000)) {
            stream.write_all(sent).unwrap();
            stream.flush().unwrap();
            stream.read_exact(got).unwrap();
        }
        assert!(got == sent, "{size}");
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        // Without close_notify, this would be an error.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    running.handle().drain();
    running.join().unwrap();
}

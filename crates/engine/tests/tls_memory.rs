//! What handshakes hold that never end. This test has a process of its own: resident memory belongs
//! to the whole process.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, Server, TlsAcceptor};
use sockeye_proto::echo::Echo;

/// Resident memory in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_thousand_half_open_handshakes_hold_less_than_20_mib() {
    const COUNT: usize = 1000;
    // All of a hello but its last bytes, in one record.
    const HELLO: usize = 16_000;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = sockeye_tls::provider();
    let tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Arc::new(client);
    let config = Config { tls: Some(TlsAcceptor::new(&tls)), ..Config::default() };
    let any_port = ["127.0.0.1:0".parse().unwrap()];
    let server = Server::bind(&any_port, NonZeroUsize::MIN, config).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    let running = server.serve(|_| Echo::default()).unwrap();
    let mut hello = vec![0; HELLO];
    hello[..5].copy_from_slice(&[22, 3, 1, 0x3F, 0xFF]);
    // When it has an echo, the server has read what other clients sent before.
    let echo = || {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(&client), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    };
    echo();
    let start = resident();
    let mut clients = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let mut client = TcpStream::connect(address).unwrap();
        // In two parts, so that the rest has to be added.
        client.write_all(&hello[..10_000]).unwrap();
        clients.push(client);
    }
    echo();
    for client in &mut clients {
        client.write_all(&hello[10_000..]).unwrap();
    }
    echo();
    echo();
    let held = resident().saturating_sub(start);
    println!("{} bytes for each", held / COUNT);
    assert!(held > COUNT * HELLO && held < 20 << 20, "{held}");
    running.handle().stop();
    running.join().unwrap();
}

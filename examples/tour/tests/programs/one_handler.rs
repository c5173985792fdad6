//! Step 12.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sockeye::tls::rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use sockeye::tls::{ClientSettings, Trust};

use crate::http10::exchange;
use crate::support::{Server, rust};

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("step12")
}

fn start() -> Server {
    Server::rust_with(&mut rust!("step12-server"), &[folder().to_str().unwrap()])
}

/// Connects, trusting the server's certificate, and agrees on `protocol`.
fn connect(server: &Server, protocol: &str) -> Tls {
    let trust = Trust::Files(vec![folder().join("self-signed.crt")]);
    let settings = ClientSettings { alpn: vec![protocol.into()], trust, ..Default::default() };
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(settings.config().unwrap()), name).unwrap();
    let mut connection = StreamOwned::new(tls, server.connect());
    connection.conn.complete_io(&mut connection.sock).unwrap();
    assert_eq!(connection.conn.alpn_protocol(), Some(protocol.as_bytes()));
    connection
}

/// Reads until `end` has arrived.
fn read_until(connection: &mut Tls, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    bytes
}

#[test]
fn http11_over_tls_gets_a_page() {
    let server = start();
    let request = "GET /square/12 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let response = exchange(connect(&server, "http/1.1"), request);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n144\n"), "{response}");
}

#[test]
fn http2_gets_the_same_page() {
    let server = start();
    let mut connection = connect(&server, "h2");
    // The preface and an empty SETTINGS frame. Then HEADERS, the whole request on stream 1: GET and
    // https from HPACK's static table, :path and :authority as literals.
    let head = b"\x82\x87\x04\x0a/square/12\x01\x09localhost";
    let frames = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        &[0, 0, u8::try_from(head.len()).unwrap(), 1, 0b101, 0, 0, 0, 1],
        head,
    ];
    connection.write_all(&frames.concat()).unwrap();
    // DATA with END_STREAM on stream 1: 4 bytes.
    read_until(&mut connection, b"\0\0\x04\x00\x01\0\0\0\x01144\n");
}

#[test]
fn a_websocket_answers_each_path_with_its_page() {
    let server = start();
    let mut connection = connect(&server, "http/1.1");
    let upgrade = "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    connection.write_all(upgrade.as_bytes()).unwrap();
    let head = read_until(&mut connection, b"\r\n\r\n");
    assert!(head.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
    for (path, answer) in [("/square/12", "144\n"), ("/nothing", "no such page\n")] {
        // FIN and text; masked, with a mask of zeros; the mask.
        let length = u8::try_from(path.len()).unwrap();
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], path.as_bytes()].concat();
        connection.write_all(&frame).unwrap();
        let received = read_until(&mut connection, b"\n");
        assert_eq!(received[..2], [0x81, u8::try_from(answer.len()).unwrap()]);
        assert_eq!(&received[2..], answer.as_bytes());
    }
}

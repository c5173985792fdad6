//! Step 2.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::{Server, python, run, rust};

#[test]
fn a_loop_serves_a_client_only_when_the_one_before_has_ended() {
    let server = Server::rust(&mut rust!("step2-loop"));
    let mut first = TcpStream::connect(server.address()).unwrap();
    assert_eq!(server.program.line(), accepted(&first));

    // The kernel completes the handshake and takes bytes. The server accepts nobody.
    let mut second = TcpStream::connect(server.address()).unwrap();
    second.write_all(b"second").unwrap();
    for _ in 0..1000 {
        assert_eq!(echoed(&mut first, b"first"), b"first");
    }
    second.set_nonblocking(true).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    second.set_nonblocking(false).unwrap();

    drop(first);
    let mut buffer = *b"......";
    second.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"second");
    assert_eq!(server.program.line(), accepted(&second));
}

#[test]
fn threads_serve_clients_beside_one_that_sends_nothing() {
    let server = Server::rust(&mut rust!("step2-threads"));
    let mut silent = TcpStream::connect(server.address()).unwrap();
    assert_eq!(server.program.line(), accepted(&silent));
    let received = ["received: Hello World"];
    assert_eq!(run(rust!("step1-client").arg(server.address().to_string())), received);
    let port = server.port.to_string();
    assert_eq!(run(python("01_echo/client.py").args(["127.0.0.1", &port])), received);
    assert_eq!(echoed(&mut silent, b"not any more"), b"not any more");
}

/// The line that a server prints when it has accepted this client.
fn accepted(client: &TcpStream) -> String {
    format!("connection from {}", client.local_addr().unwrap())
}

fn echoed(connection: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    connection.write_all(bytes).unwrap();
    let mut buffer = vec![0; bytes.len()];
    connection.read_exact(&mut buffer).unwrap();
    buffer
}

//! Step 4.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::support::{Running, Server, TIMEOUT, rust};

const SERVERS: [fn() -> Server; 3] = [
    || Server::rust(&mut rust!("step4-spin")),
    || Server::rust(&mut rust!("step4-server")),
    || Server::python("04_readiness/server.py"),
];

/// Connects, and has five bytes echoed.
fn greeted(server: &Server) -> TcpStream {
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    client.set_write_timeout(Some(TIMEOUT)).unwrap();
    client.write_all(b"Hello").unwrap();
    let mut received = [0; 5];
    client.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"Hello");
    client
}

#[test]
fn clients_are_served_in_any_order() {
    for start in SERVERS {
        let server = start();
        let mut clients: Vec<_> = (0..5).map(|_| greeted(&server)).collect();
        for (number, client) in (0..5).zip(&mut clients).rev() {
            client.write_all(&[number]).unwrap();
            let mut received = [9];
            client.read_exact(&mut received).unwrap();
            assert_eq!(received, [number]);
        }
        clients[2].shutdown(Shutdown::Write).unwrap();
        assert_eq!(clients[2].read(&mut [0]).unwrap(), 0);
        greeted(&server);
    }
}

#[test]
fn what_the_kernel_does_not_take_is_sent_later() {
    // More than the kernel's buffers hold. All of it is sent before any is read.
    let sent: Vec<u8> = (0..10_000_000u32).map(|at| (at / 1000) as u8).collect();
    for start in SERVERS {
        let server = start();
        let mut client = greeted(&server);
        client.write_all(&sent).unwrap();
        let mut received = vec![0; sent.len()];
        client.read_exact(&mut received).unwrap();
        assert!(received == sent);
        greeted(&server);
    }
}

#[test]
fn one_thread_serves_many_idle_clients_and_sleeps() {
    let server = Server::rust(&mut rust!("step4-server"));
    let mut idle = rust!("step4-idle");
    let idle = Running::start(idle.args([&server.address().to_string(), "100"]));
    assert_eq!(idle.line(), "open connections: 100");
    let status = server.program.status();
    assert!(status.contains("\nThreads:\t1\n"), "{status}");
    server.program.until_asleep();
}

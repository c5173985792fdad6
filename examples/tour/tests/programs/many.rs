//! Step 5.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::{Running, Server, TIMEOUT, python, run, rust};

/// The servers that hold a bounded amount for each client.
const BOUNDED: &[fn() -> Server] =
    &[|| Server::rust(&mut rust!("step5-server")), || Server::rust(&mut rust!("step6-server"))];

/// A client of step 5 with this many connections.
const CLIENTS: [fn(&Server, u32) -> Command; 2] = [
    |server, count| {
        let mut command = rust!("step5-client");
        command.args([server.address().to_string(), count.to_string()]);
        command
    },
    |server, count| {
        let mut command = python("05_many/client.py");
        command.args(["127.0.0.1", &server.port.to_string(), &count.to_string()]);
        command
    },
];

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_by_key(|line| (line.len(), line.clone()));
    lines
}

fn complete(count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("connection {number} complete")).collect()
}

#[test]
fn each_client_completes_on_many_connections_with_each_server() {
    let unbounded: [fn() -> Server; 2] =
        [|| Server::rust(&mut rust!("step4-server")), || Server::python("04_readiness/server.py")];
    for start in unbounded.iter().chain(BOUNDED) {
        let server = start();
        for client in CLIENTS {
            assert_eq!(sorted(run(&mut client(&server, 50))), complete(50));
        }
    }
}

/// A client that sends up to 64 MB without reading, and what it says.
fn greedy_client(server: &Server) -> (Running, String) {
    let mut greedy = rust!("step5-greedy");
    let greedy = Running::start(greedy.args([&server.address().to_string(), "64"]));
    let line = greedy.line();
    (greedy, line)
}

/// The most memory that a server has used, in kB.
fn memory(server: &Server) -> u64 {
    let status = server.program.status();
    let rest = status.split_once("VmHWM:").unwrap().1;
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn step_4_holds_all_that_it_cannot_send() {
    let server = Server::rust(&mut rust!("step4-server"));
    let (_greedy, line) = greedy_client(&server);
    assert_eq!(line, "sent 64 MB");
    // Another client is served when the server has read all that is there.
    assert_eq!(run(&mut CLIENTS[0](&server, 1)), complete(1));
    assert!(memory(&server) > 32_000, "{} kB", memory(&server));
}

#[test]
fn from_step_5_a_thousand_clients_can_connect_at_once() {
    for start in BOUNDED {
        let server = start();
        for client in CLIENTS {
            assert_eq!(sorted(run(&mut client(&server, 1000))), complete(1000));
        }
    }
}

#[test]
fn from_step_5_a_server_stops_reading_from_a_client_that_does_not_read() {
    for start in BOUNDED {
        let server = start();
        let (_greedy, line) = greedy_client(&server);
        assert!(line.starts_with("blocked after "), "{line}");
        assert!(memory(&server) < 16_000, "{} kB", memory(&server));
        assert_eq!(run(&mut CLIENTS[0](&server, 1)), complete(1));
    }
}

/// Lets a server open 20 descriptors at most.
fn limit_descriptors(server: &Server) {
    let id = Pid::from_raw(server.program.id().cast_signed()).unwrap();
    let few = Rlimit { current: Some(20), maximum: Some(20) };
    prlimit(Some(id), Resource::Nofile, few).unwrap();
}

#[test]
fn from_step_5_a_server_without_a_free_descriptor_accepts_later() {
    for start in BOUNDED {
        let server = start();
        limit_descriptors(&server);
        // More than the server can accept: at the first, its descriptors are free again.
        let connect = |_| TcpStream::connect(server.address()).unwrap();
        let mut clients: Vec<_> = (0..30).map(connect).collect();
        for mut client in clients.drain(..) {
            client.set_read_timeout(Some(TIMEOUT)).unwrap();
            client.write_all(b"?").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
    }
}

#[test]
fn step_4_ends_without_a_free_descriptor() {
    let server = Server::rust(&mut rust!("step4-server"));
    limit_descriptors(&server);
    let _clients: Vec<_> = (0..30).map(|_| TcpStream::connect(server.address())).collect();
    server.program.fails();
}

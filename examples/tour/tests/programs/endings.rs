//! Step 6.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Server, TIMEOUT, run, rust};

fn connect(server: &Server) -> TcpStream {
    let client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    client.set_write_timeout(Some(TIMEOUT)).unwrap();
    client
}

/// What comes back for `Hello` if it and the end of input are there before the server reads.
fn hello_at_once(server: &Server) -> Vec<u8> {
    let id = Pid::from_raw(server.program.id().cast_signed()).unwrap();
    kill_process(id, Signal::STOP).unwrap();
    let mut client = connect(server);
    client.write_all(b"Hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    kill_process(id, Signal::CONT).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    received
}

#[test]
fn step_5_loses_what_is_unsent_at_the_end_of_input() {
    assert_eq!(hello_at_once(&Server::rust(&mut rust!("step5-server"))), b"");
}

#[test]
fn what_comes_with_the_end_of_input_is_sent() {
    let server = Server::rust(&mut rust!("step6-server"));
    assert_eq!(hello_at_once(&server), b"Hello");
    assert!(server.program.line().starts_with("connection from "));
    assert!(server.program.line().ends_with(": all is sent"));
}

#[test]
fn all_is_sent_to_a_client_that_reads_after_the_end_of_its_input() {
    let server = Server::rust(&mut rust!("step6-server"));
    // With one of these sizes, a part of what the server may hold is unsent when it finds the end.
    for size in (1_000_000..6_000_000).step_by(50_000) {
        let mut client = connect(&server);
        let mut writer = client.try_clone().unwrap();
        let writer = thread::spawn(move || {
            writer.write_all(&vec![7; size]).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        // If the kernel's buffers are small, the writer ends only when the client reads.
        let deadline = Instant::now() + Duration::from_secs(2);
        while !writer.is_finished() && Instant::now() < deadline {
            thread::yield_now();
        }
        server.program.until_asleep();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        assert_eq!(received.len(), size);
    }
}

#[test]
fn a_reset_ends_the_server_of_step_5() {
    let server = Server::rust(&mut rust!("step5-server"));
    let others = connect(&server);
    assert!(run(rust!("step6-reset").arg(server.address().to_string())).is_empty());
    server.program.fails();
    drop(others);
}

#[test]
fn a_reset_ends_its_connection_only() {
    let server = Server::rust(&mut rust!("step6-server"));
    let mut other = connect(&server);
    server.program.line();
    assert!(run(rust!("step6-reset").arg(server.address().to_string())).is_empty());
    server.program.line();
    assert!(server.program.line().ends_with(": Connection reset by peer (os error 104)"));
    other.write_all(b"Hello").unwrap();
    other.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_silent_client_is_closed_at_its_deadline() {
    let server = Server::start(rust!("step6-server").args(["127.0.0.1:0", "1"]));
    let mut silent = connect(&server);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    server.program.line();
    assert!(server.program.line().ends_with(": idle"));

    // So is one that never reads.
    let mut greedy = connect(&server);
    let zeros = vec![0; 1 << 20];
    let end: io::Error = loop {
        if let Err(error) = greedy.write_all(&zeros) {
            break error;
        }
    };
    assert!(
        end.kind() == io::ErrorKind::ConnectionReset || end.kind() == io::ErrorKind::BrokenPipe
    );
    server.program.line();
    assert!(server.program.line().ends_with(": idle"));
}

//! Step 9. What a message means is tested beside the code.

use crate::json_header::{check_answers, check_clients};
use crate::messages::exchange;
use crate::support::{Running, Server, python, rust};

#[test]
fn the_clients_of_step_8_work_unchanged() {
    let server = Server::rust(&mut rust!("step9-server"));
    check_clients(&server);
    check_answers(&server);
}

#[test]
fn silent_clients_are_served() {
    let server = Server::rust(&mut rust!("step9-server"));
    let mut client = python("08_json_header/silent.py");
    let client = Running::start(client.args(["127.0.0.1", &server.port.to_string(), "3"]));
    assert_eq!(client.line(), "silent on 3 connections");
    for _ in 0..3 {
        assert!(server.program.line().starts_with("connection from 127.0.0.1:"));
    }
}

#[test]
fn the_protocol_to_begin_with_answers_lines() {
    let server = Server::rust(&mut rust!("step9-blank"));
    let sent = b"apples\n\nx";
    assert_eq!(exchange(&server, [&sent[..]]), b"6 bytes\n0 bytes\n");
    assert_eq!(exchange(&server, sent.chunks(1)), b"6 bytes\n0 bytes\n");
    // A length is in bytes, also of a line that is not UTF-8.
    assert_eq!(exchange(&server, [&b"\xff\xff\n\xc3\xa9\n"[..]]), b"2 bytes\n2 bytes\n");
    let too_long = [&b"x\n"[..], &[b'x'; 1025], b"\nx\n"].concat();
    assert_eq!(exchange(&server, [&too_long[..]]), b"1 bytes\n");
}

#[test]
fn the_exercise_adds_and_each_connection_has_its_own_sums() {
    let server = Server::rust(&mut rust!("step9-exercise"));
    for _ in 0..2 {
        let answers = exchange(&server, [&b"ADD apples 3\nADD pears 4\nSUM\n"[..]]);
        assert_eq!(answers, b"3\n4\n7\n");
    }
}

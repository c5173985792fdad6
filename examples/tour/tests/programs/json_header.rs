//! Step 8.

use std::io;
use std::net::{Shutdown, TcpListener};
use std::thread;

use serde_json::{Value, json};

use crate::messages::exchange;
use crate::support::{Running, Server, python, run, run_failing, rust};

/// A frame with this header, which need not be right.
fn frame(header: &str, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_be_bytes();
    [&length, header.as_bytes(), content].concat()
}

fn header(length: &Value, encoding: &str) -> String {
    json!({
        "byteorder": "big",
        "content-type": "text/json",
        "content-encoding": encoding,
        "content-length": length,
    })
    .to_string()
}

fn request(content: &Value) -> Vec<u8> {
    let content = content.to_string();
    frame(&header(&content.len().into(), "utf-8"), content.as_bytes())
}

/// The contents of the frames, each the text of a `result`.
pub(crate) fn results(mut received: &[u8]) -> Vec<String> {
    let mut results = Vec::new();
    while let Some((length, rest)) = received.split_first_chunk() {
        let (header, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        let header: Value = serde_json::from_slice(header).unwrap();
        let length = header["content-length"].as_u64().unwrap();
        let (content, rest) = rest.split_at(usize::try_from(length).unwrap());
        let content: Value = serde_json::from_slice(content).unwrap();
        results.push(content["result"].as_str().unwrap().to_owned());
        received = rest;
    }
    results
}

/// Checks that both clients work with a server.
pub(crate) fn check_clients(server: &Server) {
    let (address, port) = (server.address().to_string(), server.port.to_string());
    for (action, value, line) in [
        ("search", "ring", "In the caves beneath the Misty Mountains. 💍"),
        ("search", "🐶", "🐾 Playing ball! 🏐"),
        ("search", "nothing", "No match for 'nothing'."),
        ("binary", "\thello", r"b'First 10 bytes of request: binary\thel'"),
    ] {
        assert_eq!(run(rust!("step8-client").args([&address, action, value])), [line]);
        let client = ["127.0.0.1", &port, action, value];
        assert_eq!(run(python("08_json_header/client.py").args(client)), [line]);
    }
}

/// Checks what a server of ours answers to bytes.
pub(crate) fn check_answers(server: &Server) {
    let ring = request(&json!({ "action": "search", "value": "ring" }));
    let two = [&ring[..], &request(&json!({ "action": "search", "value": "x" }))].concat();
    let answers = ["In the caves beneath the Misty Mountains. 💍", "No match for 'x'."];
    assert_eq!(results(&exchange(server, [&two[..]])), answers);
    assert_eq!(results(&exchange(server, two.chunks(1))), answers);
    assert!(exchange(server, []).is_empty());

    let no_length = header(&Value::Null, "utf-8");
    for (sent, error) in [
        (request(&json!({ "action": "dance" })), "invalid action 'dance'."),
        (request(&json!({ "action": "search" })), "the search has no text 'value'"),
        (frame(&header(&2.into(), "klingon"), b"{}"), "the encoding 'klingon' is not supported"),
        (frame(&header(&2.into(), "utf-8"), b"{]"), "the content is not JSON: "),
        (frame("nonsense", b""), "the header is not JSON: "),
        (frame("[]", b""), "the header has no text 'byteorder'"),
        (frame(&no_length, b""), "the header has no 'content-length'"),
        (frame(&header(&(-1).into(), "utf-8"), b""), "the header has no 'content-length'"),
        (
            frame(&header(&4_000_000_000_u64.into(), "utf-8"), b""),
            "content of 4000000000 bytes: the limit is 524288",
        ),
        (frame(&header(&9.into(), "utf-8"), b"{"), "ended within a frame"),
        (ring[..20].to_vec(), "ended within a frame"),
        (ring[..1].to_vec(), "ended within a frame"),
    ] {
        let found = results(&exchange(server, [&sent[..]]));
        assert_eq!(found.len(), 1, "{error}");
        assert!(
            found[0].starts_with(&format!("Error: {error}")),
            "{} instead of {error}",
            found[0]
        );
    }
}

#[test]
fn clients_and_servers_of_both_languages_work_together() {
    check_clients(&Server::rust(&mut rust!("step8-server")));
    check_clients(&Server::python("08_json_header/server.py"));
}

#[test]
fn requests_and_errors_are_answered() {
    check_answers(&Server::rust(&mut rust!("step8-server")));
}

#[test]
fn half_a_megabyte_is_answered_and_one_byte_more_is_an_error() {
    let server = Server::rust(&mut rust!("step8-server"));
    let header = |length| {
        let header = json!({
            "byteorder": "big",
            "content-type": "a/b",
            "content-encoding": "binary",
            "content-length": length,
        });
        header.to_string()
    };
    let answer = exchange(&server, [&frame(&header(1 << 19), &[b'x'; 1 << 19])[..]]);
    assert!(answer.ends_with(b"}First 10 bytes of request: xxxxxxxxxx"));
    let answer = results(&exchange(&server, [&frame(&header((1 << 19) + 1), b"")[..]]));
    assert_eq!(answer, ["Error: content of 524289 bytes: the limit is 524288"]);
}

#[test]
fn a_client_says_that_a_server_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut connection, &mut io::sink()).unwrap();
    });
    let error = run_failing(rust!("step8-client").args([&address, "search", "ring"]));
    assert_eq!(error, "step8-client: the server closed\n");
    server.join().unwrap();
}

#[test]
fn silent_clients_are_served_and_then_awaited() {
    let server = Server::rust(&mut rust!("step8-server"));
    let mut client = python("08_json_header/silent.py");
    let client = Running::start(client.args(["127.0.0.1", &server.port.to_string(), "3"]));
    assert_eq!(client.line(), "silent on 3 connections");
    for _ in 0..3 {
        assert!(server.program.line().starts_with("connection from "));
    }
}

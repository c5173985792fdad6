//! `sockeye message` with frames.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::frames::{assert_end, frame, read_frame, search, vectors, with_header};
use super::service;
use crate::support::{Folder, Running, run, text};

/// The result of a search on a new connection.
fn find(server: &Running, value: &str) -> String {
    let mut peer = server.connect();
    peer.write_all(&search(value, None)).unwrap();
    let response = read_frame(&mut peer);
    assert_end(&mut peer);
    response.json()["result"].as_str().unwrap().to_owned()
}

#[test]
fn every_recorded_request_gets_its_recorded_response_and_a_close() {
    let server = service(&[]);
    assert!(server.url().starts_with("message://127.0.0.1:"), "{:?}", server.screen);
    for vector in vectors() {
        let whole = |peer: &mut TcpStream| peer.write_all(&vector.request);
        let bytewise = |peer: &mut TcpStream| {
            peer.set_nodelay(true)?;
            vector.request.iter().try_for_each(|byte| peer.write_all(&[*byte]))
        };
        for send in [&whole as &dyn Fn(&mut TcpStream) -> std::io::Result<()>, &bytewise] {
            let mut peer = server.connect();
            send(&mut peer).unwrap();
            let response = read_frame(&mut peer);
            assert_end(&mut peer);
            match &vector.response {
                Some(expected) => assert_eq!(text(&response.bytes[2..]), text(&expected[2..])),
                // Empty content, to which the reference server never responds.
                None => assert_eq!(response.content, b"First 10 bytes of request: "),
            }
            assert_eq!(
                response.bytes[..2],
                header_length(&response.bytes),
                "the length of the header"
            );
        }
    }
}

/// What the first two bytes of `frame` must be: the length of its header, which ends at the first
/// `}`.
fn header_length(frame: &[u8]) -> [u8; 2] {
    let end = frame.iter().position(|byte| *byte == b'}').unwrap();
    u16::try_from(end - 1).unwrap().to_be_bytes()
}

#[test]
fn faults_get_error_responses_with_their_codes() {
    let server = service(&["--max-content", "1K", "--frames-only"]);
    let header = |change: &dyn Fn(&mut Value)| {
        let mut header = json!({
            "byteorder": "big",
            "content-type": "text/json",
            "content-encoding": "utf-8",
            "content-length": 2,
        });
        change(&mut header);
        with_header(header.to_string().as_bytes(), b"{}")
    };
    let length = |length: Value| header(&|header| header["content-length"] = length.clone());
    let without = |key: &str| header(&|header| drop(header.as_object_mut().unwrap().remove(key)));
    let table = [
        (b"\0\0".to_vec(), "bad_header"),
        (with_header(b"nonsense", b""), "bad_header"),
        (with_header(b"[1, 2, 3]", b""), "bad_header"),
        (with_header(b"{\"byteorder\": \"\xff\"}", b""), "bad_header"),
        (without("byteorder"), "bad_header"),
        (without("content-type"), "bad_header"),
        (without("content-encoding"), "bad_header"),
        (without("content-length"), "bad_header"),
        (length(json!(-1)), "bad_header"),
        (length(json!(1.5)), "bad_header"),
        (length(json!(true)), "bad_header"),
        (length(json!("2")), "bad_header"),
        // Refused as soon as the header has arrived, without waiting for the content.
        (length(json!(1025)), "too_large"),
        (length(json!(u64::MAX)), "too_large"),
        (frame("text/json", "utf-8", json!({}), b"{\"action\": "), "bad_content"),
        (frame("text/json", "utf-8", json!({}), b"\"\xff\""), "bad_content"),
        (frame("text/json", "klingon", json!({}), b"{}"), "unsupported_encoding"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), "bad_header"),
    ];
    for (request, code) in table {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let mut peer = server.connect();
        peer.write_all(&request).unwrap();
        let response = read_frame(&mut peer);
        assert_eq!(response.code(), code, "{shown}");
        assert_end(&mut peer);
    }
    // The server still responds.
    assert_eq!(find(&server, "nothing-here"), "No match for 'nothing-here'.");
}

#[test]
fn responses_on_one_connection_have_the_ids_of_their_messages() {
    const MANY: u64 = 200;
    let mut server = service(&[]);
    let mut peer = server.connect();
    let writer = thread::spawn({
        let mut peer = peer.try_clone().unwrap();
        move || {
            for id in 0..MANY {
                peer.write_all(&search(&id.to_string(), Some(id))).unwrap();
            }
        }
    });
    let mut ids = Vec::new();
    for _ in 0..MANY {
        let response = read_frame(&mut peer);
        let id = response.header["id"].as_u64().unwrap();
        assert_eq!(response.json()["result"], format!("No match for '{id}'."));
        ids.push(id);
    }
    writer.join().unwrap();
    ids.sort_unstable();
    assert_eq!(ids, (0..MANY).collect::<Vec<_>>());

    // A connection without a request in flight doesn't delay the shutdown.
    server.signal(Signal::TERM);
    assert_end(&mut peer);
    drop(peer);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.ends_with("Stopped: 0 connections cut.\n"), "{stderr}");
}

#[test]
fn a_request_followed_by_a_half_close_gets_its_response() {
    let server = service(&[]);
    let mut peer = server.connect();
    peer.write_all(&search("ring", None)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(read_frame(&mut peer).json()["result"].as_str().unwrap().contains("Misty Mountains"));
    assert_end(&mut peer);
}

#[test]
fn bytes_after_a_request_without_keep_alive_are_ignored() {
    let server = service(&[]);
    let mut peer = server.connect();
    peer.write_all(&search("ring", None).repeat(100)).unwrap();
    assert!(read_frame(&mut peer).json()["result"].as_str().unwrap().contains("Misty Mountains"));
    assert_end(&mut peer);
}

#[test]
fn content_of_8_mib_is_accepted() {
    let server = service(&[]);
    let content = vec![b'x'; 8 << 20];
    let mut peer = server.connect();
    peer.write_all(&frame("a/b", "binary", json!({}), &content)).unwrap();
    let response = read_frame(&mut peer);
    assert_eq!(response.content, b"First 10 bytes of request: xxxxxxxxxx");
    assert_end(&mut peer);
}

#[test]
fn slow_peers_get_an_error_and_idle_ones_are_closed() {
    let timeouts = ["--header-timeout", "30ms", "--content-timeout", "30ms"];
    let server = service(&[&timeouts[..], &["--idle-timeout", "1h"]].concat());
    let request = search("ring", None);
    // Part of the length, of the header, of the content.
    for part in [1, 10, request.len() - 1] {
        let mut peer = server.connect();
        peer.write_all(&request[..part]).unwrap();
        assert_eq!(read_frame(&mut peer).code(), "timeout", "after {part} bytes");
        assert_end(&mut peer);
    }
    let server = service(&["--idle-timeout", "30ms"]);
    assert_end(&mut server.connect());
}

#[test]
fn a_peer_that_never_reads_times_out_and_others_are_served() {
    let server = service(&["--write-timeout", "50ms"]);
    let mut peer = server.connect();
    let request = search(&"x".repeat(60_000), Some(1));
    // The server stops reading, so that writing blocks, and then closes after its write timeout.
    while peer.write_all(&request).is_ok() {}
    assert_eq!(find(&server, "x"), "No match for 'x'.");
}

#[test]
fn sighup_reads_the_answers_file_again() {
    let folder = Folder::new();
    let path = folder.join("answers.json");
    folder.write("answers.json", "{\"one\": \"eins 🐟\"}".as_bytes());
    let mut server = service(&["--answers", &path]);
    assert!(server.screen[2].contains(&path), "{:?}", server.screen);
    assert_eq!(find(&server, "one"), "eins 🐟");
    assert_eq!(find(&server, "ring"), "No match for 'ring'.");

    folder.write("answers.json", br#"{"one": "uno", "ring": "anillo"}"#);
    assert_eq!(find(&server, "one"), "eins 🐟", "not before the signal");
    server.signal(Signal::HUP);
    assert_eq!(server.next_line(), format!("read {path} again: 2 answers\n"));
    assert_eq!(find(&server, "one"), "uno");
    assert_eq!(find(&server, "ring"), "anillo");

    folder.write("answers.json", br#"{"one": 1}"#);
    server.signal(Signal::HUP);
    let line = server.next_line();
    assert!(line.contains(&format!(" ERROR cannot read answers from {path}: ")), "{line}");
    assert!(line.contains("line 1"), "{line}");
    assert!(line.ends_with("; still using the old answers\n"), "{line}");
    assert_eq!(find(&server, "one"), "uno");

    std::fs::remove_file(&path).unwrap();
    server.signal(Signal::HUP);
    assert!(server.next_line().contains("No such file"));
    assert_eq!(find(&server, "ring"), "anillo");

    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn an_invalid_answers_file_is_refused_at_start() {
    let folder = Folder::new();
    folder.write("answers.json", b"{\"one\": \"eins\",}");
    let path = folder.join("answers.json");
    let output = run(&["message", "--listen", "127.0.0.1:0", "--answers", &path]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with(&format!("sockeye: cannot read answers from {path}: ")), "{stderr}");
    assert!(stderr.contains("line 1 column 16"), "{stderr}");
    assert!(output.stdout.is_empty(), "nothing is served, so no start screen is shown");
}

#[test]
fn sighup_does_not_stop_a_server_without_an_answers_file() {
    let mut server = service(&[]);
    server.signal(Signal::HUP);
    assert_eq!(find(&server, "x"), "No match for 'x'.");
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(0));
}

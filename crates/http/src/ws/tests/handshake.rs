//! Opening handshakes.

use sockeye_proto::Peer;

use super::*;
use crate::ws::{Handshake, is_websocket_request};
use crate::{AllowedOrigins, Answer, Request, Responder, Server};

/// Accepts WebSockets, with the subprotocol `b` if it is offered.
struct Open(Rc<Config>);

impl crate::Handler for Open {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match Handshake::read(request, responder.peer().tls.is_some(), &self.0) {
            Ok(handshake) => {
                let protocol = handshake.protocols().find(|name| *name == "b").map(str::to_owned);
                let recorder = Recorder(Rc::default());
                handshake.accept(protocol.as_deref(), &self.0, recorder, responder)
            }
            Err(refused) => refused.answer(responder),
        }
    }
}

fn answer(request: &str) -> String {
    let origins = AllowedOrigins::default().allow("https://app.example").hint("Ask them");
    let config = Rc::new(Config::default().allowing_origins(origins));
    let mut client =
        Harness::new(Server::new(Rc::default(), move |_: &Peer| Open(Rc::clone(&config))));
    client.input(request.as_bytes());
    String::from_utf8(client.output()).unwrap()
}

const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
const KEY_FIELD: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

fn get(fields: &[&str]) -> String {
    answer(&format!("GET /chat HTTP/1.1\r\nHost: a.example\r\n{}\r\n", fields.concat()))
}

#[test]
fn a_request_is_accepted_with_the_hash_of_its_key() {
    let response = get(&[UPGRADE, KEY_FIELD, VERSION]);
    assert!(response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{response}");
    for field in [
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
    ] {
        assert!(response.contains(field), "{response}");
    }
    assert!(!response.contains("Protocol:") && !response.contains("Extensions"), "{response}");
}

#[test]
fn a_subprotocol_is_one_that_was_offered() {
    let offer = "Sec-WebSocket-Protocol: a, b\r\n";
    assert!(get(&[UPGRADE, KEY_FIELD, VERSION, offer]).contains("Sec-WebSocket-Protocol: b\r\n"));
    let offer = "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n";
    assert!(get(&[UPGRADE, KEY_FIELD, VERSION, offer]).contains("Sec-WebSocket-Protocol: b\r\n"));
    let offer = "Sec-WebSocket-Protocol: a\r\n";
    assert!(!get(&[UPGRADE, KEY_FIELD, VERSION, offer]).contains("Sec-WebSocket-Protocol"));
}

#[test]
fn requests_that_are_no_handshake_are_refused() {
    let short_key = "Sec-WebSocket-Key: c2hvcnQ=\r\n";
    let bad_key = "Sec-WebSocket-Key: ????\r\n";
    let other_version = "Sec-WebSocket-Version: 8\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n";
    for (response, status, text) in [
        (get(&[KEY_FIELD, VERSION]), "400", "Only WebSockets"),
        (get(&["Upgrade: websocket\r\n", KEY_FIELD, VERSION]), "400", "Only WebSockets"),
        (
            get(&["Connection: Upgrade\r\nUpgrade: h2c\r\n", KEY_FIELD, VERSION]),
            "400",
            "Only WebSockets",
        ),
        (get(&[UPGRADE, KEY_FIELD]), "400", "version 13"),
        (get(&[UPGRADE, KEY_FIELD, other_version]), "400", "version 13"),
        (get(&[UPGRADE, VERSION]), "400", "Sec-WebSocket-Key"),
        (get(&[UPGRADE, VERSION, short_key]), "400", "Sec-WebSocket-Key"),
        (get(&[UPGRADE, VERSION, bad_key]), "400", "Sec-WebSocket-Key"),
        (get(&[UPGRADE, VERSION, KEY_FIELD, KEY_FIELD]), "400", "Sec-WebSocket-Key"),
        (answer(&format!("{post}{UPGRADE}{KEY_FIELD}{VERSION}\r\n")), "405", "GET"),
    ] {
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.contains(text), "{response}");
        let names_version = response.contains("Sec-WebSocket-Version: 13\r\n");
        assert_eq!(names_version, status == "400", "{response}");
        assert_eq!(response.contains("\r\nAllow: GET\r\n"), status == "405", "{response}");
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    for (origin, is_allowed) in [
        ("http://a.example", true),
        ("https://a.example", true),
        ("https://app.example", true),
        ("http://evil.example", false),
        ("null", false),
    ] {
        let response = get(&[UPGRADE, KEY_FIELD, VERSION, &format!("Origin: {origin}\r\n")]);
        assert_eq!(response.starts_with("HTTP/1.1 101 "), is_allowed, "{origin}: {response}");
        if !is_allowed {
            assert!(response.starts_with("HTTP/1.1 403 "), "{response}");
            assert!(response.ends_with("which is not allowed here. Ask them.\n"), "{response}");
        }
    }
}

#[test]
fn frames_that_come_with_the_request_are_read() {
    let mut client =
        Harness::new(Server::new(Rc::default(), |_: &Peer| Open(Rc::<Config>::default())));
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY_FIELD}{VERSION}\r\n");
    client.input(&[request.as_bytes(), &frame(Opcode::Text, true, b"echo early")].concat());
    let output = client.output();
    assert!(output.ends_with(b"\r\n\r\n\x81\x0Aecho early"), "{}", output.escape_ascii());
}

#[test]
fn a_server_that_stops_opens_none() {
    let server = Server::new(Rc::default(), |_: &Peer| Open(Rc::<Config>::default()));
    let mut client = Harness::new(server.with_stop(sockeye_proto::Stop::Drain));
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY_FIELD}{VERSION}\r\n");
    client.input(request.as_bytes());
    let output = String::from_utf8(client.output()).unwrap();
    assert!(output.starts_with("HTTP/1.1 503 ") && output.contains("stopping"), "{output}");
}

#[test]
fn whether_a_websocket_is_asked_for() {
    for (fields, is_asked) in [(UPGRADE, true), ("", false)] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        struct Check(bool);
        impl crate::Handler for Check {
            fn on_request(&mut self, request: &Request<'_>, r: Responder<'_, '_>) -> Answer {
                assert_eq!(is_websocket_request(request), self.0);
                r.time_out()
            }
        }
        let mut client = Harness::new(Server::new(Rc::default(), move |_: &Peer| Check(is_asked)));
        client.input(head.as_bytes());
        assert!(client.output().starts_with(b"HTTP/1.1 503"), "the check ran and passed");
    }
}

//! `sockeye message` over HTTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::frames::{assert_end, read_frame, search};
use super::service;
use crate::support::Running;

/// A response: its status, its fields with lowercase names, and its content.
struct Response {
    status: u16,
    fields: Vec<(String, String)>,
    content: Vec<u8>,
}

impl Response {
    /// Reads one response, and nothing after it.
    fn read(from: &mut impl BufRead) -> Self {
        let mut line = || {
            let mut line = String::new();
            from.read_line(&mut line).unwrap();
            line.strip_suffix("\r\n").unwrap().to_owned()
        };
        let status = line().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut fields = Vec::new();
        while let Some((name, value)) = line().split_once(": ") {
            fields.push((name.to_lowercase(), value.to_owned()));
        }
        let mut response = Self { status, fields, content: Vec::new() };
        let length = response.field("content-length").map_or(0, |length| length.parse().unwrap());
        response.content.resize(length, 0);
        from.read_exact(&mut response.content).unwrap();
        response
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(this, _)| this == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.content).unwrap()
    }
}

fn post(content_type: &str, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n\
         Content-Length: {len}\r\n\r\n"
    );
    [head.as_bytes(), content].concat()
}

fn exchange(server: &Running, request: &[u8]) -> Response {
    let mut peer = server.connect();
    peer.write_all(request).unwrap();
    Response::read(&mut BufReader::new(peer))
}

const SEARCH: &[u8] = br#"{"action":"search","value":"ring"}"#;

#[test]
fn an_http_request_gets_the_answer_of_a_frame() {
    let server = service(&[]);
    assert!(server.screen.iter().any(|line| line.contains("HTTP")), "{:?}", server.screen);
    let mut peer = server.connect();
    peer.write_all(&search("ring", None)).unwrap();
    let framed = read_frame(&mut peer);

    let response = exchange(&server, &post("text/json", SEARCH));
    assert_eq!((response.status, &response.content), (200, &framed.content));
    assert_eq!(response.field("content-type"), Some("text/json; charset=utf-8"));
    let response = exchange(&server, &post("application/json", SEARCH));
    assert_eq!((response.status, &response.content), (200, &framed.content));
    assert_eq!(response.field("content-type"), Some("application/json"));
    let response = exchange(&server, &post("a/b", b"plain words"));
    assert_eq!(response.field("content-type"), Some("binary/custom-server-binary-type"));
    assert_eq!(response.content, b"First 10 bytes of request: plain word");
}

#[test]
fn requests_on_one_connection_arrive_in_any_pieces_and_chunks() {
    let mut server = service(&[]);
    let mut peer = server.connect();
    peer.set_nodelay(true).unwrap();
    let mut responses = BufReader::new(peer.try_clone().unwrap());
    for byte in post("text/json", SEARCH) {
        peer.write_all(&[byte]).unwrap();
    }
    assert_eq!(Response::read(&mut responses).status, 200);
    peer.write_all(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n8\r\ndefghijk\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    .unwrap();
    assert_eq!(Response::read(&mut responses).content, b"First 10 bytes of request: abcdefghij");
    let help = Response::read(&mut responses);
    assert!(String::from_utf8(help.content).unwrap().contains("POST a message to /"));
    server.signal(Signal::TERM);
    assert_end(&mut peer);
    drop((peer, responses));
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn errors_have_a_status_and_a_json_body() {
    let server = service(&["--max-content", "1K", "--content-timeout", "30ms"]);
    let plain = |line: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    for (request, status, code) in [
        (post("text/json", b"{"), 400, "bad_content"),
        (post("text/json", b"[]"), 400, "bad_request"),
        (post("text/json", &[b' '; 1025]), 413, "too_large"),
        (post("text/json; charset=klingon", SEARCH), 415, "unsupported_encoding"),
        (post("application/x-www-form-urlencoded", SEARCH), 415, "unsupported_type"),
        (plain("PUT /"), 405, "method_not_allowed"),
        (plain("GET /favicon.ico"), 404, "not_found"),
        (post("text/json", SEARCH)[..100].to_vec(), 408, "timeout"),
        (b"POST / HTTP/1.1\r\n\r\n".to_vec(), 400, "bad_header"),
        (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), 400, "tls_on_plain_port"),
    ] {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let response = exchange(&server, &request);
        assert_eq!(response.status, status, "{shown}");
        assert_eq!(response.json()["error"]["code"], code, "{shown}");
        let result = response.json()["result"].as_str().unwrap().to_owned();
        assert!(result.starts_with("Error: ") && !result.contains("sockeye http"), "{shown}");
    }
    let mut peer = server.connect();
    peer.write_all(b"\0\0").unwrap();
    assert_eq!(
        read_frame(&mut peer).code(),
        "bad_header",
        "a faulty frame gets its error in a frame"
    );
}

#[test]
fn an_http_request_followed_by_a_half_close_gets_its_response() {
    let server = service(&[]);
    let mut peer = server.connect();
    peer.write_all(&post("text/json", SEARCH)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut responses = BufReader::new(peer);
    assert!(Response::read(&mut responses).json()["result"].as_str().unwrap().contains("Misty"));
    assert_end(&mut responses);
}

#[test]
fn frames_only_speaks_no_http() {
    let server = service(&["--frames-only"]);
    assert!(!server.screen.iter().any(|line| line.contains("HTTP")), "{:?}", server.screen);
    let mut peer: TcpStream = server.connect();
    peer.write_all(&post("text/json", SEARCH)).unwrap();
    let response = read_frame(&mut peer);
    assert_eq!(response.code(), "bad_header");
    assert_eq!(
        response.json()["result"],
        json!("Error: this port speaks frames with a JSON header, and not HTTP")
    );
}

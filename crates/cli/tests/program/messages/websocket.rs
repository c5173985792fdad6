//! `sockeye message` over WebSocket.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use super::frames::{assert_end, read_frame, search};
use super::{FOUND, SEARCH, service};
use crate::support::Running;

const OPEN: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// Sends the request to open a WebSocket. Returns the head of the response, and the connection.
fn open(server: &Running, fields: &str) -> (String, TcpStream) {
    let mut stream = server.connect();
    stream.write_all(format!("{OPEN}{fields}\r\n").as_bytes()).unwrap();
    let (mut head, mut byte) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(char::from(byte[0]));
    }
    (head, stream)
}

/// Sends a frame whose mask is zero.
fn send(stream: &mut TcpStream, first: u8, payload: &[u8]) {
    let len = u16::try_from(payload.len()).unwrap();
    let length = match len {
        0..126 => vec![0x80 | payload.len() as u8],
        _ => [&[0xFE], &len.to_be_bytes()[..]].concat(),
    };
    stream.write_all(&[&[first], &length[..], &[0; 4], payload].concat()).unwrap();
}

/// Reads a frame of less than 64 KiB: its first byte, and its payload.
fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let [mut head, mut long] = [[0; 2]; 2];
    stream.read_exact(&mut head).unwrap();
    let len = match head[1] {
        126 => {
            stream.read_exact(&mut long).unwrap();
            u16::from_be_bytes(long)
        }
        len => u16::from(len),
    };
    let mut payload = vec![0; usize::from(len)];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

#[test]
fn a_port_answers_frames_and_websockets() {
    let mut server = service(&[]);
    assert!(server.screen.iter().any(|line| line.contains("WebSocket")), "{:?}", server.screen);
    let (head, mut stream) = open(&server, "Origin: http://localhost\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    send(&mut stream, TEXT, SEARCH.as_bytes());
    let found = FOUND.trim_end();
    assert_eq!(receive(&mut stream), (TEXT, found.into()));
    send(&mut stream, TEXT, format!("{{\"id\": 7}}\n{SEARCH}").as_bytes());
    assert_eq!(receive(&mut stream), (TEXT, format!("{{\"id\": 7}}\n{found}").into_bytes()));

    let mut framed = server.connect();
    framed.write_all(&search("ring", Some(8))).unwrap();
    send(&mut stream, BINARY, &search("ring", Some(8)));
    let (opcode, binary) = receive(&mut stream);
    assert_eq!(opcode, BINARY);
    assert_eq!(read_frame(&mut &binary[..]).content, read_frame(&mut framed).content);

    server.signal(Signal::TERM);
    assert_eq!(receive(&mut stream), (CLOSE, 1001_u16.to_be_bytes().into()));
    send(&mut stream, CLOSE, &1001_u16.to_be_bytes());
    assert_end(&mut stream);
    drop(framed);
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn a_page_of_another_origin_gets_403_with_the_flag_that_allows_it() {
    let origin = "Origin: https://app.example\r\n";
    let mut server = service(&[]);
    let (head, mut stream) = open(&server, origin);
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let mut body = [0; 200];
    let len = stream.read(&mut body).unwrap();
    let body = String::from_utf8_lossy(&body[..len]).into_owned();
    assert!(body.contains("start sockeye with --origin URL"), "{body}");
    let (line, shown) =
        (server.next_line(), "allow it with --origin URL origin=\"https://app.example\"");
    assert!(line.contains(" WARN ") && line.contains(shown), "{line}");
    let (head, _stream) = open(&service(&["--origin", "https://app.example"]), origin);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

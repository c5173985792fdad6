//! Probes for the flags of WebSockets.

use std::io::{Read, Write};
use std::net::TcpStream;

use sockeye::http_core::ws::{FrameHeader, Opcode, accept_value, mask};

use super::Run;
use super::clients::peer;
use super::servers::{WEBSOCKET, exchange, websocket_frame};

/// A text in two fragments, then a close frame.
fn fragments() -> Vec<u8> {
    [websocket_frame(0x01, "hel"), websocket_frame(0x80, "lo"), websocket_frame(0x88, "")].concat()
}

/// The response of an echo server to a message in two fragments.
pub(super) fn two_fragments(run: &Run<'_>) -> String {
    exchange(&run.start(), &[WEBSOCKET.as_bytes(), &fragments()].concat())
}

/// The response to a client that has compression.
pub(super) fn response_to_compressing(run: &Run<'_>) -> String {
    response(run, "Sec-WebSocket-Extensions: permessage-deflate")
}

/// The response to a page of another origin.
pub(super) fn response_to_page(run: &Run<'_>) -> String {
    response(run, "Origin: https://www.example.org")
}

fn response(run: &Run<'_>, field: &str) -> String {
    let request = WEBSOCKET.replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"));
    exchange(&run.start(), &[request.as_bytes(), &fragments()].concat())
}

/// Sends to a server that answers with the kind of the message, its text, and the head of the
/// request.
pub(super) fn to_websocket(run: &Run<'_>, contents: &[&str]) -> String {
    let address = peer(|_, mut stream| {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(read(&mut stream, 1)[0]));
        }
        let (_, key) = head.split_once("Sec-WebSocket-Key: ").unwrap();
        let accept = accept_value(key.lines().next().unwrap().as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(response.as_bytes()).unwrap();
        let (kind, content) = read_frame(&mut stream);
        let answer = format!("{kind:?} {content}; {head}");
        let (header, len) = FrameHeader::whole(Opcode::Text, answer.len(), None).encode();
        stream.write_all(&[&header[..len], answer.as_bytes()].concat()).unwrap();
        assert_eq!(read_frame(&mut stream).0, Opcode::Close);
        stream.write_all(&[0x88, 0]).unwrap();
    });
    run.run(&[&[&*format!("ws://{address}/")], contents].concat())
}

fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads a short frame of a client.
fn read_frame(stream: &mut TcpStream) -> (Opcode, String) {
    let head = read(stream, 6);
    let (header, _) = FrameHeader::read(&head).unwrap().unwrap();
    let mut payload = read(stream, header.len as usize);
    mask(&mut payload, header.mask.unwrap());
    (header.opcode, String::from_utf8_lossy(&payload).into_owned())
}

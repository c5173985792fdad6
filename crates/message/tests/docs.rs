//! Checks the exchanges and numbers in `docs/message.md`.

#![forbid(unsafe_code)]

use std::rc::Rc;

use sockeye_http::{self as http_core, ws};
use sockeye_message::reference::Reference;
use sockeye_message::{FramesOrHttp, Id, Limits, PeerProtocol, Server, ServerConfig};
use sockeye_proto::harness::Harness;

const MESSAGE: &str = include_str!("../../../docs/message.md");

/// The contents of the code blocks of this kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    let blocks = MESSAGE.split(&begin).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The bytes of an HTTP request or response: the lines of its head end with CRLF, and no newline
/// follows its content.
fn http(block: &str) -> Vec<u8> {
    let (head, content) = block.split_once("\n\n").unwrap();
    let content = content.strip_suffix('\n').unwrap();
    format!("{}\r\n\r\n{content}", head.replace('\n', "\r\n")).into_bytes()
}

/// Sends `request` to a port, at once and byte by byte, and expects `response`.
fn exchange(request: &[u8], response: &[u8]) {
    for drip in [false, true] {
        let shared = Rc::new(ServerConfig::new(Limits::default()));
        let mut client = Harness::new(FramesOrHttp::new(shared, Reference::default()));
        if drip {
            client.drip(request);
        } else {
            client.input(request);
        }
        assert_eq!(client.output().escape_ascii().to_string(), response.escape_ascii().to_string());
    }
}

/// The bytes of a hex dump: an offset, sixteen bytes and their text on each line.
fn bytes(block: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in block.lines() {
        let (offset, rest) = line.split_once("  ").unwrap();
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let (hex, text) = rest.split_at(3 * 16 - 1);
        let row: Vec<u8> =
            hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let shown: String = row
            .iter()
            .map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' })
            .collect();
        assert_eq!(text, format!("  |{shown}|"), "{line}");
        bytes.extend(row);
    }
    bytes
}

// The page's responses are those of a little-endian machine.
#[cfg(target_endian = "little")]
#[test]
fn exchanges_in_frames_are_those_on_the_page() {
    let read = |kind| blocks(kind).into_iter().map(bytes).collect::<Vec<_>>();
    let (requests, responses) = (read("hex request"), read("hex response"));
    assert_eq!((requests.len(), responses.len()), (3, 3));
    for (request, response) in requests.iter().zip(&responses) {
        exchange(request, response);
        for drip in [false, true] {
            let server = Server::new(Rc::new(Limits::default()), Reference::default());
            let mut client = Harness::new(server);
            if drip {
                client.drip(request);
            } else {
                client.input(request);
            }
            assert_eq!(
                client.output().escape_ascii().to_string(),
                response.escape_ascii().to_string()
            );
        }
    }
    let [request, response] = [&requests[0], &responses[0]].map(Vec::len);
    for expected_text in [format!("a search, {request} bytes"), format!("with {response} bytes")] {
        assert!(MESSAGE.contains(&expected_text), "{expected_text}");
    }
}

#[test]
fn exchanges_over_http_are_those_on_the_page() {
    let read = |kind| blocks(kind).into_iter().map(http).collect::<Vec<_>>();
    let (requests, responses) = (read("http request"), read("http response"));
    assert_eq!((requests.len(), responses.len()), (2, 2));
    for (request, response) in requests.iter().zip(&responses) {
        exchange(request, response);
    }
}

/// Sends a text message in a frame of WebSocket, and returns what is in the frame of the response.
fn exchange_text(request: &str) -> String {
    let shared = Rc::new(ServerConfig::new(Limits::default()));
    let mut client = Harness::new(FramesOrHttp::new(shared, Reference::default()));
    client.input(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    client.output();
    // A mask of zeros changes nothing.
    let header = ws::FrameHeader::whole(ws::Opcode::Text, request.len(), Some([0; 4]));
    let (header, len) = header.encode();
    client.input(&[&header[..len], request.as_bytes()].concat());
    let output = client.output();
    let (header, len) = ws::FrameHeader::read(&output).unwrap().unwrap();
    assert_eq!(header.opcode, ws::Opcode::Text);
    String::from_utf8(output[len..].to_vec()).unwrap()
}

#[test]
fn exchanges_over_websocket_are_those_on_the_page() {
    let (requests, responses) = (blocks("text request"), blocks("text response"));
    assert_eq!((requests.len(), responses.len()), (2, 2));
    for (request, response) in requests.iter().zip(&responses) {
        let response = response.trim_end();
        assert_eq!(exchange_text(request.trim_end()), response);
    }
}

#[test]
fn the_page_lists_the_characters_of_a_token() {
    let begin = "three characters of a token: letters, digits, ``";
    let listed = MESSAGE.split_once(begin).unwrap().1.split("`` ").next().unwrap();
    for byte in 0..=255u8 {
        let is_listed = byte.is_ascii_alphanumeric() || listed.as_bytes().contains(&byte);
        assert_eq!(
            PeerProtocol::detect(&[byte; 3]) == Some(PeerProtocol::Http),
            is_listed,
            "{byte}"
        );
    }
}

#[test]
fn the_limits_on_the_page_are_the_defaults() {
    let (limits, http) = (Limits::default(), http_core::Limits::default());
    let websocket = limits.websocket();
    for line in [
        format!("| header | {},{:03} bytes |", limits.header / 1000, limits.header % 1000),
        format!("| content | {} MiB |", limits.content >> 20),
        format!("| requests in flight on one connection | {} |", limits.in_flight),
        format!("| a header, from its first byte | {} s |", limits.header_timeout.as_secs()),
        format!("| content without progress | {} s |", limits.content_timeout.as_secs()),
        format!("| the first byte of a frame | {} s |", limits.idle_timeout.as_secs()),
        format!("at most {}\nbytes as written", Id::MAX_LEN),
        format!("| fragments of a message | {},024 |", websocket.fragments / 1000),
        format!("| silence | {} s |", websocket.ping_after.unwrap().as_secs()),
        format!("while the server reads | {} s |", websocket.pong_timeout.as_secs()),
        format!("| the answer to a close frame | {} s |", websocket.close_timeout.as_secs()),
        format!(
            "{} KiB for the request line, {} KiB and {} fields for the headers",
            http.request_line >> 10,
            http.head >> 10,
            http.fields
        ),
    ] {
        assert!(MESSAGE.contains(&line), "{line}");
    }
}

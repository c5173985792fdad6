//! WebSockets on streams of HTTP/2 (RFC 8441).

use super::super::http2::{
    DATA, GOAWAY, HEADERS, RST_STREAM, h2_frame, head, port, post, preface, received,
};
use super::*;

/// The HEADERS frame of a request to open a WebSocket.
fn open(stream: u32) -> Vec<u8> {
    head(stream, "CONNECT", &[(":protocol", "websocket"), ("sec-websocket-version", "13")], 0)
}

/// A DATA frame with a message of text.
fn text(stream: u32, text: &str) -> Vec<u8> {
    h2_frame(DATA, 0, stream, &masked(Opcode::Text, text.as_bytes()))
}

fn connect(handler: impl Handler + 'static, limits: Limits) -> Harness {
    let mut client = Harness::new(port(ServerConfig::new(limits), handler));
    client.input(&[preface(), open(1), open(3)].concat());
    let output = received(&client.output());
    // 200, of the static table.
    let is_ok = |stream| {
        let mut frames = output.iter().filter(|f| f.kind == HEADERS && f.stream == stream);
        frames.next().is_some_and(|frame| frame.payload[0] == 0x88)
    };
    assert!(is_ok(1) && is_ok(3), "{output:?}");
    client
}

/// The frames of the WebSockets on streams 1 and 3 in `output`, each with its stream, its first
/// byte and its payload.
fn messages(output: &[u8]) -> Vec<(u32, u8, String)> {
    let mut messages = Vec::new();
    for frame in received(output).into_iter().filter(|f| f.kind == DATA && f.stream < 5) {
        let mut rest = &frame.payload[..];
        while let [first, len @ 0..126, after @ ..] = rest {
            let (payload, after) = after.split_at(usize::from(*len));
            messages.push((frame.stream, *first, String::from_utf8_lossy(payload).into()));
            rest = after;
        }
    }
    messages
}

fn response(stream: u32, text: &str) -> (u32, u8, String) {
    (stream, 0x81, text.to_owned())
}

#[test]
fn streams_of_a_connection_are_websockets_beside_requests() {
    let mut client = connect(Slow::default(), Limits::default());
    client.input(&[text(1, "\"one\""), text(3, "{\"id\": 3}\n\"three\"")].concat());
    client.input(&[text(3, "{\"id\": 4}\n\"now\""), post(5, "\"now\"")].concat());
    let output = client.output();
    assert_eq!(messages(&output)[0], response(3, "{\"id\": 4}\n{\"result\": \"now\"}"));
    let of_request = received(&output).into_iter().find(|f| f.kind == DATA && f.stream == 5);
    assert_eq!(of_request.unwrap().payload, b"{\"result\": \"now\"}");
    assert_eq!(client.run_jobs(), 2);
    assert_eq!(
        messages(&client.output()),
        [response(1, "{\"result\": \"one\"}"), response(3, "{\"id\": 3}\n{\"result\": \"three\"}"),]
    );
}

#[test]
fn a_reset_cancels_the_requests_of_its_websocket() {
    let slow = Slow::default();
    let cancelled = Rc::clone(&slow.cancelled);
    let mut client = connect(slow, Limits::default());
    client.input(&[text(1, "\"one\""), text(3, "\"three\"")].concat());
    client.input(&h2_frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    assert_eq!(*cancelled.borrow(), [0]);
    client.run_jobs();
    assert_eq!(messages(&client.output()), [response(3, "{\"result\": \"three\"}")]);
}

#[test]
fn draining_closes_each_websocket_when_it_is_answered() {
    let mut client = connect(Slow::default(), Limits::default());
    client.input(&text(1, "\"one\""));
    client.drain();
    let output = client.output();
    assert!(received(&output).iter().any(|frame| frame.kind == GOAWAY));
    let going_away = |stream| (stream, 0x88, String::from_utf8_lossy(&[3, 0xE9]).into_owned());
    assert_eq!(messages(&output), [going_away(3)]);
    client.run_jobs();
    assert_eq!(messages(&client.output()), [response(1, "{\"result\": \"one\"}"), going_away(1)]);
}

#[test]
fn each_byte_of_content_is_charged_over_http2() {
    let limits = Limits::default();
    let budget = std::sync::Arc::clone(&limits.collected);
    let mut client = connect(Slow::default(), limits);
    let content = format!("\"{}\"", "x".repeat(98));
    client.input(&[text(1, &content), text(3, &content)].concat());
    assert_eq!(budget.used(), 200);
    client.run_jobs();
    assert_eq!(budget.used(), 0);
}

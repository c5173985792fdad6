//! Messages over HTTP/2, also on a port of frames.

use std::sync::Arc;

use sockeye_proto::TlsInfo;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types and flags of frames (RFC 9113, 6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame of HTTP/2.
pub(super) fn h2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client sends first.
pub(super) fn preface() -> Vec<u8> {
    [PREFACE, &h2_frame(SETTINGS, 0, 0, b"")].concat()
}

/// The HEADERS frame of a request for `/`.
pub(super) fn head(stream: u32, method: &str, fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    let mut block = Vec::new();
    let pseudo = [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    for (name, value) in pseudo.iter().chain(fields) {
        // A literal with a new name (RFC 7541, 6.2.2).
        block.extend([0, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    h2_frame(HEADERS, END_HEADERS | flags, stream, &block)
}

/// A message of JSON. Its content is in two frames.
pub(super) fn post(stream: u32, content: &str) -> Vec<u8> {
    let (first, second) = content.as_bytes().split_at(content.len() / 2);
    [
        head(stream, "POST", &[("content-type", "text/json")], 0),
        h2_frame(DATA, 0, stream, first),
        h2_frame(DATA, END_STREAM, stream, second),
    ]
    .concat()
}

/// A frame that the server has sent.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) kind: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

pub(super) fn received(mut output: &[u8]) -> Vec<Received> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, _, stream @ ..] = output {
        let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let (stream, rest) = stream.split_first_chunk().unwrap();
        let (payload, rest) = rest.split_at(len);
        frames.push(Received {
            kind: *kind,
            stream: u32::from_be_bytes(*stream),
            payload: payload.into(),
        });
        output = rest;
    }
    frames
}

/// The stream, status and content of each complete response in `output`, in their order.
fn responses(output: &[u8]) -> Vec<(u32, u16, String)> {
    let frames = received(output);
    let heads = frames.iter().filter(|frame| frame.kind == HEADERS);
    let response = |head: &Received| {
        let of_stream = |frame: &&Received| frame.kind == DATA && frame.stream == head.stream;
        let content = frames.iter().filter(of_stream).flat_map(|frame| frame.payload.clone());
        let status = match head.payload[..] {
            // Of the static table.
            [0x88, ..] => 200,
            [0x8c, ..] => 400,
            // A literal whose name is in that table, not coded by Huffman.
            [0x08, 3, a, b, c, ..] => text(vec![a, b, c]).parse().unwrap(),
            _ => panic!("{head:?}"),
        };
        (head.stream, status, text(content.collect()))
    };
    heads.map(response).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn result(stream: u32, text: &str) -> (u32, u16, String) {
    (stream, 200, format!("{{\"result\": \"{text}\"}}"))
}

pub(super) fn port(
    config: ServerConfig,
    handler: impl Handler + 'static,
) -> FramesOrHttp<impl Handler> {
    FramesOrHttp::new(Rc::new(config), handler)
}

fn connect() -> Harness {
    Harness::new(port(ServerConfig::new(Limits::default()), Slow::default()))
}

/// With TLS, whose handshake has chosen this protocol.
fn connect_with_alpn(alpn: &[u8], config: ServerConfig) -> Harness {
    let mut tls = TlsInfo::default();
    tls.alpn = Some(alpn.into());
    let mut peer = Peer::new(sockeye_proto::Address::Unix, 0);
    peer.tls = Some(Arc::new(tls));
    Harness::with_peer(port(config, Slow::default()), peer)
}

#[test]
fn http2_is_answered_on_the_port_of_frames_in_pieces_of_any_size() {
    let input = [preface(), post(1, "\"now\"")].concat();
    for cut in 0..=input.len() {
        let mut client = connect();
        client.input(&input[..cut]);
        client.input(&input[cut..]);
        assert_eq!(responses(&client.output()), [result(1, "now")], "cut at {cut}");
        assert_eq!(client.end(), None);
    }
    let mut client = connect();
    client.drip(&[input, post(3, "\"now\"")].concat());
    assert_eq!(responses(&client.output()), [result(1, "now"), result(3, "now")]);
}

#[test]
fn messages_of_a_connection_are_answered_in_any_order() {
    let mut client = connect();
    let inputs = [preface(), post(1, "\"later\""), post(3, "\"now\""), post(5, "\"soon\"")];
    client.input(&inputs.concat());
    assert_eq!(responses(&client.output()), [result(3, "now")]);
    client.run_jobs();
    assert_eq!(responses(&client.output()), [result(1, "later"), result(5, "soon")]);
}

#[test]
fn the_server_sends_first_if_the_handshake_has_chosen_http2() {
    let mut client = connect_with_alpn(b"h2", ServerConfig::new(Limits::default()));
    assert_eq!(received(&client.output())[0].kind, SETTINGS);
    client.input(&[preface(), post(1, "\"now\"")].concat());
    assert_eq!(responses(&client.output()), [result(1, "now")]);

    // Frames and HTTP/1.1 share the other name.
    for input in [&request("\"now\"")[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = connect_with_alpn(b"http/1.1", ServerConfig::new(Limits::default()));
        assert_eq!(client.output(), b"");
        client.input(input);
        let output = String::from_utf8_lossy(&client.output()).into_owned();
        assert!(output.contains("\"now\"") || output.starts_with("HTTP/1.1 200 OK"), "{output}");
    }
}

#[test]
fn a_reset_stream_cancels_its_message_and_no_other() {
    let handler = Slow::default();
    let cancelled = Rc::clone(&handler.cancelled);
    let mut client = Harness::new(port(ServerConfig::new(Limits::default()), handler));
    let inputs = [preface(), post(1, "\"later\""), post(3, "\"soon\"")];
    client.input(&inputs.concat());
    client.input(&h2_frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    assert_eq!(*cancelled.borrow(), [0]);
    client.output();
    client.run_jobs();
    assert_eq!(responses(&client.output()), [result(3, "soon")]);
    // A connection that breaks off cancels the others.
    client.input(&post(5, "\"later\""));
    client.end_for(&sockeye_proto::Reason::Reset);
    assert_eq!(*cancelled.borrow(), [0, 2]);
}

#[test]
fn a_stream_whose_window_stays_shut_is_reset_after_the_write_timeout() {
    let limits = Limits { write_timeout: seconds(5), ..Limits::default() };
    let mut client = Harness::new(port(ServerConfig::new(limits), Slow::default()));
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    let no_window = h2_frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    client.input(&[PREFACE, &no_window, &post(1, "\"now\"")].concat());
    let is_reset = |client: &mut Harness| {
        received(&client.output()).iter().any(|frame| (frame.kind, frame.stream) == (RST_STREAM, 1))
    };
    assert!(!is_reset(&mut client));
    client.pass(seconds(4));
    assert!(!is_reset(&mut client));
    client.pass(seconds(1));
    assert!(is_reset(&mut client));
    assert_eq!(client.end(), None);
}

#[test]
fn errors_are_objects_and_end_only_their_stream() {
    let limits = Limits { content: 8, ..Limits::default() };
    let mut client = Harness::new(port(ServerConfig::new(limits), Slow::default()));
    client.input(&preface());
    for (stream, request, status, code) in [
        (1, post(1, "\"too long\""), 413, "too_large"),
        (3, head(3, "POST", &[], END_STREAM), 415, "unsupported_type"),
        (5, head(5, "PUT", &[], END_STREAM), 405, "method_not_allowed"),
        (7, head(7, "POST", &[("content-type", "x")], END_STREAM), 400, "bad_header"),
    ] {
        client.input(&request);
        let responses = responses(&client.output());
        assert_eq!((responses[0].0, responses[0].1), (stream, status), "{responses:?}");
        let error: Value = serde_json::from_str(&responses[0].2).unwrap();
        assert_eq!(error["error"]["code"], code);
    }
    client.input(&post(9, "\"now\""));
    assert_eq!(responses(&client.output()), [result(9, "now")]);
}

#[test]
fn a_get_explains_the_port() {
    let mut client = connect();
    client.input(&[preface(), head(1, "GET", &[], END_STREAM)].concat());
    let responses = responses(&client.output());
    assert!(responses[0].2.starts_with("This port answers messages"), "{responses:?}");
}

#[test]
fn a_server_that_is_stopping_says_so_first() {
    let mut client = connect();
    client.drain();
    client.input(&[preface(), post(1, "\"now\"")].concat());
    let output = client.output();
    assert!(received(&output).iter().any(|frame| frame.kind == GOAWAY));
    assert_eq!(responses(&output), [result(1, "now")]);
}

#[test]
fn http2_can_be_off() {
    let off = || ServerConfig::new(Limits::default()).http2(false);
    for mut client in [
        Harness::new(port(off(), Slow::default())),
        // Of a TLS configuration that names it nevertheless.
        connect_with_alpn(b"h2", off()),
    ] {
        client.input(&preface());
        let output = text(client.output());
        assert!(output.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{output}");
        assert!(output.contains("\"http2_preface\""), "{output}");
    }
}

#[test]
fn each_byte_of_a_message_that_arrives_is_charged() {
    let limits = Limits::default();
    let budget = Arc::clone(&limits.collected);
    let mut client = Harness::new(port(ServerConfig::new(limits), Slow::default()));
    client.input(&preface());
    for stream in [1, 3] {
        client.input(&head(stream, "POST", &[("content-type", "text/json")], 0));
        client.input(&h2_frame(DATA, 0, stream, &[b'x'; 1000]));
    }
    assert_eq!(budget.used(), 2000);
    client.input(&h2_frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    assert_eq!(budget.used(), 1000);
    client.input(&h2_frame(DATA, END_STREAM, 3, b""));
    assert_eq!(budget.used(), 0, "it is answered");
}

//! The connection, with a simulated server.

use std::time::Duration;

use bytes::Bytes;
use sockeye::http_core::Fields;
use sockeye::http_core::ws::{FrameHeader, Opcode, accept_value, mask};
use sockeye::proto::harness::Harness;
use sockeye::proto::{End, Reason};

use super::*;
use crate::plan::{OwnedMessage, UpgradeRequest};
use crate::send::input::Piece;
use crate::send::input::tests::input_alone;
use crate::send::printer::tests::FULL_QUEUE;
use crate::target::target_of_send;

/// A connection, what it prints, and what it reports.
struct Client {
    peer: Harness,
    printer: Printer,
    report: Rc<RefCell<Report>>,
    warnings: Rc<RefCell<Vec<String>>>,
}

impl Client {
    fn connect(source: Source, is_interactive: bool) -> Self {
        let warnings = Rc::new(RefCell::new(Vec::new()));
        let report = Rc::new(RefCell::new(Report::new({
            let warnings = Rc::clone(&warnings);
            move |warning| warnings.borrow_mut().push(warning)
        })));
        let printer = Printer::default();
        let settings = Settings {
            style: Style::Text,
            is_interactive,
            has_hint: false,
            target: target_of_send("ws://localhost:1/chat").unwrap(),
            request: UpgradeRequest {
                host: "localhost:1".into(),
                path: "/chat".into(),
                fields: Fields::new().with("X-Probe", b"1").unwrap(),
                protocols: vec!["a".into()],
            },
            with_tls: Some("wss://localhost:1/chat".into()),
            timeout: Duration::from_secs(60),
            printer: printer.clone(),
            report: Rc::clone(&report),
        };
        let config = Rc::new(ws::Config::default());
        let peer = Harness::new(Connection::new(1, source, Rc::new(settings), config));
        Self { peer, printer, report, warnings }
    }

    /// Opens the WebSocket.
    fn open(source: Source, is_interactive: bool) -> Self {
        let mut client = Self::connect(source, is_interactive);
        let request = String::from_utf8(client.peer.output()).unwrap();
        assert!(request.starts_with("GET /chat HTTP/1.1\r\nHost: localhost:1\r\n"), "{request}");
        assert!(request.contains("\r\nSec-WebSocket-Protocol: a\r\nX-Probe: 1\r\n"), "{request}");
        let (_, rest) = request.split_once("Sec-WebSocket-Key: ").unwrap();
        let accept = accept_value(rest.lines().next().unwrap().as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        client.peer.drip(response.as_bytes());
        client
    }

    /// The frames that it has sent: opcodes and payloads.
    fn sent(&mut self) -> Vec<(Opcode, Vec<u8>)> {
        let output = self.peer.output();
        let (mut rest, mut frames) = (&output[..], Vec::new());
        while let Some((header, len)) = FrameHeader::read(rest).unwrap() {
            let (payload, next) = rest[len..].split_at(header.len as usize);
            let mut payload = payload.to_vec();
            mask(&mut payload, header.mask.expect("a mask"));
            frames.push((header.opcode, payload));
            rest = next;
        }
        assert_eq!(rest, b"");
        frames
    }

    fn texts(&mut self) -> Vec<String> {
        let text = |(opcode, payload)| {
            assert_eq!(opcode, Opcode::Text);
            String::from_utf8(payload).unwrap()
        };
        self.sent().into_iter().map(text).collect()
    }

    fn receive(&mut self, opcode: Opcode, payload: &[u8]) {
        self.peer.drip(&frame(opcode, payload));
    }

    fn closes_with(&mut self, code: u16) {
        assert_eq!(self.sent(), [(Opcode::Close, code.to_be_bytes().to_vec())]);
    }

    fn warning(&self) -> String {
        self.warnings.borrow().join("\n")
    }

    fn summary(&self) -> String {
        let summary = self.report.borrow_mut().finish(Duration::ZERO).to_string();
        summary.trim_end_matches(" in 0 µs").to_owned()
    }

    fn printed(&self) -> String {
        String::from_utf8(self.printer.take()).unwrap()
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let (header, len) = FrameHeader::whole(opcode, payload.len(), None).encode();
    [&header[..len], payload].concat()
}

fn texts(texts: &[&str]) -> Source {
    let texts: Vec<_> = texts.iter().map(|text| OwnedMessage::Text((*text).into())).collect();
    Source::of(&texts.into(), 1)
}

#[test]
fn messages_are_sent_and_the_websocket_is_closed_when_as_many_have_come() {
    let mut client = Client::open(texts(&["one", "two"]), false);
    assert_eq!(client.texts(), ["one", "two"]);
    client.receive(Opcode::Text, b"1");
    client.receive(Opcode::Ping, b"?");
    assert_eq!(client.sent(), [(Opcode::Pong, b"?".to_vec())]);
    client.receive(Opcode::Binary, b"22");
    client.closes_with(1000);
    client.receive(Opcode::Close, &1000_u16.to_be_bytes());
    assert_eq!(client.peer.end(), Some(End::Linger));
    client.peer.eof();
    client.peer.output();
    assert_eq!(client.printed(), "1\n22");
    let summary = "1 connection: 1 finished; sent 2 messages (6 B), received 2 messages (3 B)";
    assert_eq!((client.summary(), client.warning()), (summary.into(), String::new()));
}

#[test]
fn messages_are_repeated_and_bytes_sent_as_such() {
    let messages =
        [OwnedMessage::Binary(Bytes::from_static(b"\xff")), OwnedMessage::Text("x".into())];
    let mut client = Client::open(Source::of(&messages.to_vec().into(), 2), false);
    let (binary, text) = ((Opcode::Binary, vec![0xff]), (Opcode::Text, b"x".to_vec()));
    assert_eq!(client.sent(), [binary.clone(), text.clone(), binary, text]);
}

#[test]
fn lines_of_standard_input_are_messages_and_their_answers_are_awaited() {
    let (input, answer) = input_alone();
    let mut client = Client::open(Source::lines(input), false);
    // There is no input yet: nothing is due.
    client.peer.pass(Duration::from_secs(20));
    answer(Piece::Bytes(Bytes::from_static(b"one\ntw")));
    client.peer.deliver();
    assert_eq!(client.texts(), ["one"]);
    client.receive(Opcode::Text, b"one");
    answer(Piece::Bytes(Bytes::from_static(b"o\r\nthree")));
    client.peer.deliver();
    answer(Piece::End);
    client.peer.deliver();
    assert_eq!(client.texts(), ["two", "three"]);
    client.receive(Opcode::Text, b"two");
    assert_eq!(client.sent(), []);
    client.receive(Opcode::Text, b"three");
    client.closes_with(1000);
    assert_eq!(client.printed(), "one\ntwo\nthree\n");
}

#[test]
fn on_a_terminal_the_end_of_input_closes_and_nothing_is_due_before() {
    let (input, answer) = input_alone();
    let mut client = Client::open(Source::lines(input), true);
    answer(Piece::Bytes(Bytes::from_static(b"hello\n")));
    client.peer.deliver();
    assert_eq!(client.texts(), ["hello"]);
    // Pings find out whether the server is there.
    for _ in 0..10 {
        client.peer.pass(Duration::from_secs(30));
        assert_eq!(client.sent(), [(Opcode::Ping, vec![])]);
        client.receive(Opcode::Pong, b"");
    }
    answer(Piece::End);
    client.peer.deliver();
    client.closes_with(1000);
    client.receive(Opcode::Close, &1000_u16.to_be_bytes());
    client.peer.eof();
    client.peer.output();
    assert!(client.summary().starts_with("1 connection: 1 finished"), "{}", client.summary());
}

#[test]
fn a_close_of_the_server_is_shown_with_its_code_and_reason() {
    let policy = [&1008_u16.to_be_bytes()[..], b"no \x1b"].concat();
    for (is_interactive, close, expected) in [
        (
            false,
            &policy[..],
            "connection 1: the peer closed the WebSocket with 1008 (policy violation): \"no \
             \\u{1b}\" when 1 message of 1 had no answer",
        ),
        (
            false,
            &1000_u16.to_be_bytes(),
            "connection 1: the peer closed the WebSocket with 1000 (normal) when 1 message of 1 \
             had no answer",
        ),
        (true, &4000_u16.to_be_bytes(), "connection 1: the peer closed the WebSocket with 4000"),
        (true, &1000_u16.to_be_bytes(), ""),
        (
            true,
            &[&1000_u16.to_be_bytes()[..], b"bye"].concat(),
            "connection 1: the peer closed the WebSocket: \"bye\"",
        ),
        (true, b"", ""),
        (
            false,
            b"",
            "connection 1: the peer closed the WebSocket without a code when 1 message of 1 had no \
             answer",
        ),
    ] {
        let (input, answer) = input_alone();
        let mut client = Client::open(Source::lines(input), is_interactive);
        answer(Piece::Bytes(Bytes::from_static(b"hello\n")));
        client.peer.deliver();
        client.texts();
        client.receive(Opcode::Close, close);
        client.peer.eof();
        client.peer.output();
        assert_eq!(client.warning(), expected);
        let is_good = is_interactive && !close.starts_with(&4000_u16.to_be_bytes());
        assert_eq!(client.summary().starts_with("1 connection: 1 finished"), is_good);
    }
}

#[test]
fn an_end_without_a_close_is_an_error() {
    for (end, expected) in [
        (
            None,
            "connection 1: the peer ended the connection without closing the WebSocket when 1 \
             message of 1 had no answer",
        ),
        (
            Some(Reason::Reset),
            "connection 1: the peer reset the connection when 1 message of 1 had no answer",
        ),
    ] {
        let mut client = Client::open(texts(&["one"]), false);
        client.texts();
        match end {
            None => client.peer.eof(),
            Some(reason) => client.peer.end_for(&reason),
        }
        client.peer.output();
        assert_eq!(client.warning(), expected);
    }
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_so() {
    let mut client = Client::open(texts(&["one"]), false);
    client.texts();
    client.receive(Opcode::Text, b"\xff");
    assert_eq!(client.peer.fault().unwrap().code, "websocket_invalid_data");
    client.peer.output();
    assert_eq!(client.warning(), "connection 1: the peer sent text that is not UTF-8");
}

#[test]
fn a_server_that_is_silent_or_only_answers_pings_times_out() {
    let mut client = Client::open(texts(&["one", "two"]), false);
    client.peer.pass(Duration::from_secs(25));
    assert_eq!(client.texts(), ["one", "two"]);
    client.receive(Opcode::Text, b"1");
    client.peer.pass(Duration::from_secs(35));
    assert_eq!(client.sent(), [(Opcode::Ping, vec![])]);
    client.receive(Opcode::Pong, b"");
    client.peer.pass(Duration::from_secs(25));
    assert_eq!(client.peer.fault().unwrap().code, "silent");
    client.peer.output();
    assert_eq!(
        client.warning(),
        "connection 1: the peer was silent for 60 s when 1 message of 2 had no answer"
    );
    let mut client = Client::connect(texts(&["one"]), false);
    client.peer.output();
    client.peer.pass(Duration::from_secs(60));
    client.peer.output();
    assert_eq!(
        client.warning(),
        "connection 1: the peer was silent for 60 s when the WebSocket was to be opened; if the port \
         speaks TLS, write wss://localhost:1/chat"
    );
}

#[test]
fn a_server_that_does_not_close_the_connection_is_not_awaited_for_long() {
    let mut client = Client::open(texts(&[""]), false);
    client.texts();
    client.receive(Opcode::Text, b"");
    client.closes_with(1000);
    client.receive(Opcode::Close, b"");
    // The engine closes it after the time of `Config::linger`.
    assert_eq!(client.peer.end(), Some(End::Linger));
    // Nor is its close frame, for long.
    let mut client = Client::open(texts(&[""]), false);
    client.texts();
    client.receive(Opcode::Text, b"");
    client.closes_with(1000);
    client.peer.pass(Duration::from_secs(5));
    client.peer.pass(Duration::from_secs(1));
    client.peer.output();
    assert!(client.peer.end().is_some());
    assert_eq!(client.warning(), "");
}

#[test]
fn a_refusal_is_shown_with_what_to_do() {
    for (response, expected) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 32\r\n\r\n\
             403 Forbidden\nThis is private.\n\n",
            "opened no WebSocket: 403 Forbidden (This is private.)",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<p>hi",
            "opened no WebSocket: 200 OK; there is no WebSocket at this path: write the path \
             of one",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            "opened no WebSocket: 400 Bad Request; if the port speaks TLS, write wss://localhost:1/",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "opened no WebSocket: 404 Not Found; write the path of a WebSocket",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            "opened no WebSocket: 401 Unauthorized; -H 'Authorization: …' sends credentials",
        ),
        (
            "HTTP/1.1 308 X\r\nLocation: https://localhost:1/chat\r\nContent-Length: 0\r\n\r\n",
            "opened no WebSocket: 308 Permanent Redirect; this port speaks TLS: write \
             wss://localhost:1/chat",
        ),
        (
            "HTTP/1.1 302 X\r\nLocation: http://a.example/x\r\nContent-Length: 0\r\n\r\n",
            "opened no WebSocket: 302 Found; it redirects to ws://a.example/x",
        ),
        (
            "HTTP/1.1 302 X\r\nLocation: /http-docs/\r\nContent-Length: 0\r\n\r\n",
            "opened no WebSocket: 302 Found; it redirects to /http-docs/",
        ),
        (
            "HTTP/1.1 404 X\r\nLocation: /x\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\n\
             No room",
            "opened no WebSocket: 404 Not Found (No room); write the path of a WebSocket",
        ),
        ("HTTP/1.1 299 X\r\n\r\n", "opened no WebSocket: 299; there is no WebSocket at this"),
        (
            "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "sent a Sec-WebSocket-Accept that does not fit the key",
        ),
        ("GET /chat HTTP/1.1\r\n", "HTTP/1 response; the peer sends back what it receives"),
        (
            "\x15\x03\x01\0\x02\x02\x28",
            "HTTP/1 response; the peer speaks TLS: write wss://localhost",
        ),
        ("", "closed the connection before the WebSocket was open; if the port speaks TLS, write"),
    ] {
        let mut client = Client::connect(texts(&["one"]), false);
        client.peer.output();
        if response.starts_with("HTTP/") {
            client.peer.drip(response.as_bytes());
        } else {
            client.peer.input(response.as_bytes());
        }
        if client.peer.fault().is_none() {
            client.peer.eof();
        }
        client.peer.output();
        let warning = client.warning();
        assert!(warning.contains(expected), "{response}: {warning}");
        assert!(client.summary().contains("0 finished, 1 failed"), "{}", client.summary());
    }
}

#[test]
fn a_slow_standard_output_pauses_reading_without_a_timeout() {
    let text = "x".repeat(FULL_QUEUE / 2);
    let messages = [OwnedMessage::Text("?".into())];
    let mut client = Client::open(Source::of(&messages.to_vec().into(), 4), false);
    assert_eq!(client.texts().len(), 4);
    for _ in 0..3 {
        client.peer.input(&frame(Opcode::Text, text.as_bytes()));
    }
    client.peer.pass(Duration::from_secs(3600));
    assert!(client.peer.fault().is_none());
    client.sent();
    assert_eq!(client.printed().len(), 2 * (text.len() + 1), "there is no room for the third");
    client.peer.deliver();
    assert_eq!(client.printed().len(), text.len() + 1);
    client.receive(Opcode::Text, b"4");
    client.closes_with(1000);
    assert_eq!(client.printed(), "4\n");
}

#[test]
fn a_standard_output_without_a_reader_ends_the_connection_without_an_error() {
    let mut client = Client::open(texts(&["one", "two"]), false);
    client.texts();
    client.printer.close();
    client.receive(Opcode::Text, b"1");
    client.closes_with(1001);
    assert!(client.peer.finished());
    assert!(client.summary().contains("1 aborted, since standard output has no reader"));
}

#[test]
fn input_that_cannot_be_sent_is_our_fault() {
    for (piece, expected) in [
        (Piece::Failed("is a directory".into()), "could not read standard input: is a directory"),
        (
            Piece::Bytes(Bytes::from_static(b"\xff\n")),
            "could not send a line of standard input that is not UTF-8: --binary sends all of the \
             input as one message of bytes",
        ),
    ] {
        let (input, answer) = input_alone();
        let mut client = Client::open(Source::lines(input), false);
        answer(piece);
        client.peer.deliver();
        assert_eq!(client.peer.fault().unwrap().code, "input_failed");
        client.peer.output();
        assert_eq!(client.warning(), format!("connection 1: we {expected}"));
    }
}

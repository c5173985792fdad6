//! Connections that speak WebSocket.

use sockeye_http::Fields;
use sockeye_http::ws::{FrameHeader, Message, Opcode, accept_value, mask};

use super::*;
use crate::WebSocketOpening;

fn plan(message: Message<'_>) -> Plan {
    let opening = WebSocketOpening {
        host: "h".into(),
        target: "/chat".into(),
        fields: Fields::new().with("X-Probe", b"1").unwrap(),
        protocols: vec!["a".into()],
    };
    let requests = vec![PreparedRequest::websocket(opening, message)];
    Plan { connections: NonZeroUsize::MIN, ..Plan::new(LoadKind::WebSocket, requests) }
}

/// A connection that sends `requests` messages. An echo is expected, unless it is the first.
fn connect(plan: Plan, requests: u64, is_probed: bool) -> (Harness, Rc<WorkerState>) {
    let expected = is_probed.then(ExpectedResponse::default);
    let expected: ExpectedResponses = [[expected.clone(), expected]].into();
    let state = Rc::new(WorkerState::new(Arc::new(plan), expected, 0, 1, requests));
    (Harness::new(Connection::new(Rc::clone(&state), 0)), state)
}

/// Opens the WebSocket.
fn open(plan: Plan, requests: u64, is_probed: bool) -> (Harness, Rc<WorkerState>) {
    let (mut server, state) = connect(plan, requests, is_probed);
    let request = String::from_utf8(server.output()).unwrap();
    assert!(request.starts_with("GET /chat HTTP/1.1\r\nHost: h\r\n"), "{request}");
    assert!(request.contains("\r\nSec-WebSocket-Protocol: a\r\nX-Probe: 1\r\n"), "{request}");
    let (_, rest) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    let accept = accept_value(rest.lines().next().unwrap().as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    server.drip(response.as_bytes());
    (server, state)
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let (header, len) = FrameHeader::whole(opcode, payload.len(), None).encode();
    [&header[..len], payload].concat()
}

/// The frames that the connection has sent.
fn sent(server: &mut Harness) -> Vec<(Opcode, Vec<u8>)> {
    let output = server.output();
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

fn text(text: &str) -> (Opcode, Vec<u8>) {
    (Opcode::Text, text.into())
}

fn closes() -> (Opcode, Vec<u8>) {
    (Opcode::Close, 1000_u16.to_be_bytes().to_vec())
}

#[test]
fn a_message_is_sent_when_the_last_has_come_back() {
    let (mut server, state) = open(plan(Message::Text("hi")), 3, true);
    for answered in 0..3 {
        assert_eq!(sent(&mut server), [text("hi")]);
        assert_eq!(responses(&state), answered);
        server.drip(&frame(Opcode::Text, b"hi"));
    }
    assert_eq!(sent(&mut server), [closes()]);
    assert!(!server.finished(), "the server closes first");
    server.input(&frame(Opcode::Close, &1000_u16.to_be_bytes()));
    server.eof();
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (3, vec![]));
    assert_eq!(state.stats.borrow().content, 6);
}

#[test]
fn fragments_pings_and_any_split_are_read() {
    let fragment = |is_final, opcode, payload: &[u8]| {
        let header = FrameHeader { is_final, ..FrameHeader::whole(opcode, payload.len(), None) };
        let (header, len) = header.encode();
        [&header[..len], payload].concat()
    };
    let answers = [
        fragment(false, Opcode::Text, b"Hel"),
        frame(Opcode::Ping, b"?"),
        fragment(false, Opcode::Continuation, b""),
        fragment(true, Opcode::Continuation, b"lo"),
        frame(Opcode::Pong, b"!"),
        frame(Opcode::Text, b"Hello"),
        frame(Opcode::Text, b"Hello"),
    ]
    .concat();
    for cut in 0..=answers.len() {
        let mut plan = plan(Message::Text("Hello"));
        plan.pipeline = NonZeroUsize::new(3).unwrap();
        let (mut server, state) = open(plan, 3, true);
        assert_eq!(sent(&mut server).len(), 3);
        server.input(&answers[..cut]);
        server.input(&answers[cut..]);
        assert_eq!(sent(&mut server), [(Opcode::Pong, b"?".to_vec()), closes()]);
        assert_eq!((responses(&state), failures(&state)), (3, vec![]), "cut at {cut}");
    }
}

#[test]
fn a_ping_between_messages_is_answered() {
    let mut plan = plan(Message::Binary(b"\xff"));
    plan.rate = Some(0.001);
    let (mut server, state) = open(plan, 2, true);
    assert_eq!(sent(&mut server), [(Opcode::Binary, vec![0xff])]);
    server.input(&frame(Opcode::Binary, b"\xff"));
    server.drip(&frame(Opcode::Ping, b"there?"));
    assert_eq!(sent(&mut server), [(Opcode::Pong, b"there?".to_vec())]);
    assert_eq!((responses(&state), failures(&state)), (1, vec![]));
}

#[test]
fn a_message_without_a_request_is_a_failure() {
    let mut plan = plan(Message::Text("hi"));
    plan.rate = Some(0.001);
    let (mut server, state) = open(plan, 2, true);
    server.output();
    server.drip(&frame(Opcode::Text, b"hi").repeat(2));
    server.output();
    assert_eq!((responses(&state), failures(&state)), (1, vec![(Failure::BadResponse, 1)]));
}

#[test]
fn what_is_not_an_echo_is_counted() {
    for other in
        [frame(Opcode::Text, b"ho"), frame(Opcode::Binary, b"hi"), frame(Opcode::Text, b"i")]
    {
        let (mut server, state) = open(plan(Message::Text("hi")), 1, true);
        server.output();
        server.drip(&other);
        assert_eq!((responses(&state), failures(&state)), (1, vec![(Failure::Mismatch, 1)]));
        let (mut server, state) = open(plan(Message::Text("hi")), 1, false);
        server.output();
        server.drip(&other);
        assert_eq!(failures(&state), [(Failure::ErrorResponse, 1)]);
        let learned = state.learned.borrow()[0].1.error.clone();
        let expected = "the response is not what was sent; load needs a WebSocket that sends back";
        assert!(learned.is_some_and(|learned| learned.starts_with(expected)));
    }
}

#[test]
fn each_way_to_fail_has_its_kind_and_text() {
    let closed = |payload: &[u8]| frame(Opcode::Close, payload);
    for (bytes, failure, expected) in [
        (
            closed(&[&1008_u16.to_be_bytes()[..], b"no"].concat()),
            Failure::Closed,
            "closed the WebSocket with 1008 (no) before the first byte",
        ),
        (closed(b""), Failure::Closed, "closed the WebSocket with 1005 before the first byte"),
        (vec![0x81, 0x82, 1, 2, 3, 4], Failure::BadResponse, "sent a frame with a mask"),
        (vec![0xC1, 0x00], Failure::BadResponse, "a compressed frame"),
        (vec![0x83, 0x00], Failure::BadResponse, "a reserved opcode"),
        (vec![0x80, 0x00], Failure::BadResponse, "a continuation of no message"),
        (vec![0x01, 0x00, 0x01, 0x00], Failure::BadResponse, "a message inside another one"),
        (vec![0x81, 0x7E, 0x01, 0x00], Failure::BadResponse, "content of more than 100 B"),
    ] {
        let (mut server, state) =
            open(Plan { max_content: 100, ..plan(Message::Text("hi")) }, 1, true);
        server.output();
        server.drip(&bytes);
        server.output();
        let stats = state.stats.borrow();
        let all: Vec<_> = stats.failures.iter().collect();
        assert!(
            matches!(all[..], [(kind, 1, text)] if kind == failure && text.contains(expected)),
            "{all:?}"
        );
    }
}

#[test]
fn a_refusal_and_a_silent_server_are_failures() {
    for (response, failure, answered_without_tls, expected) in [
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            Failure::ErrorResponse,
            true,
            "403 Forbidden; load --header 'Name: value' sends credentials or an Origin",
        ),
        (
            "HTTP/1.1 426 Upgrade Required\r\n\r\n",
            Failure::ErrorResponse,
            true,
            "426 Upgrade Required; write the path of a WebSocket",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            Failure::BadResponse,
            true,
            "opened no WebSocket: 200 OK; there is no WebSocket at this path",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            Failure::ErrorResponse,
            false,
            "opened no WebSocket: 400 Bad Request",
        ),
        // Perhaps to TLS.
        ("HTTP/1.1 308 \r\n\r\n", Failure::BadResponse, false, "opened no WebSocket: 308"),
        ("GET / HTTP/1.1\r\n\r\n", Failure::BadResponse, true, "sends back what it receives"),
        ("hello", Failure::BadResponse, false, "something else than an HTTP/1 response"),
        ("", Failure::Closed, false, "closed the connection before the WebSocket was open"),
    ] {
        let (mut server, state) = connect(plan(Message::Text("hi")), 1, true);
        server.output();
        server.input(response.as_bytes());
        if server.fault().is_none() {
            server.eof();
        }
        server.output();
        assert_eq!(state.answered_without_tls.get(), answered_without_tls, "{response}");
        let stats = state.stats.borrow();
        let all: Vec<_> = stats.failures.iter().collect();
        assert!(
            matches!(all[..], [(kind, 1, text)] if kind == failure && text.contains(expected)),
            "{all:?}"
        );
    }
    let (mut server, state) = connect(plan(Message::Text("hi")), 1, true);
    server.output();
    server.pass(Duration::from_secs(10));
    server.output();
    assert_eq!(failures(&state), [(Failure::Timeout, 1)]);
}

#[test]
fn a_server_that_closes_an_idle_websocket_is_answered_and_replaced() {
    let mut plan = plan(Message::Text("hi"));
    plan.rate = Some(0.001);
    let (mut server, state) = open(plan, 2, true);
    server.output();
    server.input(&frame(Opcode::Text, b"hi"));
    server.input(&frame(Opcode::Close, &1001_u16.to_be_bytes()));
    assert_eq!(sent(&mut server), [(Opcode::Close, 1001_u16.to_be_bytes().to_vec())]);
    server.eof();
    assert!(finished(&mut server));
    assert_eq!((failures(&state), state.closed.borrow().len()), (vec![], 1));
}

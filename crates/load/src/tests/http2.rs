//! Tests of connections that speak HTTP/2. The test plays the server, frame by frame.

use sockeye_proto::{End, Peer, TlsInfo};

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client sends first: the preface, settings, and a window.
const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, b"")
}

/// A response with the status 200 and this content.
fn ok(stream: u8, content: &[u8]) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, b"\x88");
    [head, frame(DATA, END_STREAM, stream, content)].concat()
}

fn goaway(last: u8, code: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, code])
}

/// The streams whose requests the client has sent since the last call.
fn requests(server: &mut Harness) -> Vec<u8> {
    let output = server.output();
    let mut rest = output.strip_prefix(START).unwrap_or(&output);
    let mut streams = Vec::new();
    while let [_, l1, l0, kind, _, _, _, _, stream, ..] = *rest {
        rest = &rest[9 + usize::from(l1) * 256 + usize::from(l0)..];
        if kind == HEADERS {
            streams.push(stream);
        }
    }
    streams
}

fn http2() -> Plan {
    Plan { kind: LoadKind::Http2, pipeline: NonZeroUsize::new(3).unwrap(), ..plan() }
}

/// A connection of `plan` that sends `requests` requests and expects "hi".
fn open(plan: Plan, requests: u64) -> (Harness, Rc<WorkerState>) {
    let response =
        ExpectedResponse { content: Some("hi".into()), content_len: 2, ..Default::default() };
    let expected: ExpectedResponses = [[Some(response.clone()), Some(response)]].into();
    let state = Rc::new(WorkerState::new(Arc::new(plan), expected, 0, 1, requests));
    (Harness::new(Connection::new(Rc::clone(&state), 0)), state)
}

/// The same, with TLS on which the server has chosen `alpn`.
fn open_tls(plan: Plan, alpn: Option<&[u8]>) -> (Harness, Rc<WorkerState>) {
    let (_, state) = open(plan, 9);
    let mut peer = Peer::new(std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into(), 0);
    let mut tls = TlsInfo::default();
    tls.alpn = alpn.map(Into::into);
    peer.tls = Some(Arc::new(tls));
    (Harness::with_peer(Connection::new(Rc::clone(&state), 0), peer), state)
}

#[test]
fn responses_in_any_order_make_room_for_further_requests() {
    let (mut server, state) = open(http2(), 5);
    assert_eq!(requests(&mut server), [1, 3, 5]);
    server.drip(&[settings(), ok(5, b"hi"), ok(1, b"hi")].concat());
    assert_eq!(requests(&mut server), [7, 9]);
    server.input(&[ok(3, b"hi"), ok(9, b"hi"), ok(7, b"hi")].concat());
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (5, vec![]));
    assert_eq!(state.stats.borrow().content, 10);
    assert_eq!(state.stats.borrow().protocol, Some("HTTP/2"));
}

#[test]
fn the_server_limits_the_streams() {
    let (mut server, _) = open(http2(), 9);
    assert_eq!(requests(&mut server), [1, 3, 5]);
    server.input(&[frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x02"), ok(1, b"hi")].concat());
    assert_eq!(requests(&mut server), [0; 0]);
    server.input(&ok(3, b"hi"));
    assert_eq!(requests(&mut server), [7]);
}

#[test]
fn a_server_chooses_http2_by_alpn() {
    let begins_http2 = |plan, alpn| open_tls(plan, alpn).0.output().starts_with(START);
    assert!(begins_http2(plan(), Some(b"h2")));
    assert!(!begins_http2(plan(), Some(b"http/1.1")) && !begins_http2(plan(), None));
    assert!(begins_http2(http2(), Some(b"h2")));
    let (server, state) = open_tls(http2(), None);
    assert!(server.fault().is_some_and(|fault| fault.what.contains("did not choose HTTP/2")));
    assert_eq!(failures(&state), [(Failure::BadResponse, 1)]);
}

#[test]
fn requests_that_a_server_that_goes_away_has_not_processed_are_sent_again() {
    let (mut server, state) = open(http2(), 4);
    server.input(&[settings(), ok(1, b"hi"), goaway(3, 0)].concat());
    assert_eq!(requests(&mut server), [1, 3, 5], "and no further one");
    assert!(!server.finished(), "the response on stream 3 is missing");
    assert_eq!((responses(&state), state.remaining.get()), (1, 2));
    server.input(&ok(3, b"hi"));
    assert!(!finished(&mut server), "the server closes first");
    server.eof();
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (2, vec![]));
    assert_eq!(state.closed.borrow().len(), 1, "it is opened again");

    // A server that does not close in time is not waited for again.
    for wait in [100, 0, 0, 0, 0, 0, 0, 0, 0, 0] {
        let mut server = Harness::new(Connection::new(Rc::clone(&state), 0));
        server.input(&[settings(), goaway(0, 0)].concat());
        server.pass(Duration::from_millis(wait));
        assert!(finished(&mut server), "after {wait} ms");
    }
    assert_eq!((failures(&state), state.remaining.get()), (vec![], 2));
    // Again and again without a response, it is a failure.
    let mut server = Harness::new(Connection::new(Rc::clone(&state), 0));
    server.input(&[settings(), goaway(0, 0)].concat());
    assert!(finished(&mut server));
    assert_eq!(failures(&state), [(Failure::Closed, 1)]);
}

#[test]
fn refused_requests_are_sent_again_when_another_one_is_answered() {
    let refuse = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 7]);
    let (mut server, state) = open(http2(), 4);
    assert_eq!(requests(&mut server), [1, 3, 5]);
    server.drip(&[settings(), refuse(3), refuse(5)].concat());
    assert_eq!((requests(&mut server), state.remaining.get()), (vec![], 3), "one is in flight");
    server.input(&ok(1, b"hi"));
    assert_eq!((requests(&mut server), state.remaining.get()), (vec![7, 9, 11], 0));
    // With none in flight, one is sent at once.
    server.input(&[refuse(9), refuse(7), refuse(11)].concat());
    assert_eq!((requests(&mut server), state.remaining.get()), (vec![13], 2));
    server.input(&ok(13, b"hi"));
    assert_eq!(requests(&mut server), [15, 17]);
    server.input(&[ok(15, b"hi"), ok(17, b"hi")].concat());
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (4, vec![]));
    assert_eq!(state.stats.borrow().latencies.count(), 4, "none is counted twice");
}

#[test]
fn a_server_that_refuses_every_request_is_a_failure() {
    let (mut server, state) = open(http2(), 2);
    server.input(&settings());
    let mut sent = Vec::new();
    loop {
        let requests = requests(&mut server);
        if requests.is_empty() {
            break;
        }
        let refused = requests.iter().map(|stream| frame(RST_STREAM, 0, *stream, &[0, 0, 0, 7]));
        server.input(&refused.collect::<Vec<_>>().concat());
        sent.push(requests.len());
    }
    assert_eq!(sent, [&[2][..], &[1; 11]].concat());
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (0, vec![(Failure::Reset, 2)]));
}

#[test]
fn a_connection_with_all_its_requests_announces_its_end() {
    let mut plan = http2();
    plan.per_connection = NonZeroU64::new(2);
    let (mut server, state) = open(plan, 9);
    assert_eq!(requests(&mut server), [1, 3]);
    server.input(&[settings(), ok(1, b"hi"), ok(3, b"hi")].concat());
    assert!(server.output().ends_with(&goaway(0, 0)));
    assert_eq!(server.end(), None, "the server closes first");
    server.pass(Duration::from_millis(100));
    assert_eq!(server.end(), Some(End::Close));
    assert_eq!((responses(&state), failures(&state)), (2, vec![]));
}

#[test]
fn each_failure_has_its_kind_and_text() {
    enum Ending {
        None,
        Eof,
        Reset,
        Silence,
    }
    let reset = |code| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
    let head = frame(HEADERS, END_HEADERS, 1, b"\x88\x0f\x0d\x012");
    let cut = [&head[..], &frame(DATA, 0, 1, b"h")].concat();
    let content = "in the middle of a response's content, after 1 of 2 bytes";
    let limited = frame(HEADERS, END_HEADERS, 1, b"\x88\x0f\x0d\x0512345");
    let cases = [
        (vec![], Ending::Eof, Failure::Closed, 3, "closed the connection before the first byte"),
        (cut.clone(), Ending::Eof, Failure::TruncatedContent, 3, content),
        (cut.clone(), Ending::Reset, Failure::Reset, 3, content),
        (cut, Ending::Silence, Failure::Timeout, 3, content),
        (reset(8), Ending::None, Failure::Reset, 1, "reset a stream with CANCEL"),
        (
            [head.clone(), reset(7)].concat(),
            Ending::None,
            Failure::Reset,
            1,
            "reset a stream with REFUSED_STREAM",
        ),
        (
            [ok(1, b"hi"), ok(3, b"hi"), ok(5, b"hi"), goaway(5, 11)].concat(),
            Ending::None,
            Failure::Reset,
            1,
            "ended the connection with ENHANCE_YOUR_CALM",
        ),
        (
            goaway(1, 11),
            Ending::Eof,
            Failure::Closed,
            1,
            "closed the connection with ENHANCE_YOUR_CALM before the first byte",
        ),
        (frame(DATA, 0, 9, b""), Ending::None, Failure::BadResponse, 3, "without a request"),
        (limited, Ending::None, Failure::BadResponse, 3, "more than 100 B (max-content)"),
    ];
    for (input, ending, failure, count, expected) in cases {
        let mut plan = http2();
        plan.max_content = 100;
        plan.per_connection = NonZeroU64::new(3);
        let (mut server, state) = open(plan, 9);
        server.output();
        server.input(&[settings(), input].concat());
        match ending {
            Ending::None => {}
            Ending::Eof => server.eof(),
            Ending::Reset => server.end_for(&Reason::Reset),
            Ending::Silence => server.pass(Duration::from_secs(11)),
        }
        server.output();
        let stats = state.stats.borrow();
        let failures: Vec<_> = stats.failures.iter().collect();
        let [(kind, number, text)] = failures[..] else { panic!("{expected}: {failures:?}") };
        assert_eq!((kind, number), (failure, count), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

/// RFC 9113, 5.4.1. If a frame was sent in part, what follows would be the rest of it.
#[test]
fn a_server_that_breaks_the_protocol_gets_a_goaway_unless_a_frame_is_incomplete() {
    let error = frame(6, 0, 1, b"12345678");
    let (mut server, state) = open(http2(), 3);
    server.output();
    server.input(&[settings(), error.clone()].concat());
    assert!(server.output().ends_with(&[frame(SETTINGS, 1, 0, b""), goaway(0, 1)].concat()));
    assert_eq!(failures(&state), [(Failure::BadResponse, 3)]);

    let (mut server, state) = open(http2(), 3);
    server.input(&[settings(), error].concat());
    assert_eq!(server.output(), b"");
    assert_eq!((failures(&state), state.remaining.get()), (vec![(Failure::BadResponse, 1)], 3));
}

#[test]
fn content_is_compared_with_verify_and_errors_are_counted_by_status() {
    let mut plan = http2();
    plan.verify = true;
    let (mut server, state) = open(plan, 4);
    let missing = frame(HEADERS, END_HEADERS | END_STREAM, 5, b"\x8d");
    server.input(&[settings(), ok(1, b"hi"), ok(3, b"ho"), missing].concat());
    server.input(&ok(7, b"h"));
    server.output();
    assert_eq!(failures(&state), [(Failure::ErrorResponse, 1), (Failure::Mismatch, 2)]);
    assert_eq!(state.stats.borrow().statuses, [0, 0, 3, 0, 1, 0]);
}

#[test]
fn requests_that_were_not_sent_are_left_for_other_connections() {
    let (mut server, state) = open(http2(), 3);
    assert!(state.sends_no_more(), "all requests are written");
    server.end_for(&Reason::Reset);
    assert_eq!((failures(&state), state.remaining.get()), (vec![(Failure::Reset, 1)], 3));

    let (mut server, state) = open(http2(), 3);
    server.output();
    server.end_for(&Reason::Reset);
    assert_eq!((failures(&state), state.remaining.get()), (vec![(Failure::Reset, 3)], 0));
}

#[test]
fn a_large_request_is_no_silence_while_the_server_takes_it() {
    let mut request = HttpRequest::get("h", "/");
    request.body = Some(vec![b'x'; 200_000].into());
    let mut plan = http2();
    plan.requests = vec![request.prepare().unwrap()];
    let (mut server, state) = open(plan, 1);
    server.input(&settings());
    for _ in 0..3 {
        server.output();
        server.pass(Duration::from_secs(9));
        let window = |stream| frame(8, 0, stream, b"\0\0\x40\0");
        server.input(&[window(0), window(1)].concat());
    }
    assert_eq!(failures(&state), []);
    server.output();
    server.pass(Duration::from_secs(10));
    assert_eq!(failures(&state), [(Failure::Timeout, 1)]);
}

#[test]
fn parts_of_responses_are_progress_and_pings_are_not() {
    let (mut server, state) = open(http2(), 3);
    server.input(&[settings(), frame(HEADERS, END_HEADERS, 1, b"\x88")].concat());
    for _ in 0..3 {
        server.output();
        server.pass(Duration::from_secs(9));
        server.input(&frame(DATA, 0, 1, b"h"));
    }
    assert_eq!(failures(&state), []);
    server.output();
    server.pass(Duration::from_secs(9));
    server.input(&frame(6, 0, 0, b"12345678"));
    server.output();
    server.pass(Duration::from_secs(1));
    assert_eq!(failures(&state), [(Failure::Timeout, 3)]);
}

#[test]
fn the_end_of_a_connection_with_responses_is_no_failure() {
    let (mut server, state) = open(http2(), 9);
    server.input(&[settings(), ok(1, b"hi"), ok(3, b"hi"), ok(5, b"hi")].concat());
    // Meanwhile, many other connections end without one.
    state.unresponsive.set(10);
    server.input(&goaway(5, 0));
    server.eof();
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (3, vec![]));
}

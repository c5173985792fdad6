//! Tests of connections, on the harness of `sockeye-proto`.

mod http2;
mod websocket;

use std::num::{NonZeroU64, NonZeroUsize};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::Reason;
use sockeye_proto::harness::Harness;

use crate::connection::Connection;
use crate::expected::{ExpectedResponse, ExpectedResponses};
use crate::response::{RequestContext, reader};
use crate::state::WorkerState;
use crate::{Failure, HttpRequest, LoadKind, Plan, PreparedRequest};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn plan() -> Plan {
    let requests = vec![HttpRequest::get("h", "/").prepare().unwrap()];
    Plan { connections: NonZeroUsize::MIN, ..Plan::new(LoadKind::Http, requests) }
}

/// A connection of `plan` that sends `requests` requests and expects `response`.
fn open(plan: Plan, requests: u64, response: &[u8]) -> (Harness, Rc<WorkerState>) {
    let context =
        RequestContext { plan: &plan, request: &plan.requests[0], is_last: false, expected: None };
    let response = match reader(plan.kind).read(response, context) {
        Ok((_, Some(response))) => response.learned,
        other => panic!("no response: {other:?}"),
    };
    let expected: ExpectedResponses = [[response.clone(), response]].into();
    let state = Rc::new(WorkerState::new(Arc::new(plan), expected, 0, 1, requests));
    (Harness::new(Connection::new(Rc::clone(&state), 0)), state)
}

/// Whether our side has ended in order, with all output sent.
fn finished(server: &mut Harness) -> bool {
    server.output();
    server.finished()
}

fn responses(state: &WorkerState) -> u64 {
    state.stats.borrow().responses
}

fn failures(state: &WorkerState) -> Vec<(Failure, u64)> {
    let stats = state.stats.borrow();
    stats.failures.iter().map(|(failure, count, _)| (failure, count)).collect()
}

#[test]
fn the_next_request_is_sent_after_each_response() {
    let (mut server, state) = open(plan(), 3, OK);
    for answered in 0..3 {
        assert_eq!(server.output(), GET);
        assert_eq!(responses(&state), answered);
        server.drip(OK);
    }
    assert!(finished(&mut server));
    assert_eq!(responses(&state), 3);
    assert_eq!(state.stats.borrow().content, 6);
}

#[test]
fn the_pipeline_limits_requests_in_flight() {
    let mut plan = plan();
    plan.pipeline = NonZeroUsize::new(3).unwrap();
    let (mut server, state) = open(plan, 5, OK);
    assert_eq!(server.output(), GET.repeat(3));
    server.input(&[OK, OK, &OK[..9]].concat());
    assert_eq!(server.output(), GET.repeat(2));
    server.input(&[&OK[9..], OK, OK].concat());
    assert!(finished(&mut server));
    assert_eq!(responses(&state), 5);
}

#[test]
fn the_last_request_of_a_connection_asks_the_server_to_close_it() {
    let mut plan = plan();
    plan.per_connection = NonZeroU64::new(2);
    let (mut server, state) = open(plan, 9, OK);
    assert_eq!(server.output(), GET);
    server.input(OK);
    assert_eq!(server.output(), LAST);
    server.input(
        &String::from_utf8_lossy(OK)
            .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
            .into_bytes(),
    );
    assert!(!finished(&mut server), "the server closes first");
    server.eof();
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (2, vec![]));
}

#[test]
fn requests_that_a_closing_server_leaves_unanswered_are_sent_again() {
    let mut plan = plan();
    plan.pipeline = NonZeroUsize::new(3).unwrap();
    let (mut server, state) = open(plan, 3, OK);
    server.input(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    server.eof();
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (1, vec![]));
    assert!(!state.sends_no_more(), "two are left");
}

#[test]
fn each_way_to_fail_has_its_kind_and_text() {
    enum Ending {
        Eof,
        Reset,
        Silence,
    }
    const CLOSED: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const HINT: &[u8] = b"HTTP/1.1 103 x\r\n\r\n";
    const HINTS: &[u8] = b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 103 x\r\n\r\n";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let head = "in the middle of a response's head, after 20 bytes";
    let content = "in the middle of a response's content, after 1 of 2 bytes";
    let cases: [(&[u8], Ending, Failure, &str); 13] = [
        (b"", Ending::Eof, Failure::Closed, "closed the connection before the first byte of a"),
        (
            HINT,
            Ending::Eof,
            Failure::Closed,
            "closed the connection after 1 interim response (1xx) and",
        ),
        (
            HINTS,
            Ending::Silence,
            Failure::Timeout,
            "s after 2 interim responses (1xx) and no final one",
        ),
        (
            HINT,
            Ending::Reset,
            Failure::Reset,
            "reset the connection after 1 interim response (1xx)",
        ),
        (&OK[..20], Ending::Eof, Failure::TruncatedHead, head),
        (&OK[..OK.len() - 1], Ending::Eof, Failure::TruncatedContent, content),
        (
            chunked,
            Ending::Eof,
            Failure::TruncatedContent,
            "in the middle of a response's content, after 3 by",
        ),
        (b"", Ending::Reset, Failure::Reset, "reset the connection before the first byte of a"),
        (&OK[..OK.len() - 1], Ending::Reset, Failure::Reset, content),
        (b"SSH-2.0-OpenSSH\r\n", Ending::Silence, Failure::BadResponse, "something else"),
        (
            b"HTTP/1.1 200\r\nContent-Length: x\r\n\r\n",
            Ending::Silence,
            Failure::BadResponse,
            "not a number",
        ),
        (&OK[..20], Ending::Silence, Failure::Timeout, head),
        (CLOSED, Ending::Reset, Failure::Reset, ""),
    ];
    for (input, ending, failure, expected) in cases {
        let (mut server, state) = open(plan(), 9, OK);
        server.output();
        server.input(input);
        match ending {
            Ending::Eof => server.eof(),
            Ending::Reset => server.end_for(&Reason::Reset),
            Ending::Silence => server.pass(Duration::from_secs(11)),
        }
        if expected.is_empty() {
            assert_eq!(failures(&state), [], "a reset after a response that ends the connection");
            continue;
        }
        server.output();
        assert_eq!(failures(&state), [(failure, 1)], "{}", input.escape_ascii());
        let stats = state.stats.borrow();
        let text = stats.failures.iter().next().unwrap().2;
        assert!(text.contains(expected), "{text}: {}", input.escape_ascii());
        assert_eq!(state.closed.borrow().len(), 1);
    }
}

#[test]
fn connections_that_the_server_leaves_open_are_closed() {
    for last in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut plan = plan();
        plan.pipeline = NonZeroUsize::new(3).unwrap();
        let (mut server, state) = open(plan, 9, OK);
        server.output();
        server.input(last.as_bytes());
        server.input(b"and more, which is not a response");
        server.pass(Duration::from_millis(50));
        assert!(!server.finished(), "the server may close first");
        server.pass(Duration::from_millis(50));
        assert!(finished(&mut server), "{last:?}");
        assert_eq!(state.closed.borrow().len(), 1);
        assert_eq!(state.stats.borrow().statuses.iter().sum::<u64>(), 1);
        // The next connection closes at once.
        let mut server = Harness::new(Connection::new(Rc::clone(&state), 0));
        server.output();
        server.input(last.as_bytes());
        assert!(finished(&mut server), "{last:?}");
    }
}

#[test]
fn unsent_requests_are_left_for_other_connections() {
    let mut plan = plan();
    plan.pipeline = NonZeroUsize::new(3).unwrap();
    let (mut server, state) = open(plan.clone(), 3, OK);
    assert!(state.sends_no_more(), "all requests are written");
    server.end_for(&Reason::Reset);
    assert!(!state.sends_no_more(), "no request was sent");
    assert_eq!(failures(&state), [(Failure::Reset, 1)], "the connection");

    let (mut server, state) = open(plan, 3, OK);
    server.output();
    server.end_for(&Reason::Reset);
    assert!(state.sends_no_more());
    assert_eq!(failures(&state), [(Failure::Reset, 3)]);
}

#[test]
fn unanswered_requests_are_counted_at_the_end() {
    let mut plan = plan();
    plan.pipeline = NonZeroUsize::new(3).unwrap();
    let (mut server, state) = open(plan, 9, OK);
    server.output();
    server.input(&[OK, &OK[..OK.len() - 1]].concat());
    server.output();
    server.end_for(&Reason::Cut);
    assert_eq!((responses(&state), state.stats.borrow().unanswered), (1, 3));
    assert_eq!(failures(&state), []);
    let unfinished = state.unfinished.take().unwrap();
    assert!(unfinished.contains("after 1 of 2 bytes"), "{unfinished}");

    let (mut server, state) = open(self::plan(), 9, OK);
    server.output();
    server.input(b"HTTP/1.1 103 x\r\n\r\n");
    server.end_for(&Reason::Cut);
    let unfinished = state.unfinished.take().unwrap();
    assert_eq!(
        unfinished,
        "the connection was open, after 1 interim response (1xx) and no final one"
    );
}

#[test]
fn content_is_bounded_and_interim_responses_are_counted() {
    let long = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc";
    let endless = b"HTTP/1.1 200 OK\r\n\r\nabc";
    for response in [&long[..], chunked, endless] {
        let mut plan = plan();
        plan.max_content = 2;
        let (mut server, state) = open(plan, 3, OK);
        server.input(&[b"HTTP/1.1 103 x\r\n\r\n", OK].concat());
        assert_eq!((responses(&state), state.stats.borrow().statuses[1]), (1, 1));
        server.input(response);
        let fault = server.fault().unwrap().to_string();
        assert!(fault.contains("more than 2 B (max-content)"), "{fault}");
        assert_eq!(failures(&state), [(Failure::BadResponse, 1)]);
    }
}

#[test]
fn bytes_without_a_request_are_a_bad_response() {
    let mut plan = plan();
    plan.rate = Some(1.0);
    let (mut server, state) = open(plan, 9, OK);
    server.input(&[OK, b"x"].concat());
    assert!(server.fault().is_some());
    assert_eq!((responses(&state), failures(&state)), (1, vec![(Failure::BadResponse, 1)]));
}

#[test]
fn errors_are_counted_by_status_and_content_is_compared_with_verify() {
    let mut plan = plan();
    plan.verify = true;
    let (mut server, state) = open(plan, 5, OK);
    server.input(OK);
    server.input(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho");
    server.input(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
    );
    server.input(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nh");
    server.input(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    assert!(finished(&mut server));
    assert_eq!(failures(&state), [(Failure::ErrorResponse, 1), (Failure::Mismatch, 2)]);
    assert_eq!(state.stats.borrow().statuses, [0, 0, 4, 0, 0, 1]);
    assert_eq!(state.stats.borrow().latencies.count(), 4, "errors have no latency");
}

#[test]
fn with_a_rate_latencies_count_from_when_a_request_was_due() {
    let mut plan = plan();
    plan.rate = Some(10.0);
    let (mut server, state) = open(plan, 3, OK);
    assert_eq!(server.output(), GET);
    // The server stalls while two more requests become due.
    server.pass(Duration::from_millis(250));
    assert_eq!(server.output(), b"");
    server.input(OK);
    assert_eq!(server.output(), GET);
    server.input(OK);
    assert_eq!(server.output(), GET);
    server.input(OK);
    assert!(finished(&mut server));
    let stats = state.stats.borrow();
    for (percent, millis) in [(33.0, 50), (66.0, 150), (100.0, 250)] {
        let off = stats.latencies.percentile(percent).as_millis().abs_diff(millis);
        assert!(off <= 1, "{percent} %: {:?}", stats.latencies.percentile(percent));
    }
}

#[test]
fn a_request_is_sent_when_it_is_due_and_not_before() {
    let mut plan = plan();
    plan.rate = Some(10.0);
    let (mut server, _) = open(plan, 2, OK);
    server.output();
    server.input(OK);
    server.pass(Duration::from_millis(98));
    assert_eq!(server.output(), b"");
    server.pass(Duration::from_millis(1));
    assert_eq!(
        server.output(),
        b"",
        "it checks the time in every turn, and the request is not due"
    );
    server.pass(Duration::from_millis(2));
    assert_eq!(server.output(), GET);
}

#[test]
fn echoes_and_messages_end_by_their_length() {
    let mut plan = Plan::new(LoadKind::Echo, vec![PreparedRequest::bytes("abc".into())]);
    plan.verify = true;
    let (mut server, state) = open(plan, 3, b"abc");
    server.drip(b"abcabxabc");
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (3, vec![(Failure::Mismatch, 1)]));

    let plan = Plan::new(LoadKind::Echo, vec![PreparedRequest::bytes("abc".into())]);
    let (mut server, state) = open(plan, 2, b"abx");
    server.drip(b"abx");
    assert_eq!(failures(&state), [(Failure::ErrorResponse, 1)], "the server does not echo");

    let message = sockeye_message::Message::json_text(r#"{"a": 1}"#.into());
    let request = PreparedRequest::message(&message).unwrap();
    // A response is a frame like a request; the request itself counts as an error.
    let answer = sockeye_message::Message::json_text(r#"{"b": 1}"#.into());
    let response = PreparedRequest::message(&answer).unwrap().keep_alive().clone();
    let sent = request.keep_alive().clone();
    let (mut server, state) = open(Plan::new(LoadKind::Messages, vec![request.clone()]), 1, &sent);
    server.input(&sent);
    assert_eq!(failures(&state), [(Failure::ErrorResponse, 1)], "the server echoes");
    let (mut server, state) = open(Plan::new(LoadKind::Messages, vec![request]), 3, &response);
    server.drip(&response);
    server.input(&response);
    let error = sockeye_message::Message::json_text(r#"{"result": "Error: no."}"#.into());
    server.input(PreparedRequest::message(&error).unwrap().keep_alive());
    assert!(finished(&mut server));
    assert_eq!((responses(&state), failures(&state)), (3, vec![(Failure::ErrorResponse, 1)]));
}

#[test]
fn pending_responses_are_waited_for_at_the_end() {
    let (mut server, state) = open(plan(), u64::MAX, OK);
    state.finishing.set(true);
    server.drain();
    assert!(!finished(&mut server));
    server.input(OK);
    assert!(finished(&mut server));
    assert_eq!(responses(&state), 1);
}

//! The client's side.

use std::cell::RefCell;

use sockeye_proto::Turn;

use super::super::{
    Client, ClientAction, ClientConfig, ClientEnd, ClientHandler, ConnectionMode, ErrorResponse,
    error_response,
};
use super::*;

#[derive(Default)]
struct Record {
    responses: Vec<(u64, String)>,
    end: Option<ClientEnd>,
    promise: Option<Promise>,
}

/// Sends `remaining` messages.
struct Many {
    remaining: usize,
    size: usize,
    pauses: bool,
    record: Rc<RefCell<Record>>,
}

impl ClientHandler for Many {
    fn next_message(&mut self) -> Option<Message> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some(result(&"x".repeat(self.size)))
    }
    fn on_response(&mut self, number: u64, response: Message, turn: &mut Turn<'_>) -> ClientAction {
        let text = response.to_json().unwrap()["result"].as_str().unwrap().to_owned();
        let mut record = self.record.borrow_mut();
        record.responses.push((number, text));
        if self.pauses {
            record.promise = Some(turn.promise());
            return ClientAction::Pause;
        }
        ClientAction::Continue
    }
    fn on_end(&mut self, end: ClientEnd) {
        let earlier = self.record.borrow_mut().end.replace(end);
        assert!(earlier.is_none(), "called once");
    }
}

fn client(remaining: usize, settings: ClientConfig) -> (Harness, Rc<RefCell<Record>>) {
    let record = Rc::default();
    let many = Many { remaining, size: 3, pauses: false, record: Rc::clone(&record) };
    (Harness::new(Client::new(settings, many)), record)
}

fn keep_alive() -> ClientConfig {
    ClientConfig { mode: ConnectionMode::KeepAlive { in_flight: 4 }, ..ClientConfig::default() }
}

/// A response under this id.
fn response(id: Option<u64>, keep_alive: bool, message: &Message) -> Vec<u8> {
    let id = id.map(Id::number);
    let mut header = Header::of(message);
    (header.id, header.keep_alive) = (id, keep_alive);
    [frame::head(&header).unwrap(), message.content.to_vec()].concat()
}

fn ids(output: &[u8]) -> Vec<u64> {
    frames(output)
        .iter()
        .map(|(header, _)| header.id.as_ref().unwrap().as_number().unwrap())
        .collect()
}

#[test]
fn the_first_request_is_sent_alone_and_then_as_many_as_allowed() {
    let (mut server, record) = client(7, keep_alive());
    assert_eq!(ids(&server.output()), [0]);
    server.input(&response(Some(0), true, &result("a")));
    assert_eq!(ids(&server.output()), [1, 2, 3, 4]);
    server.input(&response(Some(3), true, &result("b")));
    assert_eq!(ids(&server.output()), [5]);
    for id in [1, 2, 4, 5] {
        server.input(&response(Some(id), true, &result("c")));
    }
    assert_eq!(ids(&server.output()), [6]);
    server.input(&response(Some(6), true, &result("d")));
    server.output();
    let numbers: Vec<u64> = record.borrow().responses.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 3, 1, 2, 4, 5, 6]);
    assert_eq!(record.borrow().end, Some(ClientEnd::Completed));
}

#[test]
fn a_server_that_echoes_no_id_gets_no_second_request() {
    let (mut server, record) = client(3, keep_alive());
    server.output();
    server.input(&response(None, false, &result("one")));
    server.output();
    assert_eq!(record.borrow().responses, [(0, "one".to_owned())]);
    assert_eq!(record.borrow().end, Some(ClientEnd::NoKeepAlive));
}

#[test]
fn the_end_says_why_the_connection_ended() {
    type Action = fn(&mut Harness);
    let cases: Vec<(Action, ClientEnd)> = vec![
        (|server| server.eof(), ClientEnd::Closed { unanswered: 1, mid_response: false }),
        (
            |server| {
                server.input(&response(Some(0), true, &result("a"))[..9]);
                server.eof();
            },
            ClientEnd::Closed { unanswered: 1, mid_response: true },
        ),
        (
            |server| {
                let response = response(Some(0), true, &result("a"));
                server.input(&response[..response.len() - 1]);
                server.eof();
            },
            ClientEnd::Closed { unanswered: 1, mid_response: true },
        ),
        (
            |server| {
                server.input(&response(Some(0), true, &result("a")));
                server.input(&response(None, false, &error_response("timeout", "too slow")));
            },
            ClientEnd::Refused(ErrorResponse {
                code: Some("timeout".into()),
                text: "too slow".into(),
            }),
        ),
        (|server| server.pass(seconds(60)), ClientEnd::TimedOut { unanswered: 1 }),
        (
            |server| server.input(&response(Some(0), false, &result("a"))),
            ClientEnd::Closed { unanswered: 0, mid_response: false },
        ),
        (|server| server.drain(), ClientEnd::Stopped),
    ];
    for (act, expected) in cases {
        let (mut server, record) = client(9, keep_alive());
        server.output();
        act(&mut server);
        server.output();
        assert_eq!(record.borrow().end, Some(expected));
    }
    for (garbage, expected_text) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "this port speaks HTTP (\"HTTP/1.1 400 Bad Request\"), and not messages in frames",
        ),
        (b"HTT", "this port speaks HTTP (\"HTT\"), and not messages in frames"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "this port speaks TLS, and not messages in frames"),
        (b"SSH-2.0-x\x1b\r\n", "something other than messages in frames (\"SSH-2.0-x\\x1b\")"),
        (b"\0\0", "a frame begins with the length of its header, not with 0"),
        (&response(Some(7), true, &result("a")), "it belongs to no request"),
    ] {
        let (mut server, record) = client(9, keep_alive());
        server.input(garbage);
        match &record.borrow().end {
            Some(ClientEnd::BadResponse(what)) => assert!(what.contains(expected_text), "{what}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_response_may_come_before_the_request_is_sent() {
    let record = Rc::default();
    let many = Many { remaining: 1, size: 1 << 20, pauses: false, record: Rc::clone(&record) };
    let mut server = Harness::new(Client::new(ClientConfig::default(), many));
    server.input(&response(None, false, &error_response("too_large", "too much")));
    assert!(server.output().is_empty(), "the rest of the request is dropped");
    assert_eq!(record.borrow().responses, [(0, "Error: too much".to_owned())]);
    assert_eq!(record.borrow().end, Some(ClientEnd::Completed));
}

#[test]
fn a_pause_holds_responses_back_and_does_not_count_as_a_stall() {
    let record: Rc<RefCell<Record>> = Rc::default();
    let many = Many { remaining: 2, size: 1, pauses: true, record: Rc::clone(&record) };
    let mut server = Harness::new(Client::new(keep_alive(), many));
    server.output();
    server.input(
        &[response(Some(0), true, &result("a")), response(Some(1), true, &result("b"))].concat(),
    );
    assert_eq!(record.borrow().responses.len(), 1);
    server.pass(seconds(300));
    assert!(server.fault().is_none());
    // The second request is sent after the first response.
    record.borrow_mut().promise.take().unwrap().fulfill(Box::new(()));
    server.deliver();
    assert_eq!(record.borrow().responses.len(), 2);
    record.borrow_mut().promise.take().unwrap().fulfill(Box::new(()));
    server.deliver();
    server.output();
    assert_eq!(record.borrow().end, Some(ClientEnd::Completed));
}

#[test]
fn our_client_completes_with_our_server() {
    let (mut client, record) = client(50, keep_alive());
    let mut server = slow_server();
    while record.borrow().end.is_none() {
        server.input(&client.output());
        server.run_jobs();
        client.input(&server.output());
    }
    assert_eq!(record.borrow().responses.len(), 50);
    assert_eq!(record.borrow().end, Some(ClientEnd::Completed));
}

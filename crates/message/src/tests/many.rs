//! Many messages on one connection, and content that streams.

use std::cell::RefCell;

use sockeye_proto::End;

use super::*;

#[test]
fn responses_have_the_ids_of_their_requests_in_any_order() {
    let mut client = slow_server();
    client.input(
        &[
            request_with_id(1, "\"slow\""),
            request_with_id(2, "\"now\""),
            request_with_id(3, "\"slow too\""),
        ]
        .concat(),
    );
    let first = client.output();
    assert_eq!(results(&first), [(Some(2), "now".to_owned())]);
    assert!(frames(&first)[0].0.keep_alive);
    client.run_jobs();
    assert_eq!(
        results(&client.output()),
        [(Some(1), "slow".to_owned()), (Some(3), "slow too".to_owned())]
    );
    assert!(client.end().is_none());
    client.eof();
    assert_eq!(client.end(), Some(End::Close));
}

#[test]
fn an_id_is_echoed_exactly() {
    let mut client = slow_server();
    client.input(&request_with(r#", "id": "\u00e9 1", "connection": "keep-alive""#, "\"now\""));
    let output = client.output();
    let output = String::from_utf8_lossy(&output);
    assert!(
        output.contains(r#""content-length": 17, "id": "\u00e9 1", "connection": "keep-alive"}"#),
        "{output}"
    );
}

#[test]
fn no_more_than_sixteen_requests_are_in_flight() {
    let mut client = slow_server();
    let stream: Vec<u8> = (0..40).flat_map(|id| request_with_id(id, "1")).collect();
    client.input(&stream);
    assert!(client.unused() > 0);
    let mut rounds = Vec::new();
    loop {
        match client.run_jobs() {
            0 => break,
            count => rounds.push(count),
        }
    }
    assert!(rounds.iter().all(|count| *count <= 16), "{rounds:?}");
    let ids: Vec<_> = results(&client.output()).into_iter().map(|(id, _)| id.unwrap()).collect();
    assert_eq!(ids, (0..40).collect::<Vec<_>>());
}

#[test]
fn requests_in_flight_are_limited_by_their_contents_together() {
    let limits = Limits { content: 100, ..Limits::default() };
    let mut client = Harness::new(Server::new(Rc::new(limits), Slow::default()));
    let content = format!("\"{}\"", "x".repeat(58));
    client.input(&request_with_id(1, &content).repeat(5));
    assert_eq!(client.run_jobs(), 2);
    assert_eq!(client.run_jobs(), 2);
    assert_eq!(client.run_jobs(), 1);
    assert_eq!(results(&client.output()).len(), 5);

    let limits = Limits { in_flight: 0, content: 0, ..Limits::default() };
    let mut client = Harness::new(Server::new(Rc::new(limits), Slow::default()));
    client.input(&request_with_id(1, "").repeat(3));
    assert_eq!(frames(&client.output()).len(), 3);
}

#[test]
fn a_full_output_stops_reading_until_there_is_room() {
    let mut client = slow_server();
    let long = "x".repeat(Harness::ROOM / 2);
    let stream: Vec<u8> =
        (0..6).flat_map(|id| request_with_id(id, &format!("\"{long}\""))).collect();
    client.input(&stream);
    client.run_jobs();
    client.input(&request_with_id(9, "\"now\"").repeat(3));
    assert!(client.unused() > 0);
    assert_eq!(results(&client.output()).len(), 9);
}

#[test]
fn bad_content_is_refused_and_the_connection_stays_open() {
    let mut client = reference_server();
    client.input(&[request_with_id(1, "{"), request_with_id(2, "{}")].concat());
    let output = client.output();
    let all = results(&output);
    assert!(all[0].1.starts_with("Error: the content is not JSON"));
    assert_eq!(all[1], (Some(2), "Error: invalid action 'None'.".to_owned()));
    assert!(client.fault().is_none());
}

#[test]
fn pending_requests_are_answered_before_a_fault_ends_the_connection() {
    let mut client = slow_server();
    client.input(&[request_with_id(1, "\"slow\""), b"\0\0".to_vec()].concat());
    assert!(client.fault().is_none());
    assert_eq!(error_code(&client.output()), "bad_header");
    client.run_jobs();
    let output = client.output();
    assert_eq!(results(&output), [(Some(1), "slow".to_owned())]);
    assert!(!frames(&output)[0].0.keep_alive);
    assert_eq!(client.fault().unwrap().code, "bad_header");
}

#[test]
fn a_later_answer_without_a_promise_is_an_error() {
    for content in ["\"never\"", "\"forgotten\""] {
        let mut client = slow_server();
        client.input(&request(content));
        client.deliver();
        assert_eq!(error_code(&client.output()), "internal", "{content}");
        assert_eq!(client.fault().unwrap().code, "internal");
    }
}

#[test]
fn a_request_without_keep_alive_is_the_last() {
    let mut client = slow_server();
    client.input(
        &[request_with_id(1, "\"slow\""), request("\"last\""), request_with_id(2, "\"unread\"")]
            .concat(),
    );
    client.run_jobs();
    assert_eq!(
        results(&client.output()),
        [(Some(1), "slow".to_owned()), (None, "last".to_owned())]
    );
    assert_eq!(client.end(), Some(End::Linger));
}

/// Streams and counts content. Pauses after each piece if `pauses`. answers early at `stop` bytes.
#[derive(Default)]
struct Counter {
    pauses: bool,
    stop: Option<usize>,
    received: usize,
    promise: Rc<RefCell<Option<Promise>>>,
}

impl Handler for Counter {
    fn content_mode(&mut self, _: &Header) -> ContentMode {
        self.received = 0;
        ContentMode::Stream
    }

    fn on_message(&mut self, _: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
        responder.fail("content is streamed")
    }

    fn on_content(&mut self, piece: &[u8], responder: &mut Responder<'_, '_>) -> Flow {
        self.received += piece.len();
        if self.pauses {
            *self.promise.borrow_mut() = Some(responder.promise());
        }
        if self.pauses { Flow::Pause } else { Flow::More }
    }

    fn on_end(&mut self, responder: Responder<'_, '_>) -> Answer {
        responder.send(result(&self.received.to_string()))
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        _: Result<sockeye_proto::Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match self.stop {
            Some(stop) if self.received >= stop => responder.send(result("enough")),
            _ => responder.later(),
        }
    }
}

fn counter(counter: Counter) -> Harness {
    Harness::new(Server::new(Rc::new(Limits::default()), counter))
}

#[test]
fn content_is_streamed_and_may_be_empty() {
    let mut client = counter(Counter::default());
    client.drip(&request_with_id(1, &"x".repeat(300)));
    client.input(&[request_with_id(2, ""), request_with_id(3, "four")].concat());
    let record: Vec<_> = results(&client.output()).into_iter().map(|(_, count)| count).collect();
    assert_eq!(record, ["300", "0", "4"]);
}

#[test]
fn a_pause_by_the_handler_does_not_count_as_a_timeout() {
    let promise: Rc<RefCell<Option<Promise>>> = Rc::default();
    let handler = Counter { pauses: true, promise: Rc::clone(&promise), ..Counter::default() };
    let mut client = counter(handler);
    let request = request_with_id(1, "0123456789");
    client.input(&request[..request.len() - 4]);
    client.input(b"67");
    assert_eq!(client.unused(), 2);
    client.pass(seconds(300));
    assert!(client.fault().is_none());
    promise.take().unwrap().fulfill(Box::new(()));
    client.deliver();
    assert_eq!(client.unused(), 0);
    promise.take().unwrap().fulfill(Box::new(()));
    client.deliver();
    client.input(b"89");
    assert_eq!(results(&client.output()), [(Some(1), "10".to_owned())]);
}

#[test]
fn the_rest_of_content_is_discarded_after_an_early_answer() {
    let promise: Rc<RefCell<Option<Promise>>> = Rc::default();
    for keep_alive in [true, false] {
        let handler = Counter {
            pauses: true,
            stop: Some(1),
            promise: Rc::clone(&promise),
            ..Counter::default()
        };
        let mut client = counter(handler);
        let content = "x".repeat(100);
        let request = if keep_alive { request_with_id(1, &content) } else { request(&content) };
        client.input(&request[..request.len() - 50]);
        promise.take().unwrap().fulfill(Box::new(()));
        client.deliver();
        assert_eq!(results(&client.output())[0].1, "enough");
        if keep_alive {
            client.input(&request[request.len() - 50..]);
            client.input(&request_with_id(2, ""));
            assert_eq!(results(&client.output()), [(Some(2), "0".to_owned())]);
        } else {
            assert_eq!(client.end(), Some(End::Linger));
        }
    }
}

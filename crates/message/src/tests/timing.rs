//! Timeouts, deadlines, the end of input, and draining.

use std::cell::RefCell;

use sockeye_proto::End;

use super::*;

#[test]
fn a_header_has_ten_seconds_from_its_first_byte() {
    let mut client = reference_server();
    client.pass(seconds(50));
    for byte in &request("{}")[..10] {
        client.input(&[*byte]);
        client.pass(Duration::from_millis(900));
    }
    assert!(client.fault().is_none());
    client.pass(seconds(1));
    assert_eq!(error_code(&client.output()), "timeout");
    assert_eq!(client.fault().unwrap().code, "timeout");
}

#[test]
fn content_has_thirty_seconds_without_progress() {
    let mut client = reference_server();
    let request = request(&"x".repeat(10));
    let (head, content) = request.split_at(request.len() - 10);
    client.input(head);
    for byte in &content[..5] {
        client.pass(seconds(29));
        client.input(&[*byte]);
    }
    assert!(client.fault().is_none());
    client.pass(seconds(30));
    assert_eq!(error_code(&client.output()), "timeout");
}

/// Makes a promise for each message. A test fulfills it with the text of the response.
#[derive(Default, Clone)]
struct Promises(Rc<RefCell<Vec<Option<Promise>>>>);

impl Promises {
    fn fulfill(&self, request: usize, text: &str) {
        let promise = self.0.borrow_mut()[request].take().unwrap();
        promise.fulfill(Box::new(text.to_owned()));
    }
}

impl Handler for Promises {
    fn on_message(&mut self, _: Message, _: &Peer, mut responder: Responder<'_, '_>) -> Answer {
        self.0.borrow_mut().push(Some(responder.promise()));
        responder.later()
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        responder.send(result(&body.unwrap().downcast::<String>().unwrap()))
    }
}

/// The engine reads nothing while the output is full, so more of a frame can't arrive.
#[test]
fn no_frame_times_out_while_the_output_is_full() {
    let second = request_with_id(2, "\"bbbbbbbb\"");
    for (len, timeout) in [(10, 10), (second.len() - 4, 30)] {
        let promises = Promises::default();
        let mut client = Harness::new(Server::new(Rc::new(Limits::default()), promises.clone()));
        client.input(&request_with_id(1, "\"a\""));
        client.input(&second[..len]);
        promises.fulfill(0, &"x".repeat(300_000));
        client.deliver();
        assert!(client.held() >= Harness::ROOM);
        for _ in 0..3 {
            client.pass(seconds(timeout));
            assert!(client.fault().is_none(), "{:?}", client.fault());
        }
        assert_eq!(results(&client.output()).len(), 1);
        client.pass(seconds(timeout));
        assert_eq!(client.fault().unwrap().code, "timeout");
    }
}

#[test]
fn an_idle_connection_is_closed_after_a_minute_without_a_response() {
    let mut client = slow_server();
    client.pass(seconds(59));
    client.input(&request_with_id(1, "1"));
    client.pass(seconds(300));
    assert!(client.fault().is_none(), "the client waits for our response");
    client.run_jobs();
    assert_eq!(results(&client.output()).len(), 1);
    client.pass(seconds(59));
    assert!(client.fault().is_none());
    client.pass(seconds(1));
    assert_eq!(client.fault().unwrap().code, "idle_timeout");
    assert!(client.output().is_empty());
}

/// The expired request still counts as in flight, with content up to the limit.
#[test]
fn a_connection_is_idle_from_its_last_response_also_at_the_limit_of_requests_in_flight() {
    let promises = Promises::default();
    let limits = Limits { content: 100, ..Limits::default() };
    let mut client = Harness::new(Server::new(Rc::new(limits), promises.clone()));
    client.input(&request_with_id(1, "\"a\""));
    let late = r#", "id": 2, "connection": "keep-alive", "deadline-ms": 1000"#;
    client.input(&request_with(late, &format!("\"{}\"", "x".repeat(98))));
    client.pass(seconds(100));
    assert!(client.fault().is_none());
    promises.fulfill(0, "a");
    client.deliver();
    assert_eq!(results(&client.output()).len(), 1);
    client.pass(seconds(59));
    assert!(client.fault().is_none(), "{:?}", client.fault());
    client.pass(seconds(1));
    assert_eq!(client.fault().unwrap().code, "idle_timeout");
}

#[test]
fn the_end_of_input_cancels_no_response() {
    for request in [request("\"slow\""), request_with_id(1, "\"slow\"")] {
        let mut client = slow_server();
        client.input(&request);
        client.eof();
        assert!(client.output().is_empty());
        client.run_jobs();
        assert_eq!(results(&client.output())[0].1, "slow");
        assert!(client.finished());
    }
}

#[test]
fn the_end_of_input_inside_a_frame_is_an_error() {
    let request = request("{}");
    for len in [1, 2, 50, request.len() - 1] {
        let mut client = reference_server();
        client.input(&request[..len]);
        client.eof();
        assert_eq!(error_code(&client.output()), "incomplete", "{len}");
    }
    let mut client = reference_server();
    client.eof();
    assert!(client.output().is_empty());
    assert!(client.finished());
}

#[test]
fn nothing_is_sent_after_a_deadline() {
    let cancelled = Rc::default();
    let handler = Slow { cancelled: Rc::clone(&cancelled) };
    let mut client = Harness::new(Server::new(Rc::new(Limits::default()), handler));
    let late = r#", "id": 1, "connection": "keep-alive", "deadline-ms": 1000"#;
    client.input(&request_with(late, "\"late\""));
    client.input(&request_with_id(2, "\"slow\""));
    client.pass(seconds(1));
    client.run_jobs();
    assert_eq!(results(&client.output()), [(Some(2), "slow".to_owned())]);
    assert_eq!(*cancelled.borrow(), [0]);
    assert!(client.end().is_none());
}

#[test]
fn a_deadline_that_passes_ends_a_connection_without_ids() {
    let mut client = slow_server();
    client.input(&request_with(r#", "deadline-ms": 1000"#, "\"late\""));
    client.pass(seconds(1));
    assert!(client.output().is_empty());
    assert_eq!(client.fault().unwrap().code, "deadline_passed");

    let mut client = slow_server();
    client.input(&request_with(r#", "deadline-ms": 0"#, "\"now\""));
    assert!(client.output().is_empty());
    assert_eq!(client.fault().unwrap().code, "deadline_passed");
}

#[test]
fn content_is_discarded_when_its_deadline_passes() {
    let mut client = slow_server();
    let late = r#", "id": 1, "connection": "keep-alive", "deadline-ms": 1000"#;
    let request = request_with(late, "\"late\"");
    client.input(&request[..request.len() - 3]);
    client.pass(seconds(2));
    client.input(&request[request.len() - 3..]);
    client.input(&request_with_id(2, "\"now\""));
    assert_eq!(results(&client.output()), [(Some(2), "now".to_owned())]);
}

#[test]
fn an_expired_request_stays_in_flight_until_its_work_ends() {
    let mut client = slow_server();
    let late = r#", "id": 1, "connection": "keep-alive", "deadline-ms": 1"#;
    client.input(&request_with(late, "1").repeat(16));
    client.pass(seconds(1));
    client.input(&request_with_id(2, "\"now\""));
    assert!(client.unused() > 0, "sixteen jobs are running");
    assert_eq!(client.run_jobs(), 16);
    assert_eq!(results(&client.output()), [(Some(2), "now".to_owned())]);
}

/// Starts a job for each piece of content.
struct JobPerPiece;

impl Handler for JobPerPiece {
    fn content_mode(&mut self, _: &Header) -> ContentMode {
        ContentMode::Stream
    }

    fn on_message(&mut self, _: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
        responder.fail("the content is streamed")
    }

    fn on_content(&mut self, _: &[u8], responder: &mut Responder<'_, '_>) -> Flow {
        responder.run(|| ());
        Flow::More
    }

    fn on_end(&mut self, responder: Responder<'_, '_>) -> Answer {
        responder.later()
    }
}

#[test]
fn a_streamed_request_that_expires_early_stays_in_flight_until_its_work_ends() {
    // The deadline passes before the content is complete, or has passed when it is.
    for (deadline_ms, cut) in [(10, 1), (0, 0)] {
        let mut client = Harness::new(Server::new(Rc::new(Limits::default()), JobPerPiece));
        for id in 0..100 {
            let keys = format!(
                r#", "id": {id}, "connection": "keep-alive", "deadline-ms": {deadline_ms}"#
            );
            let request = request_with(&keys, "12");
            let (first, rest) = request.split_at(request.len() - cut);
            client.input(first);
            client.pass(Duration::from_millis(deadline_ms));
            client.input(rest);
        }
        assert_eq!(client.run_jobs(), 16);
        assert!(client.unused() > 0, "the limit is reached again");
        while client.run_jobs() > 0 {}
        assert_eq!(client.unused(), 0);
        assert!(client.fault().is_none(), "{:?}", client.fault());
    }
}

#[test]
fn draining_gives_an_idle_connection_a_second_and_answers_started_requests() {
    let mut client = slow_server();
    client.drain();
    client.pass(seconds(1) - Duration::from_millis(1));
    assert_eq!(client.end(), None);
    client.pass(Duration::from_millis(1));
    assert_eq!(client.end(), Some(End::Linger));

    let mut client = slow_server();
    let request = request_with_id(2, "\"started\"");
    client.input(&request_with_id(1, "\"pending\""));
    client.input(&request[..20]);
    client.drain();
    client.input(&[&request[20..], &request_with_id(3, "\"in time\"")].concat());
    client.run_jobs();
    client.pass(seconds(1));
    client.input(&request_with_id(4, "\"too late\""));
    client.run_jobs();
    let output = client.output();
    let record = [(1, "pending"), (2, "started"), (3, "in time")];
    assert_eq!(results(&output), record.map(|(id, text)| (Some(id), text.to_owned())));
    assert!(frames(&output).iter().all(|(header, _)| !header.keep_alive));
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn draining_answers_frames_that_wait_for_capacity() {
    let mut client = slow_server();
    let asks: Vec<u8> = (0..20).flat_map(|id| request_with_id(id, "\"a\"")).collect();
    client.input(&asks);
    client.drain();
    client.pass(seconds(5));
    assert_eq!(client.run_jobs(), 16);
    assert_eq!(client.run_jobs(), 4);
    assert_eq!(results(&client.output()).len(), 20);
    assert_eq!(client.end(), None);
    client.pass(seconds(1));
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn draining_ends_a_connection_whose_client_keeps_sending() {
    let limits = Limits { in_flight: 1, ..Limits::default() };
    let mut client = Harness::new(Server::new(Rc::new(limits), Slow::default()));
    let frame = request_with_id(1, "\"a\"");
    client.input(&frame.repeat(2));
    client.drain();
    client.pass(seconds(5));
    // The connection reads again for the first time since the drain.
    client.run_jobs();
    let mut rounds = 0;
    while client.end().is_none() {
        client.input(&frame);
        client.pass(Duration::from_millis(100));
        client.run_jobs();
        rounds += 1;
        assert!(rounds <= 12, "a second is over");
    }
    assert!(rounds >= 10, "the client has a second: {rounds}");
    assert_eq!(client.end(), Some(End::Linger));
    assert!(results(&client.output()).len() > 10);
}

#[test]
fn draining_answers_all_frames_that_had_arrived_however_long_that_takes() {
    let mut client = slow_server();
    let asks: Vec<u8> = (0..100).flat_map(|id| request_with_id(id, "\"a\"")).collect();
    client.input(&asks);
    client.drain();
    while client.end().is_none() {
        client.pass(seconds(2));
        client.run_jobs();
    }
    assert_eq!(results(&client.output()).len(), 100);
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn a_lame_duck_announces_the_end_of_connections_and_ends_none() {
    let mut client = slow_server();
    client.lame_duck();
    client.input(&request_with_id(1, "\"a\""));
    client.run_jobs();
    assert!(frames(&client.output()).iter().all(|(header, _)| !header.keep_alive));
    client.pass(seconds(2));
    assert_eq!(client.end(), None);
}

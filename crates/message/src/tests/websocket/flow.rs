//! Order, limits, deadlines and the end of a WebSocket.

use http_core::ws::CloseCode;
use sockeye_proto::End;

use super::*;
use crate::{AllowedOrigins, WebSocketLimits};

#[test]
fn responses_with_ids_come_when_they_are_ready_and_others_in_order() {
    let mut socket = Socket::slow();
    socket.text("{\"id\": 1}\n\"one\"");
    socket.text("{\"id\": \"two\"}\n\"now\"");
    socket.binary(&request_with_id(3, "\"three\""));
    assert_eq!(socket.received(), [text("{\"id\": \"two\"}\n{\"result\": \"now\"}")]);
    socket.text("\"four\"");
    socket.text("\"now\"");
    socket.text("{\"id\": 6}\n\"now\"");
    assert!(socket.received().is_empty(), "the fourth message is answered before the fifth");
    assert_eq!(socket.0.run_jobs(), 3);
    assert_eq!(
        socket.received(),
        [
            text("{\"id\": 1}\n{\"result\": \"one\"}"),
            Received::Binary(Some(Id::number(3)), result("three"), true),
            text("{\"result\": \"four\"}"),
            text("{\"result\": \"now\"}"),
            text("{\"id\": 6}\n{\"result\": \"now\"}"),
        ]
    );
    for unanswered in ["never", "forgotten"] {
        socket.text(&format!("\"{unanswered}\""));
        socket.0.deliver();
        assert_eq!(socket.error_code(), "internal");
    }
}

#[test]
fn no_more_than_sixteen_requests_are_in_flight_over_websocket() {
    let mut socket = Socket::slow();
    for id in 0..40 {
        socket.text(&format!("{{\"id\": {id}}}\n\"x\""));
    }
    let mut rounds = Vec::new();
    while let count @ 1.. = socket.0.run_jobs() {
        rounds.push(count);
    }
    assert_eq!((rounds.iter().max(), rounds.iter().sum()), (Some(&16), 40), "{rounds:?}");
    let expected = (0..40).map(|id| text(&format!("{{\"id\": {id}}}\n{{\"result\": \"x\"}}")));
    assert_eq!(socket.received(), expected.collect::<Vec<_>>());

    let mut socket = Socket::new(Limits { content: 100, ..Limits::default() }, Slow::default());
    for id in 0..4 {
        socket.text(&format!("{{\"id\": {id}}}\n\"{}\"", "x".repeat(58)));
    }
    assert_eq!([socket.0.run_jobs(), socket.0.run_jobs()], [2, 2], "100 bytes of content");
}

#[test]
fn a_deadline_cancels_a_request_when_it_passes() {
    let slow = Slow::default();
    let cancelled = Rc::clone(&slow.cancelled);
    let mut socket = Socket::new(Limits::default(), slow);
    socket.text("{\"id\": 1, \"deadline-ms\": 1000}\n\"late\"");
    socket.binary(&request_with(", \"id\": 2, \"deadline-ms\": 3000", "\"in time\""));
    socket.0.pass(Duration::from_millis(999));
    assert!(cancelled.borrow().is_empty());
    socket.0.pass(Duration::from_millis(1));
    assert_eq!(*cancelled.borrow(), [0]);
    assert_eq!(socket.0.run_jobs(), 2);
    assert_eq!(
        socket.received(),
        [Received::Binary(Some(Id::number(2)), result("in time"), true)],
        "an expired request with an id gets no response"
    );

    // Without an id, the responses that follow would be taken for it.
    socket.text("{\"deadline-ms\": 1000}\n\"late\"");
    socket.text("\"now\"");
    socket.0.pass(seconds(1));
    let received = socket.received();
    assert!(matches!(&received[0], Received::Text(error) if code(error) == "timeout"));
    assert_eq!(received[1..], [text("{\"result\": \"now\"}")]);
    assert_eq!(*cancelled.borrow(), [0, 2]);
    assert_eq!(socket.0.run_jobs(), 1);
    assert!(socket.received().is_empty());

    socket.text("{\"id\": 5, \"deadline-ms\": 0}\n\"now\"");
    socket.text("{\"id\": 6, \"deadline-ms\": 1}\n\"now\"");
    assert_eq!(socket.received(), [text("{\"id\": 6}\n{\"result\": \"now\"}")]);
    assert_eq!(*cancelled.borrow(), [0, 2, 4]);
    assert!(socket.0.fault().is_none() && socket.0.end().is_none());
}

#[test]
fn an_expired_request_stays_in_flight_until_its_work_ends() {
    let mut socket = Socket::new(Limits { in_flight: 1, ..Limits::default() }, Slow::default());
    socket.text("{\"id\": 1, \"deadline-ms\": 1000}\n\"late\"");
    socket.0.pass(seconds(1));
    socket.text("{\"id\": 2}\n\"now\"");
    assert!(socket.received().is_empty());
    socket.0.run_jobs();
    assert_eq!(socket.received(), [text("{\"id\": 2}\n{\"result\": \"now\"}")]);
}

#[test]
fn draining_answers_what_is_in_flight_and_closes_with_1001() {
    let mut socket = Socket::slow();
    socket.0.drain();
    assert_eq!(socket.received(), [Received::Close(1001)]);

    let mut socket = Socket::slow();
    socket.text("{\"id\": 1}\n\"one\"");
    socket.binary(&request_with_id(2, "\"two\""));
    socket.text("{\"id\": 3, \"deadline-ms\": 1000}\n\"late\"");
    socket.0.drain();
    socket.text("{\"id\": 4}\n\"now\"");
    assert!(socket.received().is_empty());
    socket.0.pass(seconds(1));
    socket.0.run_jobs();
    assert_eq!(
        socket.received(),
        [
            text("{\"id\": 1}\n{\"result\": \"one\"}"),
            Received::Binary(Some(Id::number(2)), result("two"), false),
            Received::Close(1001),
        ]
    );
    socket.send(Opcode::Close, &CloseCode::GOING_AWAY.0.to_be_bytes());
    assert_eq!(socket.0.end(), Some(End::Close));

    // Nobody waits for a response whose deadline has passed.
    let mut socket = Socket::slow();
    socket.text("{\"id\": 1, \"deadline-ms\": 1000}\n\"late\"");
    socket.0.drain();
    socket.0.pass(seconds(1));
    assert_eq!(socket.received(), [Received::Close(1001)]);
}

#[test]
fn a_close_cancels_what_is_in_flight() {
    for is_lost in [false, true] {
        let slow = Slow::default();
        let cancelled = Rc::clone(&slow.cancelled);
        let mut socket = Socket::new(Limits::default(), slow);
        socket.text("{\"id\": 1}\n\"one\"");
        socket.text("{\"id\": 2}\n\"two\"");
        if is_lost {
            drop(socket);
        } else {
            socket.send(Opcode::Close, &CloseCode::NORMAL.0.to_be_bytes());
            assert_eq!(socket.received(), [Received::Close(1000)]);
        }
        assert_eq!(*cancelled.borrow(), [0, 1]);
    }
}

#[test]
fn a_silent_client_gets_pings_and_the_limits_are_configurable() {
    let mut socket = Socket::slow();
    socket.0.pass(seconds(29));
    assert!(socket.received().is_empty());
    socket.0.pass(seconds(1));
    assert_eq!(socket.received(), [Received::Ping]);
    socket.0.pass(seconds(20));
    assert_eq!(socket.0.fault().unwrap().code, "websocket_no_pong");

    let limits = WebSocketLimits { ping_after: None, message: 1, ..WebSocketLimits::default() };
    let config = ServerConfig::new(Limits::default()).websocket(limits);
    let mut socket =
        Socket::to(config.allowing_origins(AllowedOrigins::default()), Slow::default());
    socket.0.pass(seconds(600));
    socket.text("\"now\"");
    assert_eq!(socket.received(), [text("{\"result\": \"now\"}")]);
}

//! Closing handshakes, and ends without one.

use std::time::Duration;

use sockeye_proto::{Blame, End, Reason};

use super::*;

#[test]
fn a_close_of_the_peer_is_answered_with_its_code() {
    for (payload, answer, event) in [
        (&b""[..], "Close ", "closed 1005 "),
        (&[3, 0xE8], "Close 1000 ", "closed 1000 "),
        (b"\x0F\xA0bye", "Close 4000 ", "closed 4000 bye"),
    ] {
        let mut client = Client::new();
        client.harness.input(
            &[frame(Opcode::Close, true, payload), frame(Opcode::Text, true, b"late")].concat(),
        );
        assert_eq!(client.frames(), [answer]);
        assert_eq!(client.events(), [event]);
        assert_eq!(client.harness.end(), Some(End::Close));
        assert!(client.harness.fault().is_none());
    }
}

#[test]
fn a_close_of_the_handler_waits_for_the_answer() {
    let mut client = Client::new();
    client.text("close 4001 done");
    assert_eq!(client.frames(), ["Close 4001 done"]);
    assert_eq!(client.events(), ["text close 4001 done"]);
    // What was on its way is dropped.
    client.text("echo late");
    client.send(Opcode::Ping, b"");
    assert_eq!(client.harness.end(), None);
    client.send(Opcode::Close, &4001_u16.to_be_bytes());
    assert!(client.frames().is_empty());
    assert_eq!(client.events(), ["closed 4001 "]);
    assert_eq!(client.harness.end(), Some(End::Close));
}

#[test]
fn a_handler_that_panics_closes_with_1011_and_is_not_called_again() {
    // `Handler::deadline` panics after the second message.
    for panic in ["panic", "panic deadline"] {
        let mut client = Client::new();
        client.text("echo before");
        client.text(panic);
        client.text("echo after");
        assert_eq!(client.frames(), ["Text echo before", "Close 1011 "], "{panic}");
        assert_eq!(client.events(), ["text echo before", &format!("text {panic}")]);
        let fault = client.harness.fault().unwrap();
        assert_eq!((fault.blame, fault.code), (Blame::Ours, "handler_panicked"));
        assert_eq!(client.harness.end(), Some(End::Linger));
        client.harness.end_for(&Reason::Reset);
        assert!(client.events().is_empty());
    }
}

#[test]
fn a_close_that_is_not_answered_ends_after_its_timeout() {
    let mut client = Client::new();
    client.text("close 1000");
    client.events();
    client.frames();
    client.harness.pass(Duration::from_secs(4));
    client.text("still talking");
    assert_eq!(client.harness.end(), None);
    client.harness.pass(Duration::from_secs(1));
    assert_eq!(client.events(), ["closed 1006 no close frame came"]);
    assert_eq!(client.harness.end(), Some(End::Linger));
}

#[test]
fn codes_that_may_not_be_sent_and_long_reasons_are_replaced() {
    let mut client = Client::new();
    client.text("close 1006");
    assert_eq!(client.frames(), ["Close 1011 "]);
    let mut client = Client::new();
    client.text(&format!("close 3000 {}", "é".repeat(100)));
    assert_eq!(client.frames(), [format!("Close 3000 {}", "é".repeat(61))]);
}

#[test]
fn a_close_ends_a_pause() {
    let mut client = Client::new();
    client.text("job");
    let sender = client.seen.sender.borrow().clone().unwrap();
    sender.close(CloseCode::NORMAL, "");
    client.harness.deliver();
    client.send(Opcode::Close, &1000_u16.to_be_bytes());
    assert_eq!(client.events(), ["text job", "closed 1000 "]);
}

#[test]
fn a_connection_that_ends_without_a_close_frame_is_1006() {
    let mut client = Client::new();
    client.harness.eof();
    assert_eq!(client.events(), ["closed 1006 the peer ended the connection"]);
    assert_eq!(client.harness.end(), Some(End::Close));
    let mut client = Client::new();
    client.harness.end_for(&Reason::Reset);
    assert_eq!(client.events(), ["closed 1006 the connection ended"]);
    // Once only.
    let mut client = Client::new();
    client.send(Opcode::Close, b"");
    client.events();
    client.harness.eof();
    client.harness.output();
    assert!(client.events().is_empty());
}

#[test]
fn a_server_that_stops_closes_with_1001() {
    let mut client = Client::new();
    client.harness.drain();
    assert_eq!(client.frames(), ["Close 1001 "]);
    client.send(Opcode::Close, &1001_u16.to_be_bytes());
    assert_eq!(client.events(), ["closed 1001 "]);
    assert_eq!(client.harness.end(), Some(End::Close));
}

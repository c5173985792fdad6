//! Silent peers.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_silent_peer_gets_a_ping_and_must_answer() {
    let mut client = Client::new();
    client.harness.pass(29 * SECOND);
    assert!(client.frames().is_empty());
    client.harness.pass(SECOND);
    assert_eq!(client.frames(), ["Ping "]);
    client.harness.pass(19 * SECOND);
    client.send(Opcode::Pong, b"");
    client.harness.pass(29 * SECOND);
    assert!(client.frames().is_empty());
    client.harness.pass(SECOND);
    assert_eq!(client.frames(), ["Ping "]);
    client.harness.pass(20 * SECOND);
    assert_eq!(client.harness.fault().unwrap().code, "websocket_no_pong");
    assert_eq!(client.events(), ["closed 1006 no pong came"]);
}

#[test]
fn anything_answers_a_ping_even_a_part_of_a_frame() {
    let mut client = Client::new();
    client.harness.pass(30 * SECOND);
    client.harness.input(&frame(Opcode::Text, true, b"long")[..7]);
    client.harness.pass(20 * SECOND);
    assert!(client.harness.fault().is_none());
}

#[test]
fn the_time_for_a_pong_counts_only_while_something_is_read() {
    let mut client = Client::new();
    client.text("job");
    client.harness.pass(30 * SECOND);
    assert_eq!(client.frames(), ["Ping "]);
    client.harness.pass(1000 * SECOND);
    assert!(client.harness.fault().is_none(), "nothing is read");
    client.harness.run_jobs();
    client.harness.pass(19 * SECOND);
    assert!(client.harness.fault().is_none(), "the time begins when something is read again");
    client.harness.pass(SECOND);
    assert_eq!(client.harness.fault().unwrap().code, "websocket_no_pong");
    // The same while the output is full.
    let mut client = Client::new();
    client.text("fill 30000");
    client.harness.pass(1000 * SECOND);
    assert!(client.harness.fault().is_none());
}

#[test]
fn without_pings_silence_is_no_fault() {
    let mut client = Client::with(Limits { ping_after: None, ..Limits::default() });
    client.harness.pass(100_000 * SECOND);
    assert!(client.frames().is_empty());
}

#[test]
fn the_time_for_a_pong_counts_only_when_the_ping_is_sent() {
    let mut client = Client::new();
    client.text("fill 1000");
    client.harness.pass(1030 * SECOND);
    assert!(client.harness.fault().is_none(), "the ping waits behind messages");
    assert_eq!(client.frames().last().unwrap(), "Ping ");
    client.harness.pass(19 * SECOND);
    assert!(client.harness.fault().is_none());
    client.harness.pass(SECOND);
    assert_eq!(client.harness.fault().unwrap().code, "websocket_no_pong");
}

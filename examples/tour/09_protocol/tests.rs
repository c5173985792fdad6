//! Step 9: tests of the messages, without a socket, and without waiting.

use std::time::Duration;

use serde_json::json;
use sockeye::proto::harness::Harness;

use crate::message::Message;
use crate::messages::{IDLE_TIMEOUT, MESSAGE_TIMEOUT, Messages};

fn client() -> Harness {
    Harness::new(Messages::default())
}

fn search(value: &str) -> Vec<u8> {
    Message::json(&json!({ "action": "search", "value": value })).to_frame()
}

fn result(text: &str) -> Vec<u8> {
    Message::json(&json!({ "result": text })).to_frame()
}

#[test]
fn messages_are_answered_however_they_are_divided() {
    let sent = [search("ring"), search("x")].concat();
    let ring = result("In the caves beneath the Misty Mountains. 💍");
    let answers = [ring, result("No match for 'x'.")].concat();
    for at in 0..=sent.len() {
        let mut client = client();
        client.input(&sent[..at]);
        client.input(&sent[at..]);
        assert_eq!(client.output(), answers, "divided after {at} bytes");
    }
    let mut client = client();
    client.drip(&sent); // Byte by byte.
    assert_eq!(client.output(), answers);
    client.eof();
    assert!(client.finished());
}

#[test]
fn an_end_within_a_message_is_an_error() {
    let sent = search("ring");
    for length in 1..sent.len() {
        let mut client = client();
        client.input(&sent[..length]);
        client.eof();
        assert_eq!(client.output(), result("Error: ended within a frame"), "after {length} bytes");
        assert_eq!(client.fault().unwrap().code, "bad_message");
    }
}

#[test]
fn content_above_the_limit_is_refused_before_it_comes() {
    let frame = Message::binary("a/b", vec![0; (512 << 10) + 1]).to_frame();
    let mut client = client();
    client.input(&frame[..200]);
    let error = "Error: content of 524289 bytes: the limit is 524288";
    assert_eq!(client.output(), result(error));
    assert!(client.fault().is_some());
}

#[test]
fn a_slow_message_is_ended_at_its_deadline() {
    let mut client = client();
    for byte in &search("ring")[..5] {
        client.input(&[*byte]);
        client.pass(MESSAGE_TIMEOUT / 5 - Duration::from_nanos(1)); // Further bytes don't help.
    }
    assert!(client.fault().is_none());
    client.pass(Duration::from_nanos(5));
    assert_eq!(client.output(), result("Error: the message took longer than 5 s"));
    assert!(client.fault().is_some());
}

#[test]
fn a_client_may_be_idle_for_a_minute() {
    let mut client = client();
    client.pass(IDLE_TIMEOUT - Duration::from_secs(1));
    client.input(&search("ring"));
    client.output();
    client.pass(IDLE_TIMEOUT - Duration::from_secs(1));
    assert!(client.fault().is_none());
    client.pass(Duration::from_secs(1));
    assert_eq!(client.fault().unwrap().code, "idle_timeout");
}

#[test]
fn a_client_that_reads_an_answer_is_not_late() {
    let mut client = client();
    client.input(&[&search("ring")[..], b"\0"].concat());
    client.pass(2 * MESSAGE_TIMEOUT);
    assert!(client.fault().is_none());
    client.output();
    client.pass(MESSAGE_TIMEOUT);
    assert_eq!(client.output(), result("Error: the message took longer than 5 s"));
}

use std::time::Duration;

use super::*;
use crate::End;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_silent_connection_is_let_go_after_a_minute_without_a_reply() {
    let mut client = connect();
    client.pass(seconds(59));
    client.input(REQUEST);
    assert_eq!(codes(&String::from_utf8(client.output()).unwrap()), [200]);
    client.pass(seconds(59));
    assert!(client.fault().is_none());
    client.pass(seconds(1));
    assert_eq!(client.fault().unwrap().code, "idle_timeout");
    assert!(client.output().is_empty());
}

#[test]
fn a_client_that_reads_slowly_is_not_idle() {
    let mut client = connect();
    client.input(REQUEST);
    client.pass(seconds(300));
    assert!(client.fault().is_none(), "its reply is still on the way");
    assert_eq!(codes(&String::from_utf8(client.output()).unwrap()), [200]);
    client.pass(seconds(61));
    assert_eq!(client.fault().unwrap().code, "idle_timeout");
}

#[test]
fn a_head_that_drips_in_has_ten_seconds_from_its_first_byte() {
    let mut client = connect();
    client.pass(seconds(30));
    for byte in &REQUEST[..9] {
        client.input(&[*byte]);
        client.pass(seconds(1));
    }
    assert!(client.fault().is_none());
    client.pass(seconds(1));
    assert_eq!(client.fault().unwrap().code, "head_timeout");
    assert_eq!(codes(&String::from_utf8(client.output()).unwrap()), [408]);
}

#[test]
fn a_blank_line_is_not_yet_a_head() {
    let mut client = connect();
    client.input(REQUEST);
    client.input(b"\r\n");
    client.output();
    client.pass(seconds(30));
    assert!(client.fault().is_none());
    client.input(REQUEST);
    assert_eq!(codes(&String::from_utf8(client.output()).unwrap()), [200]);
}

#[test]
fn the_end_of_input_between_requests_is_an_orderly_end() {
    for stray in ["", "\r", "\r\n"] {
        let mut client = connect();
        client.input(REQUEST);
        client.input(stray.as_bytes());
        client.eof();
        assert_eq!(codes(&String::from_utf8(client.output()).unwrap()), [200]);
        assert_eq!(client.end(), Some(End::Close), "{stray:?}");
        assert!(client.finished());
    }
}

#[test]
fn the_end_of_input_inside_a_head_is_a_fault_without_a_reply() {
    let mut client = connect();
    client.input(&REQUEST[..20]);
    client.eof();
    assert_eq!(client.fault().unwrap().code, "eof_in_head");
    assert!(client.output().is_empty());
}

#[test]
fn draining_ends_an_idle_connection_and_answers_a_request_that_has_begun() {
    let mut client = connect();
    client.input(REQUEST);
    client.output();
    client.drain();
    assert_eq!(client.end(), Some(End::Linger));

    let mut client = connect();
    client.input(&REQUEST[..20]);
    client.drain();
    assert!(client.end().is_none());
    client.input(&[&REQUEST[20..], REQUEST].concat());
    let output = String::from_utf8(client.output()).unwrap();
    assert_eq!(codes(&output), [200], "what came behind it stays unanswered");
    assert!(output.contains("Connection: close\r\n"));
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn draining_waits_for_an_answer_that_is_owed() {
    let mut client = connect();
    client.input(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.drain();
    assert!(client.end().is_none());
    client.run_jobs();
    let output = String::from_utf8(client.output()).unwrap();
    assert_eq!(codes(&output), [200]);
    assert!(output.contains("Connection: close\r\n"));
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn draining_ends_a_pipeline_that_waits_for_room() {
    let mut client = connect();
    client.input(&b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
    client.drain();
    assert_eq!(codes(&String::from_utf8(client.output()).unwrap()), [200]);
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn the_date_moves_with_the_clock() {
    let mut client = connect();
    for second in 0..3 {
        client.input(REQUEST);
        let output = String::from_utf8(client.output()).unwrap();
        let date = format!("Date: Wed, 21 Oct 2015 07:28:0{second} GMT\r\n");
        assert!(output.contains(&date), "{output}");
        client.pass(seconds(1));
    }
}

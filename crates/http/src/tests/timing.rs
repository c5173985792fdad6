//! Timeouts of connections and heads, and what a stopping server does with connections.

use std::time::Duration;

use sockeye_proto::End;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn an_idle_connection_is_closed_after_a_minute_without_a_response() {
    let mut client = connect();
    client.pass(seconds(59));
    client.input(REQUEST);
    assert_eq!(codes(&text(&mut client)), [200]);
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
    assert!(client.fault().is_none(), "its response is not sent yet");
    assert_eq!(codes(&text(&mut client)), [200]);
    client.pass(seconds(61));
    assert_eq!(client.fault().unwrap().code, "idle_timeout");
}

#[test]
fn a_head_times_out_ten_seconds_after_its_first_byte() {
    let mut client = connect();
    client.pass(seconds(30));
    for byte in &REQUEST[..9] {
        client.input(&[*byte]);
        client.pass(seconds(1));
    }
    assert!(client.fault().is_none());
    client.pass(seconds(1));
    assert_eq!(client.fault().unwrap().code, "head_timeout");
    assert_eq!(codes(&text(&mut client)), [408]);
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
    assert_eq!(codes(&text(&mut client)), [200]);
}

#[test]
fn the_end_of_input_between_requests_is_an_orderly_end() {
    for blank in ["", "\r", "\r\n"] {
        let mut client = connect();
        client.input(REQUEST);
        client.input(blank.as_bytes());
        client.eof();
        assert_eq!(codes(&text(&mut client)), [200]);
        assert_eq!(client.end(), Some(End::Close), "{blank:?}");
        assert!(client.finished());
    }
}

#[test]
fn the_end_of_input_inside_a_head_is_a_fault_without_a_response() {
    let mut client = connect();
    client.input(&REQUEST[..20]);
    client.eof();
    assert_eq!(client.fault().unwrap().code, "eof_in_head");
    assert!(client.output().is_empty());
}

const CLOSE: &str = "Connection: close\r\n";

#[test]
fn draining_gives_an_idle_connection_a_second_and_its_next_request_one_response() {
    for served in [false, true] {
        let mut client = connect();
        if served {
            client.input(REQUEST);
            client.output();
        }
        client.drain();
        client.pass(seconds(1) - Duration::from_millis(1));
        assert_eq!(client.end(), None);
        client.pass(Duration::from_millis(1));
        assert_eq!((client.end(), client.output()), (Some(End::Linger), vec![]));

        let mut client = connect();
        client.drain();
        client.pass(seconds(1) / 2);
        client.input(REQUEST);
        let output = text(&mut client);
        assert_eq!((codes(&output), client.end()), (vec![200], Some(End::Linger)));
        assert!(output.contains(CLOSE), "{output}");
    }
}

#[test]
fn draining_never_makes_an_idle_connection_last_longer() {
    let mut client = connect();
    client.pass(seconds(60) - Duration::from_millis(1));
    client.drain();
    client.pass(Duration::from_millis(1));
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn draining_answers_a_request_that_has_started() {
    for at in 1..REQUEST.len() {
        let mut client = connect();
        client.input(&REQUEST[..at]);
        client.drain();
        client.pass(seconds(5));
        assert!(client.end().is_none());
        client.input(&REQUEST[at..]);
        let output = text(&mut client);
        assert_eq!((codes(&output), client.end()), (vec![200], Some(End::Linger)));
        assert!(output.contains(CLOSE), "{output}");
    }
}

/// Requests in the pipeline arrived before the stop: only the last response has `Connection:
/// close`.
#[test]
fn draining_answers_a_pipeline_to_its_end() {
    let later = b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
    let big = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    for requests in [[later, REQUEST, REQUEST].concat(), big.repeat(3)] {
        let mut client = connect();
        client.input(&requests);
        client.drain();
        client.run_jobs();
        let output = text(&mut client);
        assert_eq!((codes(&output), client.end()), (vec![200; 3], Some(End::Linger)));
        let last = output.rfind("HTTP/1.1 200").unwrap();
        assert!(!output[..last].contains(CLOSE) && output[last..].contains(CLOSE), "{output}");
    }
}

/// The next request may not have been read, because nothing is read while a response is awaited.
#[test]
fn draining_continues_after_a_late_response_if_input_is_unread() {
    for unread in [false, true] {
        let mut client = connect();
        client.input(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
        if unread {
            client.drain_before_input();
        } else {
            client.drain();
        }
        assert!(client.end().is_none());
        client.run_jobs();
        let output = text(&mut client);
        assert_eq!((codes(&output), output.contains(CLOSE)), (vec![200], !unread));
        assert_eq!(client.end(), (!unread).then_some(End::Linger));
        if unread {
            client.input(REQUEST);
            assert!(text(&mut client).contains(CLOSE));
            assert_eq!(client.end(), Some(End::Linger));
        }
    }
}

/// Of three requests, the first one is being answered, the second one was received with it, and the
/// third one was not read.
#[test]
fn draining_answers_a_request_that_was_not_read_behind_an_unused_one() {
    let later = b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
    for second in [REQUEST, later] {
        let mut client = connect();
        client.input(&[later, second].concat());
        client.drain_before_input();
        while client.run_jobs() > 0 {}
        let output = text(&mut client);
        assert_eq!((codes(&output), client.end()), (vec![200; 2], None));
        assert!(!output.contains(CLOSE), "{output}");
        client.input(REQUEST);
        let output = text(&mut client);
        assert_eq!((codes(&output), client.end()), (vec![200], Some(End::Linger)));
        assert!(output.contains(CLOSE), "{output}");
    }
}

#[test]
fn a_lame_duck_answers_each_connection_once_more_and_closes_no_idle_one() {
    let mut client = connect();
    client.lame_duck();
    client.pass(seconds(59));
    assert!(client.end().is_none());
    client.input(REQUEST);
    let output = text(&mut client);
    assert_eq!((codes(&output), client.end()), (vec![200], Some(End::Linger)));
    assert!(output.contains(CLOSE), "{output}");
}

#[test]
fn the_date_moves_with_the_clock() {
    let mut client = connect();
    for second in 0..3 {
        client.input(REQUEST);
        let output = text(&mut client);
        let date = format!("Date: Wed, 21 Oct 2015 07:28:0{second} GMT\r\n");
        assert!(output.contains(&date), "{output}");
        client.pass(seconds(1));
    }
}

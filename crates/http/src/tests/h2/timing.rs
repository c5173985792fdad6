//! Timeouts of connections, frames and streams.

use std::time::Duration;

use super::*;
use crate::h2::frame::{PREFACE, flags, kind, settings};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn fault(scene: &Scene) -> Option<&'static str> {
    scene.client.harness.fault().map(|fault| fault.code)
}

#[test]
fn an_idle_connection_is_closed_after_a_minute() {
    let mut scene = Scene::new();
    scene.client.harness.pass(secs(59));
    scene.client.get(1, "/x");
    assert_eq!(scene.client.read().len(), 2);
    // Frames without a request don't count.
    scene.client.harness.pass(secs(50));
    scene.client.frame(kind::PING, 0, 0, &[0; 8]);
    assert_eq!(scene.client.read().len(), 1);
    scene.client.harness.pass(secs(9));
    assert_eq!(fault(&scene), None);
    scene.client.harness.pass(secs(1));
    assert_eq!(scene.client.read(), ["GOAWAY 1 NO_ERROR"]);
    assert_eq!(fault(&scene), Some("idle_timeout"));
    assert_eq!(scene.ends.0.take(), ["/x 200 2 complete"]);
}

#[test]
fn a_connection_with_a_stream_is_not_idle() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    for _ in 0..100 {
        scene.client.harness.pass(secs(20));
        scene.client.frame(kind::PING, flags::ACK, 0, b"present?");
    }
    assert_eq!(fault(&scene), None);
    scene.fulfill("late");
    scene.client.read();
    assert!(scene.client.streams[&1].has_ended);
    scene.client.harness.pass(secs(59));
    assert_eq!(fault(&scene), None);
    scene.client.harness.pass(secs(1));
    assert_eq!(fault(&scene), Some("idle_timeout"));
}

#[test]
fn what_has_begun_must_be_complete_in_ten_seconds() {
    let request = block(&head("GET", "/x", &[]));
    let whole = raw(kind::HEADERS, END, 1, &request);
    for (name, bytes) in [
        ("a part of a frame's header", &whole[..5]),
        ("a part of a payload", &whole[..whole.len() - 1]),
        ("a header block without its end", &raw(kind::HEADERS, flags::END_STREAM, 1, &request)),
        ("a part of a PING", &raw(kind::PING, 0, 0, &[0; 8])[..12]),
    ] {
        let mut scene = Scene::new();
        scene.client.harness.pass(secs(30));
        for (at, byte) in bytes.iter().enumerate() {
            // The first byte counts.
            scene.client.input(&[*byte]);
            if at < 9 {
                scene.client.harness.pass(secs(1));
            }
        }
        scene.client.harness.pass(secs(9 - bytes.len().min(9) as u64));
        assert_eq!(fault(&scene), None, "{name}");
        scene.client.harness.pass(secs(1));
        assert_eq!(scene.client.read(), ["GOAWAY 0 PROTOCOL_ERROR"], "{name}");
        assert_eq!(fault(&scene), Some("head_timeout"), "{name}");
    }
    // Whole frames have no time limit.
    let mut scene = Scene::new();
    scene.client.input(&whole);
    scene.client.harness.pass(secs(30));
    assert_eq!(fault(&scene), None);
}

#[test]
fn the_preface_and_settings_must_be_complete_in_ten_seconds() {
    for len in [PREFACE.len(), PREFACE.len() + 3] {
        let (harness, ..) = server(Limits::default());
        let mut client = Client::before_preface(harness);
        client.input(&[PREFACE, &raw(kind::SETTINGS, 0, 0, &[])].concat()[..len]);
        client.harness.pass(secs(9));
        assert_eq!(client.harness.fault(), None);
        client.harness.pass(secs(1));
        assert_eq!(client.harness.fault().unwrap().code, "head_timeout");
        assert_eq!(client.read().last().unwrap(), "GOAWAY 0 PROTOCOL_ERROR");
    }
}

#[test]
fn a_silent_client_with_streams_is_asked_and_then_left() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.harness.pass(secs(29));
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(secs(1));
    assert_eq!(scene.client.read(), ["PING present?"]);
    scene.client.harness.pass(secs(29));
    assert_eq!(fault(&scene), None);
    // Any input is an answer.
    scene.client.input(&[0]);
    scene.client.input(&raw(kind::PING, flags::ACK, 0, b"present?")[1..]);
    scene.client.harness.pass(secs(29));
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(secs(1));
    assert_eq!(scene.client.read(), ["PING present?"]);
    scene.client.harness.pass(secs(29));
    assert_eq!(fault(&scene), None);
    scene.client.harness.pass(secs(1));
    assert_eq!(fault(&scene), Some("http2_ping_timeout"));
    assert_eq!(scene.client.read(), ["GOAWAY 1 NO_ERROR"]);
    assert_eq!(scene.shared.alive.get(), 0);
    assert_eq!(scene.ends.0.take(), ["/later 0 0 timed-out http2_ping_timeout"]);
}

#[test]
fn a_client_without_streams_is_not_asked() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.harness.pass(secs(29));
    scene.fulfill("late");
    scene.client.read();
    scene.client.harness.pass(secs(50));
    assert_eq!(scene.client.read(), [""; 0]);
    assert_eq!(fault(&scene), None);
}

#[test]
fn a_stalled_stream_ends_after_a_minute_and_no_other() {
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, 10)]);
    scene.client.get(1, "/large");
    scene.client.get(3, "/later");
    scene.client.get(5, "/endless");
    scene.client.read();
    for second in 1..=60 {
        assert!(!scene.client.read().contains(&"1 RST_STREAM CANCEL".to_owned()), "{second}");
        // The client is there, and takes something of stream 5.
        scene.client.window_update(5, 1);
        scene.client.harness.pass(secs(1));
    }
    let frames = scene.client.read();
    assert!(frames.contains(&"1 RST_STREAM CANCEL".to_owned()), "{frames:?}");
    assert_eq!(scene.ends.0.take(), ["/large 200 10 timed-out http2_stream_stalled"]);
    assert_eq!(scene.shared.alive.get(), 2);
    scene.fulfill("late");
    scene.client.read();
    assert!(scene.client.streams[&3].has_ended);
}

#[test]
fn deadlines_belong_to_their_streams() {
    let limits = Limits { response_timeout: Some(secs(3)), ..Limits::default() };
    let mut scene = Scene::with(limits, &[]);
    scene.client.get(1, "/later");
    scene.client.harness.pass(secs(2));
    scene.client.get(3, "/never");
    scene.client.harness.pass(secs(1));
    assert_eq!(scene.client.read()[0], "1 HEADERS 503");
    scene.client.harness.pass(secs(2));
    assert_eq!(scene.client.read()[0], "3 HEADERS 503");
    // A message to a stream that has ended is dropped.
    scene.fulfill("too late");
    assert_eq!(scene.client.read(), [""; 0]);
}

#[test]
fn late_content_is_a_408_and_the_connection_continues() {
    let mut scene = Scene::new();
    scene.client.post(1, "/collect", &[]);
    scene.client.post(3, "/collect", &[]);
    for _ in 0..4 {
        scene.client.harness.pass(secs(25));
        scene.client.data(1, b"x");
        scene.client.data(3, b"x");
        scene.client.read();
    }
    scene.client.harness.pass(secs(10));
    scene.client.data(3, b"x");
    scene.client.harness.pass(secs(19));
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(secs(1));
    let frames = scene.client.read();
    assert_eq!((&*frames[0], frames.last().unwrap().as_str()), ("1 HEADERS 408", "1 DATA 80 END"));
    scene.client.end(3, b"");
    scene.client.read();
    assert_eq!(scene.client.streams[&3].text(), "5");
    let ends = scene.ends.0.take();
    assert!(
        ends[0].starts_with("/collect 408") && ends[0].ends_with("timed-out body_timeout"),
        "{ends:?}"
    );
}

/// A content that no handler wants is not waited for.
#[test]
fn content_that_a_handler_holds_back_has_no_timeout() {
    let mut scene = Scene::new();
    scene.client.post(1, "/hold", &[]);
    scene.client.data(1, b"x");
    for _ in 0..20 {
        scene.client.harness.pass(secs(20));
        scene.client.frame(kind::PING, flags::ACK, 0, &[0; 8]);
    }
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.run_jobs();
    scene.client.end(1, b"");
    scene.client.read();
    assert_eq!(scene.client.streams[&1].text(), "1");
}

#[test]
fn the_timeout_of_held_back_content_starts_when_the_handler_reads_on() {
    let mut scene = Scene::new();
    scene.client.post(1, "/pause", &[]);
    scene.client.data(1, b"x");
    for _ in 0..20 {
        scene.client.harness.pass(secs(20));
        scene.client.frame(kind::PING, flags::ACK, 0, &[0; 8]);
    }
    scene.client.harness.run_jobs();
    scene.client.harness.pass(secs(15));
    scene.client.frame(kind::PING, flags::ACK, 0, &[0; 8]);
    scene.client.harness.pass(secs(14));
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(secs(1));
    assert_eq!(scene.client.read()[0], "1 HEADERS 408");
}

/// An upload that was answered early: what is still on its way arrives on a stream that is reset.
#[test]
fn slow_content_of_a_stream_that_was_reset_is_no_fault() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.post(3, "/early", &[]);
    scene.client.data(3, b"x");
    scene.client.harness.pass(secs(6));
    assert!(scene.client.read().contains(&"3 RST_STREAM NO_ERROR".to_owned()));
    let frames = raw(kind::DATA, 0, 3, &[0; 1000]).repeat(8);
    // Each input ends in the middle of a frame.
    for part in frames.chunks(500) {
        scene.client.input(part);
        scene.client.harness.pass(secs(2));
        assert_eq!(fault(&scene), None);
    }
    scene.fulfill("late");
    scene.client.read();
    assert!(scene.client.streams[&1].has_ended);
}

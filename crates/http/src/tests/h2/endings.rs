//! What a stopping server does with connections (RFC 9113, 6.8).

use std::time::Duration;

use sockeye_proto::{DRAIN_GRACE, End, Reason, Stop};

use super::*;
use crate::h2::frame::{flags, kind};

fn pong(scene: &mut Scene) {
    scene.client.frame(kind::PING, flags::ACK, 0, b"draining");
}

const WARNING: [&str; 2] = ["GOAWAY 2147483647 NO_ERROR", "PING draining"];

#[test]
fn a_drain_has_two_steps() {
    let mut scene = Scene::new();
    scene.client.get(1, "/stop");
    scene.client.get(3, "/later");
    scene.client.read();
    scene.client.harness.drain();
    let mut frames = scene.client.read();
    frames.sort();
    assert_eq!(frames, ["1 DATA 0 END", WARNING[0], WARNING[1]]);
    // This was sent before the client had the first GOAWAY.
    scene.client.get(5, "/x");
    assert_eq!(scene.client.read(), ["5 HEADERS 200", "5 DATA 2 END"]);
    pong(&mut scene);
    assert_eq!(scene.client.read(), ["GOAWAY 5 NO_ERROR"]);
    // This comes too late: it is not answered, and the client knows it.
    scene.client.post(7, "/x", &[]);
    scene.client.data(7, b"abc");
    scene.client.end(7, b"");
    assert_eq!(scene.client.read(), [""; 0]);
    assert_eq!(scene.client.harness.end(), None);
    scene.fulfill("done");
    assert_eq!(scene.client.read(), ["3 HEADERS 200", "3 DATA 4 END"]);
    assert_eq!(scene.client.harness.end(), Some(End::Linger));
    assert_eq!(scene.shared.made.get(), 3);
    assert_eq!(scene.client.harness.fault(), None);
}

#[test]
fn an_idle_connection_is_drained_at_once_if_the_client_answers() {
    let mut scene = Scene::new();
    scene.client.harness.drain();
    assert_eq!(scene.client.read(), WARNING);
    assert_eq!(scene.client.harness.end(), None);
    pong(&mut scene);
    assert_eq!(scene.client.read(), ["GOAWAY 0 NO_ERROR"]);
    assert_eq!(scene.client.harness.end(), Some(End::Linger));
}

#[test]
fn a_client_that_does_not_answer_gets_the_last_goaway_after_a_second() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.harness.drain();
    scene.client.read();
    scene.client.harness.pass(DRAIN_GRACE - Duration::from_millis(1));
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(Duration::from_millis(1));
    assert_eq!(scene.client.read(), ["GOAWAY 1 NO_ERROR"]);
    // The late answer changes nothing.
    pong(&mut scene);
    assert_eq!(scene.client.read(), [""; 0]);
    scene.fulfill("done");
    scene.client.read();
    assert!(scene.client.streams[&1].has_ended);
    assert_eq!(scene.client.harness.end(), Some(End::Linger));
}

#[test]
fn header_blocks_after_the_last_goaway_keep_the_table_in_step() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.harness.drain();
    pong(&mut scene);
    scene.client.read();
    let bytes = [&block(&head("GET", "/x", &[]))[..], b"\x40\x01y\x01z"].concat();
    scene.client.frame(kind::HEADERS, END, 3, &bytes);
    scene.client.frame(kind::HEADERS, END, 5, b"\xbe");
    assert_eq!(scene.client.read(), [""; 0]);
    assert_eq!(scene.client.harness.fault(), None);
    scene.client.frame(kind::HEADERS, END, 7, b"\xbf");
    assert_eq!(scene.client.read(), ["GOAWAY 1 COMPRESSION_ERROR"]);
}

#[test]
fn a_lame_duck_warns_and_continues() {
    let mut scene = Scene::new();
    scene.client.harness.lame_duck();
    assert_eq!(scene.client.read(), WARNING[..1]);
    for stream in [1, 3] {
        scene.client.get(stream, "/x");
        assert_eq!(scene.client.read().len(), 2);
    }
    assert_eq!(scene.client.harness.end(), None);
    scene.client.harness.drain();
    assert_eq!(scene.client.read(), WARNING[1..]);
    pong(&mut scene);
    assert_eq!(scene.client.read(), ["GOAWAY 3 NO_ERROR"]);
    assert_eq!(scene.client.harness.end(), Some(End::Linger));
}

#[test]
fn a_connection_that_begins_during_a_drain_is_drained() {
    for (stop, warning) in [(Stop::LameDuck, &WARNING[..1]), (Stop::Drain, &WARNING)] {
        let handlers = |_: &Peer| super::super::Mirror::default();
        let server = Server::new(Rc::default(), handlers).with_stop(stop);
        let mut client = Client::before_preface(Harness::new(server));
        client.input(crate::h2::frame::PREFACE);
        let frames = client.read();
        assert_eq!(frames[2..], *warning);
        client.settings(&[]);
        client.get(1, "/x");
        assert_eq!(client.read(), ["SETTINGS ACK", "1 HEADERS 200", "1 DATA 6 END"]);
        client.frame(kind::PING, flags::ACK, 0, b"draining");
        let is_over = stop == Stop::Drain;
        assert_eq!(client.read(), ["GOAWAY 1 NO_ERROR"][..usize::from(is_over)]);
        assert_eq!(client.harness.end(), is_over.then_some(End::Linger));
    }
}

#[test]
fn a_streamed_response_that_starts_during_a_drain_learns_of_it() {
    let mut scene = Scene::new();
    scene.client.harness.drain();
    scene.client.get(1, "/stop");
    scene.client.read();
    assert!(scene.client.streams[&1].has_ended);
}

#[test]
fn a_client_that_goes_away_gets_what_it_asked_for() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.frame(kind::GOAWAY, 0, 0, &[0; 8]);
    assert_eq!(scene.client.read(), [""; 0]);
    // While a stream is open, the client may change its mind.
    scene.client.get(3, "/x");
    assert_eq!(scene.client.read(), ["3 HEADERS 200", "3 DATA 2 END"]);
    assert_eq!(scene.client.harness.end(), None);
    scene.fulfill("done");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 4 END", "GOAWAY 3 NO_ERROR"]);
    assert_eq!(scene.client.harness.end(), Some(End::Linger));
}

#[test]
fn a_client_that_goes_away_without_streams_gets_a_goaway() {
    let mut scene = Scene::new();
    scene.client.get(1, "/x");
    scene.client.read();
    scene.client.frame(kind::GOAWAY, 0, 0, &[0; 8]);
    assert_eq!(scene.client.read(), ["GOAWAY 1 NO_ERROR"]);
    assert_eq!(scene.client.harness.end(), Some(End::Linger));
}

#[test]
fn debug_data_of_a_goaway_is_not_logged() {
    let mut scene = Scene::new();
    scene.client.get(1, "/never");
    let payload = [&[0, 0, 0, 0, 0, 0, 0, 2][..], b"a secret"].concat();
    scene.client.frame(kind::GOAWAY, 0, 0, &payload);
    scene.client.harness.end_for(&Reason::Reset);
    let ended = format!("{:?} {:?}", scene.client.harness.fault(), scene.ends.0.borrow());
    assert!(ended.contains("/never") && !ended.contains("secret"), "{ended}");
}

/// The rest of the request can't arrive any more.
#[test]
fn a_client_that_closes_within_a_request_is_answered_and_closed_at_once() {
    let mut scene = Scene::new();
    scene.client.post(1, "/collect", &[]);
    scene.client.read();
    scene.client.harness.eof();
    scene.client.read();
    assert_eq!(scene.client.streams[&1].statuses, [400]);
    assert!(scene.client.streams[&1].has_ended);
    assert_eq!(scene.client.harness.end(), Some(End::Close));
}

#[test]
fn handlers_may_panic_when_they_are_dropped_even_several_at_once() {
    let mut scene = Scene::new();
    scene.client.get(1, "/never");
    scene.client.get(3, "/never");
    scene.client.get(5, "/never");
    scene.client.read();
    scene.shared.panics_in_drop.set(true);
    scene.client.frame(kind::RST_STREAM, flags::NONE, 1, &[0, 0, 0, 8]);
    let reported = scene.client.harness.take_reported();
    assert_eq!(reported.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["handler_panicked"]);
    assert_eq!(scene.client.harness.end(), None, "the other streams go on");
    scene.client.harness.end_for(&Reason::Reset);
    assert_eq!(scene.client.harness.take_reported().len(), 2);
    assert_eq!(scene.shared.alive.get(), 0);
}

#[test]
fn handlers_may_panic_when_the_server_is_dropped() {
    let mut scene = Scene::new();
    scene.client.get(1, "/never");
    scene.client.get(3, "/never");
    scene.shared.panics_in_drop.set(true);
    drop(scene.client);
    assert_eq!(scene.shared.alive.get(), 0);
}

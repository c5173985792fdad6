//! Flow control in both directions (RFC 9113, 5.2 and 6.9).

use std::time::Duration;

use super::*;
use crate::h2::frame::{flags, kind, settings};

/// The time after which a small part of the content is sent.
const SMALL_DELAY: Duration = Duration::from_millis(200);

const MANY: u32 = 1 << 24;

/// The numbers of a kind of frame, such as `1 WINDOW_UPDATE`, in their order.
fn numbers(frames: &[String], prefix: &str) -> Vec<usize> {
    let numbers = frames.iter().filter_map(|frame| frame.strip_prefix(prefix)?.strip_prefix(' '));
    numbers.map(|number| number.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn content_is_cut_to_the_window_of_its_stream() {
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, 1)]);
    scene.client.get(1, "/abc");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 1"]);
    scene.client.window_update(0, 1000);
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.window_update(1, 1);
    assert_eq!(scene.client.read(), ["1 DATA 1"]);
    scene.client.window_update(1, 2);
    assert_eq!(scene.client.read(), ["1 DATA 2 END"]);
}

#[test]
fn content_is_cut_to_the_window_of_the_connection() {
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, MANY)]);
    scene.client.get(1, "/large");
    let frames = scene.client.read();
    assert_eq!(numbers(&frames, "1 DATA"), [16_384, 16_384, 16_384, 16_383]);
    // Another stream has no window either. What has no content needs none.
    scene.client.get(3, "/abc");
    scene.client.get(5, "/none");
    assert_eq!(scene.client.read(), ["3 HEADERS 200", "5 HEADERS 304 END"]);
    scene.client.window_update(1, 1000);
    assert_eq!(scene.client.read(), [""; 0]);
    // A small part is sent only after some time, since the window may be enlarged soon.
    scene.client.window_update(0, 2);
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(SMALL_DELAY);
    assert_eq!(scene.client.read(), ["1 DATA 2"]);
    scene.client.window_update(0, MANY);
    let frames = scene.client.read();
    assert!(frames.contains(&"3 DATA 4 END".to_owned()));
    assert_eq!(scene.client.streams[&1].content.len(), LARGE.len());
    assert!(scene.client.streams[&1].has_ended);
}

#[test]
fn a_lowered_initial_window_makes_windows_negative() {
    let mut scene = Scene::new();
    scene.client.get(1, "/large");
    scene.client.read();
    scene.client.window_update(0, MANY);
    scene.client.settings(&[(settings::INITIAL_WINDOW_SIZE, 10)]);
    assert_eq!(scene.client.read(), ["SETTINGS ACK"]);
    // It is 10 - 65,535 now.
    scene.client.window_update(1, 65_525);
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.window_update(1, 1);
    scene.client.harness.pass(SMALL_DELAY);
    assert_eq!(scene.client.read(), ["1 DATA 1"]);
    // Now it is 0. The change applies to all streams, and to later ones.
    scene
        .client
        .settings(&[(settings::INITIAL_WINDOW_SIZE, 5), (settings::INITIAL_WINDOW_SIZE, 12)]);
    scene.client.harness.pass(SMALL_DELAY);
    assert_eq!(scene.client.read(), ["SETTINGS ACK", "1 DATA 2"]);
    scene.client.get(3, "/0123456789abcdef");
    assert_eq!(scene.client.read(), ["3 HEADERS 200", "3 DATA 12"]);
    scene.client.settings(&[(settings::INITIAL_WINDOW_SIZE, MANY)]);
    scene.client.read();
    assert!(scene.client.streams[&1].has_ended && scene.client.streams[&3].has_ended);
}

#[test]
fn the_end_of_a_response_needs_no_window() {
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, 0)]);
    scene.client.post(1, "/echo", &[]);
    scene.client.get(3, "/stop");
    scene.client.post(5, "/echo", &[]);
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "3 HEADERS 200", "5 HEADERS 200"]);
    scene.client.headers(1, END, &[("a", "b")]);
    assert_eq!(scene.client.read(), ["1 TRAILERS END"]);
    // Trailers wait for the content before them.
    scene.client.data(5, b"abc");
    scene.client.headers(5, END, &[("a", "b")]);
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.window_update(5, 2);
    assert_eq!(scene.client.read(), ["5 DATA 2"]);
    scene.client.window_update(5, 1);
    assert_eq!(scene.client.read(), ["5 DATA 1", "5 TRAILERS END"]);
    scene.client.harness.drain();
    assert!(scene.client.read().contains(&"3 DATA 0 END".to_owned()));
}

/// Sends content as the windows allow, until `total` bytes are sent or it stalls. Returns how many
/// were sent, and what the windows of the stream and the connection are then.
fn upload(
    client: &mut Client,
    stream: u32,
    total: usize,
    connection: &mut usize,
) -> (usize, usize) {
    let (mut sent, mut window) = (0, 65_535);
    loop {
        let len = (total - sent).min(window).min(*connection).min(16_384);
        client.data(stream, &vec![b'x'; len]);
        (sent, window, *connection) = (sent + len, window - len, *connection - len);
        client.harness.run_jobs();
        let frames = client.read();
        window += numbers(&frames, &format!("{stream} WINDOW_UPDATE")).iter().sum::<usize>();
        *connection += numbers(&frames, "0 WINDOW_UPDATE").iter().sum::<usize>();
        if sent == total || len == 0 {
            return (sent, window);
        }
    }
}

const CONNECTION: usize = 1024 * 1024;

#[test]
fn windows_are_given_back_as_a_handler_reads() {
    for path in ["/collect", "/hold"] {
        let mut scene = Scene::new();
        scene.client.post(1, path, &[]);
        let mut connection = CONNECTION;
        let total = 10_000_000;
        let (sent, window) = upload(&mut scene.client, 1, total, &mut connection);
        assert_eq!(sent, total, "{path}");
        // Its window is larger than at first.
        assert!(window > 300_000 && window <= 512 * 1024, "{window}");
        assert!(connection > CONNECTION / 2 && connection <= CONNECTION, "{connection}");
        scene.client.end(1, b"");
        scene.client.read();
        assert_eq!(scene.client.streams[&1].text(), total.to_string());
    }
}

#[test]
fn content_that_no_handler_reads_is_held_up_to_the_window() {
    let mut scene = Scene::new();
    let mut connection = CONNECTION;
    let mut stream = 1;
    // Stalled uploads don't stall others, up to a limit for all of them together.
    let held = loop {
        scene.client.post(stream, "/never", &[]);
        let (sent, _) = upload(&mut scene.client, stream, 1_000_000, &mut connection);
        if sent < 65_535 {
            break 65_535 * (stream as usize / 2) + sent;
        }
        stream += 2;
        assert!(stream < 200, "there is no limit");
        if stream < 20 {
            scene.client.post(stream, "/collect", &[]);
            assert_eq!(upload(&mut scene.client, stream, 500_000, &mut connection).0, 500_000);
            scene.client.end(stream, b"");
            scene.client.read();
            assert_eq!(scene.client.streams[&stream].text(), "500000");
            stream += 2;
        }
    };
    assert!(held < 6 * CONNECTION, "{held}");
    // When a stalled one is cancelled, its content is dropped, and others continue.
    for stalled in (1..stream).step_by(2) {
        scene.client.reset(stalled);
    }
    let frames = scene.client.read();
    connection += numbers(&frames, "0 WINDOW_UPDATE").iter().sum::<usize>();
    scene.client.post(stream + 2, "/collect", &[]);
    assert_eq!(upload(&mut scene.client, stream + 2, 500_000, &mut connection).0, 500_000);
}

/// A scene over budget, in which the content of stream 1 waits for its handler, so that the window
/// of the connection is not enlarged. The client uploads `total` bytes on stream 3. Also returns
/// what is left of the connection's window.
fn upload_over_budget(total: usize) -> (Scene, usize) {
    let mut scene = Scene::new();
    scene.client.post(1, "/later", &[]);
    for _ in 0..3 {
        scene.client.data(1, &[b'x'; 16_000]);
    }
    scene.client.post(3, "/collect", &[]);
    scene.client.read();
    scene.client.harness.set_over_budget(true);
    let mut connection = CONNECTION - 48_000;
    assert_eq!(upload(&mut scene.client, 3, total, &mut connection).0, total);
    (scene, connection)
}

#[test]
fn a_client_that_lacks_the_window_of_the_connection_is_not_late() {
    let total = CONNECTION - 48_000;
    let (mut scene, connection) = upload_over_budget(total);
    assert_eq!(connection, 0);
    scene.client.harness.pass(Duration::from_secs(29));
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(Duration::from_secs(2));
    assert_eq!(scene.client.read(), ["PING present?"]);
    scene.client.frame(kind::PING, flags::ACK, 0, b"present?");
    // The budget recovers, and nothing else happens on the connection.
    scene.client.harness.set_over_budget(false);
    scene.client.harness.pass(Duration::from_secs(1));
    assert_eq!(scene.client.read(), [format!("0 WINDOW_UPDATE {CONNECTION}")]);
    scene.client.end(3, b"y");
    scene.client.read();
    assert_eq!(scene.client.streams[&3].text(), (total + 1).to_string());
}

#[test]
fn a_client_that_has_window_left_is_late() {
    let (mut scene, connection) = upload_over_budget(500_000);
    assert!(connection > 400_000, "{connection}");
    scene.client.harness.pass(Duration::from_secs(29));
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.pass(Duration::from_secs(1));
    scene.client.read();
    assert_eq!(scene.client.streams[&3].statuses, [408]);
}

#[test]
fn more_content_than_a_window_allows_is_an_error() {
    let mut scene = Scene::new();
    scene.client.post(1, "/never", &[]);
    for _ in 0..4 {
        scene.client.data(1, &[b'x'; 16_000]);
    }
    scene.client.data(1, &[b'x'; 1535]);
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.data(1, b"x");
    assert_eq!(scene.client.read(), ["1 RST_STREAM FLOW_CONTROL_ERROR"]);
    assert_eq!(scene.ends.0.take(), ["/never 0 0 client-aborted http2_flow_control_error"]);

    // The connection's: 17 streams of 64 KiB exceed it, if nothing is given back.
    let mut scene = Scene::new();
    let mut sent = 0;
    let mut given = 0;
    let mut last = Vec::new();
    'all: for stream in (1..199).step_by(2) {
        scene.client.post(stream, "/never", &[]);
        for _ in 0..4 {
            sent += 16_000;
            scene.client.data(stream, &[b'x'; 16_000]);
            last = scene.client.read();
            given += numbers(&last, "0 WINDOW_UPDATE").iter().sum::<usize>();
            if sent > CONNECTION + given {
                break 'all;
            }
            assert_eq!(scene.client.harness.fault(), None);
        }
    }
    assert!(last[0].ends_with(" FLOW_CONTROL_ERROR") && last[0].starts_with("GOAWAY"), "{last:?}");
}

/// A response can be complete before its request. What comes of the request is thrown away, and its
/// window is given back (RFC 9113, 8.1).
#[test]
fn content_that_comes_after_the_response_is_thrown_away() {
    for (path, status) in [("/", 200), ("/tiny", 413), ("/early", 200)] {
        let mut scene = Scene::new();
        scene.client.post(1, path, &[]);
        scene.client.data(1, &[b'x'; 10_000]);
        let frames = scene.client.read();
        assert_eq!(frames[0], format!("1 HEADERS {status}"), "{path}");
        assert!(scene.client.streams[&1].has_ended);
        assert_eq!(scene.shared.alive.get(), 0);
        // The client had the rest of its windows.
        for _ in 0..3 {
            scene.client.data(1, &[b'x'; 16_000]);
        }
        // It has them again.
        assert_eq!(numbers(&scene.client.read(), "1 WINDOW_UPDATE"), [26_000, 32_000], "{path}");
        scene.client.headers(1, END, &[("a", "b")]);
        assert_eq!(scene.client.read(), [""; 0], "{path}");
        // Of the connection's window, nothing is lost.
        let mut connection = CONNECTION - 58_000;
        for stream in (3..41).step_by(2) {
            scene.client.post(stream, path, &[]);
            scene.client.read();
            for _ in 0..4 {
                assert!(connection >= 16_000, "the window is not given back");
                connection -= 16_000;
                scene.client.data(stream, &[b'x'; 16_000]);
                connection +=
                    numbers(&scene.client.read(), "0 WINDOW_UPDATE").iter().sum::<usize>();
            }
        }
        assert_eq!(scene.client.harness.fault(), None, "{path}");
    }
}

/// It is asked to stop after five seconds, or after 1 MiB (RFC 9113, 8.1).
#[test]
fn a_client_that_continues_after_the_response_is_asked_to_stop() {
    let mut scene = Scene::new();
    scene.client.post(1, "/", &[]);
    scene.client.post(3, "/", &[]);
    scene.client.post(5, "/", &[]);
    scene.client.post(7, "/", &[("content-length", "5")]);
    scene.client.read();
    scene.client.end(5, b"abc");
    scene.client.data(7, b"abc");
    for _ in 0..64 {
        scene.client.data(3, &[b'x'; 16_384]);
    }
    scene.client.harness.pass(Duration::from_millis(4999));
    assert!(scene.client.read().iter().all(|frame| frame.contains("WINDOW_UPDATE")));
    scene.client.data(3, b"x");
    assert_eq!(scene.client.read(), ["3 RST_STREAM NO_ERROR"]);
    scene.client.harness.pass(Duration::from_millis(1));
    assert_eq!(scene.client.read(), ["1 RST_STREAM NO_ERROR", "7 RST_STREAM NO_ERROR"]);
    // What was on its way is thrown away, up to the window.
    for len in [16_000, 16_000, 16_000, 16_000, 1535] {
        scene.client.data(1, &vec![b'x'; len]);
    }
    scene.client.headers(7, END, &[("a", "b")]);
    let frames = scene.client.read();
    assert!(frames.iter().all(|frame| frame.starts_with("0 WINDOW_UPDATE")), "{frames:?}");
    scene.client.data(1, b"x");
    assert_eq!(scene.client.read(), ["GOAWAY 7 FLOW_CONTROL_ERROR"]);
}

/// A response in progress continues when its handler needs no more of the request.
#[test]
fn content_is_not_read_for_a_handler_that_waits() {
    let mut scene = Scene::new();
    scene.client.post(1, "/later", &[]);
    scene.client.data(1, b"hello");
    scene.client.end(1, b"");
    assert_eq!(scene.client.read(), [""; 0]);
    scene.fulfill("unread");
    // The request has ended, so that no reset is needed.
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 6 END"]);
    scene.client.harness.pass(Duration::from_secs(5));
    assert_eq!(scene.client.read(), [""; 0]);
}

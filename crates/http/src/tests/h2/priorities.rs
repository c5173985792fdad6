//! The order of responses (RFC 9218).

use super::*;
use crate::h2::frame::{flags, kind, settings};

/// The streams in the order of their DATA frames; a stream that sends several frames one after the
/// other is there once.
fn order(frames: &[String]) -> Vec<u32> {
    let mut order: Vec<u32> = frames
        .iter()
        .filter(|frame| frame.contains(" DATA "))
        .map(|frame| frame.split(' ').next().unwrap().parse().unwrap())
        .collect();
    order.dedup();
    order
}

/// A client whose window of the connection is used up.
fn blocked() -> Scene {
    let max = i32::MAX as u32;
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, max)]);
    scene.client.get(1, "/large");
    scene.client.read();
    scene.client.reset(1);
    scene.client.read();
    scene
}

fn get(scene: &mut Scene, stream: u32, priority: &str) {
    let fields = [("priority", priority)];
    scene.client.headers(stream, flags::END_STREAM, &head("GET", "/large", &fields));
}

fn update(scene: &mut Scene, stream: u32, priority: &str) {
    let payload = [&stream.to_be_bytes()[..], priority.as_bytes()].concat();
    scene.client.frame(kind::PRIORITY_UPDATE, 0, 0, &payload);
}

/// Opens the window. Returns the frames that come.
fn open(scene: &mut Scene) -> Vec<String> {
    scene.client.read();
    scene.client.window_update(0, i32::MAX as u32);
    scene.client.read()
}

/// The streams in the order of their ends.
fn ends(mut frames: Vec<String>) -> Vec<u32> {
    frames.retain(|frame| frame.ends_with(" END"));
    order(&frames)
}

#[test]
fn more_urgent_responses_are_sent_first_and_equal_ones_in_order() {
    let mut scene = blocked();
    for (stream, priority) in [(3, "u=7"), (5, ""), (7, "u=0"), (9, "u=3"), (11, "u=4, i=?0")] {
        get(&mut scene, stream, priority);
    }
    assert_eq!(ends(open(&mut scene)), [7, 5, 9, 11, 3]);
}

/// RFC 9218, 10: equal ones are sent in the order of their streams, whenever each becomes ready.
#[test]
fn equal_responses_are_sent_in_the_order_of_their_streams() {
    // Their windows are enlarged in another order, by frames that arrive at once.
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, 0)]);
    scene.client.window_update(0, 1 << 24);
    for stream in [1, 3, 5, 7] {
        get(&mut scene, stream, "u=3");
    }
    scene.client.read();
    let mut updates = Vec::new();
    for stream in [5, 1, 7, 3] {
        let increment = (1_u32 << 20).to_be_bytes();
        scene.client.note_sent(kind::WINDOW_UPDATE, 0, stream, &increment);
        updates.extend(raw(kind::WINDOW_UPDATE, 0, stream, &increment));
    }
    scene.client.input(&updates);
    assert_eq!(ends(scene.client.read()), [1, 3, 5, 7]);
    // Updates to the same priority, and to another one and back, while the output is full.
    let mut scene = blocked();
    for stream in [3, 5, 7, 9, 11] {
        get(&mut scene, stream, "u=3");
    }
    scene.client.read();
    scene.client.window_update(0, i32::MAX as u32);
    for (stream, priority) in [(3, "u=3"), (7, "u=3"), (5, "u=4"), (9, "u=2"), (5, "u=3")] {
        update(&mut scene, stream, priority);
    }
    update(&mut scene, 9, "u=3");
    assert_eq!(ends(scene.client.read()), [3, 5, 7, 9, 11]);
}

#[test]
fn incremental_responses_take_turns() {
    let mut scene = blocked();
    for stream in [3, 5, 7] {
        get(&mut scene, stream, "i");
    }
    let order = order(&open(&mut scene));
    assert_eq!(order.len(), 3 * LARGE.len().div_ceil(16_384), "{order:?}");
    assert_eq!(order[..6], [3, 5, 7, 3, 5, 7]);
    // Nor does it need a field: such a client may be a proxy, with requests of several users.
    let mut scene = blocked();
    for stream in [3, 5, 7] {
        scene.client.get(stream, "/large");
    }
    assert_eq!(self::order(&open(&mut scene))[..6], [3, 5, 7, 3, 5, 7]);
    // An update to the same priority changes no turn.
    let mut scene = blocked();
    for stream in [3, 5, 7] {
        get(&mut scene, stream, "i");
    }
    scene.client.read();
    scene.client.window_update(0, i32::MAX as u32);
    update(&mut scene, 3, "i");
    let order = self::order(&scene.client.read());
    assert_eq!(order[..12], [3, 5, 7].repeat(4));
}

#[test]
fn a_priority_can_be_updated_before_and_after_the_request() {
    // Before: it counts instead of the field.
    let mut scene = blocked();
    update(&mut scene, 5, "u=1");
    update(&mut scene, 9, "u=2");
    update(&mut scene, 9, "u=0");
    for stream in [3, 5, 7, 9] {
        get(&mut scene, stream, "u=3");
    }
    assert_eq!(ends(open(&mut scene)), [9, 5, 3, 7]);
    // After.
    let mut scene = blocked();
    for stream in [3, 5, 7] {
        get(&mut scene, stream, "");
    }
    update(&mut scene, 7, "u=2");
    update(&mut scene, 3, "u=5");
    assert_eq!(ends(open(&mut scene)), [7, 5, 3]);
    // While it is queued: the output is full, and nothing was read.
    let mut scene = blocked();
    for stream in [3, 5, 7] {
        get(&mut scene, stream, "");
    }
    scene.client.read();
    scene.client.window_update(0, i32::MAX as u32);
    update(&mut scene, 7, "u=0");
    assert_eq!(ends(scene.client.read()), [7, 3, 5]);
    // Updates of streams that have ended are ignored.
    update(&mut scene, 3, "u=0");
    assert_eq!(scene.client.read(), [""; 0]);
    // An update that can't be read changes nothing.
    let mut scene = blocked();
    for (stream, priority) in [(3, "u=5"), (5, "u=2"), (7, "u=1")] {
        get(&mut scene, stream, priority);
    }
    update(&mut scene, 7, "u=7,");
    update(&mut scene, 3, "u=0 i");
    assert_eq!(ends(open(&mut scene)), [7, 5, 3]);
}

#[test]
fn several_lines_are_one_value_and_an_invalid_value_is_ignored() {
    let mut scene = blocked();
    for (stream, lines) in [
        (3, &["u=5", "i=?0"][..]),
        (5, &["u=7", "u=4"]),
        // Valid lines don't make up for an invalid one: its urgency is the default of 3.
        (7, &["u=0", "u=", "u=0"]),
        (9, &["a=(b", "c)", "u=1"]),
        // The value is valid, though the lines alone aren't.
        (11, &["u=2;a=\"b", "c\""]),
    ] {
        let fields: Vec<_> = lines.iter().map(|line| ("priority", *line)).collect();
        scene.client.headers(stream, flags::END_STREAM, &head("GET", "/large", &fields));
    }
    let mut order = ends(open(&mut scene));
    // Without a valid priority, responses take turns: both end in the order of their lengths.
    order[1..3].sort_unstable();
    assert_eq!(order, [11, 7, 9, 5, 3]);
}

#[test]
fn the_priorities_of_rfc_7540_are_ignored() {
    let mut scene = blocked();
    let fields = head("GET", "/large", &[("priority", "u=3")]);
    scene.client.frame(
        kind::HEADERS,
        END | flags::PRIORITY,
        3,
        &[&[0x80, 0, 0, 5, 255][..], &block(&fields)].concat(),
    );
    get(&mut scene, 5, "u=3");
    scene.client.frame(kind::PRIORITY, 0, 5, &[0, 0, 0, 0, 255]);
    // On itself.
    scene.client.frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 3, 255]);
    assert_eq!(ends(open(&mut scene)), [3, 5]);
}

/// A style that is asked for behind pictures is complete before much of them is.
#[test]
fn an_urgent_response_overtakes() {
    let max = i32::MAX as u32;
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, max)]);
    scene.client.window_update(0, max - 65_535);
    for stream in 0..40 {
        get(&mut scene, 2 * stream + 1, "u=5, i");
    }
    get(&mut scene, 101, "u=0");
    let frames = scene.client.read();
    let end =
        frames.iter().position(|frame| frame.starts_with("101 DATA") && frame.ends_with("END"));
    let before = frames[..end.unwrap()].iter().filter(|frame| frame.contains(" DATA "));
    let of_others = before.filter(|frame| !frame.starts_with("101 ")).count();
    assert!(of_others * 16_384 < 200_000, "{of_others}");
}

#[test]
fn no_response_starves() {
    let max = i32::MAX as u32;
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, max)]);
    scene.client.window_update(0, max - 65_535);
    get(&mut scene, 1, "u=7");
    scene.client.headers(3, flags::END_STREAM, &head("GET", "/endless", &[("priority", "u=0")]));
    // An endless response with an open window never ends `Harness::output`, so it is cut.
    scene.client.settings(&[(settings::INITIAL_WINDOW_SIZE, 8_000_000)]);
    let frames = scene.client.read();
    let last = |stream: &str| frames.iter().rposition(|frame| frame.starts_with(stream)).unwrap();
    assert!(frames[last("1 ")].ends_with(" END") && last("1 ") < last("3 "));
}

#[test]
fn the_setting_of_a_client_about_priorities_changes_nothing() {
    let mut scene = Scene::new();
    for value in [1, 0, 1] {
        scene.client.settings(&[(settings::NO_RFC7540_PRIORITIES, value)]);
        assert_eq!(scene.client.read(), ["SETTINGS ACK"]);
    }
    scene.client.get(1, "/x");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 2 END"]);
}

#[test]
fn the_priority_of_a_response_is_sent_and_changes_no_order() {
    let mut scene = blocked();
    for (stream, path) in [(3, "/late"), (5, "/large")] {
        let fields = [("priority", "u=3")];
        scene.client.headers(stream, flags::END_STREAM, &head("GET", path, &fields));
    }
    assert_eq!(ends(open(&mut scene)), [3, 5]);
    assert_eq!(scene.client.streams[&3].field("priority"), Some("u=7"));
}

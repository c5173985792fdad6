//! Limits on what a client can do again and again.

use std::time::Duration;

use allocation_counter::measure;

use super::*;
use crate::h2::frame::{flags, kind, settings};

const PAUSE: Duration = Duration::from_millis(100);

/// Repeats `round` until the connection ends. Returns how many rounds it took, and the fault's
/// code.
fn rounds(scene: &mut Scene, mut round: impl FnMut(&mut Scene, u32)) -> (u32, &'static str) {
    for count in 0..20_000 {
        round(scene, count);
        if let Some(fault) = scene.client.harness.fault() {
            let code = fault.code;
            let frames = scene.client.read();
            assert!(frames.last().unwrap().ends_with(" ENHANCE_YOUR_CALM"), "{frames:?}");
            assert_eq!(scene.shared.alive.get(), 0);
            return (count, code);
        }
    }
    panic!("there is no limit");
}

#[test]
fn resets_slow_a_connection_down_and_then_end_it() {
    for by_server in [false, true] {
        let mut scene = Scene::new();
        let mut pauses = 0;
        let (count, code) = rounds(&mut scene, |scene, count| {
            let stream = 2 * count + 1;
            scene.client.get(stream, "/never");
            match by_server {
                true => scene.client.window_update(stream, 0),
                false => scene.client.reset(stream),
            }
            assert_eq!(scene.shared.alive.get(), 0, "a paused connection begins no request");
            // What follows in a pause waits.
            scene.client.frame(kind::PING, 0, 0, &[0; 8]);
            if scene.client.harness.fault().is_none() && scene.client.harness.unused() > 0 {
                pauses += 1;
                scene.client.harness.pass(PAUSE);
                assert_eq!(scene.client.harness.unused(), 0);
            }
            if scene.client.harness.fault().is_none() {
                scene.client.read();
            }
        });
        assert_eq!(code, "http2_reset_flood");
        assert!((100..=250).contains(&count), "{count}");
        assert_eq!(pauses, 10);
    }
}

#[test]
fn resets_between_answered_requests_have_no_limit() {
    let mut scene = Scene::new();
    for round in 0..2000 {
        scene.client.get(4 * round + 1, "/never");
        scene.client.reset(4 * round + 1);
        scene.client.get(4 * round + 3, "/x");
        assert_eq!(scene.client.read().len(), 2);
    }
    assert_eq!(scene.client.harness.unused(), 0);
}

#[test]
fn a_frame_has_at_most_32_settings() {
    let mut scene = Scene::new();
    scene.client.settings(&[(0xff, 0); 32]);
    assert_eq!(scene.client.read(), ["SETTINGS ACK"]);
    scene.client.settings(&[(0xff, 0); 33]);
    assert_eq!(scene.client.read(), ["GOAWAY 0 ENHANCE_YOUR_CALM"]);
    assert_eq!(scene.client.harness.fault().unwrap().code, "http2_settings_flood");
}

#[test]
fn control_frames_have_a_limit() {
    let update = [&1_u32.to_be_bytes()[..], b"u=1"].concat();
    let rows: [(&str, Vec<u8>); 9] = [
        ("PING", raw(kind::PING, 0, 0, &[0; 8])),
        ("PING ACK", raw(kind::PING, flags::ACK, 0, &[0; 8])),
        ("SETTINGS", raw(kind::SETTINGS, 0, 0, &[])),
        ("PRIORITY", raw(kind::PRIORITY, 0, 1, &[0; 5])),
        ("PRIORITY_UPDATE", raw(kind::PRIORITY_UPDATE, 0, 0, &update)),
        ("WINDOW_UPDATE", raw(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("empty DATA", raw(kind::DATA, 0, 1, b"")),
        ("GOAWAY", raw(kind::GOAWAY, 0, 0, &[0; 8])),
        ("unknown", raw(0xbb, 0, 0, b"")),
    ];
    for (name, bytes) in rows {
        let mut scene = Scene::new();
        scene.client.post(1, "/hold", &[]);
        let (count, code) = rounds(&mut scene, |scene, _| {
            if bytes[3] == kind::SETTINGS {
                scene.client.settings(&[]);
            } else {
                scene.client.input(&bytes);
            }
        });
        assert_eq!(code, "http2_control_flood", "{name}");
        assert!((900..=1000).contains(&count), "{name}: {count}");
        // At a slow rate, they have none.
        let mut scene = Scene::new();
        scene.client.post(1, "/hold", &[]);
        for _ in 0..3000 {
            if bytes[3] == kind::SETTINGS {
                scene.client.settings(&[]);
            } else {
                scene.client.input(&bytes);
            }
            scene.client.harness.pass(Duration::from_millis(50));
            scene.client.read();
        }
        assert_eq!(scene.client.harness.fault(), None, "{name}");
    }
}

#[test]
fn trailers_and_resets_of_reset_streams_have_a_limit() {
    let trailers = block(&[("a", "b")]);
    for bytes in [raw(kind::HEADERS, END, 1, &trailers), raw(kind::RST_STREAM, 0, 1, &[0; 4])] {
        let mut scene = Scene::new();
        scene.client.post(1, "/never", &[]);
        // The server resets it, so that frames may be on their way.
        scene.client.window_update(1, 0);
        let (count, code) = rounds(&mut scene, |scene, _| scene.client.input(&bytes));
        assert_eq!(code, "http2_control_flood");
        assert!((900..=1001).contains(&count), "{count}");
    }
}

#[test]
fn bytes_without_content_have_a_limit() {
    let mut scene = Scene::new();
    let bytes = raw(0xbb, 0, 0, &[0; 16_384]);
    let (count, code) = rounds(&mut scene, |scene, _| scene.client.input(&bytes));
    assert_eq!(code, "http2_overhead");
    assert!((500..=530).contains(&count), "{count}");
    // Not beside content.
    let mut scene = Scene::new();
    scene.client.post(1, "/collect", &[]);
    for _ in 0..2000 {
        scene.client.input(&bytes);
        scene.client.data(1, &[0; 8000]);
        scene.client.read();
    }
    assert_eq!(scene.client.harness.fault(), None);
}

#[test]
fn small_windows_have_a_limit() {
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, 0)]);
    scene.client.get(1, "/large");
    let (count, code) = rounds(&mut scene, |scene, _| {
        scene.client.window_update(1, 1);
        scene.client.harness.pass(Duration::from_millis(100));
        if scene.client.harness.fault().is_none() {
            scene.client.read();
        }
    });
    assert_eq!(code, "http2_small_windows");
    assert_eq!(count, 1000);
    // Windows of usual sizes have none.
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, 0)]);
    for round in 0..100 {
        scene.client.get(2 * round + 1, "/large");
        while !scene.client.streams.get(&(2 * round + 1)).is_some_and(|got| got.has_ended) {
            scene.client.window_update(2 * round + 1, 2000);
            scene.client.window_update(0, 2000);
            scene.client.read();
            assert_eq!(scene.client.harness.fault(), None);
        }
    }
}

#[test]
fn priorities_of_streams_that_never_begin_are_bounded() {
    let mut scene = Scene::new();
    let memory = measure(|| {
        for stream in 0..900_u32 {
            let payload = [&(2 * stream + 1).to_be_bytes()[..], b"u=0"].concat();
            scene.client.frame(kind::PRIORITY_UPDATE, 0, 0, &payload);
        }
    });
    assert!(memory.bytes_current < 3000, "{memory:?}");
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.get(1999, "/x");
    assert_eq!(scene.client.read(), ["1999 HEADERS 200", "1999 DATA 2 END"]);
}

/// A client that reads much at once may enlarge its windows for each small frame of it.
#[test]
fn windows_can_be_enlarged_for_many_small_frames_at_once() {
    let mut scene = Scene::new();
    scene.client.post(1, "/echo", &[]);
    for _ in 0..3000 {
        scene.client.data(1, b"x");
    }
    for _ in 0..3000 {
        scene.client.window_update(1, 1);
        scene.client.window_update(0, 1);
    }
    assert_eq!(scene.client.harness.fault(), None);
}

/// Browsers that load a page of many files do all of this.
#[test]
fn an_ordinary_client_reaches_no_limit() {
    let mut scene = Scene::new();
    scene.client.window_update(0, 15 << 20);
    for round in 0..3000_u32 {
        let stream = 2 * round + 1;
        let payload = [&stream.to_be_bytes()[..], b"u=1, i"].concat();
        scene.client.frame(kind::PRIORITY_UPDATE, 0, 0, &payload);
        scene.client.get(stream, "/x");
        scene.client.window_update(stream, 1000);
        scene.client.window_update(0, 2);
        if round % 10 == 0 {
            scene.client.frame(kind::PING, 0, 0, &[0; 8]);
        }
        scene.client.read();
    }
    assert_eq!(scene.client.harness.fault(), None);
}

//! Frames in each state of a stream, and malformed frames (RFC 9113, 3 to 6).

use sockeye_proto::End;

use super::*;
use crate::h2::frame::{PREFACE, flags, kind, settings};

/// What a frame causes, as text: an error of the connection or of stream 1, or the frames that
/// answer it.
fn effect(scene: &mut Scene) -> String {
    let mut frames = scene.client.read();
    let fault = scene.client.harness.fault();
    match frames.last().and_then(|last| last.strip_prefix("GOAWAY ")) {
        Some(last) => {
            assert_eq!(frames.len(), 1, "{frames:?}");
            let (_, code) = last.split_once(' ').unwrap();
            let expected = format!("http2_{}", code.to_lowercase());
            let is_flood = code == "ENHANCE_YOUR_CALM";
            assert!(is_flood || fault.unwrap().code == expected, "{fault:?}");
            format!("connection {code}")
        }
        None => {
            assert_eq!(fault, None);
            if let [frame] = &mut frames[..]
                && let Some(code) = frame.strip_prefix("1 RST_STREAM ")
            {
                return format!("stream {code}");
            }
            frames.join(", ")
        }
    }
}

/// Brings stream 1 into a state.
type Setup = fn(&mut Scene);

const STATES: [(&str, Setup); 7] = [
    ("idle", |_| ()),
    ("open", |scene| scene.client.post(1, "/hold", &[])),
    ("half-closed (remote)", |scene| scene.client.get(1, "/never")),
    ("closed", |scene| scene.client.get(1, "/")),
    ("closed by a response before the end of the request", |scene| {
        scene.client.post(1, "/", &[]);
    }),
    ("reset by the server", |scene| {
        scene.client.get(1, "/never");
        scene.client.window_update(1, 0);
    }),
    ("reset by the client", |scene| {
        scene.client.get(1, "/never");
        scene.client.reset(1);
    }),
];

/// RFC 9113, 5.1: which frames each state of a stream permits, and what the others are.
#[test]
fn frames_in_each_state_of_a_stream() {
    let trailers = block(&[("a", "b")]);
    let c_protocol = "connection PROTOCOL_ERROR";
    let c_closed = "connection STREAM_CLOSED";
    let s_closed = "stream STREAM_CLOSED";
    // In the order of STATES.
    let (c_size, s_size) = ("connection FRAME_SIZE_ERROR", "stream FRAME_SIZE_ERROR");
    let table: [(&str, Vec<u8>, [&str; 7]); 13] = [
        (
            "DATA",
            raw(kind::DATA, 0, 1, b"x"),
            [c_protocol, "", s_closed, c_closed, "", "", c_closed],
        ),
        (
            "DATA with END_STREAM",
            raw(kind::DATA, flags::END_STREAM, 1, b""),
            [c_protocol, "", s_closed, c_closed, "", "", c_closed],
        ),
        (
            "HEADERS",
            raw(kind::HEADERS, END, 1, &trailers),
            // A request without pseudo-header fields is malformed.
            ["stream PROTOCOL_ERROR", "", s_closed, c_closed, "", "", c_closed],
        ),
        ("PRIORITY", raw(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 7]), [""; 7]),
        (
            "PRIORITY of 4",
            raw(kind::PRIORITY, 0, 1, &[0, 0, 0, 3]),
            [c_size, s_size, s_size, c_size, s_size, c_size, c_size],
        ),
        (
            "RST_STREAM",
            raw(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            [c_protocol, "", "", "", "", "", ""],
        ),
        (
            "WINDOW_UPDATE",
            raw(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            [c_protocol, "", "", "", "", "", ""],
        ),
        ("SETTINGS", raw(kind::SETTINGS, 0, 1, b""), [c_protocol; 7]),
        ("PUSH_PROMISE", raw(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2, 0x82]), [c_protocol; 7]),
        ("PING", raw(kind::PING, 0, 1, b"12345678"), [c_protocol; 7]),
        ("GOAWAY", raw(kind::GOAWAY, 0, 1, &[0; 8]), [c_protocol; 7]),
        ("CONTINUATION", raw(kind::CONTINUATION, 4, 1, &trailers), [c_protocol; 7]),
        ("an unknown frame", raw(0xbb, 0xff, 1, b"unknown"), [""; 7]),
    ];
    for (frame, bytes, expected) in table {
        for ((state, setup), expected) in STATES.iter().zip(expected) {
            let mut scene = Scene::new();
            setup(&mut scene);
            scene.client.read();
            scene.client.input(&bytes);
            assert_eq!(effect(&mut scene), expected, "{frame}, {state}");
            if !expected.starts_with("connection") {
                // The connection continues.
                scene.client.get(3, "/next");
                let frames = scene.client.read();
                assert_eq!(frames, ["3 HEADERS 200", "3 DATA 5 END"], "{frame}, {state}");
            }
        }
    }
}

/// Streams of the server don't exist, since it pushes nothing.
#[test]
fn frames_on_even_streams_are_errors_of_the_connection() {
    for bytes in [
        raw(kind::DATA, 0, 2, b"x"),
        raw(kind::HEADERS, END, 2, &block(&head("GET", "/", &[]))),
        raw(kind::RST_STREAM, 0, 2, &[0; 4]),
        raw(kind::WINDOW_UPDATE, 0, 2, &[0, 0, 0, 1]),
    ] {
        let mut scene = Scene::new();
        scene.client.get(3, "/");
        scene.client.read();
        scene.client.input(&bytes);
        assert_eq!(effect(&mut scene), "connection PROTOCOL_ERROR", "{bytes:?}");
    }
}

/// RFC 9113, 5.1.1: a new stream closes those that are idle and have a lower number.
#[test]
fn a_lower_stream_than_the_last_one_is_closed() {
    let headers = |stream| raw(kind::HEADERS, END, stream, &block(&head("GET", "/", &[])));
    for (opened, bytes, code) in [
        (&[5][..], headers(1), "PROTOCOL_ERROR"),
        (&[5], headers(3), "PROTOCOL_ERROR"),
        (&[1, 5], headers(3), "PROTOCOL_ERROR"),
        (&[1, 3, 5, 9], headers(7), "PROTOCOL_ERROR"),
        // Only streams that were used have lower numbers.
        (&[1], headers(1), "STREAM_CLOSED"),
        (&[1, 3, 5], headers(3), "STREAM_CLOSED"),
        (&[5], raw(kind::DATA, 0, 1, b"x"), "STREAM_CLOSED"),
    ] {
        let mut scene = Scene::new();
        for stream in opened {
            scene.client.get(*stream, "/");
        }
        scene.client.read();
        scene.client.input(&bytes);
        assert_eq!(effect(&mut scene), format!("connection {code}"), "{opened:?} {bytes:?}");
    }
    let mut scene = Scene::new();
    scene.client.get(5, "/");
    scene.client.read();
    scene.client.reset(1);
    scene.client.window_update(3, 1);
    assert_eq!(effect(&mut scene), "");
}

/// Frames of wrong sizes, on wrong streams and with wrong values. Stream 1 is open, stream 3 is
/// idle.
#[test]
fn malformed_frames() {
    let get = block(&head("GET", "/", &[]));
    let padded = |kind, flags: u8, pad: u8, len: usize| {
        raw(kind, flags::PADDED | flags, 1, &[&[pad][..], &vec![0; len]].concat())
    };
    let setting = |name: u16, value: u32| {
        let mut payload = name.to_be_bytes().to_vec();
        payload.extend(value.to_be_bytes());
        raw(kind::SETTINGS, 0, 0, &payload)
    };
    let update = |stream: u32, by: u32| raw(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    let max = i32::MAX as u32;
    let protocol = "connection PROTOCOL_ERROR";
    let size = "connection FRAME_SIZE_ERROR";
    let flow = "connection FLOW_CONTROL_ERROR";
    let compression = "connection COMPRESSION_ERROR";
    for (name, bytes, expected) in [
        // 4.2, with the header alone.
        ("a long frame", [0, 0x40, 1, 0, 0, 0, 0, 0, 1].to_vec(), size),
        ("a long unknown frame", [0xff, 0xff, 0xff, 0xbb, 0, 0, 0, 0, 0].to_vec(), size),
        // 6.1
        ("DATA on stream 0", raw(kind::DATA, 0, 0, b"x"), protocol),
        ("padding alone", padded(kind::DATA, 0, 10, 10), ""),
        ("padding as long as the payload", padded(kind::DATA, 0, 11, 10), protocol),
        ("padding without a length", raw(kind::DATA, flags::PADDED, 1, b""), size),
        // 6.2
        ("HEADERS on stream 0", raw(kind::HEADERS, END, 0, &get), protocol),
        ("HEADERS of padding alone", padded(kind::HEADERS, END, 10, 10), ""),
        ("HEADERS with long padding", padded(kind::HEADERS, END, 11, 10), protocol),
        ("HEADERS, PRIORITY and long padding", padded(kind::HEADERS, END | 0x20, 1, 5), protocol),
        ("HEADERS, PRIORITY and padding", padded(kind::HEADERS, END | 0x20, 1, 6), ""),
        ("HEADERS with neither", padded(kind::HEADERS, END | 0x20, 0, 4), size),
        ("HEADERS without a length", raw(kind::HEADERS, END | flags::PADDED, 1, b""), size),
        ("HEADERS without room for PRIORITY", raw(kind::HEADERS, END | 0x20, 1, &[0; 4]), size),
        ("HEADERS with PRIORITY", raw(kind::HEADERS, END | 0x20, 1, &[0, 0, 0, 1, 7]), ""),
        ("a bad block", raw(kind::HEADERS, END, 3, &[0x80]), compression),
        ("a size update within a block", raw(kind::HEADERS, END, 3, &[0x82, 0x20]), compression),
        ("a table of 4,097", raw(kind::HEADERS, END, 3, &[0x3f, 0xe2, 0x1f]), compression),
        ("an index without an entry", raw(kind::HEADERS, END, 3, &[0xbe]), compression),
        ("a bad block of trailers", raw(kind::HEADERS, END, 1, &[0x80]), compression),
        // 6.3
        ("PRIORITY on stream 0", raw(kind::PRIORITY, 0, 0, &[0; 5]), protocol),
        ("PRIORITY of 4", raw(kind::PRIORITY, 0, 1, &[0; 4]), "stream FRAME_SIZE_ERROR"),
        ("PRIORITY of 6, idle", raw(kind::PRIORITY, 0, 3, &[0; 6]), size),
        // 6.4
        ("RST_STREAM on stream 0", raw(kind::RST_STREAM, 0, 0, &[0; 4]), protocol),
        ("RST_STREAM, idle", raw(kind::RST_STREAM, 0, 3, &[0; 4]), protocol),
        ("RST_STREAM of 3", raw(kind::RST_STREAM, 0, 1, &[0; 3]), size),
        ("RST_STREAM of 5", raw(kind::RST_STREAM, 0, 1, &[0; 5]), size),
        ("RST_STREAM with an unknown code", raw(kind::RST_STREAM, 0, 1, &[0xff; 4]), ""),
        // 6.5
        ("SETTINGS of 5", raw(kind::SETTINGS, 0, 0, &[0; 5]), size),
        ("an ACK of 6", raw(kind::SETTINGS, flags::ACK, 0, &[0; 6]), size),
        ("a second ACK", raw(kind::SETTINGS, flags::ACK, 0, &[]), ""),
        ("ENABLE_PUSH 2", setting(settings::ENABLE_PUSH, 2), protocol),
        ("INITIAL_WINDOW_SIZE 2^31", setting(settings::INITIAL_WINDOW_SIZE, max + 1), flow),
        ("MAX_FRAME_SIZE 16383", setting(settings::MAX_FRAME_SIZE, 16_383), protocol),
        ("MAX_FRAME_SIZE 2^24", setting(settings::MAX_FRAME_SIZE, 1 << 24), protocol),
        ("NO_RFC7540_PRIORITIES 2", setting(settings::NO_RFC7540_PRIORITIES, 2), protocol),
        // 6.7
        ("PING of 7", raw(kind::PING, 0, 0, &[0; 7]), size),
        ("PING of 9", raw(kind::PING, 0, 0, &[0; 9]), size),
        ("an ACK of a PING that was not sent", raw(kind::PING, flags::ACK, 0, &[0; 8]), ""),
        ("an ACK of 7", raw(kind::PING, flags::ACK, 0, &[0; 7]), size),
        // 6.8
        ("GOAWAY of 7", raw(kind::GOAWAY, 0, 0, &[0; 7]), size),
        ("GOAWAY with text", raw(kind::GOAWAY, 0, 0, &[0; 50]), ""),
        // 6.9
        ("WINDOW_UPDATE of 3", raw(kind::WINDOW_UPDATE, 0, 1, &[0; 3]), size),
        ("WINDOW_UPDATE of 5", raw(kind::WINDOW_UPDATE, 0, 0, &[0; 5]), size),
        ("an increment of 0", update(1, 0), "stream PROTOCOL_ERROR"),
        ("an increment of 0 of the connection", update(0, 0), protocol),
        ("an increment of 0 with the reserved bit", update(0, 1 << 31), protocol),
        ("a window above 2^31-1", update(1, max), "stream FLOW_CONTROL_ERROR"),
        ("a window of the connection above 2^31-1", update(0, max), flow),
        ("the largest window", update(1, max - 65_535), ""),
        ("the largest window of the connection", update(0, max - 65_535), ""),
        ("WINDOW_UPDATE, idle", update(3, 1), protocol),
        // RFC 9218, 7.1
        ("PRIORITY_UPDATE of 3", raw(kind::PRIORITY_UPDATE, 0, 0, &[0; 3]), size),
        ("PRIORITY_UPDATE on a stream", raw(kind::PRIORITY_UPDATE, 0, 1, &[0, 0, 0, 1]), protocol),
        ("PRIORITY_UPDATE for 0", raw(kind::PRIORITY_UPDATE, 0, 0, &[0; 4]), protocol),
        ("PRIORITY_UPDATE for 2", raw(kind::PRIORITY_UPDATE, 0, 0, &[0, 0, 0, 2]), protocol),
        ("PRIORITY_UPDATE", raw(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=9, ("), ""),
        // Flags without a meaning.
        ("DATA with all other flags", raw(kind::DATA, !(END | flags::PADDED), 1, b"x"), ""),
        ("WINDOW_UPDATE with flags", raw(kind::WINDOW_UPDATE, 0xff, 1, &[0, 0, 0, 1]), ""),
    ] {
        let mut scene = Scene::new();
        scene.client.post(1, "/hold", &[]);
        scene.client.read();
        scene.client.input(&bytes);
        assert_eq!(effect(&mut scene), expected, "{name}");
        if expected.starts_with("connection") {
            assert_eq!(scene.shared.alive.get(), 0, "{name}");
            assert!(scene.client.harness.fault().is_some(), "{name}");
        }
    }
}

/// A change of INITIAL_WINDOW_SIZE that brings a stream's window above 2^31-1 (6.9.2).
#[test]
fn settings_that_enlarge_a_window_too_much_are_an_error_of_the_connection() {
    let mut scene = Scene::new();
    scene.client.get(1, "/never");
    scene.client.window_update(1, i32::MAX as u32 - 65_535);
    scene.client.settings(&[(settings::INITIAL_WINDOW_SIZE, 65_536)]);
    assert_eq!(effect(&mut scene), "connection FLOW_CONTROL_ERROR");
    // For a moment, between two values in one frame (6.5.3).
    let mut scene = Scene::new();
    scene.client.get(1, "/never");
    scene.client.window_update(1, i32::MAX as u32 - 65_535);
    let all = [(settings::INITIAL_WINDOW_SIZE, 65_536), (settings::INITIAL_WINDOW_SIZE, 0)];
    scene.client.settings(&all);
    assert_eq!(effect(&mut scene), "connection FLOW_CONTROL_ERROR");
    let mut scene = Scene::new();
    scene.client.get(1, "/never");
    scene.client.window_update(1, i32::MAX as u32 - 65_535);
    let all = [(settings::INITIAL_WINDOW_SIZE, 0), (settings::INITIAL_WINDOW_SIZE, 65_535)];
    scene.client.settings(&all);
    assert_eq!(effect(&mut scene), "SETTINGS ACK");
}

#[test]
fn settings_are_acknowledged_and_unknown_ones_ignored() {
    let mut scene = Scene::new();
    for all in [&[][..], &[(0, 0), (7, 7), (0xff, u32::MAX)], &[(2, 0), (2, 1), (3, 0), (6, 0)]] {
        scene.client.settings(all);
        assert_eq!(scene.client.read(), ["SETTINGS ACK"]);
    }
    // The limits of pushed streams and of a header list limit no response.
    scene.client.get(1, "/x");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 2 END"]);
    scene.client.frame(kind::PING, 0, 0, b"12345678");
    scene.client.frame(kind::PING, 0xfe, 0, b"\0\xff\0\xff\0\xff\0\xff");
    let second = "PING ACK \\x00\\xff\\x00\\xff\\x00\\xff\\x00\\xff";
    assert_eq!(scene.client.read(), ["PING ACK 12345678", second]);
}

#[test]
fn header_blocks_are_one_piece() {
    let request = block(&head("GET", "/x", &[("a", "b")]));
    let (first, rest) = request.split_at(5);
    let start = raw(kind::HEADERS, flags::END_STREAM, 1, first);
    for (name, bytes) in [
        ("DATA", raw(kind::DATA, 0, 1, b"")),
        ("HEADERS", raw(kind::HEADERS, END, 1, rest)),
        ("another stream's HEADERS", raw(kind::HEADERS, END, 3, &request)),
        ("PRIORITY", raw(kind::PRIORITY, 0, 1, &[0; 5])),
        ("SETTINGS", raw(kind::SETTINGS, 0, 0, &[])),
        ("PING", raw(kind::PING, 0, 0, &[0; 8])),
        ("an unknown frame", raw(0xbb, 0, 0, &[])),
        ("another stream's CONTINUATION", raw(kind::CONTINUATION, 4, 3, rest)),
        ("CONTINUATION on stream 0", raw(kind::CONTINUATION, 4, 0, rest)),
    ] {
        let mut scene = Scene::new();
        scene.client.input(&[&start[..], &bytes].concat());
        assert_eq!(effect(&mut scene), "connection PROTOCOL_ERROR", "{name}");
    }
    // Empty frames, up to 8.
    for count in [1, 7, 8, 9] {
        let mut scene = Scene::new();
        scene.client.input(&start);
        for _ in 0..count - 1 {
            scene.client.input(&raw(kind::CONTINUATION, 0, 1, &[]));
        }
        scene.client.input(&raw(kind::CONTINUATION, flags::END_HEADERS, 1, rest));
        let expected = match count {
            9 => "connection ENHANCE_YOUR_CALM",
            _ => "1 HEADERS 200, 1 DATA 2 END",
        };
        assert_eq!(effect(&mut scene), expected, "{count}");
        assert_eq!(scene.shared.made.get(), u32::from(count < 9));
    }
    // Without END_STREAM, the request continues after CONTINUATION.
    let mut scene = Scene::new();
    scene.client.input(&raw(kind::HEADERS, 0, 1, &block(&head("POST", "/collect", &[]))));
    scene.client.input(&raw(kind::CONTINUATION, flags::END_HEADERS, 1, &[]));
    scene.client.end(1, b"hello");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 1 END"]);
}

#[test]
fn header_blocks_have_a_limit() {
    let mut scene = Scene::new();
    scene.client.input(&raw(kind::HEADERS, 0, 1, &[0; 16_384]));
    // Above four times the limit of a header list.
    for _ in 1..8 {
        scene.client.input(&raw(kind::CONTINUATION, 0, 1, &[0; 16_384]));
    }
    assert_eq!(effect(&mut scene), "");
    scene.client.input(&raw(kind::CONTINUATION, 0, 1, &[0; 1]));
    assert_eq!(effect(&mut scene), "connection ENHANCE_YOUR_CALM");
    assert_eq!(scene.client.harness.fault().unwrap().code, "http2_header_flood");
}

#[test]
fn padding_is_no_content_and_is_given_back() {
    let mut scene = Scene::new();
    let padded = [&[7][..], &block(&head("POST", "/collect", &[])), &[7; 7]].concat();
    scene.client.frame(kind::HEADERS, flags::END_HEADERS | flags::PADDED, 1, &padded);
    // Bytes other than 0 are no error.
    let frame = [&[255][..], b"ab", &[7; 255]].concat();
    let mut sent = 0;
    let mut given = 0;
    for _ in 0..1000 {
        scene.client.frame(kind::DATA, flags::PADDED, 1, &frame);
        sent += 258;
        for frame in scene.client.read() {
            let increment = frame.strip_prefix("1 WINDOW_UPDATE ");
            given += increment.map_or(0, |increment| increment.parse::<usize>().unwrap());
            assert!(increment.is_some() || frame.starts_with("0 WINDOW_UPDATE"), "{frame}");
        }
        assert!(sent - given.min(sent) <= 65_535);
    }
    scene.client.end(1, b"");
    scene.client.read();
    assert_eq!(scene.client.streams[&1].text(), "2000");
}

#[test]
fn the_preface_comes_first() {
    let (harness, ..) = server(Limits::default());
    let mut client = Client::before_preface(harness);
    // Its first bytes decide that the connection is HTTP/2.
    client.input(PREFACE);
    assert_eq!(client.read(), ["SETTINGS 3=100 6=32768 8=1 9=1", "0 WINDOW_UPDATE 983041"]);
    client.settings(&[]);
    assert_eq!(client.read(), ["SETTINGS ACK"]);

    for (name, bytes, code) in [
        ("HEADERS", raw(kind::HEADERS, END, 1, &block(&head("GET", "/", &[]))), "PROTOCOL_ERROR"),
        ("PING", raw(kind::PING, 0, 0, &[0; 8]), "PROTOCOL_ERROR"),
        ("an unknown frame", raw(0xbb, 0, 0, &[]), "PROTOCOL_ERROR"),
        ("an acknowledgement", raw(kind::SETTINGS, flags::ACK, 0, &[]), "PROTOCOL_ERROR"),
        ("SETTINGS on a stream", raw(kind::SETTINGS, 0, 1, &[]), "PROTOCOL_ERROR"),
        ("a long frame", vec![0xff; 9], "FRAME_SIZE_ERROR"),
    ] {
        let (harness, ..) = server(Limits::default());
        let mut client = Client::before_preface(harness);
        client.input(PREFACE);
        client.read();
        client.input(&bytes);
        assert_eq!(client.read(), [format!("GOAWAY 0 {code}")], "{name}");
    }
}

#[test]
fn bytes_that_are_not_the_preface_are_http1() {
    for at in [0, 4, 10, 15] {
        let (harness, ..) = server(Limits::default());
        let mut client = Client::before_preface(harness);
        let mut bytes = PREFACE.to_vec();
        bytes[at] = b'x';
        client.input(&bytes);
        let output = client.harness.output();
        assert!(output.starts_with(b"HTTP/1.1 "), "{at}: {}", output.escape_ascii());
    }
    // After the first line, it is HTTP/2.
    for at in [16, 20, 23] {
        let (harness, ..) = server(Limits::default());
        let mut client = Client::before_preface(harness);
        let mut bytes = PREFACE.to_vec();
        bytes[at] = b'x';
        client.input(&bytes);
        let frames = client.read();
        assert_eq!(frames.last().unwrap(), "GOAWAY 0 PROTOCOL_ERROR", "{at}");
    }
}

#[test]
fn a_connection_error_ends_all_streams_with_goaway() {
    let mut scene = Scene::new();
    scene.client.get(1, "/never");
    scene.client.get(3, "/later");
    scene.client.post(5, "/collect", &[]);
    scene.client.read();
    scene.client.input(&raw(kind::PING, 0, 1, &[0; 8]));
    // What follows is not read.
    assert_eq!(scene.client.read(), ["GOAWAY 5 PROTOCOL_ERROR"]);
    assert_eq!(scene.shared.alive.get(), 0);
    assert_eq!(scene.shared.incomplete.get(), 1);
    let ends = scene.ends.0.take();
    let expected = ["/never", "/later", "/collect"]
        .map(|path| format!("{path} 0 0 client-aborted http2_protocol_error"));
    assert_eq!(ends, expected);
}

#[test]
fn a_client_that_closes_its_side_gets_its_responses() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.post(3, "/collect", &[]);
    scene.client.read();
    scene.client.harness.eof();
    // Its content will never be complete.
    assert_eq!(scene.client.read()[0], "3 HEADERS 400");
    assert_eq!(scene.client.harness.end(), None);
    scene.fulfill("late");
    let frames = scene.client.read();
    assert_eq!(frames, ["1 HEADERS 200", "1 DATA 4 END"]);
}

#[test]
fn the_end_of_input_between_requests_is_an_orderly_end() {
    let mut scene = Scene::new();
    scene.client.get(1, "/");
    scene.client.read();
    scene.client.harness.eof();
    assert_eq!(scene.client.harness.end(), Some(End::Close));
    assert!(scene.client.harness.finished());
}

//! Several requests in flight on one connection, and how responses become frames.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use sockeye_proto::Reason;

use super::*;
use crate::h2::frame::{flags, kind, settings};
use crate::h2::hpack::encode;

#[test]
fn responses_and_log_entries_appear_when_they_are_ready() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.get(3, "/later");
    scene.client.get(5, "/at-once");
    assert_eq!(scene.client.read(), ["5 HEADERS 200", "5 DATA 8 END"]);
    let promises = scene.shared.promises.take();
    for (promise, text) in promises.into_iter().zip(["first", "second"]).rev() {
        promise.fulfill(Box::new(text));
    }
    scene.client.harness.deliver();
    let frames = ["3 HEADERS 200", "3 DATA 6 END", "1 HEADERS 200", "1 DATA 5 END"];
    assert_eq!(scene.client.read(), frames);
    assert_eq!(scene.client.streams[&1].text(), "first");
    assert_eq!(
        scene.ends.0.take(),
        ["/at-once 200 8 complete", "/later 200 6 complete", "/later 200 5 complete"]
    );
    assert_eq!(scene.shared.alive.get(), 0);
}

#[test]
fn a_stream_without_a_window_blocks_no_other_and_cancelled_ones_are_dropped() {
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, 10)]);
    scene.client.get(1, "/endless");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 10"]);
    scene.client.get(3, "/at-once");
    assert_eq!(scene.client.read(), ["3 HEADERS 200", "3 DATA 8 END"]);
    scene.client.get(5, "/never");
    assert_eq!(scene.shared.alive.get(), 2);
    for stream in [1, 5] {
        scene.client.reset(stream);
    }
    // A reset isn't answered by one.
    assert_eq!(scene.client.read(), [""; 0]);
    assert_eq!(scene.shared.alive.get(), 0);
    assert_eq!(
        scene.ends.0.take(),
        ["/at-once 200 8 complete", "/endless 200 10 client-aborted", "/never 0 0 client-aborted"]
    );
}

#[test]
fn content_of_several_streams_is_interleaved() {
    let mut scene = Scene::new();
    for stream in [1, 3] {
        scene.client.post(stream, "/echo", &[]);
    }
    for (stream, text) in [(1, "one"), (3, "two"), (1, "three")] {
        // Byte by byte.
        for byte in raw(0, 0, stream, text.as_bytes()) {
            scene.client.input(&[byte]);
        }
    }
    scene.client.end(3, b"");
    scene.client.read();
    assert_eq!(scene.client.streams[&1].text(), "onethree");
    assert_eq!(scene.client.streams[&3].text(), "two");
    assert!(scene.client.streams[&3].has_ended && !scene.client.streams[&1].has_ended);
}

#[test]
fn a_panic_ends_its_stream_alone() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.get(3, "/panic");
    scene.client.get(5, "/panic-started");
    scene.client.get(7, "/abort");
    scene.client.read();
    let received = &scene.client.streams;
    assert_eq!((received[&3].statuses[0], received[&3].has_ended), (500, true));
    assert!(!received[&3].text().contains("on purpose"), "the reason is not shown");
    for stream in [5, 7] {
        assert_eq!((received[&stream].has_ended, received[&stream].reset), (false, Some(2)));
    }
    assert_eq!(scene.client.harness.fault(), None);
    let reported = scene.client.harness.take_reported();
    let [panicked, started, aborted] = &reported[..] else { panic!("{reported:?}") };
    for (fault, what) in [(panicked, ": on purpose"), (started, ": on purpose, in the middle")] {
        assert_eq!(fault.code, "handler_panicked");
        assert!(fault.what.ends_with(what), "{fault}");
    }
    assert_eq!(aborted.code, "response_aborted");
    scene.fulfill("still there");
    scene.client.read();
    assert_eq!(scene.client.streams[&1].text(), "still there");
    let ends = scene.ends.0.take();
    assert!(ends.iter().any(|end| end.starts_with("/panic 500") && end.contains(" complete")));
    assert!(ends.contains(&"/abort 200 0 failed".to_owned()), "{ends:?}");
    assert!(
        ends.iter().any(|end| end.starts_with("/panic-started 200") && end.ends_with("failed"))
    );
}

#[test]
fn a_reset_of_the_connection_ends_all_streams() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.get(3, "/endless");
    scene.client.post(5, "/collect", &[]);
    scene.client.harness.end_for(&Reason::Reset);
    assert_eq!((scene.shared.alive.get(), scene.shared.incomplete.get()), (0, 1));
    let ends = scene.ends.0.take();
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|end| end.ends_with("client-aborted")), "{ends:?}");
}

#[test]
fn a_handler_learns_once_that_its_request_is_incomplete() {
    type Cut = fn(&mut Scene);
    let cuts: [(&str, Cut); 6] = [
        ("the client resets the stream", |scene| scene.client.reset(1)),
        ("the client resets the connection", |scene| {
            scene.client.harness.end_for(&Reason::Reset);
        }),
        ("the client closes its side", |scene| scene.client.harness.eof()),
        ("the content is too long", |scene| scene.client.data(1, b"123456")),
        ("the content is late", |scene| {
            scene.client.harness.pass(Limits::default().body_timeout);
        }),
        ("a connection error", |scene| scene.client.input(&raw(6, 0, 1, &[0; 8]))),
    ];
    for path in ["/collect", "/echo"] {
        for (name, cut) in cuts {
            let mut scene = Scene::new();
            scene.client.post(1, path, &[("content-length", "5")]);
            scene.client.data(1, b"abc");
            scene.client.read();
            cut(&mut scene);
            scene.client.read();
            assert_eq!(scene.shared.incomplete.get(), 1, "{path}, {name}");
            assert_eq!(scene.shared.alive.get(), 0, "{path}, {name}");
        }
    }
}

#[test]
fn content_that_a_handler_has_not_got_is_incomplete_if_the_stream_is_reset() {
    for (last, incomplete) in [(&b"de"[..], 1), (b"", 0)] {
        let mut scene = Scene::new();
        scene.client.post(1, "/pause", &[]);
        scene.client.data(1, b"abc");
        scene.client.end(1, last);
        scene.client.reset(1);
        scene.client.read();
        assert_eq!(scene.shared.incomplete.get(), incomplete);
    }
}

#[test]
fn at_most_100_streams_are_open() {
    let mut scene = Scene::new();
    for stream in 0..100 {
        scene.client.get(2 * stream + 1, "/later");
    }
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.get(201, "/x");
    assert_eq!(scene.client.read(), ["201 RST_STREAM REFUSED_STREAM"]);
    assert_eq!(scene.shared.made.get(), 100);
    // When one has ended, there is room for another.
    scene.client.reset(1);
    scene.client.get(203, "/x");
    assert_eq!(scene.client.read(), ["203 HEADERS 200", "203 DATA 2 END"]);
    scene.fulfill("late");
    assert_eq!(scene.client.read().len(), 2 * 99);
}

#[test]
fn large_header_blocks_are_cut_to_the_frame_size() {
    let mut scene = Scene::new();
    scene.client.get(1, "/head");
    assert_eq!(scene.client.read(), ["1 HEADERS+1 200", "1 DATA 4 END"]);
    scene.client.headers(3, flags::END_STREAM, &head("HEAD", "/head", &[]));
    assert_eq!(scene.client.read(), ["3 HEADERS+1 200 END"]);
    scene.client.get(5, "/trailers");
    assert_eq!(scene.client.read(), ["5 HEADERS 200", "5 DATA 3", "5 TRAILERS+1 END"]);
    assert_eq!(scene.client.streams[&5].trailers.as_ref().unwrap()[0].1.len(), LONG.len());
    // Larger frames, and smaller ones again.
    scene.client.settings(&[(settings::MAX_FRAME_SIZE, 40_000)]);
    scene.client.get(7, "/head");
    assert_eq!(scene.client.read(), ["SETTINGS ACK", "7 HEADERS 200", "7 DATA 4 END"]);
    scene.client.settings(&[(settings::MAX_FRAME_SIZE, 16_384)]);
    scene.client.get(9, "/head");
    assert_eq!(scene.client.read(), ["SETTINGS ACK", "9 HEADERS+1 200", "9 DATA 4 END"]);
}

/// A decoder whose table was lowered expects to hear that before the next block (RFC 9113, 4.3.1).
#[test]
fn a_lowered_table_size_is_acknowledged_in_the_next_block() {
    for (all, begins) in [
        (&[][..], false),
        (&[(settings::HEADER_TABLE_SIZE, 4096)], false),
        (&[(settings::HEADER_TABLE_SIZE, 65_536)], false),
        (&[(settings::HEADER_TABLE_SIZE, 0)], true),
        (&[(settings::HEADER_TABLE_SIZE, 4095)], true),
        (&[(settings::HEADER_TABLE_SIZE, 0), (settings::HEADER_TABLE_SIZE, 4096)], true),
    ] {
        for path in ["/", "/head", "/none", "/panic"] {
            let mut scene = Scene::new();
            scene.client.get(1, "/");
            scene.client.settings(all);
            scene.client.get(3, path);
            scene.client.get(5, path);
            scene.client.read();
            let blocks = &scene.client.blocks;
            let found: Vec<bool> = blocks.iter().map(|block| block[0] == 0x20).collect();
            assert_eq!(found, [false, begins, false], "{all:?} {path}");
        }
    }
    // Before an interim response, and in the first SETTINGS.
    let mut scene = Scene::with(Limits::default(), &[(settings::HEADER_TABLE_SIZE, 0)]);
    scene.client.post(1, "/collect", &[("expect", "100-continue")]);
    scene.client.end(1, b"");
    scene.client.read();
    assert_eq!((scene.client.blocks[0][0], scene.client.blocks.len()), (0x20, 2));
    assert_ne!(scene.client.blocks[1][0], 0x20);
}

#[test]
fn a_messages_stream_may_have_ended() {
    let mut scene = Scene::new();
    scene.client.get(1, "/later");
    scene.client.get(3, "/never");
    scene.client.reset(1);
    scene.fulfill("too late");
    assert_eq!(scene.client.read(), [""; 0]);
    assert_eq!(scene.client.harness.fault(), None);
}

/// The output of a connection holds little, so that a more urgent response can overtake.
#[test]
fn little_is_moved_to_the_output_of_the_connection() {
    let max = i32::MAX as u32;
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, max)]);
    scene.client.window_update(0, max - 65_535);
    for stream in 0..50 {
        scene.client.get(2 * stream + 1, "/large");
    }
    let held = scene.client.harness.held();
    assert!(held < 160 * 1024, "{held}");
    scene.client.read();
    assert!(scene.client.streams.values().all(|received| received.content == LARGE));
}

/// Writes six pieces, and holds at most two that aren't sent, as an archive does with open files.
#[derive(Default)]
struct Pieces {
    unsent: Vec<Weak<[u8; 20_000]>>,
    written: usize,
}

/// A piece that is alive until its last byte is sent.
struct Piece(Arc<[u8; 20_000]>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0[..]
    }
}

impl Pieces {
    fn write(&mut self, mut stream: Stream<'_, '_>) -> Answer {
        self.unsent.retain(|piece| piece.strong_count() > 0);
        while self.written < 6 {
            if stream.is_full() || self.unsent.len() == 2 {
                return stream.more();
            }
            let piece = Arc::new([b'x'; 20_000]);
            self.unsent.push(Arc::downgrade(&piece));
            stream.write_shared(Bytes::from_owner(Piece(piece)));
            self.written += 1;
        }
        stream.end()
    }
}

impl Handler for Pieces {
    fn on_request(&mut self, _: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.write(responder.stream(Status::OK, &Fields::new(), None))
    }

    fn on_stream(&mut self, _: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        self.write(stream)
    }
}

#[test]
fn a_handler_that_waits_until_its_pieces_are_sent_gets_room_then() {
    let server = Server::new(Rc::default(), |_: &Peer| Pieces::default());
    let mut client = Client::with_settings(Harness::new(server), &[]);
    client.window_update(0, 1 << 20);
    client.get(1, "/");
    client.window_update(1, 1 << 20);
    for _ in 0..10 {
        client.read();
    }
    assert_eq!(client.streams[&1].content.len(), 6 * 20_000);
    assert!(client.streams[&1].has_ended);
}

#[test]
fn a_ping_is_answered_before_queued_content() {
    let max = i32::MAX as u32;
    let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, max)]);
    scene.client.window_update(0, max - 65_535);
    for stream in [1, 3, 5] {
        scene.client.get(stream, "/large");
    }
    scene.client.frame(kind::PING, 0, 0, b"a b c d ");
    let frames = scene.client.read();
    let answer = frames.iter().position(|frame| frame == "PING ACK a b c d ").unwrap();
    let content = |frames: &[String]| frames.iter().filter(|it| it.contains(" DATA ")).count();
    let before = content(&frames[..answer]);
    assert_eq!(content(&frames), 3 * LARGE.len().div_ceil(16_384));
    assert!(before * 16_384 <= 128 * 1024 + 16_384, "{before} frames");
}

#[test]
fn connections_share_no_table() {
    let config = Rc::new(ServerConfig::default());
    let client = || {
        let site = |_: &Peer| Site { shared: Rc::default(), path: Vec::new(), content: 0 };
        Client::with_settings(Harness::new(Server::new(Rc::clone(&config), site)), &[])
    };
    let (mut first, mut second) = (client(), client());
    let mut inserts = block(&head("GET", "/fields", &[]));
    encode::field_indexed(b"x-secret", b"1", &mut inserts);
    let mut refers = block(&head("GET", "/fields", &[]));
    encode::indexed(62, &mut refers);
    for (stream, block) in [(1, &inserts), (3, &refers), (5, &refers)] {
        first.frame(kind::HEADERS, END, stream, block);
        first.read();
        assert!(first.streams[&stream].text().ends_with("|x-secret=1"));
    }
    second.frame(kind::HEADERS, END, 1, &refers);
    assert_eq!(second.read(), ["GOAWAY 0 COMPRESSION_ERROR"]);
}

//! Streams that have switched to another protocol (RFC 8441): flow control, events and ends.

use std::time::Duration;

use sockeye_proto::{DRAIN_GRACE, Reason, Remote};

use super::switch::Tunnels;
use super::*;
use crate::h2::frame::{flags, kind, settings};

#[test]
fn a_stream_switches_to_another_protocol() {
    let mut tunnels = Tunnels::open();
    let received = &tunnels.client.streams[&1];
    assert_eq!(received.field("x-field"), Some("y"));
    for name in ["content-length", "connection", "upgrade", "transfer-encoding"] {
        assert_eq!(received.field(name), None, "{name}");
    }
    assert_eq!(tunnels.ends.0.take(), ["/ 200 0 complete"], "it is logged before the switch");
    tunnels.client.data(1, b"hello");
    assert_eq!(tunnels.client.read(), ["1 DATA 5"]);
    tunnels.client.get(3, "/");
    assert_eq!(tunnels.client.read(), ["3 HEADERS 200", "3 DATA 5 END"]);
    // Padding and empty frames are no input.
    tunnels.client.frame(kind::DATA, flags::PADDED, 1, b"\x02yo\0\0");
    tunnels.client.data(1, b"");
    assert_eq!(tunnels.client.read(), ["1 DATA 2"]);
    tunnels.client.end(1, b"z");
    assert_eq!(tunnels.client.read(), ["1 DATA 1 END"]);
    assert_eq!(tunnels.text(1), "helloyoz");
    assert_eq!(tunnels.events(), ["Eof { clean: true }", "closed: finished"]);
    assert_eq!(tunnels.seen.alive.get(), 0);
    assert_eq!(tunnels.ends.0.take(), ["/ 200 5 complete"], "only that of stream 3");
}

#[test]
fn input_may_be_cut_anywhere() {
    let mut bytes = Vec::new();
    for part in [&b"hello"[..], b"", b"P", b"wS", b"orld"] {
        bytes.extend(raw(kind::DATA, 0, 1, part));
    }
    bytes.extend(raw(kind::DATA, flags::END_STREAM, 1, b"."));
    for cut in 1..bytes.len() {
        let mut tunnels = Tunnels::open();
        let (first, rest) = bytes.split_at(cut);
        tunnels.client.input(first);
        tunnels.client.input(rest);
        tunnels.client.read();
        assert_eq!(tunnels.text(1), "hello", "{cut}");
        tunnels.fulfill("-");
        tunnels.client.read();
        assert_eq!(tunnels.text(1), "hello-wsorld.", "{cut}");
        assert!(tunnels.client.streams[&1].has_ended);
        let events = ["HalfClosed", "open", "Eof { clean: true }", "closed: finished"];
        assert_eq!(tunnels.events(), events, "{cut}");
        assert_eq!(tunnels.seen.alive.get(), 0);
    }
}

#[test]
fn output_follows_the_windows_of_the_client() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 1)]);
    tunnels.connect(1, "/");
    tunnels.client.data(1, b"abMc");
    assert_eq!(tunnels.client.read(), ["1 HEADERS 200", "1 DATA 1"]);
    for _ in 0..2 {
        tunnels.client.window_update(1, 1);
        assert_eq!(tunnels.client.read(), ["1 DATA 1"]);
    }
    tunnels.client.window_update(1, 1);
    assert_eq!((tunnels.client.read(), tunnels.text(1)), (vec![], "abc"));
    // The end needs no window.
    tunnels.client.window_update(1, 1_000_000);
    tunnels.client.data(1, b"F");
    assert_eq!(tunnels.client.read(), ["1 DATA 0 END"]);
    let events = tunnels.events();
    assert!(events.iter().any(|event| event.starts_with("Sent(")), "{events:?}");
}

#[test]
fn a_protocol_writes_as_there_is_room() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"B");
    let frames = tunnels.client.read_all();
    assert!(frames.iter().any(|frame| frame == "1 DATA 16384"), "{frames:?}");
    assert_eq!(tunnels.text(1).len(), 100_000);
    let events = tunnels.events();
    assert!(!events.is_empty() && events.iter().all(|event| event == "Room"), "{events:?}");
    // It gets room at once if it has written nothing.
    tunnels.client.data(1, b"N");
    tunnels.client.read();
    assert_eq!(tunnels.events(), ["Room"]);
    // A mark that is reached already.
    tunnels.client.data(1, b"M");
    tunnels.client.read();
    let events = tunnels.events();
    assert!(matches!(&events[..], [sent] if sent.starts_with("Sent(")), "{events:?}");
}

/// Input waits while the output is full.
#[test]
fn a_client_that_takes_no_output_is_not_read_from() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 0)]);
    tunnels.connect(1, "/");
    tunnels.client.data(1, b"B");
    let mut sent = 0;
    // More than the stream's window is a fault of the client.
    while sent + 1000 < 65_535 {
        tunnels.client.data(1, &[b'y'; 1000]);
        sent += 1000;
    }
    let frames = tunnels.client.read();
    assert_eq!(frames, ["1 HEADERS 200"], "the windows stay as they are");
    let charged = tunnels.client.harness.charged();
    assert!((110_000..140_000).contains(&charged), "{charged}");
    tunnels.client.window_update(1, 1_000_000);
    tunnels.client.read_all();
    let text = tunnels.text(1).to_owned();
    assert_eq!(text.bytes().filter(|byte| *byte == b'x').count(), 100_000);
    assert_eq!(text.bytes().filter(|byte| *byte == b'y').count(), sent);
    assert!(tunnels.client.harness.charged() < 20_000);
}

#[test]
fn a_paused_protocol_holds_at_most_its_window_and_stalls_nobody() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"P");
    for _ in 0..4 {
        tunnels.client.data(1, &[b'y'; 16_000]);
    }
    assert_eq!(tunnels.client.read(), [""; 0]);
    tunnels.client.get(3, "/");
    assert_eq!(tunnels.client.read(), ["3 HEADERS 200", "3 DATA 5 END"]);
    tunnels.fulfill("-");
    let frames = tunnels.client.read();
    let update = |frame: &String| frame.starts_with("1 WINDOW_UPDATE");
    assert!(frames.iter().any(update), "{frames:?}");
    tunnels.client.read_all();
    assert_eq!(tunnels.text(1).len(), 64_001);
    // Above the window.
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"P");
    for _ in 0..4 {
        tunnels.client.data(1, &[b'y'; 16_384]);
    }
    assert_eq!(tunnels.client.read(), ["1 RST_STREAM FLOW_CONTROL_ERROR"]);
    assert_eq!(tunnels.events(), ["closed: http2_flow_control_error"]);
}

#[test]
fn what_paused_protocols_hold_together_is_limited() {
    let mut tunnels = Tunnels::new();
    let (mut window, mut sent) = (1024 * 1024, 0);
    for stream in (0..100).map(|number| 2 * number + 1) {
        tunnels.connect(stream, "/");
        tunnels.client.data(stream, b"P");
        window -= 1;
        for _ in 0..4 {
            if window >= 16_000 {
                tunnels.client.data(stream, &[b'y'; 16_000]);
                (window, sent) = (window - 16_000, sent + 16_000);
            }
            for frame in tunnels.client.read() {
                if let Some(increment) = frame.strip_prefix("0 WINDOW_UPDATE ") {
                    window += increment.parse::<usize>().unwrap();
                }
            }
        }
    }
    assert!((4_500_000..5_500_000).contains(&sent), "{sent}");
    assert!(tunnels.client.harness.charged() > sent - 20_000);
    tunnels.fulfill("");
    tunnels.client.read_all();
    assert!(tunnels.client.harness.charged() < 20_000);
}

/// Sends as much as the windows let through, up to `max` bytes. Returns how much that is.
fn send_all(tunnels: &mut Tunnels, max: usize) -> usize {
    let (mut window, mut sent) = (65_535, 0);
    while sent < max && window > 0 {
        let len = window.min(16_000).min(max - sent);
        tunnels.client.data(1, &vec![b'y'; len]);
        (window, sent) = (window - len, sent + len);
        for frame in tunnels.client.read() {
            if let Some(increment) = frame.strip_prefix("1 WINDOW_UPDATE ") {
                window += increment.parse::<usize>().unwrap();
            }
        }
    }
    sent
}

#[test]
fn a_protocol_may_need_more_at_once_than_the_window_lets_through() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"W");
    assert_eq!(send_all(&mut tunnels, 99_999), 99_999);
    tunnels.client.data(1, b"z");
    assert_eq!((tunnels.client.read(), tunnels.text(1)), (vec!["1 DATA 1".into()], "z"));
    // There is a limit.
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"V");
    let sent = send_all(&mut tunnels, 10_000_000);
    assert!((100_000..700_000).contains(&sent), "{sent}");
}

#[test]
fn promises_remotes_and_deadlines_are_those_of_the_stream() {
    let mut tunnels = Tunnels::new();
    for stream in [1, 3] {
        tunnels.connect(stream, "/");
        tunnels.client.data(stream, b"RDP");
    }
    tunnels.client.read();
    let remotes = tunnels.seen.remotes.take();
    // More than may wait at a time.
    for _ in 0..2 * Remote::MESSAGES {
        remotes[1].try_send(Box::new("m")).unwrap();
        tunnels.client.harness.deliver();
    }
    remotes[0].wake();
    remotes[0].wake();
    tunnels.client.harness.deliver();
    tunnels.client.read();
    assert_eq!(tunnels.text(1), "woken");
    assert_eq!(tunnels.text(3), "m".repeat(2 * Remote::MESSAGES as usize));
    let last = tunnels.seen.promises.borrow_mut().pop();
    last.unwrap().fulfill(Box::new("done"));
    tunnels.client.harness.deliver();
    tunnels.client.read();
    assert!(tunnels.text(3).ends_with("mdone"));
    tunnels.client.harness.pass(Duration::from_secs(10));
    tunnels.client.read();
    assert_eq!(tunnels.text(1), "wokenlate");
    assert!(tunnels.text(3).ends_with("donelate"));
    tunnels.client.reset(1);
    assert!(remotes[0].is_gone() && !remotes[1].is_gone());
    // A late message to a stream that is gone.
    tunnels.fulfill("gone");
    assert_eq!(tunnels.client.read(), [""; 0]);
}

#[test]
fn a_remote_of_the_handler_becomes_one_of_the_protocol() {
    let mut tunnels = Tunnels::new();
    tunnels.connect(1, "/remote");
    let remote = tunnels.seen.remotes.take().remove(0);
    for _ in 0..2 * Remote::MESSAGES {
        remote.try_send(Box::new("m")).unwrap();
        tunnels.client.harness.deliver();
    }
    tunnels.client.read();
    assert_eq!(tunnels.text(1).len(), 2 * Remote::MESSAGES as usize);
}

#[test]
fn each_side_may_end_first() {
    // After `Finish`, the protocol still reads.
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"abcF");
    assert_eq!(tunnels.client.read(), ["1 DATA 3 END"]);
    tunnels.client.data(1, b"R");
    assert_eq!(tunnels.seen.remotes.borrow().len(), 1);
    assert_eq!(tunnels.events(), [""; 0]);
    // And writes to nobody.
    tunnels.client.data(1, &[b'y'; 16_000]);
    tunnels.client.data(1, &[b'y'; 16_000]);
    assert_eq!(tunnels.client.read(), ["1 WINDOW_UPDATE 490758"]);
    assert!(tunnels.client.harness.charged() < 16_000);
    tunnels.client.end(1, b"");
    assert_eq!(tunnels.events(), ["Eof { clean: true }", "closed: finished"]);
    // The others discard what still comes, and then ask the client to stop.
    for end in [b"abcC", b"abcL"] {
        for ends in [true, false] {
            let mut tunnels = Tunnels::open();
            tunnels.client.data(1, end);
            assert_eq!(tunnels.client.read(), ["1 DATA 3 END"]);
            assert_eq!(tunnels.events(), ["closed: finished"]);
            tunnels.client.data(1, &[b'y'; 16_000]);
            if ends {
                tunnels.client.end(1, b"");
            }
            tunnels.client.harness.pass(Duration::from_secs(5));
            let reset = if ends { vec![] } else { vec!["1 RST_STREAM NO_ERROR"] };
            assert_eq!(tunnels.client.read(), reset);
            assert_eq!(tunnels.seen.alive.get(), 0);
        }
    }
}

/// After [`End::Finish`](sockeye_proto::End), a protocol reads on until it ends in another way.
#[test]
fn a_protocol_that_has_finished_can_still_end_its_connection() {
    for (end, reason, faults) in [
        (b"L", "finished", 0),
        (b"C", "finished", 0),
        (b"X", "bad_command", 1),
        (b"O", "out_of_order", 1),
    ] {
        let mut tunnels = Tunnels::open();
        tunnels.client.data(1, b"abcF");
        assert_eq!(tunnels.client.read(), ["1 DATA 3 END"]);
        tunnels.client.data(1, end);
        assert_eq!(tunnels.events(), [format!("closed: {reason}")]);
        assert_eq!(tunnels.seen.alive.get(), 0);
        assert_eq!(tunnels.client.harness.take_reported().len(), faults, "{reason}");
        // What the client still sends is discarded, and then the client is asked to stop.
        tunnels.client.data(1, &[b'y'; 16_000]);
        assert_eq!(tunnels.client.read(), [""; 0]);
        tunnels.client.harness.pass(Duration::from_secs(5));
        assert_eq!(tunnels.client.read(), ["1 RST_STREAM NO_ERROR"]);
    }
}

#[test]
fn a_reset_ends_the_protocol() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"R");
    tunnels.client.reset(1);
    assert_eq!(tunnels.events(), ["closed: reset"]);
    assert_eq!(tunnels.client.read(), [""; 0]);
    assert!(tunnels.seen.remotes.borrow()[0].is_gone());
    assert_eq!(tunnels.seen.alive.get(), 0);
    // So does the end of the connection, whatever its reason.
    let mut tunnels = Tunnels::open();
    tunnels.client.harness.end_for(&Reason::Reset);
    assert_eq!((tunnels.events(), tunnels.seen.alive.get()), (vec!["closed: reset".into()], 0));
}

#[test]
fn a_fault_or_a_panic_resets_its_stream_alone() {
    for (input, code, reason, reported) in [
        (b'X', "CANCEL", "bad_command", Some("bad_command")),
        (b'O', "INTERNAL_ERROR", "out_of_order", Some("out_of_order")),
        (b'!', "INTERNAL_ERROR", "panicked", Some("protocol_panicked")),
    ] {
        let mut tunnels = Tunnels::open();
        tunnels.connect(3, "/");
        tunnels.client.read();
        tunnels.events();
        tunnels.client.data(1, &[input]);
        assert_eq!(tunnels.client.read(), [format!("1 RST_STREAM {code}")]);
        let closed = if input == b'!' { vec![] } else { vec![format!("closed: {reason}")] };
        assert_eq!(tunnels.events(), closed);
        let faults = tunnels.client.harness.take_reported();
        assert_eq!(faults.first().map(|fault| fault.code), reported);
        tunnels.client.data(3, b"still there");
        tunnels.client.read();
        assert_eq!(tunnels.text(3), "still there");
        assert_eq!(tunnels.client.harness.fault(), None);
    }
}

/// Closing by a reset could lose it.
#[test]
fn what_is_written_before_a_fault_is_sent() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"last wordsO");
    assert_eq!(tunnels.client.read(), ["1 DATA 10 END"]);
    assert_eq!(tunnels.events(), ["closed: out_of_order"]);
    assert_eq!(tunnels.client.harness.take_reported().len(), 1);
    tunnels.client.end(1, b"ignored");
    assert_eq!((tunnels.client.read(), tunnels.seen.alive.get()), (vec![], 0));
    // What is unused is thrown away, and the window is given back.
    let mut tunnels = Tunnels::open();
    for part in [&b"P"[..], b"X", &[b'y'; 16_000], &[b'y'; 16_000]] {
        tunnels.client.data(1, part);
    }
    tunnels.fulfill("last words");
    assert_eq!(tunnels.client.read(), ["1 DATA 10 END", "1 WINDOW_UPDATE 32002"]);
    // So is what comes after it.
    for window in [0, 10] {
        let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, window)]);
        tunnels.connect(1, "/");
        tunnels.client.data(1, &[&b"last wordsX"[..], &[b'y'; 16_000]].concat());
        assert_eq!(send_all(&mut tunnels, 49_000), 49_000);
        tunnels.client.data(1, &[b'y'; 300]);
        assert_eq!(tunnels.client.read(), [""; 0]);
        assert!(tunnels.client.harness.charged() < 17_000);
    }
}

#[test]
fn a_protocol_finishes_before_the_server_stops() {
    let mut tunnels = Tunnels::open();
    tunnels.client.harness.lame_duck();
    assert_eq!(tunnels.events(), ["LameDuck"]);
    tunnels.client.harness.drain();
    let frames = tunnels.client.read();
    assert!(frames.contains(&"1 DATA 3".to_owned()), "{frames:?}");
    assert_eq!(tunnels.events(), ["Drain { unused: false, unread: false }"]);
    tunnels.client.harness.pass(DRAIN_GRACE);
    assert_eq!(tunnels.client.read(), ["GOAWAY 1 NO_ERROR"]);
    assert_eq!(tunnels.client.harness.end(), None, "it has as long as the engine lets it");
    tunnels.client.end(1, b"");
    assert_eq!(tunnels.client.read(), ["1 DATA 0 END"]);
    assert_eq!(tunnels.events(), ["Eof { clean: true }", "closed: drained"]);
    assert!(tunnels.client.harness.finished());
}

#[test]
fn a_connection_with_a_tunnel_is_not_idle_and_its_peer_is_looked_for() {
    let mut tunnels = Tunnels::open();
    let silence = Duration::from_secs(30);
    for _ in 0..10 {
        tunnels.client.harness.pass(silence);
        assert_eq!(tunnels.client.read(), ["PING present?"]);
        tunnels.client.frame(kind::PING, flags::ACK, 0, b"present?");
    }
    assert_eq!(tunnels.client.harness.fault(), None);
    tunnels.client.harness.pass(silence);
    tunnels.client.read();
    tunnels.client.harness.pass(silence);
    assert_eq!(tunnels.client.harness.fault().map(|fault| fault.code), Some("http2_ping_timeout"));
    tunnels.client.read();
    assert_eq!(tunnels.events(), ["closed: http2_ping_timeout"]);
}

#[test]
fn a_client_that_takes_nothing_in_time_loses_its_stream() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 0)]);
    tunnels.connect(1, "/");
    tunnels.client.data(1, b"abc");
    tunnels.client.read();
    tunnels.client.harness.pass(Limits::default().write_timeout);
    let frames = tunnels.client.read();
    assert!(frames.contains(&"1 RST_STREAM CANCEL".to_owned()), "{frames:?}");
    assert_eq!(tunnels.events(), ["open", "closed: http2_stream_stalled"]);
}

#[test]
fn the_end_of_the_connection_is_no_clean_end_of_a_tunnel() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"abc");
    tunnels.client.harness.eof();
    assert_eq!(tunnels.client.read(), ["1 DATA 3", "1 DATA 0 END"]);
    let events = ["Truncated", "Eof { clean: true }", "closed: finished"];
    assert_eq!(tunnels.events(), events);
    assert!(tunnels.client.harness.finished());
}

/// Its connection isn't its own, so it can't speak HTTP/2, whose streams would have the numbers of
/// other ones.
#[test]
fn http_1_1_can_be_spoken_in_a_stream() {
    struct Http;

    impl Handler for Http {
        fn can_upgrade(&self, _: &[u8]) -> bool {
            true
        }

        fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
            if request.upgrade().is_none() {
                let text = format!("{} {:?}", request.method(), request.version());
                return responder.send(Status::OK, &Fields::new(), Body::Shared(&text.into()));
            }
            let inner = Server::new(Rc::default(), |_: &Peer| Http);
            responder.upgrade("http", &Fields::new(), Box::new(inner)).unwrap()
        }
    }

    let mut tls = sockeye_proto::TlsInfo::default();
    tls.alpn = Some((*b"h2").into());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into();
    let secure = Peer { tls: Some(tls.into()), ..Peer::new(address, 0) };
    for peer in [Peer::new(address, 0), secure] {
        let server = Server::new(Rc::default(), |_: &Peer| Http);
        let mut client = Client::before_preface(Harness::with_peer(server, peer));
        client.input(crate::h2::frame::PREFACE);
        client.settings(&[]);
        let fields = [&head("CONNECT", "/", &[])[..], &[(":protocol", "http")]].concat();
        for stream in [1, 3] {
            client.headers(stream, 0, &fields);
        }
        client.read();
        client.data(1, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        // A tunnel in the tunnel.
        client
            .data(1, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: http\r\n\r\n");
        client.end(1, b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.data(3, crate::h2::frame::PREFACE);
        client.read();
        let text = client.streams[&1].text();
        let parts: Vec<_> = text.split("\r\n\r\n").collect();
        assert_eq!((parts.len(), client.streams[&1].has_ended), (4, true), "{text}");
        assert!(parts[1].starts_with("GET Http11HTTP/1.1 101 "), "{text}");
        assert_eq!(parts[3], "PUT Http11");
        assert!(client.streams[&3].text().starts_with("HTTP/1.1 505 "));
        assert_eq!(client.harness.fault(), None);
    }
}

//! Extended CONNECT (RFC 8441): requests to switch a stream to another protocol.

use sockeye_proto::Remote;

use super::switch::Tunnels;
use super::*;
use crate::h2::frame::{flags, settings};

#[test]
fn the_server_announces_extended_connect_in_its_first_settings() {
    let mut client = Client::before_preface(server(Limits::default()).0);
    client.input(crate::h2::frame::PREFACE);
    assert_eq!(client.read()[0], "SETTINGS 3=100 6=32768 8=1 9=1");
}

#[test]
fn settings_come_once() {
    let mut tunnels = Tunnels::open();
    tunnels.client.settings(&[(settings::INITIAL_WINDOW_SIZE, 1)]);
    tunnels.client.harness.lame_duck();
    tunnels.client.harness.drain();
    let frames = tunnels.client.read();
    assert!(frames.contains(&"SETTINGS ACK".to_owned()), "{frames:?}");
    assert!(!frames.iter().any(|frame| frame.starts_with("SETTINGS ") && !frame.ends_with("ACK")));
}

#[test]
fn the_setting_of_a_client_has_no_effect() {
    for value in [0, 1, 2] {
        let mut tunnels = Tunnels::with(&[(settings::ENABLE_CONNECT_PROTOCOL, value)]);
        tunnels.connect(1, "/");
        assert_eq!(tunnels.client.read(), ["1 HEADERS 200"]);
    }
}

#[test]
fn the_host_is_checked() {
    for (host, status) in [("a", 421), ("b", 200)] {
        let hosts = crate::AllowedHosts::default().allow("b").unwrap();
        let check = crate::HostCheck::new(hosts, |_| true);
        let mut tunnels = Tunnels::of(ServerConfig::default().checking_hosts(check), &[]);
        let authority = (":authority", host);
        tunnels.client.headers(1, 0, &[CONNECT, SCHEME, PATH, authority, PROTOCOL]);
        tunnels.client.read();
        assert_eq!(tunnels.client.streams[&1].statuses, [status]);
    }
}

#[test]
fn a_handler_switches_only_to_the_protocol_of_the_request() {
    let mut tunnels = Tunnels::new();
    tunnels.connect(1, "/other");
    tunnels.client.read();
    assert_eq!(tunnels.client.streams[&1].statuses, [400]);
}

#[test]
fn a_handler_may_switch_later_with_what_has_come_until_then() {
    let mut tunnels = Tunnels::new();
    tunnels.connect(1, "/later");
    tunnels.client.end(1, b"hello");
    assert_eq!(tunnels.client.read(), [""; 0]);
    tunnels.fulfill("");
    assert_eq!(tunnels.client.read(), ["1 HEADERS 200", "1 DATA 5 END"]);
    assert_eq!(tunnels.text(1), "hello");
    // With END_STREAM, the client sends nothing at all.
    let fields = [&head("CONNECT", "/", &[])[..], &[(":protocol", "commands")]].concat();
    tunnels.client.headers(3, flags::END_STREAM, &fields);
    assert_eq!(tunnels.client.read(), ["3 HEADERS 200 END"]);
}

#[test]
fn a_stopping_server_refuses_extended_connect() {
    type Stop = fn(&mut Harness);
    let stops: [Stop; 2] = [Harness::lame_duck, Harness::drain];
    for stop in stops {
        let mut tunnels = Tunnels::new();
        tunnels.connect(1, "/later");
        stop(&mut tunnels.client.harness);
        tunnels.client.read();
        tunnels.connect(3, "/");
        assert_eq!(tunnels.client.read(), ["3 RST_STREAM REFUSED_STREAM"]);
        tunnels.fulfill("");
        tunnels.client.read();
        assert_eq!(tunnels.client.streams[&1].statuses, [503]);
        assert_eq!(tunnels.events(), [""; 0]);
    }
}

#[test]
fn a_hundred_tunnels_work_at_a_time_and_one_more_is_refused() {
    let mut tunnels = Tunnels::new();
    let streams: Vec<u32> = (0..100).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        tunnels.connect(*stream, "/");
    }
    for stream in &streams {
        tunnels.client.data(*stream, b"R");
    }
    tunnels.client.read();
    for (stream, remote) in streams.iter().zip(tunnels.seen.remotes.take()) {
        remote.try_send(Box::new(if stream % 4 == 1 { "one" } else { "three" })).unwrap();
    }
    tunnels.client.harness.deliver();
    tunnels.client.read();
    for stream in &streams {
        assert_eq!(tunnels.text(*stream), if stream % 4 == 1 { "one" } else { "three" });
    }
    tunnels.connect(201, "/");
    assert_eq!(tunnels.client.read(), ["201 RST_STREAM REFUSED_STREAM"]);
    for stream in &streams {
        tunnels.client.end(*stream, b"");
    }
    tunnels.client.read();
    assert_eq!(tunnels.seen.alive.get(), 0);
    assert!(tunnels.client.harness.charged() < 1000);
}

#[test]
fn a_client_over_its_budget_gets_no_tunnel_and_a_tunnel_writes_little() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 0)]);
    tunnels.connect(1, "/");
    tunnels.client.harness.set_over_budget(true);
    tunnels.client.data(1, b"B");
    let charged = tunnels.client.harness.charged();
    assert!(charged <= 1500, "{charged}");
    tunnels.client.harness.set_over_budget(false);
    tunnels.client.data(1, b"B");
    assert!(tunnels.client.harness.charged() > 60_000);
    tunnels.client.harness.set_over_budget(true);
    tunnels.client.read();
    tunnels.connect(3, "/");
    assert_eq!(tunnels.client.read(), ["3 RST_STREAM REFUSED_STREAM"]);
}

#[test]
fn a_handler_may_answer_without_an_upgrade() {
    for (path, status) in [("/no", 404), ("/read", 400)] {
        let mut tunnels = Tunnels::new();
        tunnels.connect(1, path);
        tunnels.client.read();
        let received = &tunnels.client.streams[&1];
        assert_eq!((&received.statuses[..], received.has_ended), (&[status][..], true));
        tunnels.client.end(1, b"ignored");
        assert_eq!(tunnels.client.read(), [""; 0]);
        assert_eq!(tunnels.events(), [""; 0]);
    }
    // What has come is not the content of a request.
    let mut tunnels = Tunnels::new();
    tunnels.connect(1, "/later");
    tunnels.client.data(1, b"hello");
    tunnels.fulfill("read");
    tunnels.client.read();
    assert_eq!(tunnels.client.streams[&1].statuses, [400]);
}

#[test]
fn a_protocol_that_the_handler_does_not_speak_is_a_501() {
    let mut tunnels = Tunnels::new();
    let fields = [&head("CONNECT", "/", &[])[..], &[(":protocol", "other")]].concat();
    tunnels.client.headers(1, 0, &fields);
    tunnels.client.read();
    assert_eq!(tunnels.client.streams[&1].statuses, [501]);
    assert_eq!(tunnels.ends.0.take(), ["/ 501 88 complete unknown_protocol"]);
    // By default, a handler speaks none.
    let mut scene = Scene::new();
    scene.client.headers(1, 0, &fields);
    scene.client.read();
    assert_eq!(scene.client.streams[&1].statuses, [501]);
}

const CONNECT: (&str, &str) = (":method", "CONNECT");
const SCHEME: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "a");
const PROTOCOL: (&str, &str) = (":protocol", "commands");

#[test]
fn malformed_extended_connects_are_reset() {
    let with = |field| [CONNECT, SCHEME, PATH, AUTHORITY, PROTOCOL, field];
    let malformed = "1 RST_STREAM PROTOCOL_ERROR";
    for (fields, expected) in [
        (&[CONNECT, SCHEME, PATH, AUTHORITY, PROTOCOL][..], "1 HEADERS 200"),
        (&[PROTOCOL, AUTHORITY, PATH, SCHEME, CONNECT], "1 HEADERS 200"),
        (
            &[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "commands"), ("x", "y")],
            "1 HEADERS 200",
        ),
        // 8441, 4.
        (&[CONNECT, PATH, AUTHORITY, PROTOCOL], malformed),
        (&[CONNECT, SCHEME, AUTHORITY, PROTOCOL], malformed),
        (&[CONNECT, AUTHORITY, PROTOCOL], malformed),
        (&[(":method", "GET"), SCHEME, PATH, AUTHORITY, PROTOCOL], malformed),
        (&[(":method", "connect"), SCHEME, PATH, AUTHORITY, PROTOCOL], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY], malformed),
        (&with(PROTOCOL), malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, ("x", "y"), PROTOCOL], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "")], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "a b")], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "a/")], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "/a")], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "a/b/c")], malformed),
        (&with(("content-length", "5")), malformed),
        (&with(("upgrade", "commands")), malformed),
        (&with(("connection", "upgrade")), malformed),
        (&with(("host", "b")), malformed),
    ] {
        let mut tunnels = Tunnels::new();
        tunnels.client.headers(1, 0, fields);
        assert_eq!(tunnels.client.read(), [expected], "{fields:?}");
    }
    let mut tunnels = Tunnels::new();
    tunnels.client.headers(1, 0, &[CONNECT, SCHEME, PATH, PROTOCOL]);
    tunnels.client.read();
    assert_eq!(tunnels.client.streams[&1].statuses, [400], "no host");
    // A name with a version is well-formed, and not known to this handler.
    let mut tunnels = Tunnels::new();
    let protocol = (":protocol", "commands/1.0");
    tunnels.client.headers(1, 0, &[CONNECT, SCHEME, PATH, AUTHORITY, protocol]);
    tunnels.client.read();
    assert_eq!(tunnels.client.streams[&1].statuses, [501]);
}

/// RFC 9113, 8.5.
#[test]
fn a_header_block_after_connect_is_an_error() {
    for path in ["/", "/later"] {
        let mut tunnels = Tunnels::new();
        tunnels.connect(1, path);
        tunnels.client.read();
        tunnels.client.headers(1, flags::END_STREAM, &[("x", "y")]);
        assert_eq!(tunnels.client.read(), ["1 RST_STREAM PROTOCOL_ERROR"]);
        assert_eq!(tunnels.client.harness.fault(), None);
    }
}

#[test]
fn a_message_that_makes_a_handler_switch_costs_its_remote_nothing() {
    let mut tunnels = Tunnels::new();
    tunnels.connect(1, "/remote-later");
    let remote = tunnels.seen.remotes.take().remove(0);
    remote.try_send(Box::new("switch")).unwrap();
    tunnels.client.harness.deliver();
    assert_eq!(tunnels.client.read(), ["1 HEADERS 200"]);
    for _ in 0..2 {
        for _ in 0..Remote::MESSAGES {
            remote.try_send(Box::new("m")).unwrap();
        }
        assert!(remote.try_send(Box::new("m")).is_err());
        tunnels.client.harness.deliver();
    }
    tunnels.client.read();
    assert_eq!(tunnels.text(1).len(), 2 * Remote::MESSAGES as usize);
}

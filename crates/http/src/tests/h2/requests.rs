//! Requests as header blocks: which are malformed, which are refused, and what handlers see (RFC
//! 9113, 8).

use super::client::Received;
use super::*;
use crate::h2::frame::{flags, kind};

/// The response to a request without content: its status and text, or the code of the reset.
#[track_caller]
fn response(fields: &[(&str, &str)]) -> String {
    let mut scene = Scene::new();
    scene.client.headers(1, flags::END_STREAM, fields);
    let frames = scene.client.read();
    assert_eq!(scene.client.harness.fault(), None, "{fields:?}");
    let shown = match scene.client.streams.get(&1) {
        Some(received) if received.has_ended => {
            let text = received.text();
            let text = text.split('\n').nth(1).unwrap_or(text);
            format!("{} {text}", received.statuses[0])
        }
        _ => frames.join(", "),
    };
    // The connection continues in either case.
    scene.client.get(3, "/next");
    assert_eq!(scene.client.read(), ["3 HEADERS 200", "3 DATA 5 END"]);
    shown
}

const MALFORMED: &str = "1 RST_STREAM PROTOCOL_ERROR";
const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/fields");
const AUTHORITY: (&str, &str) = (":authority", "a");

#[test]
fn handlers_see_requests_as_over_http1() {
    for (fields, expected) in [
        (&[METHOD, SCHEME, PATH, AUTHORITY][..], "200 GET /fields|host=a"),
        (&[PATH, AUTHORITY, SCHEME, METHOD], "200 GET /fields|host=a"),
        // Host names the host if there is no :authority.
        (&[METHOD, SCHEME, PATH, ("a", "b"), ("host", "x:80")], "200 GET /fields|a=b|host=x:80"),
        (
            &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "A"), ("b", "c")],
            "200 GET /fields|host=a|b=c",
        ),
        (&[METHOD, (":scheme", "https"), PATH, AUTHORITY], "200 GET /fields|host=a"),
        (
            &[METHOD, SCHEME, (":path", "/fields?a=%20|\""), AUTHORITY],
            "200 GET /fields?a=%20|\"|host=a",
        ),
        // Methods of other specifications, in any place.
        (&[("", ""); 0], ""),
        (
            &[(":method", "PROPFIND"), SCHEME, PATH, AUTHORITY, ("a", "b")],
            "200 PROPFIND /fields|host=a|a=b",
        ),
        (
            &[AUTHORITY, PATH, SCHEME, (":method", "get"), ("a", "b"), ("c", "")],
            "200 get /fields|host=a|a=b|c=",
        ),
        // Cookies are one field (8.2.3).
        (
            &[METHOD, SCHEME, PATH, AUTHORITY, ("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")],
            "200 GET /fields|host=a|x=y|cookie=a=b; c=d",
        ),
        (
            &[METHOD, SCHEME, PATH, AUTHORITY, ("te", "trailers")],
            "200 GET /fields|host=a|te=trailers",
        ),
        (&[METHOD, SCHEME, PATH, AUTHORITY, ("x", "")], "200 GET /fields|host=a|x="),
        (&[METHOD, SCHEME, PATH, AUTHORITY, ("x", "a\tb c")], "200 GET /fields|host=a|x=a\tb c"),
        (
            &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "0")],
            "200 GET /fields|host=a|content-length=0",
        ),
        (&[(":method", "OPTIONS"), SCHEME, (":path", "*"), AUTHORITY], "200 "),
    ] {
        if fields.is_empty() {
            continue;
        }
        let shown = response(fields);
        if expected == "200 " {
            assert!(shown.starts_with("200"), "{fields:?}: {shown}");
        } else {
            assert_eq!(shown, expected, "{fields:?}");
        }
    }
}

#[test]
fn malformed_requests_are_reset() {
    let with = |field| [METHOD, SCHEME, PATH, AUTHORITY, field];
    for fields in [
        // 8.3.1
        &[SCHEME, PATH, AUTHORITY][..],
        &[METHOD, PATH, AUTHORITY],
        &[METHOD, SCHEME, AUTHORITY],
        &[METHOD, METHOD, SCHEME, PATH, AUTHORITY],
        &[METHOD, SCHEME, SCHEME, PATH, AUTHORITY],
        &[METHOD, SCHEME, PATH, PATH, AUTHORITY],
        &[METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY],
        &[METHOD, SCHEME, (":path", ""), AUTHORITY],
        &[METHOD, SCHEME, (":path", "*"), AUTHORITY],
        &[METHOD, SCHEME, (":path", "a"), AUTHORITY],
        &[METHOD, SCHEME, (":path", "http://a/"), AUTHORITY],
        &[(":method", ""), SCHEME, PATH, AUTHORITY],
        &[(":method", "G T"), SCHEME, PATH, AUTHORITY],
        &with(("host", "b")),
        &with(("host", "a:81")),
        // 8.3
        &with(SCHEME),
        &[METHOD, SCHEME, ("x", "y"), PATH, AUTHORITY],
        &[METHOD, SCHEME, PATH, (":status", "200")],
        &[METHOD, SCHEME, PATH, (":protocol", "websocket")],
        &[METHOD, SCHEME, PATH, (":x", "y")],
        &[METHOD, SCHEME, PATH, (":", "y")],
        // 8.2.1
        &with(("X", "y")),
        &with(("x y", "z")),
        &with(("x:", "z")),
        &with(("x\0", "z")),
        &with(("", "z")),
        &with(("\u{e9}", "z")),
        &with(("x", " y")),
        &with(("x", "y ")),
        &with(("x", "\ty")),
        &with(("x", "y\r\nz: a")),
        &with(("x", "y\nz")),
        &with(("x", "y\rz")),
        &with(("x", "y\0z")),
        &with(("cookie", "a\r\nb")),
        &[METHOD, SCHEME, (":path", "/ "), AUTHORITY],
        &[METHOD, SCHEME, PATH, (":authority", "a\r\nb: c")],
        // 8.2.2
        &with(("connection", "close")),
        &with(("proxy-connection", "close")),
        &with(("keep-alive", "timeout=5")),
        &with(("transfer-encoding", "chunked")),
        &with(("upgrade", "h2c")),
        &with(("te", "gzip")),
        &with(("te", "trailers, gzip")),
        // 8.1.1
        &with(("content-length", "1")),
        &with(("content-length", "x")),
        &with(("content-length", "")),
        &with(("content-length", "1, 1")),
        // 8.5
        &[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY],
        &[(":method", "CONNECT"), PATH, AUTHORITY],
        &[(":method", "CONNECT")],
        &[(":method", "CONNECT"), (":authority", "a")],
        &[(":method", "CONNECT"), (":authority", "a:")],
        &[(":method", "CONNECT"), (":authority", "[::1]")],
        &[],
    ] {
        assert_eq!(response(fields), MALFORMED, "{fields:?}");
    }
}

/// Without its scheme's default port, or an empty port, a Host names the same host as `:authority`.
#[test]
fn host_and_authority_are_compared_with_the_default_port_of_the_scheme() {
    for (scheme, authority, host, is_same) in [
        ("http", "a:80", "a", true),
        ("http", "a", "A:80", true),
        ("https", "a:443", "a", true),
        ("https", "[::1]", "[::1]:443", true),
        ("http", "a:", "a", true),
        ("http", "a", "a:", true),
        ("https", "a:443", "a:", true),
        ("http", "a:80", "a:443", false),
        ("https", "a:80", "a", false),
        ("http", "a", "a:443", false),
        ("http", "a:81", "a", false),
        ("http", "a:81", "a:81", true),
        ("http", "[::1]", "[::1", false),
    ] {
        let fields = [METHOD, (":scheme", scheme), PATH, (":authority", authority), ("host", host)];
        let expected = if is_same { "200" } else { MALFORMED };
        let shown = response(&fields);
        assert!(shown.starts_with(expected), "{scheme} {authority} {host}: {shown}");
    }
}

#[test]
fn refused_requests_get_a_response() {
    let with = |field| [METHOD, SCHEME, PATH, AUTHORITY, field];
    let long = format!("/{}", "a".repeat(9000));
    let method = "M".repeat(65);
    for (fields, status) in [
        (&[METHOD, SCHEME, PATH][..], 400),
        (&[METHOD, SCHEME, PATH, (":authority", "")], 400),
        (&[METHOD, SCHEME, PATH, (":authority", "u@a")], 400),
        (&[METHOD, SCHEME, PATH, (":authority", "a/b")], 400),
        (&[METHOD, SCHEME, PATH, (":authority", "a:x")], 400),
        (&[METHOD, SCHEME, PATH, ("host", "a"), ("host", "a")], 400),
        (&[METHOD, SCHEME, PATH, ("host", "a b")], 400),
        (&[METHOD, (":scheme", "ftp"), PATH, AUTHORITY], 400),
        (&[METHOD, SCHEME, (":path", "/a b"), AUTHORITY], 400),
        (&[METHOD, SCHEME, (":path", "/a#b"), AUTHORITY], 400),
        (&[METHOD, SCHEME, (":path", "/a\\b"), AUTHORITY], 400),
        (&[METHOD, SCHEME, (":path", "/\u{e9}"), AUTHORITY], 400),
        (&[METHOD, SCHEME, (":path", &long), AUTHORITY], 414),
        (&[(":method", &method), SCHEME, PATH, AUTHORITY], 501),
        (&[(":method", "TRACE"), SCHEME, PATH, AUTHORITY], 405),
        (&[(":method", "CONNECT"), (":authority", "a:443")], 405),
        (&[(":method", "CONNECT"), (":authority", "[::1]:443")], 405),
        (&[(":method", "CONNECT"), (":authority", "a:65536")], 400),
        (&with(("expect", "200-ok")), 417),
    ] {
        let shown = response(fields);
        assert!(shown.starts_with(&status.to_string()), "{fields:?}: {shown}");
    }
}

#[test]
fn a_large_header_list_is_a_431_and_the_table_stays_in_step() {
    for (count, len, is_refused) in
        [(127, 1, false), (128, 1, true), (8, 3940, false), (100, 300, true)]
    {
        let mut scene = Scene::new();
        let value = "v".repeat(len);
        let mut bytes = block(&head("GET", "/", &[]));
        for _ in 0..count {
            crate::h2::hpack::encode::field(b"x", value.as_bytes(), false, &mut bytes);
        }
        // An entry of the dynamic table, at the end.
        bytes.extend(b"\x40\x01y\x01z");
        if bytes.len() < 16_384 {
            scene.client.frame(kind::HEADERS, END, 1, &bytes);
        } else {
            let (first, rest) = bytes.split_at(16_384);
            scene.client.frame(kind::HEADERS, flags::END_STREAM, 1, first);
            for (at, part) in rest.chunks(16_384).enumerate() {
                let last = if (at + 1) * 16_384 >= rest.len() { flags::END_HEADERS } else { 0 };
                scene.client.frame(kind::CONTINUATION, last, 1, part);
            }
        }
        scene.client.read();
        let status = scene.client.streams.get(&1).map(|received| received.statuses.clone());
        // `y` is one field more.
        let is_refused = is_refused || count == 127;
        let expected = if is_refused { 431 } else { 200 };
        assert_eq!(
            status,
            Some(vec![expected]),
            "{count} of {len}: {:?}",
            scene.client.harness.fault()
        );
        let next = [&block(&head("GET", "/fields", &[]))[..], b"\xbe"].concat();
        scene.client.frame(kind::HEADERS, END, 3, &next);
        scene.client.read();
        assert_eq!(scene.client.streams[&3].text(), "GET /fields|host=a|y=z");
    }
}

/// A field of the dynamic table that was not checked when it came, because its request was refused
/// already, is checked when it comes again.
#[test]
fn unchecked_fields_of_the_dynamic_table_are_checked_later() {
    let mut scene = Scene::new();
    let bytes = [&block(&[METHOD, ("X", "y")])[..], b"\x40\x01a\x03b\r\n"].concat();
    scene.client.frame(kind::HEADERS, END, 1, &bytes);
    assert_eq!(scene.client.read(), [MALFORMED]);
    let next = [&block(&head("GET", "/fields", &[]))[..], b"\xbe"].concat();
    scene.client.frame(kind::HEADERS, END, 3, &next);
    assert_eq!(scene.client.read(), ["3 RST_STREAM PROTOCOL_ERROR"]);
}

#[test]
fn content_is_as_long_as_announced() {
    for (length, pieces, is_valid) in [
        (Some("5"), &["hello"][..], true),
        (Some("5"), &["he", "llo"], true),
        (Some("5"), &["hel"], false),
        (Some("5"), &["hel", "lo!"], false),
        (Some("5"), &[], false),
        (Some("0"), &[], true),
        (Some("0"), &["!"], false),
        (None, &["hel"], true),
        (None, &[], true),
    ] {
        for ends_apart in [false, true] {
            for path in ["/collect", "/hold", "/echo"] {
                let mut scene = Scene::new();
                let fields: Vec<_> =
                    length.iter().map(|length| ("content-length", *length)).collect();
                scene.client.post(1, path, &fields);
                for (at, piece) in pieces.iter().enumerate() {
                    if at + 1 == pieces.len() && !ends_apart {
                        scene.client.end(1, piece.as_bytes());
                    } else {
                        scene.client.data(1, piece.as_bytes());
                    }
                }
                if ends_apart || pieces.is_empty() {
                    let is_reset = scene.client.streams.get(&1).is_some_and(|r| r.reset.is_some());
                    if !is_reset {
                        scene.client.end(1, b"");
                    }
                }
                scene.client.read_all();
                let received = &scene.client.streams[&1];
                assert_eq!(received.has_ended, is_valid, "{length:?} {pieces:?} {path}");
                assert_eq!(
                    received.reset,
                    (!is_valid).then_some(1),
                    "{length:?} {pieces:?} {path}"
                );
                assert_eq!(scene.shared.alive.get(), 0);
                scene.client.get(3, "/next");
                assert_eq!(scene.client.read(), ["3 HEADERS 200", "3 DATA 5 END"]);
            }
        }
    }
}

#[test]
fn trailers_come_after_the_content() {
    let mut scene = Scene::new();
    scene.client.post(1, "/collect", &[]);
    scene.client.data(1, b"abc");
    scene.client.headers(1, flags::END_STREAM, &[("a", "b"), ("host", "c")]);
    scene.client.read();
    assert_eq!(scene.client.streams[&1].text(), "3|a=b|host=c");
    // And of the response.
    scene.client.post(3, "/echo", &[]);
    scene.client.data(3, b"abc");
    scene.client.headers(3, flags::END_STREAM, &[("a", "b")]);
    assert_eq!(scene.client.read(), ["3 HEADERS 200", "3 DATA 3", "3 TRAILERS END"]);
    let trailers = scene.client.streams[&3].trailers.clone();
    assert_eq!(trailers, Some(vec![("a".to_owned(), "b".to_owned())]));

    for (name, ends, fields) in [
        ("without END_STREAM", 0, &[("a", "b")][..]),
        ("a pseudo-header field", flags::END_STREAM, &[(":path", "/")]),
        ("an upper-case name", flags::END_STREAM, &[("A", "b")]),
        ("an HTTP/1.1 field", flags::END_STREAM, &[("connection", "close")]),
        ("a bad value", flags::END_STREAM, &[("a", "b\r\nc")]),
    ] {
        let mut scene = Scene::new();
        scene.client.post(1, "/collect", &[]);
        scene.client.headers(1, ends, fields);
        assert_eq!(scene.client.read(), [MALFORMED], "{name}");
        assert_eq!((scene.shared.alive.get(), scene.shared.incomplete.get()), (0, 1), "{name}");
    }
}

#[test]
fn responses_without_content_are_one_frame() {
    let mut scene = Scene::new();
    for (stream, method, path, status) in [
        (1, "HEAD", "/", 200),
        (3, "HEAD", "/large", 200),
        (5, "GET", "/none", 304),
        (7, "GET", "/no-content", 204),
        (9, "HEAD", "/endless", 200),
        (11, "HEAD", "/trailers", 200),
        (13, "HEAD", "/echo", 200),
    ] {
        scene.client.headers(stream, flags::END_STREAM, &head(method, path, &[]));
        assert_eq!(scene.client.read(), [format!("{stream} HEADERS {status} END")], "{path}");
    }
    let large = LARGE.len().to_string();
    assert_eq!(scene.client.streams[&3].field("content-length"), Some(&*large));
    assert_eq!(scene.client.streams[&7].field("content-length"), None);
    assert_eq!(scene.shared.alive.get(), 0);
}

/// RFC 9113, 8.2.2.
#[test]
fn responses_have_no_fields_about_a_connection() {
    for name in ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"] {
        assert!(Fields::new().with(name, b"x").is_err(), "a handler can't send {name}");
    }
    let mut scene = Scene::new();
    scene.client.get(1, "/proxy");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 3 END"]);
    let Received { fields, .. } = &scene.client.streams[&1];
    assert!(fields.iter().all(|(name, _)| name != "proxy-connection"), "{fields:?}");
}

#[test]
fn a_100_is_sent_only_when_the_handler_reads_the_content() {
    let expect = &[("expect", "100-continue")][..];
    let mut scene = Scene::new();
    scene.client.post(1, "/collect", expect);
    assert_eq!(scene.client.read(), ["1 HEADERS 100"]);
    scene.client.end(1, b"abc");
    assert_eq!(scene.client.read(), ["1 HEADERS 200", "1 DATA 1 END"]);

    scene.client.post(3, "/hold", expect);
    assert_eq!(scene.client.read(), [""; 0]);
    scene.client.harness.run_jobs();
    assert_eq!(scene.client.read(), ["3 HEADERS 100"]);

    scene.client.post(5, "/", expect);
    assert_eq!(scene.client.read(), ["5 HEADERS 200", "5 DATA 1 END"]);
    scene.client.post(7, "/tiny", &[("expect", "100-continue"), ("content-length", "5")]);
    scene.client.read();
    assert_eq!(scene.client.streams[&7].statuses, [413]);
    // Without content there is nothing to wait for.
    scene.client.headers(9, flags::END_STREAM, &head("POST", "/collect", expect));
    assert_eq!(scene.client.read(), ["9 HEADERS 200", "9 DATA 1 END"]);
}

#[test]
fn refused_requests_are_logged_with_their_method_and_path() {
    for (fields, entry) in [
        (&[METHOD, SCHEME, (":path", "/a b"), AUTHORITY][..], "?GET /a b HTTP/2.0"),
        (&[(":path", "/a b"), SCHEME, (":method", "FOO"), AUTHORITY], "?FOO /a b HTTP/2.0"),
        (&[METHOD, SCHEME, PATH], "?GET /fields HTTP/2.0"),
        (&[METHOD, SCHEME, PATH, AUTHORITY, ("X", "y")], "?GET /fields HTTP/2.0"),
    ] {
        let mut scene = Scene::new();
        scene.client.headers(1, flags::END_STREAM, fields);
        scene.client.read();
        let ends = scene.ends.0.take();
        let [end] = &ends[..] else { panic!("{fields:?}: {ends:?}") };
        assert!(end.starts_with(&format!("{entry} ")), "{fields:?}: {end}");
    }
}

#[test]
fn responses_of_handlers_are_never_compressed() {
    let mut scene = Scene::with(Limits::default(), &[(4, 1 << 20)]);
    scene.client.window_update(0, 1 << 20);
    let fields = [("accept-encoding", "gzip, br, zstd")];
    scene.client.headers(1, flags::END_STREAM, &head("GET", "/large", &fields));
    scene.client.read();
    let response = &scene.client.streams[&1];
    assert_eq!(response.field("content-encoding"), None);
    assert_eq!(response.content, LARGE);
}

/// Panics whenever the server asks it something. Its responses come when their promises are
/// fulfilled.
struct Panics(Rc<RefCell<Vec<Promise>>>);

impl Handler for Panics {
    fn on_request(&mut self, _: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.0.borrow_mut().push(responder.promise());
        responder.later()
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        responder.send(Status::OK, &Fields::new(), Body::Static(b"answer"))
    }

    fn can_upgrade(&self, _: &[u8]) -> bool {
        panic!("can_upgrade")
    }

    fn page(&self, _: Status, _: &'static str, _: &str) -> Option<(Fields, bytes::Bytes)> {
        panic!("page")
    }

    fn allow(&self) -> &'static str {
        panic!("allow")
    }
}

#[test]
fn a_handler_that_panics_when_it_is_asked_something_ends_its_request_alone() {
    let promises = Rc::<RefCell<Vec<Promise>>>::default();
    let ours = Rc::clone(&promises);
    let server = Server::new(Rc::default(), move |_: &Peer| Panics(Rc::clone(&ours)));
    let mut client = Client::with_settings(Harness::new(server), &[]);
    client.get(1, "/");
    let connect = [&head("CONNECT", "/", &[])[..], &[(":protocol", "websocket")]].concat();
    let long = "/".repeat(9000);
    for (stream, status, what, fields) in [
        (3, 500, &["page", "can_upgrade"][..], &connect[..]),
        (5, 500, &["allow", "page"], &head("TRACE", "/", &[])),
        (7, 414, &["page"], &head("GET", &long, &[])),
    ] {
        client.headers(stream, END, fields);
        client.read();
        assert_eq!(client.streams[&stream].statuses, [status]);
        assert!(client.streams[&stream].has_ended);
        let reported = client.harness.take_reported();
        assert_eq!(reported.len(), what.len());
        for (fault, what) in reported.iter().zip(what) {
            assert_eq!(fault.code, "handler_panicked");
            assert!(fault.what.ends_with(what), "{fault:?}");
        }
    }
    promises.borrow_mut().remove(0).fulfill(Box::new(()));
    client.harness.deliver();
    client.read();
    assert_eq!((client.streams[&1].text(), client.harness.fault()), ("answer", None));
}

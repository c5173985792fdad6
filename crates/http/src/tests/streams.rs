//! Streamed responses, upgrades to other protocols, and handlers that panic.

use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Time, Turn};

use super::*;
use crate::{Limits, Stream, StreamEvent};

/// Streams a response that depends on the path.
#[derive(Default)]
pub(super) struct Writer {
    path: Vec<u8>,
    remaining: usize,
}

const PIECE: [u8; 10_000] = [b'x'; 10_000];

impl Writer {
    /// Writes the remaining pieces while there is room.
    fn write_pieces(&mut self, mut stream: Stream<'_, '_>) -> Answer {
        while self.remaining > 0 && !stream.is_full() {
            stream.write(&PIECE);
            self.remaining -= 1;
        }
        if self.remaining > 0 { stream.more() } else { stream.end() }
    }
}

impl Handler for Writer {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.path = request.path().to_vec();
        let fields = Fields::new();
        match &self.path[..] {
            b"/large" | b"/large-known" => {
                self.remaining = 100;
                let known = (self.path == b"/large-known").then_some(1_000_000);
                self.write_pieces(responder.stream(Status::OK, &fields, known))
            }
            b"/pipe" => responder.stream(Status::OK, &fields, None).read(),
            b"/events" => {
                let stream = responder.stream(Status::OK, &fields, None);
                let _ = stream.run(|| "one");
                let _ = stream.run(|| "two");
                stream.later()
            }
            b"/woken" => {
                let mut stream = responder.stream(Status::OK, &fields, None);
                let remote = stream.remote();
                let _ = stream.run(move || {
                    (0..100).for_each(|_| remote.wake());
                    "two"
                });
                stream.later()
            }
            b"/short" | b"/long" => {
                let mut stream = responder.stream(Status::OK, &fields, Some(3));
                stream.write(if self.path == b"/short" { b"ab" } else { b"abcd" });
                stream.end()
            }
            b"/none" => {
                let mut stream = responder.stream(Status::NO_CONTENT, &fields, None);
                assert!(!stream.has_content());
                stream.write(b"never sent");
                stream.later()
            }
            b"/trailers" => {
                let fields = fields.with("Trailer", b"A").unwrap();
                let mut stream = responder.stream(Status::OK, &fields, None);
                stream.write(b"");
                stream.write(b"abc");
                stream.end_with(&Fields::new().with("A", b"b").unwrap())
            }
            b"/upgrade" => {
                let name = request.query().map_or(&b"shout/1"[..], |query| query);
                let name = str::from_utf8(name).unwrap();
                match responder.upgrade(name, &fields, Box::new(Shout)) {
                    Ok(answer) => answer,
                    Err(responder) => {
                        responder.send(Status::OK, &fields, Body::Static(b"not upgraded"))
                    }
                }
            }
            b"/426" => {
                let responder = responder.offering("").unwrap_err();
                let responder = responder.offering("shout/1, a b").unwrap_err();
                let responder = responder.offering("shout/1, other").unwrap();
                responder.send(Status::UPGRADE_REQUIRED, &fields, Body::Static(b"not here"))
            }
            b"/panic" => panic!("on purpose"),
            b"/panic-late" => {
                let _ = responder.run(|| ());
                responder.later()
            }
            b"/panic-started" => {
                let mut stream = responder.stream(Status::OK, &fields, None);
                stream.write(b"abc");
                panic!("on purpose, in the middle");
            }
            b"/closing" => responder.closing().send(Status::OK, &fields, Body::Empty),
            _ => responder.send(Status::OK, &fields, Body::Static(b"ok")),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        _: Responder<'_, '_>,
    ) -> Answer {
        panic!("on purpose, later");
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Room => self.write_pieces(stream),
            StreamEvent::Body(piece) => {
                stream.write(piece);
                stream.read()
            }
            StreamEvent::Woken => {
                stream.write(b"woken ");
                stream.later()
            }
            StreamEvent::BodyEnd(_) | StreamEvent::Drain => stream.end(),
            StreamEvent::Message(_, Ok(text)) => {
                let text = *text.downcast::<&str>().unwrap();
                stream.write(text.as_bytes());
                if text == "two" { stream.end() } else { stream.later() }
            }
            StreamEvent::Message(_, Err(Abandoned)) => stream.abort(),
        }
    }
}

/// Echoes in upper case.
struct Shout;

impl Protocol for Shout {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        turn.out.write(&input.to_ascii_uppercase());
        Ok(Consumed::more(input.len()))
    }
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => turn.out.write(b"READY "),
            Event::Eof { .. } => turn.end(End::Finish),
            _ => {}
        }
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

fn writer() -> Harness {
    client_of(|_: &Peer| Writer::default())
}

/// The output for `input`, running all jobs, and the client.
fn output_with_jobs(input: &str) -> (String, Harness) {
    let mut client = writer();
    client.input(input.as_bytes());
    let mut output = client.output();
    while client.run_jobs() > 0 {
        output.extend(client.output());
    }
    (String::from_utf8(output).unwrap(), client)
}

/// The content of a chunked response, and the output after it.
fn dechunk(mut input: &str) -> (String, &str) {
    let mut content = String::new();
    loop {
        let (size, rest) = input.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a number");
        if size == 0 {
            return (content, rest);
        }
        content.push_str(&rest[..size]);
        input = rest[size..].strip_prefix("\r\n").expect("CRLF after a chunk");
    }
}

#[test]
fn a_response_of_unknown_length_is_chunked() {
    let (output, mut client) = output_with_jobs(&format!("{}{}", get("/large"), get("/")));
    let (head, rest) = output.split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with("\r\nTransfer-Encoding: chunked"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("content-length"), "{head}");
    let (content, rest) = dechunk(rest);
    assert_eq!(content.len(), 1_000_000);
    let rest = rest.strip_prefix("\r\n").unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("\r\n\r\nok"));
    client.eof();
    assert!(client.finished());
}

#[test]
fn repeated_wake_ups_are_one_event() {
    let (output, _) = output_with_jobs(&get("/woken"));
    let (_, content) = output.split_once("\r\n\r\n").unwrap();
    assert_eq!(dechunk(content).0, "woken two");
}

#[test]
fn a_streamed_response_is_written_only_while_there_is_room() {
    let mut client = writer();
    client.input(get("/large").as_bytes());
    client.input(get("/large").as_bytes());
    // The client reads nothing, so the output stays in memory.
    assert!(client.held() < Harness::ROOM + 2 * PIECE.len(), "{}", client.held());
    assert_eq!(client.unused(), get("/large").len());
}

#[test]
fn a_streamed_response_of_the_wrong_length_ends_the_connection() {
    let (output, client) = output_with_jobs(&get("/large-known"));
    let (head, content) = output.split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with("\r\nContent-Length: 1000000"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!((content.len(), client.end()), (1_000_000, None));

    for (path, content) in [("/short", "ab"), ("/long", "")] {
        let (output, client) = output_with_jobs(&format!("{}{}", get(path), get("/")));
        assert!(output.ends_with(&format!("\r\n\r\n{content}")), "{output}");
        assert_eq!(codes(&output), [200]);
        assert_eq!(client.fault().unwrap().code, "response_aborted");
    }
}

#[test]
fn responses_to_head_and_statuses_without_content_have_none() {
    for path in ["/large", "/pipe", "/events", "/trailers"] {
        let (output, client) = output_with_jobs(&get(path).replace("GET", "HEAD"));
        assert!(output.ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n"), "{output}");
        assert!(client.fault().is_none() && client.end().is_none());
    }
    let (output, client) = output_with_jobs(&get("/none"));
    assert!(output.starts_with("HTTP/1.1 204") && output.ends_with("GMT\r\n\r\n"), "{output}");
    assert!(client.end().is_none());
    let (output, client) = output_with_jobs(&get("/large-known").replace("GET", "HEAD"));
    assert!(output.ends_with("\r\nContent-Length: 1000000\r\n\r\n"), "{output}");
    assert!(client.end().is_none());
}

#[test]
fn to_http_1_0_the_end_of_the_connection_is_the_end_of_the_content() {
    let (output, client) =
        output_with_jobs("GET /trailers HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(output.contains("\r\nConnection: close\r\n"), "{output}");
    assert!(output.ends_with("\r\n\r\nabc"), "{output}");
    assert_eq!(client.end(), Some(End::Close));
}

#[test]
fn trailers_follow_the_last_chunk() {
    let (output, _) = output_with_jobs(&get("/trailers"));
    assert!(output.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n"), "{output}");
    assert!(output.contains("\r\nTrailer: A\r\n"), "{output}");
}

#[test]
fn after_a_stream_the_connection_stays_open_only_for_little_unread_content() {
    let discard = Limits::default().discard;
    for (len, end) in [(discard, None), (discard + 1, Some(End::Linger))] {
        let request = format!("POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        let (output, mut client) = output_with_jobs(&request);
        assert!(output.ends_with("\r\n0\r\n\r\n"), "{output}");
        assert_eq!(client.end(), end, "{len}");
        if end.is_none() {
            client.input(&vec![b'x'; len as usize]);
            client.input(get("/").as_bytes());
            assert_eq!(codes(&text(&mut client)), [200]);
        }
    }
}

#[test]
fn a_response_can_be_written_while_the_request_is_read() {
    let request = "POST /pipe HTTP/1.1\r\nHost: a\r\nContent-Length: 100005\r\n\r\n";
    let mut client = writer();
    client.input(request.as_bytes());
    assert!(text(&mut client).ends_with("chunked\r\n\r\n"));
    client.input(b"hel");
    assert_eq!(client.output(), b"3\r\nhel\r\n");
    client.input(&[&b"lo"[..], &[b'x'; 100_000], get("/").as_bytes()].concat());
    let output = text(&mut client);
    let (content, rest) = dechunk(&output);
    assert_eq!(content.len(), 100_002);
    assert!(rest.ends_with("\r\n\r\nok"), "the connection stays open: {rest}");
}

#[test]
fn messages_are_stream_events_and_the_connection_stays_open() {
    let (output, client) = output_with_jobs(&format!("{}{}", get("/events"), get("/")));
    assert!(output.contains("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200 OK"), "{output}");
    assert!(client.end().is_none());

    let mut client = writer();
    client.input(get("/events").as_bytes());
    client.output();
    client.drop_jobs();
    assert_eq!(client.output(), b"", "an aborted response has no last chunk");
    assert_eq!(client.fault().unwrap().code, "response_aborted");
}

#[test]
fn a_streamed_response_is_notified_of_a_drain() {
    // Also a response that starts during the drain.
    let request = get("/events");
    for before in [request.len(), 5] {
        let mut client = writer();
        client.input(&request.as_bytes()[..before]);
        client.drain();
        client.input(&request.as_bytes()[before..]);
        let output = text(&mut client);
        assert!(output.ends_with("\r\n\r\n0\r\n\r\n"), "{output}");
        // If the response started before the drain, its head has no `Connection: close`, and the
        // connection closes later.
        assert_eq!(client.end(), (before == 5).then_some(End::Linger));
        client.pass(sockeye_proto::DRAIN_GRACE);
        assert_eq!(client.end(), Some(End::Linger));
    }
}

#[test]
fn a_streamed_response_continues_in_a_lame_duck() {
    let mut client = writer();
    client.lame_duck();
    client.input(get("/events").as_bytes());
    assert!(text(&mut client).contains("Connection: close\r\n"));
    client.pass(std::time::Duration::from_secs(5));
    assert!(client.end().is_none() && client.output().is_empty());
    client.drain();
    assert!(client.output().ends_with(b"0\r\n\r\n"));
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn another_protocol_takes_over_with_the_bytes_after_the_request() {
    let upgrade =
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: x, Upgrade\r\nUpgrade: shout/1\r\n\r\n";
    let (output, mut client) = output_with_jobs(&format!("{upgrade}hello"));
    let (head, rest) = output.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.ends_with("\r\nConnection: Upgrade\r\nUpgrade: shout/1"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(rest, "READY HELLO");
    client.input(b" again");
    assert_eq!(client.output(), b" AGAIN");
}

#[test]
fn only_a_101_makes_a_tunnel() {
    for request in [
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: shout/1\r\n\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nUpgrade: shout/1\r\n\r\n",
        "GET /upgrade HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: shout/1\r\n\r\n",
        "POST /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout/1\r\n\
         Content-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ] {
        let (output, client) = output_with_jobs(&format!("{request}{}", get("/")));
        assert_eq!(codes(&output), [200, 200], "{request}");
        assert!(client.end().is_none());
    }
}

/// A 101 is no final response, so the connection continues with the new protocol (RFC 9112, 9.6).
#[test]
fn an_upgrade_takes_precedence_over_close() {
    let (output, mut client) = output_with_jobs(
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: shout/1\r\n\r\n",
    );
    assert_eq!(codes(&output), [101]);
    assert!(!output.contains("close"), "{output}");
    client.input(b"hello");
    assert_eq!(client.output(), b"HELLO");
}

/// RFC 9110, 7.8. Names are compared without regard to case.
#[test]
fn only_protocols_that_the_client_lists_are_switched_to() {
    let many = ["a, ".repeat(339), "shout".into()].concat();
    let too_many = ["a, ".repeat(340), "shout".into()].concat();
    for (upgrade, name, switches) in [
        (&*many, "shout", true),
        (&*too_many, "shout", false),
        ("shout/1", "shout/1", true),
        ("shout", "shout", true),
        ("Shout", "sHOUT", true),
        ("a, shout/1 ,b", "shout/1", true),
        // Only the first line counts: see `Request::upgrade`.
        ("a\r\nUpgrade: shout", "shout", false),
        ("shout", "shout/1", true),
        ("shout/2, shout/1", "shout/1", true),
        ("shout/1", "shout", false),
        ("shout/2", "shout/1", false),
        ("h2c", "shout", false),
        ("h2c, shout2", "shout", false),
        ("h2c", "h2", false),
    ] {
        let request = format!(
            "GET /upgrade?{name} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
        );
        let (output, client) = output_with_jobs(&request);
        assert_eq!(codes(&output), [if switches { 101 } else { 200 }], "{upgrade}: {output}");
        assert_eq!(output.contains(&format!("\r\nUpgrade: {name}\r\n")), switches, "{output}");
        assert!(client.fault().is_none() && client.end().is_none());
    }
}

/// RFC 9110, 7.8 and 15.5.22; RFC 9113, 8.2.2.
#[test]
fn a_426_names_its_protocols_over_http_1_1() {
    let (output, client) = output_with_jobs(&get("/426"));
    let fields = "\r\nConnection: upgrade\r\nUpgrade: shout/1, other\r\nContent-Length: 8\r\n\r\n";
    assert!(output.starts_with("HTTP/1.1 426 ") && output.contains(fields), "{output}");
    assert!(client.end().is_none() && client.fault().is_none());
    let mut client = h2::client::Client::before_preface(writer());
    client.input(crate::h2::frame::PREFACE);
    client.settings(&[]);
    client.get(1, "/426");
    client.read();
    let received = &client.streams[&1];
    assert_eq!((&*received.statuses, received.text()), (&[426][..], "not here"));
    assert_eq!((received.field("connection"), received.field("upgrade")), (None, None));
}

#[test]
fn a_panic_is_a_500_or_ends_a_started_response() {
    for path in ["/panic", "/panic-late"] {
        let (output, client) = output_with_jobs(&format!("{}{}{}", get("/"), get(path), get("/")));
        assert_eq!(codes(&output), [200, 500], "{path}");
        assert!(
            output.ends_with("\r\n\r\n500 Internal Server Error\n"),
            "the reason is not shown: {output}"
        );
        let fault = client.fault().unwrap();
        assert_eq!(fault.code, "handler_panicked");
        assert!(fault.what.contains("on purpose"), "{fault}");
    }
    let (output, client) = output_with_jobs(&get("/panic-started"));
    assert!(output.ends_with("\r\n\r\n3\r\nabc\r\n"), "{output}");
    assert_eq!(client.fault().unwrap().code, "handler_panicked");
}

#[test]
fn a_handler_can_close_the_connection() {
    let (output, client) = output_with_jobs(&get("/closing"));
    assert!(output.contains("Connection: close\r\n"), "{output}");
    assert_eq!(client.end(), Some(End::Close));
}

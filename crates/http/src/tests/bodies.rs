//! Requests whose bodies are read, held back, discarded or refused.

use std::cell::RefCell;

use sockeye_proto::{End, Reason, Time};

use super::*;
use crate::{Content, Limits, Stream, StreamEvent, Trailers};

/// Reads bodies as the path says: `/echo` collects the body and sends it back. `/slow` does the
/// same, but runs a job after each piece. `/early` answers at the first piece. `/tiny` accepts four
/// bytes. `/ask` asks for the body when a job has run. All other paths answer at once, and don't
/// read the body.
#[derive(Default)]
pub(super) struct Reader {
    body: Vec<u8>,
    slow: bool,
    early: bool,
    tiny: bool,
}

impl Handler for Reader {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.body = match request.content() {
            Content::None => b"none".to_vec(),
            Content::Length(length) => length.to_string().into_bytes(),
            Content::Chunked => b"chunked".to_vec(),
        };
        self.body.push(b':');
        (self.slow, self.early) = (request.path() == b"/slow", request.path() == b"/early");
        self.tiny = request.path() == b"/tiny";
        match request.path() {
            b"/echo" | b"/slow" | b"/early" => responder.read(),
            b"/tiny" => responder.read_up_to(4),
            b"/ask" => {
                let _ = responder.run(|| ());
                responder.later()
            }
            _ => responder.send(Status::OK, &Fields::new(), Body::Static(b"unread")),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        responder.read()
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        assert!(!piece.is_empty());
        self.body.extend_from_slice(piece);
        if self.early {
            return responder.send(Status::OK, &Fields::new(), Body::Static(b"early"));
        }
        if self.slow {
            let _ = responder.run(|| ());
            return responder.later();
        }
        responder.read()
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        for (name, value) in trailers.fields() {
            self.body.extend([b"|", name, b"=", value].concat());
        }
        let body = std::mem::take(&mut self.body);
        responder.send(Status::OK, &Fields::new(), Body::Shared(&body.into()))
    }
}

fn reader() -> Harness {
    client_of(|_: &Peer| Reader::default())
}

fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// The bodies of the responses in `output`, each as long as its head says.
#[track_caller]
fn bodies(mut output: &str) -> Vec<&str> {
    let mut found = Vec::new();
    while let Some((head, rest)) = output.split_once("\r\n\r\n") {
        let length = head
            .split_once("Content-Length: ")
            .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse().unwrap());
        if !head.ends_with("100 Continue") {
            found.push(&rest[..length]);
        }
        output = &rest[length..];
    }
    assert_eq!(output, "");
    found
}

/// The output for `input`, running all jobs. It must be the same if `input` arrives byte by byte.
#[track_caller]
fn output_with_jobs(input: &str) -> (String, Harness) {
    let mut whole = reader();
    whole.input(input.as_bytes());
    let mut output = whole.output();
    while whole.run_jobs() > 0 {
        output.extend(whole.output());
    }
    let mut dripped = reader();
    let mut dripped_output = Vec::new();
    for byte in input.bytes() {
        if dripped.fault().is_none() && dripped.end().is_none() {
            dripped.input(&[byte]);
        }
        while dripped.run_jobs() > 0 {}
        dripped_output.extend(dripped.output());
    }
    let (output, dripped_output) =
        (String::from_utf8(output).unwrap(), String::from_utf8(dripped_output).unwrap());
    assert_eq!(output, dripped_output);
    assert_eq!(whole.fault(), dripped.fault());
    (output, whole)
}

#[test]
fn bodies_are_read_and_the_next_request_after_them() {
    let next = post("/echo", "", "");
    for (path, fields, body, expected) in [
        ("/echo", "Content-Length: 5\r\n", "hello", "5:hello"),
        ("/echo", "Content-Length: 0\r\n", "", "none:"),
        ("/echo", CHUNKED, "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", "chunked:hello!"),
        ("/echo", CHUNKED, "0\r\n\r\n", "chunked:"),
        ("/echo", CHUNKED, "1\r\na\r\n0\r\nA: b\r\nHost: c\r\n\r\n", "chunked:a|A=b|Host=c"),
        ("/slow", CHUNKED, "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "chunked:hello"),
        ("/slow", "Content-Length: 5\r\n", "hello", "5:hello"),
        ("/ask", "Content-Length: 5\r\n", "hello", "5:hello"),
        ("/ask", "", "", "none:"),
        ("/tiny", "Content-Length: 4\r\n", "four", "4:four"),
        ("/tiny", CHUNKED, "2\r\nfo\r\n2\r\nur\r\n0\r\n\r\n", "chunked:four"),
        (
            "/unread",
            "Content-Length: 35\r\n",
            "GET /evil HTTP/1.1\r\nHost: abcd\r\n\r\n1",
            "unread",
        ),
        ("/unread", CHUNKED, "3\r\nabc\r\n0\r\nA: b\r\n\r\n", "unread"),
    ] {
        let (output, client) = output_with_jobs(&format!("{}{next}", post(path, fields, body)));
        assert_eq!(bodies(&output), [expected, "none:"], "{path} {fields}{body}");
        assert_eq!((client.end(), client.unused()), (None, 0));
    }
}

#[test]
fn a_100_is_sent_only_when_the_handler_reads_the_body() {
    let expect = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let mut client = reader();
    client.input(post("/echo", expect, "").as_bytes());
    assert_eq!(client.output(), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.input(b"hello");
    assert_eq!(bodies(&text(&mut client)), ["5:hello"]);
    assert!(client.end().is_none());

    let (output, client) = output_with_jobs(&post("/unread", expect, ""));
    assert_eq!(codes(&output), [200]);
    assert!(output.contains("Connection: close\r\n"));
    assert_eq!(client.end(), Some(End::Linger));

    // A body that is too large is refused before it is sent.
    let (output, _) = output_with_jobs(&post("/tiny", expect, ""));
    assert_eq!(codes(&output), [413]);

    let chunked = format!("Expect: 100-CONTINUE\r\n{CHUNKED}");
    let (output, _) = output_with_jobs(&post("/ask", &chunked, "1\r\na\r\n0\r\n\r\n"));
    assert_eq!((codes(&output), bodies(&output)), (vec![100, 200], vec!["chunked:a"]));

    // HTTP/1.0 has no interim responses.
    let old = format!("POST /echo HTTP/1.0\r\n{expect}\r\nhello");
    assert_eq!(codes(&output_with_jobs(&old).0), [200]);
    // Without content, no 100 is sent.
    assert_eq!(codes(&output_with_jobs(&post("/echo", "Expect: 100-continue\r\n", "")).0), [200]);
    for (members, status) in [
        ("200-ok", 417),
        ("100-continue, x", 417),
        ("100-continue;x=y", 417),
        (", 100-CONTINUE ,,100-continue", 100),
        ("", 200),
        (",", 200),
    ] {
        let (output, _) = output_with_jobs(&post(
            "/echo",
            &format!("Expect: {members}\r\nContent-Length: 2\r\n"),
            "ab",
        ));
        assert_eq!(codes(&output)[0], status, "{members}");
    }
}

#[test]
fn a_response_before_the_end_of_a_body_leaves_the_rest_unread() {
    let (output, client) = output_with_jobs(&format!(
        "{}{}",
        post("/early", CHUNKED, "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
        post("/echo", "", "")
    ));
    assert_eq!(bodies(&output), ["early", "none:"]);
    assert!(client.end().is_none());

    let mut client = reader();
    client.input(post("/early", "Content-Length: 70000\r\n", "a").as_bytes());
    let output = text(&mut client);
    assert!(output.contains("Connection: close\r\n"), "{output}");
    assert_eq!(client.end(), Some(End::Linger), "the response is readable");
}

#[test]
fn a_large_unread_body_ends_the_connection() {
    let mut client = reader();
    client.input(post("/unread", CHUNKED, "8000\r\n").as_bytes());
    client.input(&[b'x'; 0x8000]);
    client.input(b"\r\n8000\r\n");
    client.input(&[b'x'; 0x8000]);
    assert_eq!(codes(&text(&mut client)), [200]);
    assert!(client.end().is_none());
    client.input(b"\r\n1\r\n");
    assert_eq!(client.end(), Some(End::Linger));
    assert!(client.fault().is_none());
}

#[test]
fn bad_bodies_are_refused_and_nothing_after_them_is_read() {
    let next = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    for (path, fields, body, status, code) in [
        ("/echo", CHUNKED, "x\r\n", 400, "bad_request"),
        ("/echo", CHUNKED, "2\r\nab\n", 400, "bad_request"),
        ("/slow", CHUNKED, "1\r\na\r\n\r\n", 400, "bad_request"),
        ("/echo", CHUNKED, "0\r\nA : b\r\n", 400, "bad_request"),
        ("/tiny", CHUNKED, "3\r\nabc\r\n2\r\n", 413, "body_too_large"),
        ("/tiny", "Content-Length: 5\r\n", "", 413, "body_too_large"),
        ("/echo", "Content-Length: 16777217\r\n", "", 413, "body_too_large"),
    ] {
        let (output, client) = output_with_jobs(&format!("{}{next}", post(path, fields, body)));
        assert_eq!(codes(&output), [status], "{path} {fields}{body}");
        assert!(output.contains("Connection: close\r\n"));
        assert_eq!(client.fault().unwrap().code, code);
    }
    // The request already has its response, so there is no error response.
    let (output, client) = output_with_jobs(&post("/unread", CHUNKED, "x\r\n"));
    assert_eq!((codes(&output), client.fault().unwrap().code), (vec![200], "bad_request"));
}

#[test]
fn an_incomplete_body_is_refused() {
    let mut client = reader();
    client.input(post("/echo", "Content-Length: 5\r\n", "hel").as_bytes());
    client.eof();
    assert_eq!(codes(&text(&mut client)), [400]);
    assert_eq!(client.fault().unwrap().code, "eof_in_body");

    // If the handler doesn't read the body, the client may close its sending side at any time.
    let mut client = reader();
    client.input(post("/unread", "Content-Length: 5\r\n", "hel").as_bytes());
    client.eof();
    assert_eq!(codes(&text(&mut client)), [200]);
    assert_eq!((client.fault(), client.end()), (None, Some(End::Close)));
}

/// Reads bodies, and notes how they end. `/stream` reads when its response has started, `/ask` when
/// a job has run, and `/small` accepts four bytes.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }
}

impl Handler for Notes {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match request.path() {
            b"/stream" => responder.stream(Status::OK, &Fields::new(), None).read(),
            b"/small" => responder.read_up_to(4),
            b"/ask" => {
                let _ = responder.run(|| ());
                responder.later()
            }
            _ => responder.read(),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        r: Responder<'_, '_>,
    ) -> Answer {
        r.read()
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        assert!(!piece.is_empty());
        responder.read()
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        self.note("complete");
        responder.send(Status::OK, &Fields::new(), Body::Empty)
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::BodyEnd(_) => {
                self.note("complete");
                stream.end()
            }
            _ => stream.read(),
        }
    }

    fn on_incomplete(&mut self, _: Time) {
        self.note("incomplete");
    }
}

#[test]
fn a_handler_is_notified_once_of_an_incomplete_body() {
    let reset = |client: &mut Harness| client.end_for(&Reason::Reset);
    let late = |client: &mut Harness| client.pass(Limits::default().body_timeout);
    let eof = |client: &mut Harness| client.eof();
    let bad = |client: &mut Harness| client.input(b"x");
    let length = "Content-Length: 5\r\n";
    type Cut = fn(&mut Harness);
    let cuts: [(&str, &str, &str, Cut, &str); 12] = [
        ("/", length, "hel", eof, "400"),
        ("/", length, "", eof, "400"),
        ("/", length, "hel", late, "408"),
        ("/", length, "hel", reset, ""),
        ("/", CHUNKED, "3\r\nhel", eof, "400"),
        ("/", CHUNKED, "3\r\nhel", bad, "400"),
        ("/", CHUNKED, "0\r\n", late, "408"),
        ("/small", length, "", |_| (), "413"),
        ("/small", CHUNKED, "5\r\n", |_| (), "413"),
        ("/stream", length, "hel", eof, "200"),
        ("/stream", CHUNKED, "3\r\nhel", reset, ""),
        ("/ask", length, "hel", reset, ""),
    ];
    for (path, fields, body, cut, status) in cuts {
        let notes = Notes::default();
        let events = Rc::clone(&notes.0);
        let mut client = client_of(move |_: &Peer| notes.clone());
        client.input(post(path, fields, body).as_bytes());
        cut(&mut client);
        let output = client.output();
        let code = output.get(9..12).unwrap_or_default();
        assert_eq!(code, status.as_bytes(), "{path} {fields}{body}");
        client.end_for(&Reason::Reset);
        assert_eq!(events.take(), ["incomplete"], "{path} {fields}{body}");
    }
    // No event follows a complete body, or a request without one.
    for (path, fields, body, expected) in [
        ("/", length, "hello", &["complete"][..]),
        ("/", "", "", &["complete"]),
        ("/stream", CHUNKED, "0\r\n\r\n", &["complete"]),
        ("/ask", "", "", &[]),
    ] {
        let notes = Notes::default();
        let events = Rc::clone(&notes.0);
        let mut client = client_of(move |_: &Peer| notes.clone());
        client.input(post(path, fields, body).as_bytes());
        client.end_for(&Reason::Reset);
        assert_eq!(events.take(), expected, "{path} {fields}{body}");
    }
}

/// Panics when its body is incomplete.
struct PanicsOnIncomplete;

impl Handler for PanicsOnIncomplete {
    fn on_request(&mut self, _: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        responder.read()
    }

    fn on_incomplete(&mut self, _: Time) {
        panic!("on purpose");
    }
}

#[test]
fn a_panic_in_on_incomplete_does_not_change_the_response() {
    let mut client = client_of(|_: &Peer| PanicsOnIncomplete);
    client.input(post("/", "Content-Length: 5\r\n", "hel").as_bytes());
    client.eof();
    assert!(client.output().starts_with(b"HTTP/1.1 400 "));
    assert_eq!(client.fault().unwrap().code, "handler_panicked");
}

#[test]
fn a_body_times_out_only_without_progress() {
    let Limits { body_timeout, .. } = Limits::default();
    let nearly = body_timeout.checked_sub(std::time::Duration::from_millis(1)).unwrap();
    let mut client = reader();
    client.input(post("/echo", "Content-Length: 5\r\n", "h").as_bytes());
    for byte in b"ell" {
        client.pass(nearly);
        client.input(&[*byte]);
    }
    client.pass(nearly);
    assert!(client.fault().is_none());
    client.pass(body_timeout - nearly);
    assert_eq!(codes(&text(&mut client)), [408]);
    assert_eq!(client.fault().unwrap().code, "body_timeout");

    // There is no timeout while the handler holds the body back.
    let mut client = reader();
    client.input(post("/slow", "Content-Length: 5\r\n", "h").as_bytes());
    client.pass(body_timeout * 10);
    client.run_jobs();
    client.input(b"e");
    client.run_jobs();
    client.pass(nearly);
    assert!(client.fault().is_none());

    let mut client = reader();
    client.input(post("/unread", "Content-Length: 5\r\n", "h").as_bytes());
    client.output();
    client.pass(body_timeout);
    assert_eq!((client.fault(), client.end()), (None, Some(End::Linger)));
}

/// Also within one chunk, whose size the client has sent before the response.
#[test]
fn a_large_rest_of_a_chunk_ends_the_connection() {
    let Limits { discard, .. } = Limits::default();
    let mut client = reader();
    client.input(post("/early", "Transfer-Encoding: chunked\r\n", "800000\r\nx").as_bytes());
    assert_eq!(codes(&text(&mut client)), [200]);
    client.input(&vec![b'x'; discard as usize]);
    assert_eq!(client.end(), None);
    client.input(b"x");
    assert_eq!((client.fault(), client.end()), (None, Some(End::Linger)));
}

/// Otherwise a byte now and then would hold the connection for weeks.
#[test]
fn an_unread_body_times_out_with_progress_too() {
    let Limits { body_timeout, .. } = Limits::default();
    let mut client = reader();
    client.input(post("/unread", "Content-Length: 60000\r\n", "h").as_bytes());
    client.output();
    client.pass(body_timeout / 2);
    client.input(b"e");
    assert_eq!(client.end(), None);
    client.pass(body_timeout / 2);
    assert_eq!((client.fault(), client.end()), (None, Some(End::Linger)));
}

#[test]
fn draining_answers_a_request_whose_body_is_incomplete() {
    let mut client = reader();
    client.input(post("/echo", "Content-Length: 5\r\n", "hel").as_bytes());
    client.drain();
    client.input(format!("lo{}", post("/echo", "", "")).as_bytes());
    let output = text(&mut client);
    assert_eq!(bodies(&output), ["5:hello"]);
    assert!(output.contains("Connection: close\r\n"), "{output}");
    assert_eq!(client.end(), Some(End::Linger));
}

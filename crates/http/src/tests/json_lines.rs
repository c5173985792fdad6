//! Several requests in flight on one connection, with the test wire.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use serde_json::{Value, json};
use sockeye_proto::{Promise, Reason};

use super::*;
use crate::{JsonLines, Limits, Log, Outcome, RequestHead, Stream, StreamEvent, Trailers};

static LARGE: [u8; 10 * 16384 + 7] = [b'x'; 10 * 16384 + 7];

/// `/later` answers when a test fulfills its promise, `/never` not at all. `/endless` streams while
/// there is room, `/echo` streams what it reads, `/stop` streams until the server drains. `/large`
/// has a large response, `/collect` answers after the request's content, `/panic` panics. Other
/// paths answer at once.
struct Several(Rc<Shared>);

#[derive(Default)]
struct Shared {
    promises: RefCell<Vec<Promise>>,
    alive: Cell<i32>,
    /// Whether `/collect` answers as `/later`.
    collects_for_later: Cell<bool>,
}

impl Drop for Several {
    fn drop(&mut self) {
        self.0.alive.update(|alive| alive - 1);
    }
}

fn pour(mut stream: Stream<'_, '_>) -> Answer {
    while !stream.is_full() {
        stream.write(&[b'x'; 1000]);
    }
    stream.more()
}

impl Handler for Several {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let none = Fields::new();
        match request.path() {
            b"/later" => {
                self.0.promises.borrow_mut().push(responder.promise());
                responder.later()
            }
            b"/never" => responder.later(),
            b"/endless" => pour(responder.stream(Status::OK, &none, None)),
            b"/echo" => responder.stream(Status::OK, &none, None).read(),
            b"/stop" => responder.stream(Status::OK, &none, None).later(),
            b"/large" => responder.send(Status::OK, &none, Body::Static(&LARGE)),
            b"/collect" => responder.read(),
            b"/panic" => panic!("on purpose"),
            path => responder.send(Status::OK, &none, Body::Copied(path)),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let text = *body.unwrap().downcast::<&'static str>().unwrap();
        responder.send(Status::OK, &Fields::new(), Body::Static(text.as_bytes()))
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        if self.0.collects_for_later.get() {
            self.0.promises.borrow_mut().push(responder.promise());
            return responder.later();
        }
        responder.send(Status::OK, &Fields::new(), Body::Static(b"collected"))
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Room => pour(stream),
            StreamEvent::Body(piece) => {
                stream.write(piece);
                stream.read()
            }
            StreamEvent::BodyEnd(trailers) => {
                let mut fields = Fields::new();
                for (name, value) in Trailers::fields(trailers) {
                    fields.push(str::from_utf8(name).unwrap(), value).unwrap();
                }
                stream.end_with(&fields)
            }
            StreamEvent::Drain => stream.end(),
            _ => stream.later(),
        }
    }
}

/// Records the targets of requests and why they ended, in the order in which they ended.
#[derive(Debug, Default)]
struct Ends(RefCell<Vec<String>>);

impl Log for Ends {
    fn on_request(
        &self,
        request: RequestHead<'_>,
        _: &Peer,
        _: sockeye_proto::WallTime,
        notes: &mut Vec<u8>,
    ) {
        let RequestHead::Parsed(request) = request else { return };
        notes.extend_from_slice(request.target());
    }

    fn on_end(&self, notes: &[u8], outcome: &Outcome) {
        let notes = String::from_utf8_lossy(notes);
        self.0.borrow_mut().push(format!("{notes} {}", outcome.end_reason.as_str()));
    }
}

struct Scene {
    client: Harness,
    shared: Rc<Shared>,
    ends: Rc<Ends>,
}

impl Scene {
    fn with(limits: Limits) -> Self {
        let (shared, ends) = (Rc::<Shared>::default(), Rc::<Ends>::default());
        let config = Rc::new(ServerConfig::new(limits).logging(ends.clone()));
        let ours = Rc::clone(&shared);
        let server = JsonLines::new(config, move |_: &Peer| {
            ours.alive.update(|alive| alive + 1);
            Several(Rc::clone(&ours))
        });
        Self { client: Harness::new(server), shared, ends }
    }

    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn get(&mut self, stream: u32, path: &str) {
        self.send_line(
            &json!({"stream": stream, "method": "GET", "path": path, "fields": [["host", "a"]]}),
        );
    }

    fn send_line(&mut self, line: &Value) {
        self.client.input(format!("{line}\n").as_bytes());
    }

    /// The output since the last call, as [`lines`].
    fn lines(&mut self) -> Vec<String> {
        lines(&self.client.output())
    }
}

/// The lines of `output`, each as its stream's number and the status, the content (its length if it
/// is long), or how the response ended.
fn lines(mut output: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while !output.is_empty() {
        let end = output.iter().position(|byte| *byte == b'\n').expect("a line");
        let line: Value = serde_json::from_slice(&output[..end]).expect("JSON");
        output = &output[end + 1..];
        let stream = &line["stream"];
        if let Some(len) = line["content"].as_u64() {
            let (content, rest) = output.split_at(len as usize);
            let shown =
                if len < 20 { String::from_utf8_lossy(content).into() } else { len.to_string() };
            lines.push(format!("{stream} {shown}"));
            output = rest;
        } else if let Some(status) = line["status"].as_u64() {
            lines.push(format!("{stream} {status}"));
        } else {
            lines.push(format!(
                "{stream} {}",
                if line["end"].is_array() { "end" } else { "aborted" }
            ));
        }
    }
    lines
}

#[test]
fn an_idle_connection_and_an_incomplete_line_end_with_different_faults() {
    let Limits { head_timeout, idle_timeout, .. } = Limits::default();
    for (input, timeout, code, says) in [
        (&b""[..], idle_timeout, "idle_timeout", "was silent for 60 s"),
        (b"{\"stream\": 1", head_timeout, "line_timeout", "did not complete a line in time"),
    ] {
        let mut scene = Scene::new();
        scene.client.input(input);
        scene.client.pass(timeout);
        let fault = scene.client.fault().unwrap();
        assert_eq!(fault.code, code);
        assert!(fault.to_string().contains(says), "{fault}");
    }
}

#[test]
fn each_line_has_a_deadline_which_further_bytes_do_not_move() {
    let half = Limits::default().head_timeout / 2;
    let mut scene = Scene::new();
    for part in ["{\"stream\"", ": 1, \"cancel\": true}\n{", "\"stream\""] {
        scene.client.input(part.as_bytes());
        assert!(scene.client.fault().is_none(), "before {part}");
        scene.client.pass(half);
    }
    assert_eq!(scene.client.fault().unwrap().code, "line_timeout");
}

#[test]
fn responses_and_log_entries_appear_when_they_are_ready() {
    let mut scene = Scene::new();
    scene.get(1, "/later");
    scene.get(2, "/later");
    scene.get(3, "/at-once");
    assert_eq!(scene.lines(), ["3 200", "3 /at-once", "3 end"]);
    let promises = scene.shared.promises.take();
    for (promise, text) in promises.into_iter().zip(["first", "second"]).rev() {
        promise.fulfill(Box::new(text));
    }
    scene.client.deliver();
    assert_eq!(scene.lines(), ["2 200", "2 second", "2 end", "1 200", "1 first", "1 end"]);
    assert_eq!(scene.ends.0.take(), ["/at-once complete", "/later complete", "/later complete"]);
    assert_eq!(scene.shared.alive.get(), 0);
}

#[test]
fn a_stream_that_is_not_read_blocks_no_other_and_cancelled_ones_are_dropped() {
    let mut scene = Scene::new();
    scene.get(1, "/endless");
    scene.send_line(&json!({"stream": 1, "reads": false}));
    scene.lines();
    scene.get(2, "/at-once");
    assert_eq!(scene.lines(), ["2 200", "2 /at-once", "2 end"]);
    scene.get(3, "/never");
    assert_eq!(scene.shared.alive.get(), 2);
    for stream in [1, 3] {
        scene.send_line(&json!({"stream": stream, "cancel": true}));
    }
    assert_eq!(scene.lines(), ["1 aborted", "3 aborted"]);
    assert_eq!(scene.shared.alive.get(), 0);
    let ends = ["/at-once complete", "/endless client-aborted", "/never client-aborted"];
    assert_eq!(scene.ends.0.take(), ends);
}

#[test]
fn a_request_that_is_cancelled_in_the_same_input_gets_the_head_of_its_response() {
    for (method, path) in [("GET", "/endless"), ("GET", "/large"), ("HEAD", "/large")] {
        let mut scene = Scene::new();
        let request =
            json!({"stream": 1, "method": method, "path": path, "fields": [["host", "a"]]});
        let cancel = json!({"stream": 1, "cancel": true});
        scene.client.input(format!("{request}\n{cancel}\n").as_bytes());
        assert_eq!(scene.lines(), ["1 200", "1 aborted"], "{method} {path}");
        assert_eq!(scene.ends.0.take(), [format!("{path} client-aborted")], "{method}");
    }
}

#[test]
fn a_complete_request_is_answered_after_the_client_has_closed_its_sending_side() {
    let mut scene = Scene::new();
    scene.shared.collects_for_later.set(true);
    scene.send_line(&json!({"stream": 1, "method": "POST", "path": "/collect",
        "fields": [["host", "a"]], "content": true}));
    scene.send_line(&json!({"stream": 1, "end": []}));
    scene.client.eof();
    assert_eq!(scene.lines(), [""; 0]);
    for promise in scene.shared.promises.take() {
        promise.fulfill(Box::new("late"));
    }
    scene.client.deliver();
    assert_eq!(scene.lines(), ["1 200", "1 late", "1 end"]);
}

#[test]
fn a_stream_number_is_never_used_again() {
    for stream in [1, 2] {
        let mut scene = Scene::new();
        scene.get(2, "/later");
        scene.send_line(&json!({"stream": 2, "cancel": true}));
        assert_eq!(scene.lines(), ["2 aborted"]);
        scene.get(stream, "/later");
        assert_eq!(scene.client.fault().unwrap().code, "stream_reused");
    }
}

#[test]
fn large_responses_take_turns() {
    let mut scene = Scene::new();
    let line = |stream| json!({"stream": stream, "method": "GET", "path": "/large", "fields": [["host", "a"]]});
    scene.client.input(format!("{}\n{}\n", line(1), line(2)).as_bytes());
    let lines = scene.lines();
    let whole = LARGE.len() / 16384;
    let content: Vec<&String> = lines.iter().filter(|line| line.ends_with("16384")).collect();
    assert_eq!(content.len(), 2 * whole, "{lines:?}");
    assert!(content.windows(2).all(|two| two[0] != two[1]), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.ends_with("end")).count(), 2);
}

#[test]
fn content_of_several_streams_is_interleaved() {
    let mut scene = Scene::new();
    for stream in [1, 2] {
        scene.send_line(&json!({"stream": stream, "method": "POST", "path": "/echo",
            "fields": [["host", "a"]], "content": true}));
    }
    for (stream, text) in [(1, "one"), (2, "two"), (1, "three")] {
        scene.send_line(&json!({"stream": stream, "content": text.len()}));
        text.bytes().for_each(|byte| scene.client.input(&[byte]));
    }
    scene.send_line(&json!({"stream": 2, "end": [["x", "y"]]}));
    let lines = scene.lines();
    let content = |stream: char| -> String {
        let of = lines.iter().filter(|line| line.starts_with(stream)).map(|line| &line[2..]);
        of.collect()
    };
    assert_eq!((content('1'), content('2')), ("200onethree".into(), "200twoend".into()));
}

#[test]
fn content_that_is_longer_or_shorter_than_announced_is_refused() {
    for (announced, pieces, expected) in [
        (json!(5), &["hello"][..], "200"),
        (json!(5), &["he", "llo"], "200"),
        (json!(5), &["hel"], "400"),
        (json!(5), &["hel", "lo!"], "400"),
        (json!(5), &["hello", "!"], "400"),
        // The request has no content, and is answered already.
        (json!(0), &["!"], "200"),
        (json!(true), &["hel"], "200"),
    ] {
        let mut scene = Scene::new();
        scene.send_line(&json!({"stream": 1, "method": "POST", "path": "/collect",
            "fields": [["host", "a"]], "content": announced}));
        for piece in pieces {
            scene.send_line(&json!({"stream": 1, "content": piece.len()}));
            scene.client.input(piece.as_bytes());
        }
        scene.send_line(&json!({"stream": 1, "end": []}));
        let lines = scene.lines();
        assert_eq!(lines[0], format!("1 {expected}"), "{announced}, {pieces:?}");
        assert_eq!(lines.last().unwrap(), "1 end", "{announced}, {pieces:?}");
        scene.get(2, "/at-once");
        assert_eq!(scene.lines()[0], "2 200", "the connection continues");
    }
}

#[test]
fn a_panic_ends_its_stream_alone() {
    let mut scene = Scene::new();
    scene.get(1, "/later");
    scene.get(2, "/panic");
    let lines = scene.lines();
    assert_eq!((&*lines[0], lines.last().map(String::as_str)), ("2 500", Some("2 end")));
    assert_eq!(scene.client.fault(), None);
    for promise in scene.shared.promises.take() {
        promise.fulfill(Box::new("still there"));
    }
    scene.client.deliver();
    assert_eq!(scene.lines(), ["1 200", "1 still there", "1 end"]);
}

#[test]
fn deadlines_belong_to_their_streams() {
    let limits = Limits { response_timeout: Some(Duration::from_secs(3)), ..Limits::default() };
    let mut scene = Scene::with(limits);
    scene.get(1, "/later");
    scene.client.pass(Duration::from_secs(2));
    scene.get(2, "/never");
    scene.client.pass(Duration::from_secs(1));
    let lines = scene.lines();
    assert_eq!((&*lines[0], lines.len()), ("1 503", 3));
    scene.client.pass(Duration::from_secs(2));
    assert_eq!(scene.lines()[0], "2 503");
    // A message to a stream that has ended is dropped.
    for promise in scene.shared.promises.take() {
        promise.fulfill(Box::new("too late"));
    }
    scene.client.deliver();
    assert_eq!(scene.lines(), [""; 0]);
}

#[test]
fn a_drain_ends_streams_that_can_end_and_waits_for_others() {
    let mut scene = Scene::new();
    scene.get(1, "/stop");
    scene.get(2, "/later");
    scene.lines();
    scene.client.drain();
    assert_eq!(scene.lines(), ["1 end"]);
    assert_eq!(scene.client.end(), None);
    for promise in scene.shared.promises.take() {
        promise.fulfill(Box::new("done"));
    }
    scene.client.deliver();
    assert_eq!(scene.lines(), ["2 200", "2 done", "2 end"]);
    assert!(scene.client.end().is_some());
}

#[test]
fn a_reset_ends_all_streams() {
    let mut scene = Scene::new();
    scene.get(1, "/later");
    scene.get(2, "/endless");
    scene.client.end_for(&Reason::Reset);
    assert_eq!(scene.shared.alive.get(), 0);
    assert_eq!(scene.ends.0.take().len(), 2);
}

#[test]
fn paths_have_the_characters_that_http1_accepts() {
    for (path, is_valid) in [
        ("/a|b^?c|d\\\"", true),
        ("/\"<{`}>", true),
        ("/a\\b", false),
        ("/a\\?b", false),
        ("/a?b#c", false),
        ("/\u{e9}", false),
        ("/a b", false),
        ("/a?b c", false),
    ] {
        let mut scene = Scene::new();
        scene.get(1, path);
        assert_eq!(scene.lines().first().is_some_and(|line| line == "1 200"), is_valid, "{path}");
    }
}

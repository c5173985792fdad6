//! Attacks by someone who has read the code. The name of each test says what must hold.

use std::time::Duration;

use sockeye_proto::End;
use sockeye_proto::echo::Echo;

use super::*;
use crate::{Limits, Stream, StreamEvent, Trailers};

static MUCH: [u8; Harness::ROOM / 4] = [b'x'; Harness::ROOM / 4];

/// Answers each path in a different way.
#[derive(Default)]
pub(super) struct Odd {
    path: Vec<u8>,
    body: Vec<u8>,
}

impl Handler for Odd {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.path = request.path().to_vec();
        self.body.clear();
        match &self.path[..] {
            b"/hold" => responder.read(),
            b"/endless" => endless(responder.stream(Status::OK, &Fields::new(), None)),
            b"/amplify" => responder.stream(Status::OK, &Fields::new(), None).read(),
            b"/reset" => {
                responder.send(Status::RESET_CONTENT, &Fields::new(), Body::Static(b"abc"))
            }
            b"/reset-page" => responder.error(Status::RESET_CONTENT, &Fields::new(), "abc"),
            b"/reset-stream" => {
                let mut stream = responder.stream(Status::RESET_CONTENT, &Fields::new(), None);
                stream.write(b"abc");
                stream.end_with(&Fields::new().with("A", b"b").unwrap())
            }
            b"/upgrade-late" => {
                let _ = responder.run(|| ());
                responder.later()
            }
            b"/upgrade" => upgrade(responder),
            b"/too-much" => endless(responder.stream(Status::OK, &Fields::new(), Some(9))),
            path => {
                let text = path.escape_ascii().to_string();
                responder.send(Status::OK, &Fields::new(), Body::Shared(&text.into()))
            }
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        if self.path == b"/upgrade-late" { upgrade(responder) } else { responder.read() }
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.body.extend_from_slice(piece);
        let _ = responder.run(|| ());
        responder.later()
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let body = std::mem::take(&mut self.body);
        responder.send(Status::OK, &Fields::new(), Body::Shared(&body.into()))
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Body(_) => {
                stream.write(&MUCH);
                stream.read()
            }
            StreamEvent::BodyEnd(_) => stream.end(),
            StreamEvent::Room => endless(stream),
            _ => stream.abort(),
        }
    }
}

fn upgrade(responder: Responder<'_, '_>) -> Answer {
    let upgraded = responder.upgrade("echo", &Fields::new(), Box::new(Echo::default()));
    upgraded.unwrap_or_else(|responder| responder.error(Status::NOT_FOUND, &Fields::new(), ""))
}

/// Writes while the output has room. The response never ends.
fn endless(mut stream: Stream<'_, '_>) -> Answer {
    let mut count = 0;
    while !stream.is_full() {
        stream.write(b"and so on, ");
        count += 1;
        assert!(count < Harness::ROOM, "there is always room");
    }
    stream.more()
}

fn odd_client() -> Harness {
    client_of(|_: &Peer| Odd::default())
}

#[test]
fn the_body_timeout_restarts_when_a_held_back_body_is_read() {
    let Limits { body_timeout, .. } = Limits::default();
    let mut client = odd_client();
    client.input(b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh");
    client.pass(body_timeout * 10);
    // The handler asks for more content: the timeout starts now.
    client.run_jobs();
    client.pass(body_timeout - Duration::from_millis(1));
    assert!(client.fault().is_none(), "{:?}", client.fault());
    client.pass(Duration::from_millis(1));
    assert_eq!(client.fault().unwrap().code, "body_timeout");
    assert_eq!(codes(&text(&mut client)), [408]);
}

#[test]
fn an_endless_response_ends_if_its_content_is_not_sent() {
    let mut client = odd_client();
    client.input(b"HEAD /endless HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(codes(&text(&mut client)), [200, 200]);
    assert!(client.fault().is_none());

    let mut client = odd_client();
    client.input(b"GET /too-much HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text(&mut client).ends_with("\r\nContent-Length: 9\r\n\r\n"));
    assert_eq!(client.fault().unwrap().code, "response_aborted");
}

#[test]
fn content_is_read_only_while_the_output_has_room() {
    let Limits { body_timeout, .. } = Limits::default();
    for pieces in [1, 4, 5, 100] {
        let mut client = odd_client();
        let chunks = "1\r\na\r\n".repeat(pieces);
        let head = "POST /amplify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client
            .input(format!("{head}{chunks}0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert!(client.held() <= Harness::ROOM + 2 * MUCH.len(), "{}", client.held());
        // The server doesn't read while the output is full.
        client.pass(body_timeout * 2);
        let output = text(&mut client);
        assert!(output.ends_with("\r\n\r\n/2"), "{pieces}: {:?}", client.fault());
        assert_eq!(output.matches("10000\r\n").count(), pieces);
        assert!(client.end().is_none());
    }
    // The output is full after the last piece of content, so only the end remains to be delivered.
    let mut client = odd_client();
    client.input(b"POST /amplify HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    client.drip(b"aaaa");
    assert!(text(&mut client).ends_with("\r\n0\r\n\r\n"));
}

#[test]
fn a_205_never_has_content() {
    for path in ["/reset", "/reset-page", "/reset-stream"] {
        let mut client = odd_client();
        client.input(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let output = text(&mut client);
        assert!(output.ends_with("GMT\r\nContent-Length: 0\r\n\r\n"), "{path}: {output}");
        assert!(client.fault().is_none() && client.end().is_none());
    }
}

#[test]
fn a_stopping_server_refuses_upgrades() {
    for path in ["/upgrade", "/upgrade-late"] {
        let fields = "Host: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n";
        let request = format!("GET {path} HTTP/1.1\r\n{fields}\r\nhello");
        let mut client = odd_client();
        client.input(request.as_bytes());
        client.run_jobs();
        let output = text(&mut client);
        assert!(
            output.starts_with("HTTP/1.1 101 ") && output.ends_with("\r\n\r\nhello"),
            "{output}"
        );

        let mut client = odd_client();
        let request = request.trim_end_matches("hello");
        // For `/upgrade-late`, the drain starts after its handler was called; for `/upgrade`, when
        // only a part of the head has arrived.
        let at = if path == "/upgrade" { 9 } else { request.len() };
        client.input(&request.as_bytes()[..at]);
        client.drain();
        client.input(&request.as_bytes()[at..]);
        client.run_jobs();
        let output = text(&mut client);
        assert_eq!((codes(&output), client.end()), (vec![404], Some(End::Linger)), "{path}");
        assert!(output.contains("\r\nConnection: close\r\n"), "{output}");
    }
}

#[test]
fn an_upgrade_without_a_protocol_is_ignored() {
    for fields in ["", "Upgrade:\r\n", "Upgrad: echo\r\n", "X: y\r\nEcho: upgrade\r\n"] {
        let mut client = odd_client();
        let head = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n";
        client.input(format!("{head}{fields}\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(codes(&text(&mut client)), [404, 200], "{fields}");
    }
}

#[test]
fn an_exchange_cut_in_two_anywhere_gives_the_same_bytes() {
    let held = "POST /hold HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n\
                5;x\r\nhello\r\n2\r\n\r\n\r\n0\r\nA: b\r\n\r\n";
    let streamed = "POST /amplify HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let unread =
        "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let upgrade = "GET /upgrade-late HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello";
    let stream = [held, streamed, unread, upgrade].concat();
    let output_with_jobs = |parts: [&str; 2]| {
        let mut client = odd_client();
        let mut output = Vec::new();
        for part in parts {
            client.input(part.as_bytes());
            output.extend(client.output());
            while client.run_jobs() > 0 {
                output.extend(client.output());
            }
        }
        client.eof();
        output.extend(client.output());
        assert!(client.finished(), "{:?}", client.fault());
        output
    };
    let whole = output_with_jobs([&stream, ""]);
    let responses = String::from_utf8(whole.clone()).unwrap();
    assert_eq!(codes(&responses), [100, 200, 200, 200, 101]);
    assert!(responses.ends_with("\r\n\r\nhello"));
    for at in 0..stream.len() {
        let (first, second) = stream.split_at(at);
        assert_eq!(output_with_jobs([first, second]), whole, "cut at {at}");
    }
}

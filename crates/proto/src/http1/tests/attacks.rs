//! What an enemy would try who has read the code: see each test's name.

use std::time::Duration;

use super::*;
use crate::http1::{Limits, Stream, StreamEvent, Trailers};

/// Does as the path says: the tests beside it tell what.
#[derive(Default)]
struct Odd {
    path: Vec<u8>,
    body: Vec<u8>,
}

impl Handler for Odd {
    fn on_request(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer {
        self.path = request.path().to_vec();
        self.body.clear();
        match &self.path[..] {
            b"/hold" => reply.read(),
            b"/endless" => endless(reply.stream(Status::OK, &Fields::new(), None)),
            b"/too-much" => endless(reply.stream(Status::OK, &Fields::new(), Some(9))),
            path => {
                let text = path.escape_ascii().to_string();
                reply.send(Status::OK, &Fields::new(), Body::Shared(&text.into()))
            }
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        reply.read()
    }

    fn on_body(&mut self, piece: &[u8], reply: Reply<'_, '_>) -> Answer {
        self.body.extend_from_slice(piece);
        let _ = reply.run(|| ());
        reply.later()
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, reply: Reply<'_, '_>) -> Answer {
        let body = std::mem::take(&mut self.body);
        reply.send(Status::OK, &Fields::new(), Body::Shared(&body.into()))
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Room => endless(stream),
            _ => stream.abort(),
        }
    }
}

/// Writes for as long as there is room: a reply without an end.
fn endless(mut stream: Stream<'_, '_>) -> Answer {
    let mut count = 0;
    while !stream.is_full() {
        stream.write(b"and so on, ");
        count += 1;
        assert!(count < Harness::ROOM, "there is always room");
    }
    stream.more()
}

fn odd() -> Harness {
    Harness::new(Server::new(Rc::new(Shared::default()), Odd::default()))
}

fn text(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap()
}

#[test]
fn a_body_that_was_held_back_for_long_has_its_time_anew() {
    let Limits { body_timeout, .. } = Limits::default();
    let mut client = odd();
    client.input(b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh");
    client.pass(body_timeout * 10);
    // It is asked for again: only now is it waited for.
    client.run_jobs();
    client.pass(body_timeout - Duration::from_millis(1));
    assert!(client.fault().is_none(), "{:?}", client.fault());
    client.pass(Duration::from_millis(1));
    assert_eq!(client.fault().unwrap().code, "body_timeout");
    assert_eq!(codes(&text(client.output())), [408]);
}

#[test]
fn a_reply_without_an_end_has_one_where_its_content_goes_nowhere() {
    let mut client = odd();
    client.input(b"HEAD /endless HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(codes(&text(client.output())), [200, 200]);
    assert!(client.fault().is_none());

    let mut client = odd();
    client.input(b"GET /too-much HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text(client.output()).ends_with("\r\nContent-Length: 9\r\n\r\n"));
    assert_eq!(client.fault().unwrap().code, "reply_aborted");
}

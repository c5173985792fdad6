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
        let _ = event;
        stream.abort()
    }
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

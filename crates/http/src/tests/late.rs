//! `Limits::response_timeout`: responses that must start within a time limit.

use std::time::Duration;

use sockeye_proto::End;

use super::*;
use crate::{Limits, Stream, StreamEvent, Trailers};

/// `/now` answers at once, all other paths when a job has run. `/stream` answers with a stream,
/// `/body` reads the body before it runs the job, and `/on` keeps waiting at the first timeout.
#[derive(Default)]
pub(super) struct Slow {
    path: Vec<u8>,
    timeouts: u32,
}

impl Handler for Slow {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.path = request.path().to_vec();
        match &self.path[..] {
            b"/body" => responder.read(),
            b"/now" => responder.send(Status::OK, &Fields::new(), Body::Static(b"now")),
            _ => {
                let _ = responder.run(|| ());
                responder.later()
            }
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        r: Responder<'_, '_>,
    ) -> Answer {
        if self.path == b"/stream" {
            return r.stream(Status::OK, &Fields::new(), None).later();
        }
        r.send(Status::OK, &Fields::new(), Body::Static(b"done"))
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let _ = responder.run(|| ());
        responder.later()
    }

    fn on_response_timeout(&mut self, responder: Responder<'_, '_>) -> Answer {
        self.timeouts += 1;
        if self.path == b"/on" && self.timeouts == 1 {
            responder.later()
        } else {
            responder.time_out()
        }
    }

    fn on_stream(&mut self, _: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        stream.later()
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn limited() -> Rc<ServerConfig> {
    Rc::new(ServerConfig::new(Limits { response_timeout: Some(secs(5)), ..Limits::default() }))
}

/// A client that has sent `request`, which is not answered yet.
fn send(request: &str) -> Harness {
    let mut client = Harness::new(Server::new(limited(), |_: &Peer| Slow::default()));
    client.input(request.as_bytes());
    assert_eq!(client.output(), b"");
    client
}

#[test]
fn a_late_response_is_a_503_and_the_connection_stays_open() {
    let mut client = send(&get("/later"));
    client.pass(secs(4));
    assert_eq!(text(&mut client), "");
    client.pass(secs(1));
    let output = text(&mut client);
    assert_eq!(codes(&output), [503]);
    let page = "503 Service Unavailable\nThe response was not ready in time.\n";
    assert!(output.ends_with(page) && !output.contains("Connection: close"), "{output}");
    // The job's late message is ignored, and the next request has a timeout of its own.
    client.run_jobs();
    assert_eq!(text(&mut client), "");
    client.input(get("/now").as_bytes());
    assert_eq!(codes(&text(&mut client)), [200]);
    client.input(get("/later").as_bytes());
    client.pass(secs(4));
    client.run_jobs();
    assert_eq!(codes(&text(&mut client)), [200]);
    client.pass(secs(50));
    assert!(client.fault().is_none(), "an answered request has no timeout");
}

#[test]
fn the_timeout_restarts_if_the_handler_keeps_waiting() {
    let mut client = send(&get("/on"));
    client.pass(secs(9));
    assert_eq!(text(&mut client), "");
    client.pass(secs(1));
    assert_eq!(codes(&text(&mut client)), [503]);
}

#[test]
fn a_stream_that_started_in_time_has_no_response_timeout() {
    let mut client = send(&get("/stream"));
    client.pass(secs(4));
    client.run_jobs();
    assert_eq!(codes(&text(&mut client)), [200]);
    client.pass(secs(1000));
    assert_eq!(client.fault(), None);
    // If the client has closed its sending side, `half_closed_timeout` applies, not the rest of the
    // response timeout.
    let mut client = send(&get("/stream"));
    client.eof();
    client.pass(secs(4));
    client.run_jobs();
    assert_eq!(codes(&text(&mut client)), [200]);
    client.pass(secs(14));
    assert_eq!(client.fault(), None);
    client.pass(secs(1));
    assert_eq!(client.fault().unwrap().code, "half_closed_timeout");
}

#[test]
fn there_is_no_response_timeout_while_the_body_is_read() {
    let mut client = send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    for byte in [b"a", b"b", b"c"] {
        client.pass(secs(20));
        assert_eq!(text(&mut client), "");
        client.input(byte);
    }
    client.pass(secs(4));
    assert_eq!(text(&mut client), "");
    client.pass(secs(1));
    assert_eq!(codes(&text(&mut client)), [503]);
    client.input(get("/now").as_bytes());
    assert_eq!(codes(&text(&mut client)), [200]);
}

#[test]
fn a_503_closes_the_connection_only_if_the_unread_body_is_large() {
    for (length, persists) in [(3, true), (100_000, false)] {
        let head = format!("POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let mut client = send(&head);
        client.pass(secs(5));
        let output = text(&mut client);
        assert_eq!(codes(&output), [503]);
        assert_eq!(output.contains("Connection: close"), !persists, "{output}");
        assert_eq!(client.end().is_none(), persists);
    }
}

#[test]
fn by_default_a_response_timeout_closes_the_connection() {
    let mut client = Harness::new(Server::new(limited(), |_: &Peer| Mirror::default()));
    client.input(format!("{}{}", get("/later"), get("/later")).as_bytes());
    client.pass(secs(5));
    let output = text(&mut client);
    assert_eq!(codes(&output), [503]);
    assert!(output.contains("Connection: close"), "{output}");
    assert_eq!(client.end(), Some(End::Linger));
}

#[test]
fn without_a_limit_a_response_never_times_out() {
    let mut client = connect();
    client.input(get("/later").as_bytes());
    client.pass(secs(100_000));
    client.run_jobs();
    assert_eq!(codes(&text(&mut client)), [200]);
}

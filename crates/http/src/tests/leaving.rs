//! Clients that end their side while a response is in progress.

use std::borrow::Cow;
use std::time::Duration;

use sockeye_proto::{Blame, Fault};

use super::*;
use crate::{Limits, Stream, StreamEvent};

static WHY: Fault =
    Fault { blame: Blame::Ours, code: "out_of_paper", what: Cow::Borrowed("ran out of paper") };

/// `/feed` streams: it runs a job, writes its text, and repeats this. `/abort` starts a stream and
/// aborts it. All other paths answer when a job has run.
pub(super) struct Feed;

impl Handler for Feed {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match request.path() {
            b"/feed" => {
                let stream = responder.stream(Status::OK, &Fields::new(), None);
                let _ = stream.run(|| "tick");
                stream.later()
            }
            b"/abort" => responder.stream(Status::OK, &Fields::new(), None).abort_with(&WHY),
            _ => {
                let _ = responder.run(|| "late");
                responder.later()
            }
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let text = *body.unwrap().downcast::<&str>().unwrap();
        responder.send(Status::OK, &Fields::new(), Body::Static(text.as_bytes()))
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        if let StreamEvent::Message(_, Ok(text)) = event {
            stream.write(text.downcast::<&str>().unwrap().as_bytes());
            let _ = stream.run(|| "tick");
        }
        stream.later()
    }
}

const FEED: &[u8] = b"GET /feed HTTP/1.1\r\nHost: a\r\n\r\n";
const LATER: &[u8] = b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
const CODE: &str = "half_closed_timeout";

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A client that has sent `requests` and read the output so far.
fn request_all(requests: &[&[u8]]) -> Harness {
    let mut client = client_of(|_: &Peer| Feed);
    client.input(&requests.concat());
    client.output();
    client
}

#[test]
fn a_silent_stream_is_cancelled_15_s_after_its_client_ended_its_side() {
    // Also if there are unread requests after the stream.
    for requests in [&[FEED][..], &[FEED, LATER, FEED]] {
        let mut client = request_all(requests);
        client.pass(secs(1000));
        client.eof();
        client.pass(secs(14));
        assert_eq!(client.fault(), None);
        client.pass(secs(1));
        let fault = client.fault().unwrap();
        assert_eq!(fault.code, CODE);
        let expected = "the peer ended its side, and nothing was sent to it for 15 s";
        assert_eq!(fault.to_string(), expected);
        assert_eq!(client.output(), b"", "there is no last chunk");
    }
}

#[test]
fn the_limit_is_an_option() {
    let limits = Limits { half_closed_timeout: secs(2), ..Limits::default() };
    let mut client = Harness::new(Server::new(Rc::new(ServerConfig::new(limits)), |_: &Peer| Feed));
    client.input(FEED);
    client.output();
    client.eof();
    client.pass(secs(1));
    assert_eq!(client.fault(), None);
    client.pass(secs(1));
    assert_eq!(client.fault().unwrap().code, CODE);
}

#[test]
fn a_stream_that_sends_is_not_cancelled_until_it_is_silent() {
    let mut client = request_all(&[FEED]);
    client.eof();
    for _ in 0..20 {
        client.pass(secs(10));
        client.run_jobs();
        assert_eq!(client.output(), b"4\r\ntick\r\n");
    }
    client.pass(secs(14));
    assert_eq!(client.fault(), None);
    client.pass(secs(1));
    assert_eq!(client.fault().unwrap().code, CODE);
}

#[test]
fn unsent_output_is_not_silence() {
    let mut client = request_all(&[FEED]);
    client.eof();
    client.run_jobs();
    client.pass(secs(100));
    assert_eq!(client.fault(), None, "the engine's write timeout applies");
    // The timeout starts when the output is sent.
    client.pass(secs(4));
    assert_eq!(client.output(), b"4\r\ntick\r\n");
    client.pass(secs(14));
    assert_eq!(client.fault(), None);
    client.pass(secs(1));
    assert_eq!(client.fault().unwrap().code, CODE);
}

#[test]
fn a_response_that_is_not_streamed_has_no_time_limit() {
    let mut client = request_all(&[LATER, LATER]);
    client.eof();
    for _ in 0..2 {
        client.pass(secs(1000));
        assert_eq!(client.run_jobs(), 1);
        let output = text(&mut client);
        assert!(output.ends_with("\r\n\r\nlate"), "{output}");
    }
    assert!(client.finished());
}

#[test]
fn a_stream_that_starts_after_the_end_of_input_has_the_same_timeout() {
    let mut client = request_all(&[LATER, FEED]);
    client.eof();
    client.pass(secs(1000));
    client.run_jobs();
    assert_eq!(codes(&text(&mut client)), [200, 200]);
    client.pass(secs(14));
    assert_eq!(client.fault(), None);
    client.pass(secs(1));
    assert_eq!(client.fault().unwrap().code, CODE);
}

#[test]
fn an_aborted_stream_can_have_its_own_fault() {
    let mut client = client_of(|_: &Peer| Feed);
    client.input(b"GET /abort HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(codes(&text(&mut client)), [200]);
    assert_eq!(client.fault(), Some(&WHY));
}

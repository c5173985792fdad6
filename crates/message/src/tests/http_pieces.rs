//! Content over HTTP that a handler takes piece by piece, and promises that are settled too late.

use super::http::{HttpResponse, chunked, over_http, post};
use super::*;

/// Streams content, and pauses after each piece if the type is `a/pause`. Answers with the number of
/// bytes, or early if a piece begins with `!`.
#[derive(Debug, Default)]
pub(super) struct Piecewise {
    received: usize,
    pauses: bool,
    announced: u64,
    cancelled: Rc<std::cell::RefCell<Vec<u64>>>,
}

impl Handler for Piecewise {
    fn content_mode(&mut self, header: &Header) -> ContentMode {
        self.received = 0;
        self.pauses = header.content_type == "a/pause";
        self.announced = header.content_length;
        ContentMode::Stream
    }

    fn on_message(&mut self, _: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
        responder.fail("content is streamed")
    }

    fn on_content(&mut self, piece: &[u8], responder: &mut Responder<'_, '_>) -> Flow {
        self.received += piece.len();
        if !self.pauses {
            return Flow::More;
        }
        let first = piece[0];
        let _ = responder.run(move || first);
        Flow::Pause
    }

    fn on_end(&mut self, responder: Responder<'_, '_>) -> Answer {
        responder.send(result(&format!("{} of {}", self.received, self.announced)))
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body.map(|body| *body.downcast::<u8>().unwrap()) {
            Ok(b'!') => responder.error("enough", "that was enough"),
            Ok(_) => responder.later(),
            Err(Abandoned) => responder.fail("it was lost"),
        }
    }

    fn on_cancelled(&mut self, request: u64) {
        self.cancelled.borrow_mut().push(request);
    }
}

#[test]
fn content_is_streamed_with_pauses_and_early_answers() {
    let limits = Limits { content: 100, ..Limits::default() };
    let mut client = over_http(limits, Piecewise::default());
    for (request, expected) in [
        (post("Content-Type: a/b\r\n", &[7; 50]), "50 of 50"),
        (post("Content-Type: a/b\r\n", b""), "0 of 0"),
        (chunked("Content-Type: a/b\r\n", &[&[7; 20], &[7; 30]]), "50 of 100"),
    ] {
        client.input(&request);
        assert_eq!(HttpResponse::all(&client.output())[0].json(), json!({ "result": expected }));
    }
    for request in [
        post("Content-Type: a/pause\r\n", &[7; 50]),
        chunked("Content-Type: a/pause\r\n", &[&[7; 20], &[7; 30]]),
    ] {
        let (begin, end) = request.split_at(request.len() - 30);
        client.input(begin);
        client.input(end);
        assert!(client.unused() >= 30, "nothing is read during a pause");
        client.pass(seconds(100));
        assert!(client.output().is_empty(), "a pause does not count as a timeout");
        while client.run_jobs() > 0 {}
        let response = &HttpResponse::all(&client.output())[0];
        assert!(response.json()["result"].as_str().unwrap().starts_with("50 of "), "{response:?}");
    }
    // The rest of the content is discarded after an early answer.
    let request = post("Content-Type: a/pause\r\n", &[b'!'; 50]);
    client.input(&request[..request.len() - 10]);
    client.run_jobs();
    let response = &HttpResponse::all(&client.output())[0];
    assert_eq!((response.status, response.code().as_str()), (422, "enough"));
    client.input(&[&request[request.len() - 10..], &post("Content-Type: a/b\r\n", b"x")].concat());
    assert_eq!(HttpResponse::all(&client.output())[0].json(), json!({"result": "1 of 1"}));
    assert!(client.end().is_none());
}

#[test]
fn chunked_content_above_the_limit_is_cancelled() {
    let cancelled = Rc::default();
    let handler = Piecewise { cancelled: Rc::clone(&cancelled), ..Piecewise::default() };
    let mut client = over_http(Limits { content: 10, ..Limits::default() }, handler);
    client.input(&chunked("Content-Type: a/b\r\n", &[&[7; 10]]));
    client.input(&chunked("Content-Type: a/b\r\n", &[&[7; 10], &[7]]));
    let responses = HttpResponse::all(&client.output());
    assert_eq!((responses[0].status, responses[1].status), (200, 413));
    assert_eq!(*cancelled.borrow(), [1]);
}

#[test]
fn a_promise_of_an_answered_message_has_no_effect() {
    let mut client = over_http(Limits::default(), Piecewise::default());
    let twice = chunked("Content-Type: a/pause\r\n", &[b"!"]);
    client.input(&twice);
    client.run_jobs();
    assert_eq!(HttpResponse::all(&client.output())[0].code(), "enough");

    /// Makes two promises for each message. The first that is settled answers it.
    struct Twice(u32);
    impl Handler for Twice {
        fn on_message(&mut self, _: Message, _: &Peer, mut responder: Responder<'_, '_>) -> Answer {
            self.0 += 1;
            let number = self.0;
            let _ = responder.run(move || number);
            let _ = responder.run(move || number);
            responder.later()
        }
        fn on_settled(
            &mut self,
            _: Ticket,
            body: Result<sockeye_proto::Message, Abandoned>,
            responder: Responder<'_, '_>,
        ) -> Answer {
            let number = *body.unwrap().downcast::<u32>().unwrap();
            assert_eq!(number, self.0, "the promise of an earlier message");
            responder.send(result(&number.to_string()))
        }
    }
    let mut client = over_http(Limits::default(), Twice(0));
    client.input(&post("Content-Type: a/b\r\n", b"x").repeat(2));
    while client.run_jobs() > 0 {}
    let responses = HttpResponse::all(&client.output());
    assert_eq!(responses.len(), 2);
    assert_eq!(responses[1].json(), json!({"result": "2"}));
}

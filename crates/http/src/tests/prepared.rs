//! A prepared response is, byte for byte, the response that `Responder::send` writes.

use sockeye_proto::{FileRange, FileSource};

use super::*;
use crate::PreparedResponse;

#[derive(Debug)]
struct Zeros;

impl FileSource for Zeros {
    fn read_at(&self, _: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

/// Answers `/ready` with the prepared response, `/with` with the one prepared without content, and
/// all other paths with an equal response that is not prepared.
#[derive(Clone)]
pub(super) struct Both {
    status: Status,
    fields: Fields,
    body: Body<'static>,
    ready: PreparedResponse,
    without: PreparedResponse,
}

impl Both {
    pub(super) fn new(status: Status, body: Body<'static>) -> Self {
        let fields = Fields::new().with("X-A", b"b").unwrap();
        let ready = PreparedResponse::new(status, &fields, body.clone());
        let without = PreparedResponse::without_content(status, &fields, body.len());
        Self { status, fields, body, ready, without }
    }
}

impl Handler for Both {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match request.path() {
            b"/ready" => responder.send_prepared(&self.ready),
            b"/with" => match &self.body {
                Body::Shared(content) => responder.send_prepared_with(&self.without, content),
                _ => responder.send_prepared(&self.ready),
            },
            _ => responder.send(self.status, &self.fields, self.body.clone()),
        }
    }
}

/// The response to a request, how much of it was in memory, and whether the connection ends.
fn output_for(body: Body<'static>, status: Status, request: &str) -> (Vec<u8>, usize, bool) {
    let handler = Both::new(status, body);
    let mut client =
        Harness::new(Server::new(Rc::new(ServerConfig::default()), move |_: &Peer| {
            handler.clone()
        }));
    client.input(request.as_bytes());
    let held = client.held();
    (client.output(), held, client.finished())
}

#[test]
fn a_prepared_response_is_sent_as_an_equal_one_is() {
    let shared: &'static Bytes = Box::leak(Box::new(Bytes::from(vec![b's'; 5000])));
    let short: &'static Bytes = Box::leak(Box::new(Bytes::from_static(b"short")));
    let file = || Body::File(FileRange { source: std::sync::Arc::new(Zeros), offset: 0, len: 900 });
    let bodies = [
        Body::Empty,
        Body::Static(b"static"),
        Body::Static(&[b'x'; 3000]),
        Body::Copied(b"copied"),
        Body::Copied(&[b'y'; 3000]),
        Body::Shared(short),
        Body::Shared(shared),
        file(),
    ];
    let statuses = [Status::OK, Status::NOT_FOUND, Status::NO_CONTENT, Status::NOT_MODIFIED]
        .into_iter()
        .chain([Status::RESET_CONTENT]);
    for status in statuses {
        for body in &bodies {
            for (method, fields) in [
                ("GET", "1.1\r\nHost: a\r\n"),
                ("HEAD", "1.1\r\nHost: a\r\n"),
                ("GET", "1.1\r\nHost: a\r\nConnection: close\r\n"),
                ("GET", "1.0\r\n"),
                ("GET", "1.0\r\nConnection: keep-alive\r\n"),
                ("POST", "1.1\r\nHost: a\r\nContent-Length: 900000\r\n"),
            ] {
                let ask = |path| format!("{method} {path} HTTP/{fields}\r\n");
                let unprepared = output_for(body.clone(), status, &ask("/"));
                for path in ["/ready", "/with"] {
                    let ready = output_for(body.clone(), status, &ask(path));
                    assert_eq!(ready, unprepared, "{status}, {body:?}, {method} {fields}");
                }
            }
        }
    }
}

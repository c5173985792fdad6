//! Response timeouts, on a virtual clock.

use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use sockeye::http::{Body, Budget, HttpService, Limits, PendingReply, Reply, Request};
use sockeye::http_core;
use sockeye::proto::harness::Harness;

const TIMEOUT: Duration = Duration::from_secs(5);
const NEARLY: Duration = Duration::from_secs(4);

fn client<R: Into<Reply>>(answer: impl Fn(Request<Body>) -> R + Send + Sync + 'static) -> Harness {
    client_with(&Budget::new("bytes", 1 << 20), answer)
}

/// Bodies are charged to `budget`.
fn client_with<R: Into<Reply>>(
    budget: &Arc<Budget>,
    answer: impl Fn(Request<Body>) -> R + Send + Sync + 'static,
) -> Harness {
    let http = HttpService::with_budget(answer, Arc::clone(budget));
    let limits = Limits { response_timeout: Some(TIMEOUT), ..Limits::default() };
    let shared = Rc::new(http_core::ServerConfig::new(limits));
    Harness::new(http_core::Server::new(shared, http.handlers()))
}

fn output(client: &mut Harness) -> String {
    String::from_utf8(client.output()).unwrap()
}

/// Checks that the client gets 503 after the timeout, and not before.
fn times_out(client: &mut Harness) {
    client.pass(NEARLY);
    assert_eq!(output(client), "");
    client.pass(TIMEOUT - NEARLY);
    let output = output(client);
    assert!(output.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{output}");
    assert!(!output.contains("Connection: close"), "{output}");
    assert!(client.end().is_none(), "the connection stays open");
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_missing_response_is_a_503_and_a_late_one_is_dropped() {
    let (to_test, pending_replies) = mpsc::channel::<PendingReply>();
    let mut client = client(move |_: Request<Body>| {
        let to_test = to_test.clone();
        Reply::later(move |pending| to_test.send(pending).unwrap())
    });
    client.input(GET);
    let first = pending_replies.recv().unwrap();
    assert!(!first.is_gone());
    times_out(&mut client);
    assert!(first.is_gone());
    // A late response is not used for the next request.
    client.input(GET);
    let second = pending_replies.recv().unwrap();
    first.send("first");
    client.deliver();
    assert_eq!(output(&mut client), "");
    assert!(!second.is_gone());
    second.send("second");
    client.deliver();
    assert!(output(&mut client).ends_with("\r\n\r\nsecond"));
}

#[test]
fn work_that_times_out_is_a_503_and_its_result_is_dropped() {
    let mut client = client(|request: Request<Body>| match request.uri().path() {
        "/now" => "now".into(),
        _ => Reply::run(|| "done"),
    });
    client.input(GET);
    times_out(&mut client);
    assert_eq!(client.run_jobs(), 1);
    assert_eq!(output(&mut client), "");
    client.input(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(output(&mut client).ends_with("\r\n\r\nnow"));
}

#[test]
fn the_timeout_restarts_when_the_body_is_complete() {
    let mut client = client(|request: Request<Body>| {
        request.into_body().collect(100, |body| Reply::run(move || body))
    });
    for _ in 0..2 {
        client.input(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
        client.pass(2 * TIMEOUT);
        assert_eq!(output(&mut client), "");
        client.input(b"b");
        times_out(&mut client);
    }
}

#[test]
fn a_body_is_charged_until_a_late_response_releases_it() {
    let budget = Budget::new("bytes", 1 << 20);
    let (to_test, pending_replies) = mpsc::channel::<PendingReply>();
    let mut client = client_with(&budget, move |request: Request<Body>| {
        let (runs, to_test) = (request.uri().path() == "/run", to_test.clone());
        request.into_body().collect(1 << 20, move |body| match runs {
            true => Reply::run(move || body),
            false => Reply::later(move |pending| to_test.send(pending).unwrap()),
        })
    });
    let body = vec![b'x'; 100 << 10];
    for path in ["/run", "/later"] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        client.input(&[head.as_bytes(), &body].concat());
        times_out(&mut client);
        assert!(budget.used() > 0, "{path}");
        match path {
            "/run" => assert_eq!(client.run_jobs(), 1),
            _ => drop(pending_replies.recv().unwrap()),
        }
        assert_eq!(budget.used(), 0, "{path}");
    }
}

//! Answers that are too late, on a clock that only moves when told.

use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use sockeye::http::{Body, Budget, Edge, Later, Limits, Reply, Request, Respond};
use sockeye::http_core;
use sockeye::proto::harness::Harness;

const TIMEOUT: Duration = Duration::from_secs(5);
const NEARLY: Duration = Duration::from_secs(4);

fn client(respond: impl Respond) -> Harness {
    client_with(&Budget::new("bytes", 1 << 20), respond)
}

/// Bodies are charged to `budget`.
fn client_with(budget: &Arc<Budget>, respond: impl Respond) -> Harness {
    let edge = Edge::collecting(Arc::new(respond), Arc::clone(budget));
    let limits = Limits { response_timeout: Some(TIMEOUT), ..Limits::default() };
    let shared = Rc::new(http_core::ServerConfig::new(limits));
    Harness::new(http_core::Server::new(shared, edge.handlers()))
}

fn heard(client: &mut Harness) -> String {
    String::from_utf8(client.output()).unwrap()
}

/// The client hears 503 when the time is over, and not before.
fn times_out(client: &mut Harness) {
    client.pass(NEARLY);
    assert_eq!(heard(client), "");
    client.pass(TIMEOUT - NEARLY);
    let output = heard(client);
    assert!(output.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{output}");
    assert!(!output.contains("Connection: close"), "{output}");
    assert!(client.end().is_none(), "the connection goes on");
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn an_answer_that_nobody_gives_is_a_503_and_one_that_comes_later_is_dropped() {
    let (to_test, laters) = mpsc::channel::<Later>();
    let mut client = client(move |_: Request<Body>| {
        let to_test = to_test.clone();
        Reply::later(move |later| to_test.send(later).unwrap())
    });
    client.input(GET);
    let first = laters.recv().unwrap();
    assert!(!first.is_gone());
    times_out(&mut client);
    assert!(first.is_gone());
    // It isn't taken for the next one's.
    client.input(GET);
    let second = laters.recv().unwrap();
    first.answer("first");
    client.deliver();
    assert_eq!(heard(&mut client), "");
    assert!(!second.is_gone());
    second.answer("second");
    client.deliver();
    assert!(heard(&mut client).ends_with("\r\n\r\nsecond"));
}

#[test]
fn work_that_takes_too_long_is_a_503_and_its_outcome_is_dropped() {
    let mut client = client(|request: Request<Body>| match request.uri().path() {
        "/now" => "now".into(),
        _ => Reply::run(|| "done"),
    });
    client.input(GET);
    times_out(&mut client);
    assert_eq!(client.run_jobs(), 1);
    assert_eq!(heard(&mut client), "");
    client.input(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(heard(&mut client).ends_with("\r\n\r\nnow"));
}

#[test]
fn the_time_runs_anew_when_the_body_has_come() {
    let mut client = client(|request: Request<Body>| {
        request.into_body().collect(100, |body| Reply::run(move || body))
    });
    for _ in 0..2 {
        client.input(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
        client.pass(2 * TIMEOUT);
        assert_eq!(heard(&mut client), "");
        client.input(b"b");
        times_out(&mut client);
    }
}

#[test]
fn a_body_is_charged_as_long_as_who_is_too_late_holds_it() {
    let budget = Budget::new("bytes", 1 << 20);
    let (to_test, laters) = mpsc::channel::<Later>();
    let mut client = client_with(&budget, move |request: Request<Body>| {
        let (runs, to_test) = (request.uri().path() == "/run", to_test.clone());
        request.into_body().collect(1 << 20, move |body| match runs {
            true => Reply::run(move || body),
            false => Reply::later(move |later| to_test.send(later).unwrap()),
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
            _ => drop(laters.recv().unwrap()),
        }
        assert_eq!(budget.used(), 0, "{path}");
    }
}

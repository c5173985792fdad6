//! Access logs: each request is logged once, in order, however it is split and however it ends.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_http::{
    EndReason, Limits, Log, Outcome as LogOutcome, RequestHead, Server, ServerConfig,
};
use sockeye_proto::{Peer, WallTime};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{assert_no_violations, service};
use crate::http::{Site, Text};
use crate::{here, secs};

/// The number of requests that have begun, and the entries of those that have ended.
#[derive(Debug, Default)]
struct TestLog(RefCell<(usize, Vec<(String, LogOutcome)>)>);

impl Log for TestLog {
    fn on_request(&self, request: RequestHead<'_>, _: &Peer, _: WallTime, notes: &mut Vec<u8>) {
        self.0.borrow_mut().0 += 1;
        match request {
            RequestHead::Parsed(request) => notes.extend_from_slice(request.target()),
            RequestHead::Unparsed(unread) => notes.extend_from_slice(unread.line),
        }
    }

    fn on_end(&self, notes: &[u8], outcome: &LogOutcome) {
        self.0.borrow_mut().1.push((String::from_utf8(notes.to_vec()).unwrap(), *outcome));
    }
}

/// Runs a client with `script`. Returns the log entries of its requests, and the number of bytes
/// that it received.
fn logged(
    seed: u64,
    faults: Faults,
    text: usize,
    script: Script,
) -> (Vec<(String, LogOutcome)>, usize) {
    let log = Rc::new(TestLog::default());
    let shared = Rc::new(ServerConfig::new(Limits::default()).logging(log.clone()));
    let text = Text::new(text);
    let mut world = World::new(seed, faults);
    let (servers, logs) = service(move |_| Server::new(Rc::clone(&shared), Site::handlers(&text)));
    world.server(&[here()], Config::default(), servers);
    let client = world.peer(&here(), script);
    world.settle();
    let received = world.peer_state(client).bytes.len();
    world.finish();
    assert_no_violations(&logs.borrow());
    let (begun, logged) = log.0.take();
    assert_eq!(begun, logged.len(), "each request is logged once");
    (logged, received)
}

/// `count` random requests, and their paths.
fn requests(rng: &mut Rng, count: usize) -> (String, Vec<&'static str>) {
    let paths: Vec<_> =
        (0..count).map(|_| rng.pick(&["/", "/file", "/later", "/nothing"])).collect();
    let requests =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")).collect();
    (requests, paths)
}

fn no_tiny_buffers(rng: &mut Rng) -> Faults {
    let mut faults = Faults::lossless(rng);
    // With smaller buffers, a request could arrive too slowly and time out.
    faults.send_buffer = faults.send_buffer.max(256);
    faults.receive_buffer = faults.receive_buffer.max(256);
    faults
}

#[test]
fn answered_requests_are_logged_as_complete_with_all_bytes() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(&mut rng);
        let count = rng.between(1, 12);
        let (requests, paths) = requests(&mut rng, count);
        let (logged, _) = logged(seed, faults, usize::MAX, Script::new().send(&*requests).finish());
        assert_eq!(logged.len(), paths.len());
        for ((target, outcome), path) in logged.iter().zip(paths) {
            let bytes = match path {
                "/" => "at once".len(),
                "/file" => 5000,
                "/later" => "later".len(),
                _ => "404 Not Found\nthere is nothing here\n".len(),
            };
            assert_eq!((&**target, outcome.end_reason), (path, EndReason::Complete));
            assert_eq!(outcome.content, bytes as u64, "{path}");
        }
    });
}

#[test]
fn requests_of_clients_that_disconnect_are_logged_once() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(&mut rng);
        let (requests, paths) = requests(&mut rng, 6);
        let part = &requests[..rng.between(1, requests.len())];
        let script = Script::new().send(part);
        let script = match rng.pick(&["finish", "reset", "close"]) {
            "finish" => script.finish(),
            "reset" => script.reset(),
            _ => script.close(),
        };
        let (logged, _) = logged(seed, faults, usize::MAX, script);
        // The requests that arrived, in order.
        assert!(logged.len() <= paths.len());
        for ((target, outcome), path) in logged.iter().zip(paths) {
            assert_eq!(&**target, path);
            assert!(
                matches!(outcome.end_reason, EndReason::Complete | EndReason::ClientAborted),
                "{outcome:?}"
            );
            assert!(outcome.content <= 5000);
        }
    });
}

#[test]
fn the_logged_duration_of_a_rejected_request_excludes_the_lingering() {
    let script =
        Script::new().send("GET /a b HTTP/1.1\r\nHost: here\r\n\r\n").wait(secs(1)).finish();
    let (logged, _) = logged(0, Faults::none(), usize::MAX, script);
    let [(line, outcome)] = &logged[..] else { panic!("{logged:?}") };
    assert_eq!((&**line, outcome.fault_code), ("GET /a b HTTP/1.1", Some("bad_request")));
    assert_eq!((outcome.end_reason, outcome.duration), (EndReason::Complete, secs(0)));
}

#[test]
fn a_response_whose_file_changes_is_logged_as_file_changed() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let faults = Faults::lossless(&mut rng);
        // The file needs five reads at least, so it changes before the last one.
        let reads = rng.between(1, 4);
        let script = Script::new().send("GET /file HTTP/1.1\r\nHost: here\r\n\r\n");
        let (logged, received) = logged(seed, faults, reads, script);
        let [(_, outcome)] = &logged[..] else { panic!("{logged:?}") };
        assert_eq!(outcome.end_reason, EndReason::FileChanged);
        assert!(
            outcome.content < 5000 && outcome.content <= received as u64,
            "{outcome:?} {received}"
        );
    });
}

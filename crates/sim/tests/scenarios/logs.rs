//! What an access log is told of requests: each of them once, in order, however they travel and end.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_http::{Begun, Ended, Limits, Log, Outcome as Told, Server, ServerConfig};
use sockeye_proto::{Peer, WallTime};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{assert_no_violations, service};
use crate::http::{Site, Text};
use crate::{here, secs};

/// How many requests have begun, and what became of them.
#[derive(Debug, Default)]
struct Page(RefCell<(usize, Vec<(String, Told)>)>);

impl Log for Page {
    fn begun(&self, request: Begun<'_>, _: &Peer, _: WallTime, notes: &mut Vec<u8>) {
        self.0.borrow_mut().0 += 1;
        match request {
            Begun::Request(request) => notes.extend_from_slice(request.target()),
            Begun::Unread(unread) => notes.extend_from_slice(unread.line),
        }
    }

    fn ended(&self, notes: &[u8], outcome: &Told) {
        self.0.borrow_mut().1.push((String::from_utf8(notes.to_vec()).unwrap(), *outcome));
    }
}

/// One client that does as in `script`, and what is told of its requests. All have ended.
fn told(seed: u64, faults: Faults, text: usize, script: Script) -> (Vec<(String, Told)>, usize) {
    let page = Rc::new(Page::default());
    let shared = Rc::new(ServerConfig::new(Limits::default()).logging(page.clone()));
    let text = Text::new(text);
    let mut world = World::new(seed, faults);
    let (servers, logs) = service(move |_| Server::new(Rc::clone(&shared), Site::handlers(&text)));
    world.server(&[here()], Config::default(), servers);
    let client = world.peer(&here(), script);
    world.settle();
    let received = world.peer_state(client).bytes.len();
    world.finish();
    assert_no_violations(&logs.borrow());
    let (begun, told) = page.0.take();
    assert_eq!(begun, told.len(), "each is told of once");
    (told, received)
}

/// So many requests, and their paths.
fn requests(rng: &mut Rng, count: usize) -> (String, Vec<&'static str>) {
    let paths: Vec<_> =
        (0..count).map(|_| rng.pick(&["/", "/file", "/later", "/nothing"])).collect();
    let requests =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")).collect();
    (requests, paths)
}

fn gentle(rng: &mut Rng) -> Faults {
    let mut faults = Faults::lossless(rng);
    // What drips in for longer than its deadline gets another answer.
    faults.send_buffer = faults.send_buffer.max(256);
    faults.receive_buffer = faults.receive_buffer.max(256);
    faults
}

#[test]
fn what_is_answered_is_told_of_as_complete_with_all_its_bytes() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let faults = gentle(&mut rng);
        let count = rng.between(1, 12);
        let (requests, paths) = requests(&mut rng, count);
        let (told, _) = told(seed, faults, usize::MAX, Script::new().send(&*requests).finish());
        assert_eq!(told.len(), paths.len());
        for ((target, outcome), path) in told.iter().zip(paths) {
            let bytes = match path {
                "/" => "at once".len(),
                "/file" => 5000,
                "/later" => "later".len(),
                _ => "404 Not Found\nthere is nothing here\n".len(),
            };
            assert_eq!((&**target, outcome.ended), (path, Ended::Complete));
            assert_eq!(outcome.content, bytes as u64, "{path}");
        }
    });
}

#[test]
fn a_client_that_breaks_off_anywhere_leaves_no_request_untold() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let faults = gentle(&mut rng);
        let (requests, paths) = requests(&mut rng, 6);
        let part = &requests[..rng.between(1, requests.len())];
        let script = Script::new().send(part);
        let script = match rng.pick(&["finish", "reset", "close"]) {
            "finish" => script.finish(),
            "reset" => script.reset(),
            _ => script.close(),
        };
        let (told, _) = told(seed, faults, usize::MAX, script);
        // In their order; those that came, and perhaps not all of them.
        assert!(told.len() <= paths.len());
        for ((target, outcome), path) in told.iter().zip(paths) {
            assert_eq!(&**target, path);
            assert!(matches!(outcome.ended, Ended::Complete | Ended::ClientAborted), "{outcome:?}");
            assert!(outcome.content <= 5000);
        }
    });
}

#[test]
fn a_refusal_takes_no_longer_because_its_client_stays() {
    let script =
        Script::new().send("GET /a b HTTP/1.1\r\nHost: here\r\n\r\n").wait(secs(1)).finish();
    let (told, _) = told(0, Faults::none(), usize::MAX, script);
    let [(line, outcome)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&**line, outcome.refused), ("GET /a b HTTP/1.1", Some("bad_request")));
    assert_eq!((outcome.ended, outcome.took), (Ended::Complete, secs(0)));
}

#[test]
fn a_file_that_changes_is_told_of_as_that() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let faults = Faults::lossless(&mut rng);
        // It takes five reads at least: the change comes before the last.
        let reads = rng.between(1, 4);
        let script = Script::new().send("GET /file HTTP/1.1\r\nHost: here\r\n\r\n");
        let (told, received) = told(seed, faults, reads, script);
        let [(_, outcome)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(outcome.ended, Ended::FileChanged);
        assert!(
            outcome.content < 5000 && outcome.content <= received as u64,
            "{outcome:?} {received}"
        );
    });
}

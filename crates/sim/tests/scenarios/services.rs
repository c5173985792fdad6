//! A service with a deadline of its own ([`Timed`]), with connections and without.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_engine::{Closed, Config, Service};
use sockeye_proto::echo::Echo;
use sockeye_proto::{Peer, Protocol, Time, Timed};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{SendClient, checked};
use crate::tls::{HELLO, TLS};
use crate::{here, secs};

/// A service's deadline, and the times of the calls to [`Timed::on_deadline`].
#[derive(Clone, Debug, Default)]
struct TestService(Rc<RefCell<(Option<Time>, Vec<Time>)>>);

impl TestService {
    fn set(&self, due: Option<Time>) {
        self.0.borrow_mut().0 = due;
    }

    fn calls(&self) -> Vec<Time> {
        self.0.borrow().1.clone()
    }
}

impl Timed for TestService {
    fn deadline(&self) -> Option<Time> {
        self.0.borrow().0
    }

    fn on_deadline(&mut self, now: Time) {
        self.0.borrow_mut().1.push(now);
    }
}

fn echo(_: &Peer) -> Box<dyn Protocol> {
    Box::new(Echo::default())
}

#[test]
fn a_deadline_fires_once_also_without_a_connection() {
    let mut world = World::new(1, Faults::none());
    let timed = TestService::default();
    let start = world.now();
    timed.set(Some(start + secs(7)));
    let server = world.server(&[here()], Config::default(), (timed.clone(), echo));
    world.run(secs(6));
    assert_eq!(timed.calls(), []);
    world.run(secs(60));
    assert_eq!(timed.calls(), [start + secs(7)], "called once, with the deadline unchanged");

    // The service may set another deadline, for example when a connection does something.
    timed.set(Some(world.now() + secs(3)));
    let due = world.now() + secs(3);
    world.peer(&here(), Script::new().send("a word").wait(secs(9)).finish());
    world.run(secs(5));
    assert_eq!(timed.calls()[1..], [due]);
    timed.set(None);
    world.settle();
    assert_eq!((timed.calls().len(), world.worker(server).connections()), (2, 0));
    world.finish();
}

#[test]
fn a_deadline_fires_while_connections_are_busy() {
    seeds(0..20, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::lossless(&mut rng));
        let timed = TestService::default();
        let due = world.now() + secs(2);
        timed.set(Some(due));
        world.server(&[here()], Config::default(), (timed.clone(), echo));
        let script = Script::new().send(vec![7; 300]).wait(secs(4)).finish();
        for _ in 0..5 {
            world.peer(&here(), script.clone());
        }
        world.settle();
        assert_eq!(timed.calls().len(), 1);
        assert!(timed.calls()[0] >= due);
        world.finish();
    });
}

/// Panics in each call to [`Timed::on_deadline`].
struct PanickingService(TestService);

impl Timed for PanickingService {
    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }

    fn on_deadline(&mut self, now: Time) {
        self.0.on_deadline(now);
        panic!("on purpose");
    }
}

#[test]
fn a_panic_in_on_deadline_ends_no_connection() {
    let mut world = World::new(1, Faults::none());
    let timed = TestService::default();
    timed.set(Some(world.now() + secs(1)));
    world.server(&[here()], Config::default(), (PanickingService(timed.clone()), echo));
    let peer = world.peer(&here(), Script::new().send("one").wait(secs(3)).send(", two").finish());
    world.settle();
    assert_eq!((timed.calls().len(), &*world.peer_state(peer).bytes), (1, &b"one, two"[..]));
    world.finish();
}

/// Echoes, with or without TLS, and notes how connections end.
#[derive(Debug, Default)]
struct Counting {
    opened: usize,
    closed: Rc<RefCell<Vec<Ended>>>,
    panics: bool,
}

/// The code of the reason, and the bytes received and sent.
type Ended = (&'static str, u64, u64);

impl Service for Counting {
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol> {
        self.opened += 1;
        echo(peer)
    }

    fn open_plain(&mut self, peer: &Peer) -> Option<Box<dyn Protocol>> {
        Some(self.open(peer))
    }

    fn on_closed(&mut self, closed: &Closed<'_>) {
        let Closed { reason, received, sent, .. } = *closed;
        self.closed.borrow_mut().push((reason.code(), received, sent));
        assert!(self.closed.borrow().len() <= self.opened, "called once for each protocol");
        assert!(!self.panics, "on purpose");
    }
}

#[test]
fn the_service_learns_how_each_connection_ended_and_what_it_carried() {
    seeds(0..50, |seed| {
        let mut world = World::new(seed, Faults::lossless(&mut Rng::new(seed)));
        let service = Counting::default();
        let closed = Rc::clone(&service.closed);
        world.server(&[here()], Config::default(), service);
        for script in [
            Script::new().send("a word").finish(),
            Script::new().send("and silence"),
            Script::new().finish(),
        ] {
            world.peer(&here(), script);
            world.settle();
        }
        let expected = [("finished", 6, 6), ("idle_timeout", 11, 11), ("finished", 0, 0)];
        assert_eq!(*closed.borrow(), expected);
        world.finish();
    });
}

#[test]
fn with_tls_the_service_learns_what_was_encrypted_and_nothing_of_failed_handshakes() {
    let mut world = World::new(1, Faults::none());
    let service = Counting::default();
    let closed = Rc::clone(&service.closed);
    world.server_with_tls(&[here()], &TLS.0, Config::default(), service);
    for script in [
        Script::new().send(&HELLO[..100]).finish(),
        Script::new().send(b"\x16\x03\x01 is no hello".as_slice()).finish(),
        Script::new().finish(),
    ] {
        world.peer(&here(), script);
        world.settle();
    }
    assert_eq!(*closed.borrow(), []);
    world.peer(&here(), Script::new().send("no TLS").finish());
    world.settle();
    let client = world.client(Config::default(), None);
    let (protocol, _) = checked(SendClient::then_finish(b"Hello"));
    world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
    world.settle();
    assert_eq!(*closed.borrow(), [("finished", 6, 6), ("finished", 5, 5)]);
    world.finish();
}

#[test]
fn a_panic_in_on_closed_ends_no_other_connection() {
    let mut world = World::new(1, Faults::none());
    let service = Counting { panics: true, ..Counting::default() };
    let closed = Rc::clone(&service.closed);
    world.server(&[here()], Config::default(), service);
    let peer = world.peer(&here(), Script::new().send("one").wait(secs(3)).send(", two").finish());
    world.peer(&here(), Script::new().finish());
    world.settle();
    assert_eq!((closed.borrow().len(), &*world.peer_state(peer).bytes), (2, &b"one, two"[..]));
    world.finish();
}

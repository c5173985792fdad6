//! More connections than allowed, connections that panic, and ones that consume no input.

use std::net::IpAddr;
use std::sync::Arc;

use sockeye_engine::{Config, ConnectionCounts};
use sockeye_proto::echo::Echo;
use sockeye_proto::{Consumed, End, Event, Fault, Peer, Protocol, Time, Turn};
use sockeye_sim::{Faults, Outcome, PeerId, Rng, Script, World, seeds};

use crate::checked::{assert_no_violations, service};
use crate::{here, secs};

const TEXT: &[u8] = b"a few words";

/// Ten peers that send a text and close their sending side a second later.
fn ten_peers(world: &mut World, from: Option<IpAddr>) -> Vec<PeerId> {
    let script = Script::new().send(TEXT).wait(secs(1)).finish();
    let script = from.into_iter().fold(script, Script::from);
    (0..10).map(|_| world.peer(&here(), script.clone())).collect()
}

fn all_served(world: &World, peers: &[PeerId]) {
    for peer in peers {
        assert_eq!(world.peer_state(*peer).bytes, TEXT);
    }
}

#[test]
fn without_descriptors_accepting_pauses_and_resumes() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let faults = Faults::lossless(&mut rng);
        // After a pause, the listener may not be watched at once.
        let watch_listener_fails = if seed % 2 == 0 { 0 } else { 500 };
        let mut world = World::new(seed, Faults { watch_listener_fails, ..faults });
        let (echoes, logs) = service(|_| Echo::default());
        let room = rng.between(1, 4);
        let server = world.server_with_descriptors(&[here()], Config::default(), echoes, 1 + room);
        let peers = ten_peers(&mut world, None);
        world.run_until(secs(1000), |world| {
            assert!(world.worker(server).connections() <= room);
            world.worker(server).stats().total_closed() == 10
        });
        world.settle();
        all_served(&world, &peers);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn a_connection_that_cannot_be_watched_ends_with_that_reason() {
    let faults = Faults { watch_fails: 1000, ..Faults::none() };
    let mut world = World::new(0, faults);
    let (echoes, logs) = service(|_| Echo::default());
    let server = world.server(&[here()], Config::default(), echoes);
    let client = world.peer(&here(), Script::new().send(TEXT));
    world.settle();
    assert!(world.peer_state(client).bytes.is_empty());
    assert_eq!(world.worker(server).stats().closed_for("not_watched"), 1);
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn above_the_limit_new_connections_wait_and_are_not_lost() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::lossless(&mut rng));
        let max = rng.between(1, 5);
        let config = Config { max_connections: max, ..Config::default() };
        let counts = Arc::<ConnectionCounts>::default();
        let mut logs = Vec::new();
        for _ in 0..rng.between(1, 3) {
            let (echoes, worker_logs) = service(|_| Echo::default());
            world.server_with_counts(&counts, &[here()], config.clone(), echoes);
            logs.push(worker_logs);
        }
        let peers = ten_peers(&mut world, None);
        world.run_until(secs(1000), |world| {
            assert!(counts.total() <= max);
            peers.iter().all(|peer| world.peer_state(*peer).closed)
        });
        all_served(&world, &peers);
        world.finish();
        assert_eq!(counts.total(), 0);
        logs.iter().for_each(|logs| assert_no_violations(&logs.borrow()));
    });
}

#[test]
fn an_address_has_at_most_its_share_of_connections() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults { stall: 0, ..Faults::lossless(&mut rng) });
        let max = rng.between(1, 5);
        let config = Config { max_connections_per_address: max, ..Config::default() };
        let (echoes, logs) = service(|_| Echo::default());
        let server = world.server(&[here()], config, echoes);
        let limited_address = Script::new().from([192, 0, 2, 1].into()).wait(secs(30)).finish();
        let same_address: Vec<_> =
            (0..10).map(|_| world.peer(&here(), limited_address.clone())).collect();
        world.run(secs(20));
        assert_eq!(world.worker(server).connections(), max);
        assert_eq!(world.worker(server).stats().closed_for("over_address_limit"), 10 - max as u64);
        let others =
            [ten_peers(&mut world, None), ten_peers(&mut world, Some([192, 0, 2, 2].into()))];
        world.settle();
        all_served(&world, &others[0]);
        let served = others[1].iter().filter(|peer| world.peer_state(**peer).bytes == TEXT).count();
        assert!(served >= max);
        let ended = |peer: &&PeerId| {
            world.peer_state(**peer).outcome.is_some_and(|(outcome, _)| outcome == Outcome::Ended)
        };
        assert_eq!(same_address.iter().filter(ended).count(), 10);

        // The address may connect again after its connections have closed.
        let again =
            world.peer(&here(), Script::new().from([192, 0, 2, 1].into()).send(TEXT).finish());
        world.settle();
        assert_eq!(world.peer_state(again).bytes, TEXT);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

/// Echoes. Panics at the byte `!` and when it is closed.
struct Panics(Echo);

impl Protocol for Panics {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        assert!(!input.contains(&b'!'), "on purpose");
        self.0.on_bytes(input, turn)
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        assert!(!matches!(event, Event::Closed(_)), "on purpose, at the very end");
        self.0.on_event(event, turn)
    }

    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }
}

#[test]
fn a_panic_ends_only_its_connection() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::lossless(&mut rng));
        let panics = |_: &Peer| Box::new(Panics(Echo::default())) as Box<dyn Protocol>;
        let server = world.server(&[here()], Config::default(), panics);
        let good = ten_peers(&mut world, None);
        let bad = world.peer(&here(), Script::new().send("and now: !").finish());
        world.settle();
        all_served(&world, &good);
        assert!(b"and now: ".starts_with(&world.peer_state(bad).bytes));
        assert_eq!(world.worker(server).stats().closed_for("panicked"), 1);
        world.finish();
    });
}

/// Consumes no input, and waits for more.
struct ConsumesNothing;

impl Protocol for ConsumesNothing {
    fn on_bytes(&mut self, _: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(0))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Eof { .. } = event {
            turn.end(End::Finish);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_connection_with_more_unused_input_than_allowed_is_closed() {
    assert_eq!(Config::default().max_unused_input, 1 << 20);
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let limit = rng.between(1, 4_000);
        for (sent, closed) in [(limit, 0), (limit + 1, 1)] {
            let mut world = World::new(seed, Faults::lossless(&mut rng));
            let config = Config { max_unused_input: limit, ..Config::default() };
            let (protocols, logs) = service(|_| ConsumesNothing);
            let server = world.server(&[here()], config, protocols);
            world.peer(&here(), Script::new().send(vec![b'x'; sent]).finish());
            world.settle();
            let stats = world.worker(server).stats();
            assert_eq!(stats.closed_for("unused_input_limit"), closed, "{sent} of {limit} bytes");
            assert_eq!(stats.total_closed(), 1);
            world.finish();
            assert_no_violations(&logs.borrow());
        }
    });
}

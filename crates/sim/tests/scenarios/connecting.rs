//! Outgoing connections that are refused, slow, never established or reset, and connection slots
//! that are reused.

use std::cell::Cell;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_proto::echo::Echo;
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{SendClient, SharedLog, assert_no_violations, checked, service};
use crate::{here, secs};

/// Connects once to a server that `prepare` creates. Returns the connection's log, and the seconds
/// until it ended.
fn alone(seed: u64, faults: Faults, prepare: impl FnOnce(&mut World)) -> (SharedLog, u64) {
    let mut world = World::new(seed, faults);
    prepare(&mut world);
    let client = world.client(Config::default(), None);
    let (protocol, log) = checked(SendClient::then_read(b"hello?"));
    let start = world.now();
    world.worker_mut(client).connect(&here(), protocol, 3);
    world.run_until(secs(3600), |world| world.worker(client).connections() == 0);
    let took = world.now().since(start).as_secs();
    world.finish();
    assert_no_violations(&[Rc::clone(&log)]);
    (log, took)
}

fn ended_as(log: &SharedLog) -> (bool, String) {
    let log = log.borrow();
    (log.opened, log.reason.clone().expect("it is over"))
}

#[test]
fn without_a_listener_connecting_fails() {
    seeds(0..200, |seed| {
        let faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let (log, _) = alone(seed, faults, |_| {});
        assert_eq!(ended_as(&log), (false, "connect_failed".into()));
    });
}

#[test]
fn without_a_descriptor_connecting_fails() {
    let faults = Faults { no_descriptor: 1000, ..Faults::none() };
    let (log, _) = alone(1, faults, |_| {});
    assert_eq!(ended_as(&log), (false, "connect_failed".into()));
}

#[test]
fn connecting_times_out() {
    seeds(0..200, |seed| {
        let gentle = Faults::lossless(&mut Rng::new(seed));
        let faults = Faults { never_connect: 1000, no_descriptor: 0, ..gentle };
        let (log, took) = alone(seed, faults, |_| {});
        assert_eq!(ended_as(&log), (false, "connect_timed_out".into()));
        assert_eq!(took, 10);
    });
}

#[test]
fn a_slow_connection_is_established_or_times_out() {
    let (stood, ran) = (Cell::new(0), Cell::new(0));
    seeds(0..100, |seed| {
        let gentle = Faults::lossless(&mut Rng::new(seed));
        let faults = Faults { slow_connect: 1000, no_descriptor: 0, stall: 0, ..gentle };
        let (log, took) = alone(seed, faults, |world| {
            world.scripted_server(&here(), Script::new().send("yes").finish());
        });
        ran.set(ran.get() + 1);
        match ended_as(&log) {
            (true, reason) => {
                assert_eq!(reason, "peer_closed");
                assert_eq!(log.borrow().bytes, b"yes");
                stood.set(stood.get() + 1);
            }
            (false, reason) => assert_eq!((&*reason, took), ("connect_timed_out", 10)),
        }
    });
    // The timeout is 10 s, and connecting takes up to 20 s, so about half of them succeed.
    assert!(ran.get() == 1 || (ran.get() / 5..ran.get()).contains(&stood.get()));
}

#[test]
fn a_reset_is_reported_as_a_reset() {
    seeds(0..200, |seed| {
        let faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let (log, _) = alone(seed, faults, |world| {
            world.scripted_server(&here(), Script::new().send("y").wait(secs(1)).reset());
        });
        assert_eq!(ended_as(&log), (true, "reset".into()));
        assert!(b"y".starts_with(&log.borrow().bytes));
    });
}

#[test]
fn late_events_of_a_closed_connection_do_not_affect_the_next_in_its_slot() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        // Sends complete long after their connections were reset, and waits report connections that
        // are closed.
        let bad = Faults {
            late_send: 900,
            reset: 1000,
            spurious: 200,
            partial_wait: 300,
            delay: secs(1) / 10,
            failure_delay: secs(1) / 10,
            ..Faults::none()
        };
        // Without resets, a connection can fail only because of late events of an earlier one.
        let good = Faults { reset: 0, delay: secs(1) / 1000, ..bad.clone() };
        let mut world = World::new(seed, bad.clone());
        let (echoes, at_server) = service(|_| Echo::default());
        world.server(&[here()], Config::default(), echoes);
        let client = world.client(Config::default(), None);
        let mut logs = Vec::new();
        for round in 0..10 {
            let faults = if round % 2 == 0 { &bad } else { &good };
            world.set_faults(faults.clone());
            for _ in 0..4 {
                let count = rng.between(1, 2000);
                let input = rng.bytes(count);
                let (protocol, log) = checked(SendClient::then_finish(&input));
                world.worker_mut(client).connect(&here(), protocol, 0);
                logs.push((round, input, log));
            }
            // The next connections reuse the slots of these.
            world.run_until(secs(300), |world| world.worker(client).connections() == 0);
        }
        world.finish();
        for (round, input, log) in &logs {
            let log = log.borrow();
            assert!(input.starts_with(&log.bytes), "somebody else's bytes");
            assert!(log.reason.is_some());
            if round % 2 == 1 {
                assert_eq!(log.reason.as_deref(), Some("peer_closed"), "hurt by who came before");
                assert!(log.bytes == *input);
            }
        }
        assert_no_violations(&at_server.borrow());
    });
}

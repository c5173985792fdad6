//! An echo server and its clients, both on the engine.

use std::cell::Cell;
use std::net::IpAddr;

use sockeye_engine::Config;
use sockeye_proto::echo::Echo;
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{SendClient, SharedLog, assert_no_violations, checked, service};
use crate::here;

/// Runs some clients of an echo server. Returns the bytes that each sent, their logs, and the run's
/// trace with the number of injected faults.
fn echo(seed: u64, faults: Faults) -> (Vec<Vec<u8>>, Vec<SharedLog>, (u64, u64)) {
    let mut rng = Rng::new(seed ^ 0xEC40);
    let most = if faults.send_buffer.min(faults.receive_buffer) < 256 { 300 } else { 20_000 };
    let mut world = World::new(seed, faults);
    let (echoes, at_server) = service(|_| Echo::default());
    world.server(&[here()], Config::default(), echoes);
    let client = world.client(Config::default(), Some(IpAddr::from([192, 0, 2, 1])));

    let (mut inputs, mut logs) = (Vec::new(), Vec::new());
    for _ in 0..rng.between(1, 6) {
        let count = rng.below(most);
        let input = rng.bytes(count);
        let (protocol, log) = checked(SendClient::then_finish(&input));
        world.worker_mut(client).connect(&here(), protocol, 0);
        inputs.push(input);
        logs.push(log);
    }
    world.settle();
    let trace = (world.trace(), world.injected());
    world.finish();
    assert_no_violations(&logs);
    assert_no_violations(&at_server.borrow());
    (inputs, logs, trace)
}

#[test]
fn the_echo_does_not_depend_on_faults() {
    seeds(0..600, |seed| {
        // Another test covers connects without a descriptor.
        let faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let (inputs, logs, _) = echo(seed, faults);
        for (input, log) in inputs.iter().zip(&logs) {
            let log = log.borrow();
            assert!(log.bytes == *input, "{} of {} bytes", log.bytes.len(), input.len());
            assert_eq!(log.reason.as_deref(), Some("peer_closed"));
        }
    });
}

#[test]
fn with_lossy_faults_the_echo_is_a_prefix_and_every_connection_ends() {
    seeds(0..600, |seed| {
        let (inputs, logs, _) = echo(seed, Faults::lossy(&mut Rng::new(seed)));
        for (input, log) in inputs.iter().zip(&logs) {
            assert!(input.starts_with(&log.borrow().bytes));
            assert!(log.borrow().reason.is_some(), "a client hears that it is over in any case");
        }
    });
}

#[test]
fn runs_with_the_same_seed_are_equal() {
    let injected = Cell::new(0);
    seeds(0..50, |seed| {
        let faults = || Faults::lossy(&mut Rng::new(seed));
        let first = echo(seed, faults()).2;
        assert_eq!(first, echo(seed, faults()).2);
        injected.set(injected.get() + first.1);
    });
    assert!(injected.get() > 0, "nothing went wrong in any of these runs");
}

#[test]
fn a_half_close_loses_nothing() {
    seeds(0..400, |seed| {
        let mut rng = Rng::new(seed);
        let faults = Faults::lossless(&mut rng);
        let count = rng.between(1, 2000);
        let input = rng.bytes(count);
        let mut world = World::new(seed, faults);
        let (echoes, logs) = service(|_| Echo::default());
        world.server(&[here()], Config::default(), echoes);
        let (first, second) = input.split_at(rng.below(count));
        let peer = world.peer(&here(), Script::new().send(first).send(second).finish());
        world.settle();
        let received = world.peer_state(peer);
        assert!(
            received.bytes == input,
            "{} of {} bytes, {:?}",
            received.bytes.len(),
            count,
            received.outcome
        );
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

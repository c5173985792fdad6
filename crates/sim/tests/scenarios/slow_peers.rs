//! Peers that read slowly or not at all, that reset, or that still send while the server closes.

use std::rc::Rc;

use sockeye_engine::{Config, Linger};
use sockeye_http::Server;
use sockeye_proto::echo::Echo;
use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Time, Turn};
use sockeye_sim::{Faults, Outcome, Rng, Script, World, seeds};

use crate::checked::{assert_no_violations, service};
use crate::http::{Site, Text};
use crate::{here, secs};

/// Buffers so small that a peer that doesn't read soon blocks the server's sends.
fn tight(rng: &mut Rng) -> Faults {
    Faults {
        send_buffer: 256,
        receive_buffer: 256,
        read_size: 256,
        stall: 0,
        ..Faults::lossless(rng)
    }
}

#[test]
fn a_peer_that_never_reads_uses_bounded_memory_and_is_closed() {
    seeds(0..150, |seed| {
        const OUTPUT: usize = 4096;
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, tight(&mut rng));
        let (echoes, logs) = service(|_| Echo::default());
        let config = Config { max_buffered_output: OUTPUT, ..Config::default() };
        let server = world.server(&[here()], config, echoes);
        let peer = world.peer(&here(), Script::new().stop_reading().send(vec![7; 100_000]));
        let start = world.now();
        world.settle();
        // The output buffer, one receive, and the kernel buffers of both directions.
        let most = OUTPUT + 256 + 4 * 256;
        let received = world.peer_state(peer);
        assert!((OUTPUT..=most).contains(&received.sent), "it sent {}", received.sent);
        assert_eq!(world.worker(server).stats().closed_for("write_stalled"), 1);
        let (_, ended) = received.outcome.expect("it was reset");
        let lasted = ended.since(start);
        assert!((secs(60)..secs(130)).contains(&lasted), "it lasted {lasted:?}");
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn a_slow_reader_gets_everything() {
    seeds(0..150, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, tight(&mut rng));
        let input = rng.bytes(3000);
        let (echoes, logs) = service(|_| Echo::default());
        world.server(&[here()], Config::default(), echoes);
        let slowly = Script::new().read_slowly(100, secs(20)).send(input.clone()).finish();
        let peer = world.peer(&here(), slowly);
        let start = world.now();
        world.settle();
        let received = world.peer_state(peer);
        assert!(received.bytes == input, "{} bytes", received.bytes.len());
        let (outcome, ended) = received.outcome.expect("the other side ended");
        assert_eq!(outcome, Outcome::Ended);
        assert!(ended.since(start) >= secs(500), "the reader was not slow");
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn a_reader_that_stops_is_closed_a_minute_later() {
    seeds(0..150, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, tight(&mut rng));
        let (echoes, logs) = service(|_| Echo::default());
        let server = world.server(&[here()], Config::default(), echoes);
        let script =
            Script::new().read_slowly(100, secs(20)).send(rng.bytes(3000)).await_bytes(1000);
        let peer = world.peer(&here(), script.stop_reading());
        assert!(world.run_until(secs(2000), |world| world.peer_state(peer).bytes.len() >= 1000));
        let stopped = world.now();
        let gone = |world: &World| world.worker(server).connections() == 0;
        assert!(world.run_until(secs(200), gone), "it is still there");
        assert!(world.now().since(stopped) >= secs(39), "it was let go too soon");
        assert_eq!(world.worker(server).stats().closed_for("write_stalled"), 1);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn a_reset_does_not_affect_other_connections() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let faults = Faults::lossless(&mut rng);
        let mut world = World::new(seed, faults);
        let (echoes, logs) = service(|_| Echo::default());
        let server = world.server(&[here()], Config::default(), echoes);
        let input = rng.bytes(300);
        let some = rng.below(300);
        let good = world.peer(&here(), Script::new().send(input.clone()).finish());
        let reset = Script::new().send(input.clone()).await_bytes(some).reset();
        let bad = world.peer(&here(), reset);
        world.settle();
        assert!(world.peer_state(good).bytes == input);
        assert!(input.starts_with(&world.peer_state(bad).bytes));
        assert_eq!(world.worker(server).stats().closed_for("reset"), 1);
        assert_eq!(world.worker(server).stats().total_closed(), 2);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

/// Answers the first byte, and closes without reading the rest.
mod respond_once {
    use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Time, Turn};

    /// Contains the way in which it closes.
    pub(super) struct RespondOnce(pub(super) End);

    pub(super) const RESPONSE: &[u8] = b"enough";

    impl Protocol for RespondOnce {
        fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
            turn.out.write(RESPONSE);
            turn.end(self.0);
            Ok(Consumed::more(input.len().min(1)))
        }

        fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
            if matches!(event, Event::Eof { .. }) {
                turn.end(End::Close);
            }
            Ok(())
        }

        fn deadline(&self) -> Option<Time> {
            None
        }
    }
}

#[test]
fn a_peer_that_is_still_sending_receives_the_response() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        // A latency at which the peer can finish while the server lingers.
        let delay = secs(1) / 1000;
        let faults = Faults { delay, stall: 0, ..tight(&mut rng) };
        let mut world = World::new(seed, faults);
        let (protocols, logs) = service(|_| respond_once::RespondOnce(End::Linger));
        world.server(&[here()], Config::default(), protocols);
        let count = rng.between(1, 50_000);
        let peer = world.peer(&here(), Script::new().send(rng.bytes(count)).finish());
        world.settle();
        let received = world.peer_state(peer);
        assert_eq!(received.bytes, respond_once::RESPONSE, "{:?}", received.outcome);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn lingering_has_an_end() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let faults = tight(&mut rng);
        let mut world = World::new(seed, faults);
        let (protocols, logs) = service(|_| respond_once::RespondOnce(End::Linger));
        let linger = Linger { bytes: 5000, ..Linger::default() };
        let server = world.server(&[here()], Config { linger, ..Config::default() }, protocols);
        // One peer sends nothing more, one sends too much, and one sends a byte per second.
        let quiet = Script::new().send("x").wait(secs(1000));
        let endless = (0..500).fold(Script::new(), |script, _| script.send("y").wait(secs(1)));
        for script in [quiet, Script::new().send(vec![0; 100_000]), endless] {
            world.peer(&here(), script);
        }
        let gone = |world: &World| {
            let worker = world.worker(server);
            worker.stats().accepted == 3 && worker.connections() == 0
        };
        assert!(world.run_until(secs(60), gone), "something lingers on");
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

/// RFC 9112, 9.5: the FIN comes first, and what the client sends at that time is read and
/// discarded.
#[test]
fn a_connection_that_times_out_is_closed_in_stages() {
    seeds(0..50, |seed| {
        let mut rng = Rng::new(seed);
        let faults = tight(&mut rng);
        let mut world = World::new(seed, faults);
        let (protocols, logs) =
            service(|_| Server::new(Rc::default(), Site::handlers(&Text::new(usize::MAX))));
        let server = world.server(&[here()], Config::default(), protocols);
        let request = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
        let late = Script::new().send(request).await_end().wait(secs(1)).send(vec![b'x'; 5000]);
        let peer = world.peer(&here(), late.finish());
        let has_ended = |world: &World| world.peer_state(peer).outcome.is_some();
        assert!(world.run_until(secs(120), has_ended));
        assert_eq!(world.peer_state(peer).outcome.as_ref().unwrap().0, Outcome::Ended);
        assert_eq!(world.worker(server).connections(), 1, "it is still read");
        world.settle();
        assert_eq!(world.peer_state(peer).sent, request.len() + 5000, "nothing was reset");
        assert_eq!(world.worker(server).stats().closed_for("idle_timeout"), 1);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

/// Tests each limit alone, with high values for the others.
#[test]
fn every_limit_of_lingering_ends_it() {
    let never = Linger { bytes: u64::MAX, quiet: secs(1000), total: secs(1000) };
    let quiet = Linger { quiet: secs(2), ..never.clone() };
    let drip = |count| (0..count).fold(Script::new(), |script, _| script.send("y").wait(secs(1)));
    let stay = |script: Script| script.wait(secs(900));
    let table = [
        ("quiet", quiet.clone(), stay(Script::new().send("x")), 2..4),
        (
            "bytes",
            Linger { bytes: 5000, ..never.clone() },
            stay(Script::new().send([0; 9000])),
            0..2,
        ),
        ("total", Linger { total: secs(5), ..never }, drip(500), 5..7),
        ("quiet, after the last byte", quiet, stay(drip(10)), 11..13),
    ];
    seeds(0..50, |seed| {
        for (name, linger, script, lasts) in &table {
            let mut rng = Rng::new(seed);
            let faults = Faults { delay: secs(1) / 1000, ..tight(&mut rng) };
            let mut world = World::new(seed, faults);
            let (protocols, logs) = service(|_| respond_once::RespondOnce(End::Linger));
            let config = Config { linger: linger.clone(), ..Config::default() };
            let server = world.server(&[here()], config, protocols);
            let start = world.now();
            world.peer(&here(), script.clone());
            world.run_until(secs(800), |world| world.worker(server).stats().total_closed() == 1);
            let lasted = world.now().since(start);
            assert!((secs(lasts.start)..secs(lasts.end)).contains(&lasted), "{name}: {lasted:?}");
            world.finish();
            assert_no_violations(&logs.borrow());
        }
    });
}

/// All of the peer's bytes have arrived, and the server has read only some of them. Closing the
/// socket now would reset the connection.
#[test]
fn a_protocol_that_closes_with_unread_input_lingers() {
    seeds(0..50, |seed| {
        let mut world = World::new(seed, Faults { read_size: 256, ..Faults::none() });
        let (protocols, logs) = service(|_| respond_once::RespondOnce(End::Close));
        world.server(&[here()], Config::default(), protocols);
        let peer = world.peer(&here(), Script::new().send([0; 1000]).finish());
        world.settle();
        let received = world.peer_state(peer);
        assert_eq!(received.bytes, respond_once::RESPONSE, "{:?}", received.outcome);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

/// Writes much, and drops what is unsent a second later.
#[derive(Default)]
struct Fickle(Option<Time>);

impl Protocol for Fickle {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        turn.out.write(&[b'x'; 200_000]);
        self.0 = Some(turn.now() + secs(1));
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Deadline = event {
            turn.out.clear();
            self.0 = None;
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.0
    }
}

#[test]
fn a_peer_is_not_stalled_if_its_output_was_dropped() {
    let mut world = World::new(1, Faults::none());
    let (protocols, logs) = service(|_| Fickle::default());
    let server = world.server(&[here()], Config::default(), protocols);
    // Two peers read what the kernel holds: one soon, and one not at all.
    let blocked = Script::new().stop_reading().send("x");
    let soon = world.peer(&here(), blocked.clone().wait(secs(2)).read_all().wait(secs(1000)));
    world.peer(&here(), blocked.wait(secs(1000)));
    world.run(secs(500));
    assert!(world.peer_state(soon).bytes.len() < 200_000, "the rest was dropped");
    assert_eq!(world.worker(server).stats().closed_for("write_stalled"), 0);
    assert_eq!(world.worker(server).connections(), 2);
    world.drain(server);
    world.finish();
    assert_no_violations(&logs.borrow());
}

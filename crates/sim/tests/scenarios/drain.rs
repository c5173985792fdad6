//! Draining: requests in progress are finished, connections that don't end are cut, and queued
//! connections are accepted.

use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_http::{Server, ServerConfig};
use sockeye_proto::echo::Echo;
use sockeye_proto::{Consumed, End, Event, Fault, Peer, Protocol, Time, Turn};
use sockeye_sim::{Faults, Outcome, PeerId, Rng, Script, World, seeds};

use crate::checked::{assert_no_violations, service};
use crate::http::{Site, Text};
use crate::{here, secs};

/// Answers each byte when a job has finished. On `Event::Drain`, it answers the current byte and
/// reads no further.
#[derive(Default)]
struct JobPerByte {
    job_running: bool,
    draining: bool,
}

impl Protocol for JobPerByte {
    fn on_bytes(&mut self, _: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.job_running = true;
        let _ = turn.run(|| ());
        Ok(Consumed::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Message(..) => {
                turn.out.write(b"a response;");
                self.job_running = false;
                if self.draining {
                    turn.end(End::Linger);
                } else {
                    turn.resume();
                }
            }
            Event::Drain { .. } if self.job_running => self.draining = true,
            Event::Drain { .. } => turn.end(End::Linger),
            Event::Eof { .. } => turn.end(End::Finish),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn draining_finishes_the_running_job_and_starts_no_other() {
    seeds(0..300, |seed| {
        const RESPONSE: &[u8] = b"a response;";
        let mut rng = Rng::new(seed);
        // Without stalls: input that arrives after the server has stopped lingering is answered
        // with a reset, which may discard the response.
        let faults = Faults { stall: 0, no_descriptor: 0, ..Faults::lossless(&mut rng) };
        let mut world = World::new(seed, faults);
        let (protocols, logs) = service(|_| JobPerByte::default());
        let server = world.server(&[here()], Config::default(), protocols);
        let clients: Vec<_> =
            (0..5).map(|_| world.peer(&here(), Script::new().send("12345"))).collect();
        world.run(rng.duration(secs(1) / 5));
        world.drain(server);
        let done = world.run_until(secs(29), |world| world.worker(server).is_done());
        assert!(done, "it drains without a cut");
        world.settle();
        let stats = world.worker(server).stats().clone();
        assert_eq!(stats.cut, 0);
        assert_eq!(stats.closed_for("drained"), stats.total_closed());
        for client in clients {
            let received = world.peer_state(client);
            if stats.accepted == 5 {
                assert!(RESPONSE.repeat(5).starts_with(&received.bytes));
                assert_eq!(received.bytes.len() % RESPONSE.len(), 0, "half a response");
            }
            assert!(received.outcome.is_some());
        }
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

/// Ignores `Event::Drain`.
struct IgnoresDrain;

impl Protocol for IgnoresDrain {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn connections_that_do_not_end_are_cut_at_the_drain_deadline_and_counted() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::lossless(&mut rng));
        let (protocols, logs) = service(|_| IgnoresDrain);
        let server = world.server(&[here()], Config::default(), protocols);
        let count = rng.between(1, 5);
        (0..count).for_each(|_| {
            world.peer(&here(), Script::new().send("stop, please"));
        });
        world.run(secs(50));
        assert_eq!(world.worker(server).connections(), count);
        let start = world.now();
        world.drain(server);
        assert!(world.run_until(secs(60), |world| world.worker(server).is_done()));
        assert_eq!(world.now().since(start), secs(30));
        assert_eq!(world.worker(server).stats().cut, count as u64);
        assert_eq!(world.worker(server).stats().closed_for("cut"), count as u64);
        world.finish();
        assert_no_violations(&logs.borrow());
        assert!(logs.borrow().iter().all(|log| log.borrow().drains == 1));
    });
}

/// A worker reads the clock once per turn. If its last turn was long ago, the drain deadline must
/// still count from the call.
#[test]
fn the_drain_deadline_counts_from_the_call_to_drain() {
    seeds(0..50, |seed| {
        let mut world = World::new(seed, Faults::none());
        let (protocols, logs) = service(|_| IgnoresDrain);
        let server = world.server(&[here()], Config::default(), protocols);
        world.peer(&here(), Script::new().send("stop, please"));
        world.run(secs(1));
        let before = world.worker(server).stats().clone();
        world.run(secs(500));
        let start = world.now();
        world.drain_between_turns(server);
        assert!(world.run_until(secs(60), |world| world.worker(server).is_done()));
        assert_eq!(world.now().since(start), secs(30));
        assert_eq!((before.cut, world.worker(server).stats().cut), (0, 1));
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn queued_connections_are_accepted_before_the_listener_closes() {
    seeds(0..100, |seed| {
        let mut world = World::new(seed, Faults { no_descriptor: 1000, ..Faults::none() });
        let (echoes, logs) = service(|_| Echo::default());
        let server = world.server(&[here()], Config::default(), echoes);
        let peers: Vec<_> = (0..5).map(|_| world.peer(&here(), Script::new())).collect();
        world.run(secs(1) / 100);
        assert_eq!(world.worker(server).connections(), 0, "accepting is paused");
        world.set_faults(Faults::none());
        world.drain(server);
        world.settle();
        assert_eq!(world.worker(server).stats().accepted, 5);
        for peer in peers {
            let outcome = world.peer_state(peer).outcome.map(|(outcome, _)| outcome);
            assert_eq!(outcome, Some(Outcome::Ended), "it was reset");
        }
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

const REQUESTS: [&str; 2] =
    ["GET / HTTP/1.1\r\nHost: here\r\n\r\n", "GET /later HTTP/1.1\r\nHost: here\r\n\r\n"];

fn site() -> impl FnMut(&Peer) -> Box<dyn Protocol> {
    let (shared, text) = (Rc::new(ServerConfig::default()), Text::new(usize::MAX));
    move |_| Box::new(Server::new(Rc::clone(&shared), Site::handlers(&text)))
}

fn responses(world: &World, peer: PeerId) -> usize {
    String::from_utf8_lossy(&world.peer_state(peer).bytes).matches("HTTP/1.1 200 ").count()
}

/// The number of complete requests in the first `bytes` bytes of `requests`.
fn whole(requests: &[&str], bytes: usize) -> usize {
    let ends = requests.iter().scan(0, |end, request| {
        *end += request.len();
        Some(*end)
    });
    ends.filter(|end| *end <= bytes).count()
}

/// A client that sent a request before it could know of the drain gets the response. Some clients
/// send each request after the previous response; others send all at once. Of pipelined requests,
/// only those that had arrived must be answered, because an earlier response may announce the
/// close.
#[test]
fn a_request_that_was_sent_before_its_client_knew_of_the_drain_is_answered() {
    // The sizes of the responses to both requests.
    let sizes = REQUESTS.map(|request| {
        let mut world = World::new(0, Faults::none());
        world.server(&[here()], Config::default(), site());
        let client = world.peer(&here(), Script::new().send(request).finish());
        world.settle();
        world.peer_state(client).bytes.len()
    });
    seeds(0..400, |seed| {
        let mut rng = Rng::new(seed);
        // A kernel doesn't return `WouldBlock` while there is input.
        let faults =
            Faults { stall: 0, no_descriptor: 0, would_block: 0, ..Faults::lossless(&mut rng) };
        let mut world = World::new(seed, faults);
        let server = world.server(&[here()], Config::default(), site());
        let clients: Vec<_> = (0..rng.between(1, 6))
            .map(|_| {
                let kinds: Vec<usize> = (0..rng.between(0, 8)).map(|_| rng.below(2)).collect();
                let requests: Vec<&str> = kinds.iter().map(|kind| REQUESTS[*kind]).collect();
                let sequential = rng.chance(500);
                let mut script = Script::new();
                if sequential {
                    let mut received = 0;
                    for kind in &kinds {
                        received += sizes[*kind];
                        script = script.send(REQUESTS[*kind]).await_bytes(received);
                    }
                } else {
                    script = script.send(requests.concat());
                }
                (world.peer(&here(), script), requests, sequential)
            })
            .collect();
        world.run(rng.duration(secs(1) / 4));
        let min_responses: Vec<usize> = clients
            .iter()
            .map(|(client, requests, sequential)| match sequential {
                true => whole(requests, world.peer_state(*client).sent),
                false => whole(requests, world.arrived(*client)),
            })
            .collect();
        world.drain(server);
        assert!(world.run_until(secs(29), |world| world.worker(server).is_done()));
        world.settle();
        assert_eq!(world.worker(server).stats().cut, 0);
        let accepted = world.worker(server).stats().accepted as usize == clients.len();
        for ((client, ..), min_responses) in clients.iter().zip(min_responses) {
            let received = world.peer_state(*client);
            let is_refused =
                received.outcome.is_some_and(|(outcome, _)| outcome != Outcome::Ended) && !accepted;
            assert!(
                is_refused || responses(&world, *client) >= min_responses,
                "{min_responses} responses expected: {received:?}"
            );
        }
        world.finish();
    });
}

/// Connections, their requests and the order to drain arrive at the same time, as in a process that
/// was suspended (SIGSTOP) for a while.
#[test]
fn requests_of_queued_connections_are_answered_when_the_server_drains() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let faults = Faults { no_descriptor: 1000, ..Faults::none() };
        let mut world = World::new(seed, faults);
        let config = Config { max_connections: 2, ..Config::default() };
        let server = world.server(&[here()], config, site());
        let count = rng.between(1, 5);
        let send = || Script::new().send(REQUESTS[0]);
        let clients: Vec<_> = (0..count).map(|_| world.peer(&here(), send())).collect();
        world.run(secs(1) / 100);
        world.set_faults(Faults::none());
        world.drain(server);
        world.settle();
        for client in clients {
            assert_eq!(responses(&world, client), 1);
            let outcome = world.peer_state(client).outcome.map(|(outcome, _)| outcome);
            assert_eq!(outcome, Some(Outcome::Ended));
        }
        world.finish();
    });
}

#[test]
fn a_lame_duck_accepts_until_its_time_is_over_and_then_drains() {
    let mut world = World::new(1, Faults::none());
    let config = Config { lame_duck: secs(5), ..Config::default() };
    let server = world.server(&[here()], config, site());
    let request = || Script::new().send(REQUESTS[0]);
    let idle = world.peer(&here(), Script::new());
    world.run(secs(1));
    world.drain(server);
    world.run(secs(4));
    let during_lame_duck = world.peer(&here(), request());
    world.run(secs(1) / 2);
    let received = String::from_utf8(world.peer_state(during_lame_duck).bytes).unwrap();
    assert!(received.contains("Connection: close\r\n"), "{received}");
    assert!(!world.peer_state(idle).closed, "an idle connection stays");
    world.run(secs(1));
    let after_lame_duck = world.peer(&here(), request());
    world.run(secs(1));
    assert_eq!(responses(&world, after_lame_duck), 0);
    assert!(world.peer_state(idle).closed && world.worker(server).is_done());
    assert_eq!(world.worker(server).stats().cut, 0);
    world.finish();
}

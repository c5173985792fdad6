//! When all connection slots are taken, the connection that has been idle longest is closed for a
//! new one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::driver::Target;
use sockeye_engine::{Config, ConnectionCounts};
use sockeye_http::{Handlers, Server, ServerConfig};
use sockeye_message as message;
use sockeye_proto::{Protocol, echo::Echo};
use sockeye_sim::{Faults, PeerId, Rng, Script, WorkerId, World, seeds};

use crate::checked::{Logs, assert_no_violations, service};
use crate::http::{Site, Text};
use crate::{here, secs};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";

fn http() -> Server<impl Handlers> {
    Server::new(Rc::new(ServerConfig::default()), Site::handlers(&Text::new(usize::MAX)))
}

fn target(port: u16) -> Target {
    Target::Ip(([127, 0, 0, 1], port).into())
}

fn config(max_connections: usize) -> Config {
    Config { max_connections, ..Config::default() }
}

/// A server with this number of slots, whose connections `open` makes.
fn server_with_slots<P: Protocol + 'static>(
    world: &mut World,
    slots: usize,
    mut open: impl FnMut() -> P + 'static,
) -> (WorkerId, Logs) {
    let (protocols, logs) = service(move |_| open());
    (world.server(&[here()], config(slots), protocols), logs)
}

/// Peers that connect a tenth of a second apart, send `input`, and stay connected.
fn idle_peers(world: &mut World, target: &Target, count: usize, input: &str) -> Vec<PeerId> {
    let peers = (0..count).map(|_| {
        let peer = world.peer(target, Script::new().send(input));
        world.run(secs(1) / 10);
        peer
    });
    peers.collect()
}

fn responses(world: &World, peer: PeerId) -> usize {
    String::from_utf8_lossy(&world.peer_state(peer).bytes).matches("HTTP/1.1 200").count()
}

fn evicted(world: &World, server: WorkerId) -> u64 {
    world.worker(server).stats().closed_for("made_room")
}

fn closed(world: &World, peers: &[PeerId]) -> Vec<bool> {
    peers.iter().map(|peer| world.peer_state(*peer).closed).collect()
}

#[test]
fn the_longest_idle_connection_closes_for_each_new_one() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = server_with_slots(&mut world, 4, http);
    let peers = idle_peers(&mut world, &here(), 4, REQUEST);
    // The new connection becomes the one that has been idle for the shortest time.
    world.run(secs(2));
    let late = world.peer(&here(), Script::new().send(REQUEST));
    world.run(secs(1) / 10);
    assert_eq!((evicted(&world, server), responses(&world, late)), (1, 1));
    assert_eq!(closed(&world, &peers), [true, false, false, false]);
    let more: Vec<_> = (0..3).map(|_| world.peer(&here(), Script::new().send(REQUEST))).collect();
    world.run(secs(1) / 10);
    assert_eq!(evicted(&world, server), 4, "one for each, and no more");
    assert!(more.iter().all(|peer| responses(&world, *peer) == 1));
    assert!(!world.peer_state(late).closed);
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn a_connection_that_was_idle_for_less_than_a_second_stays() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = server_with_slots(&mut world, 2, http);
    let peers = idle_peers(&mut world, &here(), 2, REQUEST);
    let new_peer = world.peer(&here(), Script::new().send(REQUEST));
    let start = world.now();
    world.run(secs(1) * 7 / 10);
    assert_eq!((evicted(&world, server), responses(&world, new_peer)), (0, 0));
    assert!(world.run_until(secs(10), |world| responses(world, new_peer) == 1));
    assert!(world.now().since(start) < secs(1), "as soon as one has been idle for a second");
    assert_eq!(closed(&world, &peers), [true, false]);
    world.finish();
    assert_no_violations(&logs.borrow());
}

/// Checks that connections that have sent `input` are not evicted for a new one.
fn assert_none_evicted<P: Protocol + 'static>(open: impl FnMut() -> P + 'static, input: &str) {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = server_with_slots(&mut world, 3, open);
    let peers = idle_peers(&mut world, &here(), 3, input);
    let new_peer = world.peer(&here(), Script::new().send(input));
    world.run(secs(8));
    assert_eq!((evicted(&world, server), world.worker(server).connections()), (0, 3));
    assert_eq!(closed(&world, &peers), [false; 3]);
    assert!(world.peer_state(new_peer).bytes.is_empty());
    world.drain(server);
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn a_silent_connection_is_idle_only_if_its_protocol_says_so() {
    assert_none_evicted(Echo::default, "an echo");
}

#[test]
fn a_request_in_progress_is_not_idle() {
    assert_none_evicted(http, "GET / HTTP/1.1\r\nHo");
    assert_none_evicted(http, "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n12");
}

#[test]
fn message_connections_are_idle_between_messages_and_before_the_first() {
    let frames = || message::Server::new(Rc::default(), message::reference::Reference::default());
    let shared = Rc::new(message::ServerConfig::new(message::Limits::default()));
    let port = move || {
        message::FramesOrHttp::new(Rc::clone(&shared), message::reference::Reference::default())
    };
    fn assert_first_evicted<P: Protocol + 'static>(open: impl FnMut() -> P + 'static) {
        let mut world = World::new(1, Faults::none());
        let (server, logs) = server_with_slots(&mut world, 3, open);
        let peers = idle_peers(&mut world, &here(), 3, "");
        world.run(secs(1));
        world.peer(&here(), Script::new());
        world.run(secs(1));
        assert_eq!(closed(&world, &peers), [true, false, false]);
        assert_eq!(evicted(&world, server), 1);
        world.finish();
        assert_no_violations(&logs.borrow());
    }
    assert_first_evicted(frames);
    assert_first_evicted(port);
    assert_none_evicted(frames, "\x01");
}

#[test]
fn a_connection_whose_request_has_arrived_is_not_evicted() {
    let closed = Cell::new(0);
    seeds(0..200, |seed| {
        // A wait may report the new connection before some of the requests.
        let mut world = World::new(seed, Faults { partial_wait: 1000, ..Faults::none() });
        let (server, logs) = server_with_slots(&mut world, 4, http);
        let script = Script::new().send(REQUEST).wait(secs(3)).send(REQUEST);
        let peers: Vec<_> = (0..4).map(|_| world.peer(&here(), script.clone())).collect();
        world.run_until(secs(1), |world| world.peer_state(peers[0]).sent > 0);
        world.run(secs(3));
        // It arrives at the same moment as the second requests.
        let new_peer = world.peer(&here(), Script::new().send(REQUEST));
        world.run(secs(3));
        for peer in &peers {
            assert_eq!(responses(&world, *peer), 2);
        }
        assert_eq!((responses(&world, new_peer), evicted(&world, server)), (1, 1));
        closed.set(closed.get() + evicted(&world, server));
        world.finish();
        assert_no_violations(&logs.borrow());
    });
    assert!(closed.get() > 0);
}

#[test]
fn a_client_that_is_still_receiving_is_not_idle() {
    let faults = Faults { receive_buffer: 256, ..Faults::none() };
    let mut world = World::new(1, faults);
    let (server, logs) = server_with_slots(&mut world, 1, http);
    let request = "GET /file HTTP/1.1\r\nHost: here\r\n\r\n";
    let slow =
        world.peer(&here(), Script::new().stop_reading().send(request).wait(secs(6)).read_all());
    world.run(secs(2));
    let new_peer = world.peer(&here(), Script::new().send(REQUEST));
    world.run(secs(3));
    assert_eq!((evicted(&world, server), responses(&world, new_peer)), (0, 0));
    world.run(secs(2));
    assert!(world.peer_state(slow).bytes.len() > 5000, "it has received everything");
    assert_eq!((evicted(&world, server), responses(&world, new_peer)), (1, 1));
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn a_worker_without_idle_connections_evicts_one_of_another_worker() {
    let mut world = World::new(1, Faults::none());
    let counts = Arc::<ConnectionCounts>::default();
    let mut logs = Vec::new();
    let workers: Vec<_> = (1..=3)
        .map(|port| {
            let (protocols, worker_logs) = service(|_| http());
            logs.push(worker_logs);
            world.server_with_counts(&counts, &[target(port)], config(4), protocols)
        })
        .collect();
    let peers = idle_peers(&mut world, &target(3), 4, REQUEST);
    world.run(secs(2));
    let newcomers: Vec<_> =
        (0..2).map(|_| world.peer(&target(1), Script::new().send(REQUEST))).collect();
    // Shorter than the pause after a failed accept.
    world.run(Duration::from_millis(50));
    assert!(newcomers.iter().all(|peer| responses(&world, *peer) == 1));
    assert_eq!(workers.iter().map(|id| evicted(&world, *id)).collect::<Vec<_>>(), [0, 0, 2]);
    assert_eq!(closed(&world, &peers), [true, true, false, false]);
    assert_eq!(counts.total(), 4);
    world.finish();
    logs.iter().for_each(|logs| assert_no_violations(&logs.borrow()));
}

#[test]
fn an_address_above_its_limit_evicts_no_connection() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = server_with_slots(&mut world, 8, http);
    idle_peers(&mut world, &here(), 6, REQUEST);
    let limited_address = Script::new().from([192, 0, 2, 1].into()).send(REQUEST);
    // An address may have a quarter of the eight slots. One more connects.
    let same_address: Vec<_> =
        (0..3).map(|_| world.peer(&here(), limited_address.clone())).collect();
    world.run(secs(2));
    let again = world.peer(&here(), limited_address);
    world.run(secs(2));
    assert_eq!(evicted(&world, server), 0);
    assert_eq!(world.worker(server).stats().closed_for("over_address_limit"), 2);
    assert_eq!(same_address.iter().filter(|peer| responses(&world, **peer) == 1).count(), 2);
    assert_eq!(responses(&world, again), 0);
    let other = world.peer(&here(), Script::new().from([192, 0, 2, 2].into()).send(REQUEST));
    world.run(secs(1));
    assert_eq!((evicted(&world, server), responses(&world, other)), (1, 1));
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn many_more_clients_than_slots_are_all_served() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults { stall: 0, ..Faults::lossless(&mut rng) });
        let counts = Arc::<ConnectionCounts>::default();
        let slots = rng.between(1, 5);
        let mut logs = Vec::new();
        for _ in 0..rng.between(1, 3) {
            let (protocols, worker_logs) = service(|_| http());
            world.server_with_counts(&counts, &[here()], config(slots), protocols);
            logs.push(worker_logs);
        }
        // No peer disconnects by itself, and the idle timeout is a minute.
        let peers: Vec<_> =
            (0..20).map(|_| world.peer(&here(), Script::new().send(REQUEST))).collect();
        let served = world.run_until(secs(50), |world| {
            assert!(counts.total() <= slots);
            peers.iter().all(|peer| responses(world, *peer) == 1)
        });
        assert!(served, "{slots} slots");
        world.finish();
        assert_eq!(counts.total(), 0);
        logs.iter().for_each(|logs| assert_no_violations(&logs.borrow()));
    });
}

#[test]
fn a_client_that_waits_for_a_slot_is_served_when_the_server_drains() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = server_with_slots(&mut world, 1, Echo::default);
    world.peer(&here(), Script::new().send("first").wait(secs(5)).finish());
    world.run(secs(1));
    let waiting = world.peer(&here(), Script::new().send("second"));
    world.run(secs(1));
    world.drain(server);
    world.run(secs(1));
    assert_eq!(world.peer_state(waiting).bytes, b"second");
    world.finish();
    assert_no_violations(&logs.borrow());
}

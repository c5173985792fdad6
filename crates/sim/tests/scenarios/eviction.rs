//! All connection slots are taken: the connection that has been idle longest closes for a new one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::driver::Target;
use sockeye_engine::{Config, ConnectionCounts};
use sockeye_http::{Handlers, Server, ServerConfig};
use sockeye_message as message;
use sockeye_proto::{Protocol, echo::Echo};
use sockeye_sim::{Faults, PeerId, Rng, Script, ShardId, World, seeds};

use crate::checked::{Logs, assert_no_violations, service};
use crate::http::{Site, Text};
use crate::{here, secs};

const ASKS: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";

fn http() -> Server<impl Handlers> {
    Server::new(Rc::new(ServerConfig::default()), Site::handlers(&Text::new(usize::MAX)))
}

fn at(port: u16) -> Target {
    Target::Ip(([127, 0, 0, 1], port).into())
}

fn max(max_connections: usize) -> Config {
    Config { max_connections, ..Config::default() }
}

/// A server of such connections, with this many slots.
fn full<P: Protocol + 'static>(
    world: &mut World,
    slots: usize,
    mut open: impl FnMut() -> P + 'static,
) -> (ShardId, Logs) {
    let (opens, logs) = service(move |_| open());
    (world.server(&[here()], max(slots), opens), logs)
}

/// Peers that send this one after the other, a tenth of a second apart, and stay.
fn idle_peers(world: &mut World, target: &Target, count: usize, input: &str) -> Vec<PeerId> {
    let peers = (0..count).map(|_| {
        let peer = world.peer(target, Script::new().send(input));
        world.run(secs(1) / 10);
        peer
    });
    peers.collect()
}

fn answers(world: &World, peer: PeerId) -> usize {
    String::from_utf8_lossy(&world.peer_state(peer).bytes).matches("HTTP/1.1 200").count()
}

fn made_room(world: &World, server: ShardId) -> u64 {
    world.shard(server).stats().closed_for("made_room")
}

fn closed(world: &World, peers: &[PeerId]) -> Vec<bool> {
    peers.iter().map(|peer| world.peer_state(*peer).closed).collect()
}

#[test]
fn the_longest_idle_closes_for_each_new_connection() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = full(&mut world, 4, http);
    let peers = idle_peers(&mut world, &here(), 4, ASKS);
    // The first becomes the last.
    world.run(secs(2));
    let late = world.peer(&here(), Script::new().send(ASKS));
    world.run(secs(1) / 10);
    assert_eq!((made_room(&world, server), answers(&world, late)), (1, 1));
    assert_eq!(closed(&world, &peers), [true, false, false, false]);
    let more: Vec<_> = (0..3).map(|_| world.peer(&here(), Script::new().send(ASKS))).collect();
    world.run(secs(1) / 10);
    assert_eq!(made_room(&world, server), 4, "one for each, and no more");
    assert!(more.iter().all(|peer| answers(&world, *peer) == 1));
    assert!(!world.peer_state(late).closed);
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn whoever_has_been_idle_for_less_than_a_second_stays() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = full(&mut world, 2, http);
    let peers = idle_peers(&mut world, &here(), 2, ASKS);
    let newcomer = world.peer(&here(), Script::new().send(ASKS));
    let start = world.now();
    world.run(secs(1) * 7 / 10);
    assert_eq!((made_room(&world, server), answers(&world, newcomer)), (0, 0));
    assert!(world.run_until(secs(10), |world| answers(world, newcomer) == 1));
    assert!(world.now().since(start) < secs(1), "as soon as one has been idle for a second");
    assert_eq!(closed(&world, &peers), [true, false]);
    world.finish();
    assert_no_violations(&logs.borrow());
}

/// Peers of one kind stay, whatever comes.
fn all_stay<P: Protocol + 'static>(open: impl FnMut() -> P + 'static, input: &str) {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = full(&mut world, 3, open);
    let peers = idle_peers(&mut world, &here(), 3, input);
    let newcomer = world.peer(&here(), Script::new().send(input));
    world.run(secs(8));
    assert_eq!((made_room(&world, server), world.shard(server).connections()), (0, 3));
    assert_eq!(closed(&world, &peers), [false; 3]);
    assert!(world.peer_state(newcomer).bytes.is_empty());
    world.drain(server);
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn silence_is_not_idleness_for_every_protocol() {
    all_stay(Echo::default, "an echo");
}

#[test]
fn a_request_in_progress_is_not_idle() {
    all_stay(http, "GET / HTTP/1.1\r\nHo");
    all_stay(http, "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n12");
}

#[test]
fn connections_of_messages_are_idle_between_messages_and_before_the_first() {
    let frames = || message::Server::new(Rc::default(), message::reference::Reference::default());
    let shared = Rc::new(message::ServerConfig::new(message::Limits::default()));
    let port =
        move || message::Port::new(Rc::clone(&shared), message::reference::Reference::default());
    fn one_goes<P: Protocol + 'static>(open: impl FnMut() -> P + 'static) {
        let mut world = World::new(1, Faults::none());
        let (server, logs) = full(&mut world, 3, open);
        let peers = idle_peers(&mut world, &here(), 3, "");
        world.run(secs(1));
        world.peer(&here(), Script::new());
        world.run(secs(1));
        assert_eq!(closed(&world, &peers), [true, false, false]);
        assert_eq!(made_room(&world, server), 1);
        world.finish();
        assert_no_violations(&logs.borrow());
    }
    one_goes(frames);
    one_goes(port);
    all_stay(frames, "\x01");
}

#[test]
fn a_request_that_has_arrived_is_answered() {
    let closed = Cell::new(0);
    seeds(0..200, |seed| {
        // A wait tells of the new connection, and not of every request.
        let mut world = World::new(seed, Faults { partial_wait: 1000, ..Faults::none() });
        let (server, logs) = full(&mut world, 4, http);
        let script = Script::new().send(ASKS).wait(secs(3)).send(ASKS);
        let peers: Vec<_> = (0..4).map(|_| world.peer(&here(), script.clone())).collect();
        world.run_until(secs(1), |world| world.peer_state(peers[0]).sent > 0);
        world.run(secs(3));
        // It arrives at the same moment as the second requests.
        let newcomer = world.peer(&here(), Script::new().send(ASKS));
        world.run(secs(3));
        for peer in &peers {
            assert_eq!(answers(&world, *peer), 2);
        }
        assert_eq!((answers(&world, newcomer), made_room(&world, server)), (1, 1));
        closed.set(closed.get() + made_room(&world, server));
        world.finish();
        assert_no_violations(&logs.borrow());
    });
    assert!(closed.get() > 0);
}

#[test]
fn a_client_that_is_still_receiving_is_not_idle() {
    let faults = Faults { receive_buffer: 256, ..Faults::none() };
    let mut world = World::new(1, faults);
    let (server, logs) = full(&mut world, 1, http);
    let asks = "GET /file HTTP/1.1\r\nHost: here\r\n\r\n";
    let slow =
        world.peer(&here(), Script::new().stop_reading().send(asks).wait(secs(6)).read_all());
    world.run(secs(2));
    let newcomer = world.peer(&here(), Script::new().send(ASKS));
    world.run(secs(3));
    assert_eq!((made_room(&world, server), answers(&world, newcomer)), (0, 0));
    world.run(secs(2));
    assert!(world.peer_state(slow).bytes.len() > 5000, "it has received everything");
    assert_eq!((made_room(&world, server), answers(&world, newcomer)), (1, 1));
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn another_shard_makes_room_where_the_own_one_cannot() {
    let mut world = World::new(1, Faults::none());
    let counts = Arc::<ConnectionCounts>::default();
    let mut logs = Vec::new();
    let shards: Vec<_> = (1..=3)
        .map(|port| {
            let (opens, seen) = service(|_| http());
            logs.push(seen);
            world.server_with_counts(&counts, &[at(port)], max(4), opens)
        })
        .collect();
    let peers = idle_peers(&mut world, &at(3), 4, ASKS);
    world.run(secs(2));
    let newcomers: Vec<_> = (0..2).map(|_| world.peer(&at(1), Script::new().send(ASKS))).collect();
    // Less than an accept pause.
    world.run(Duration::from_millis(50));
    assert!(newcomers.iter().all(|peer| answers(&world, *peer) == 1));
    assert_eq!(shards.iter().map(|id| made_room(&world, *id)).collect::<Vec<_>>(), [0, 0, 2]);
    assert_eq!(closed(&world, &peers), [true, true, false, false]);
    assert_eq!(counts.total(), 4);
    world.finish();
    logs.iter().for_each(|logs| assert_no_violations(&logs.borrow()));
}

#[test]
fn an_address_with_its_share_gets_nobody_closed() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = full(&mut world, 8, http);
    idle_peers(&mut world, &here(), 6, ASKS);
    let greedy = Script::new().from([192, 0, 2, 1].into()).send(ASKS);
    // A quarter of eight, and one more.
    let theirs: Vec<_> = (0..3).map(|_| world.peer(&here(), greedy.clone())).collect();
    world.run(secs(2));
    let again = world.peer(&here(), greedy);
    world.run(secs(2));
    assert_eq!(made_room(&world, server), 0);
    assert_eq!(world.shard(server).stats().closed_for("over_address_limit"), 2);
    assert_eq!(theirs.iter().filter(|peer| answers(&world, **peer) == 1).count(), 2);
    assert_eq!(answers(&world, again), 0);
    let other = world.peer(&here(), Script::new().from([192, 0, 2, 2].into()).send(ASKS));
    world.run(secs(1));
    assert_eq!((made_room(&world, server), answers(&world, other)), (1, 1));
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
            let (opens, seen) = service(|_| http());
            world.server_with_counts(&counts, &[here()], max(slots), opens);
            logs.push(seen);
        }
        // None leaves by itself, and silence would be ended after a minute only.
        let peers: Vec<_> =
            (0..20).map(|_| world.peer(&here(), Script::new().send(ASKS))).collect();
        let served = world.run_until(secs(50), |world| {
            assert!(counts.total() <= slots);
            peers.iter().all(|peer| answers(world, *peer) == 1)
        });
        assert!(served, "{slots} slots");
        world.finish();
        assert_eq!(counts.total(), 0);
        logs.iter().for_each(|logs| assert_no_violations(&logs.borrow()));
    });
}

#[test]
fn who_waits_for_a_slot_when_the_server_stops_is_served() {
    let mut world = World::new(1, Faults::none());
    let (server, logs) = full(&mut world, 1, Echo::default);
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

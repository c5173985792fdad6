//! Clients that ask for much on many connections and read nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_proto::{Consumed, Event, Fault, Peer, Protocol, Time, Turn};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::{here, secs};

/// A response.
const RESPONSE: usize = 48 * 1024;
/// Requests of one connection, a byte each.
const REQUESTS: usize = 5;
const CONNECTIONS: usize = 12;
/// What all may hold; a client a quarter of it.
const BUDGET: usize = 16 * RESPONSE;

/// What each connection has unsent.
type Unsent = Rc<RefCell<HashMap<usize, u64>>>;

/// Answers each byte with a response, as long as there is room.
struct Filler {
    number: usize,
    unsent: Unsent,
}

impl Filler {
    fn note(&self, turn: &Turn<'_>) {
        self.unsent.borrow_mut().insert(self.number, turn.unsent());
    }
}

impl Protocol for Filler {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        while used < input.len() {
            if turn.is_full() {
                turn.want_room();
                self.note(turn);
                return Ok(Consumed::pause(used));
            }
            turn.out.write(&[b'.'; RESPONSE]);
            used += 1;
        }
        self.note(turn);
        Ok(Consumed::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Room => turn.resume(),
            Event::Eof { .. } => turn.end(sockeye_proto::End::Close),
            _ => {}
        }
        self.note(turn);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_client_that_does_not_read_holds_its_share_and_is_answered_whole_when_it_does() {
    seeds(0..20, |seed| {
        let mut rng = Rng::new(seed);
        // A network that is quick enough, and sends that complete at once or later.
        let faults = Faults {
            late_send: [0, 300, 900][rng.between(0, 2)],
            send_buffer: 16 * 1024,
            receive_buffer: 4096,
            ..Faults::none()
        };
        let mut world = World::new(seed, faults);
        let unsent = Unsent::default();
        let filler = {
            let (unsent, mut number) = (Rc::clone(&unsent), 0);
            move |_: &Peer| -> Box<dyn Protocol> {
                number += 1;
                Box::new(Filler { number, unsent: Rc::clone(&unsent) })
            }
        };
        let config =
            Config { max_buffered_in_all: BUDGET, write_timeout: secs(150), ..Config::default() };
        let server = world.server(&[here()], config, filler);
        let ip: IpAddr = [192, 0, 2, 1].into();
        let greedy = Script::new()
            .from(ip)
            .stop_reading()
            .send([b'?'; REQUESTS])
            .wait(secs(120))
            .read_all()
            .await_bytes(REQUESTS * RESPONSE)
            .finish();
        let peers: Vec<_> = (0..CONNECTIONS).map(|_| world.peer(&here(), greedy.clone())).collect();
        world.run(secs(10));
        // Each has one response or two without being charged; the share is four more.
        let held: u64 = unsent.borrow().values().sum();
        let most = CONNECTIONS * 2 + BUDGET / RESPONSE / 4;
        assert!(held <= (most * RESPONSE) as u64, "{held} of {}", most * RESPONSE);
        // Somebody else is answered as ever.
        let other = Script::new()
            .from([192, 0, 2, 2].into())
            .send([b'?'; REQUESTS])
            .await_bytes(REQUESTS * RESPONSE)
            .finish();
        let other = world.peer(&here(), other);
        world.run_until(secs(100), |world| {
            world.peer_state(other).bytes.len() == REQUESTS * RESPONSE
        });
        assert_eq!(world.peer_state(other).bytes.len(), REQUESTS * RESPONSE);
        world.run_until(secs(2_000), |world| {
            peers.iter().all(|peer| world.peer_state(*peer).closed)
        });
        for peer in peers {
            assert_eq!(world.peer_state(peer).bytes.len(), REQUESTS * RESPONSE);
        }
        assert_eq!(world.shard(server).footprint().charged, 0);
        world.finish();
    });
}

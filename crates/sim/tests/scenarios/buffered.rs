//! A client that requests large responses on many connections and reads nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_proto::{Consumed, Event, Fault, Peer, Protocol, Time, Turn};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::{here, secs};

/// Size of a response, in bytes.
const RESPONSE: usize = 48 * 1024;
/// Number of requests per connection, of one byte each.
const REQUESTS: usize = 5;
const CONNECTIONS: usize = 12;
/// Limit on the output of all connections. A client's share is a quarter of it.
const BUDGET: usize = 16 * RESPONSE;

/// Number of unsent bytes, by connection.
type Unsent = Rc<RefCell<HashMap<usize, u64>>>;

/// Sends a response for each byte, as long as there is room.
struct Responds {
    number: usize,
    unsent: Unsent,
}

impl Responds {
    fn note(&self, turn: &Turn<'_>) {
        self.unsent.borrow_mut().insert(self.number, turn.unsent());
    }
}

impl Protocol for Responds {
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
fn a_client_that_does_not_read_holds_at_most_its_share_and_gets_everything_later() {
    seeds(0..20, |seed| {
        let mut rng = Rng::new(seed);
        // The only fault: in some runs, sends complete some time after the call.
        let faults = Faults {
            late_send: [0, 300, 900][rng.between(0, 2)],
            send_buffer: 16 * 1024,
            receive_buffer: 4096,
            ..Faults::none()
        };
        let mut world = World::new(seed, faults);
        let unsent = Unsent::default();
        let responds = {
            let (unsent, mut number) = (Rc::clone(&unsent), 0);
            move |_: &Peer| -> Box<dyn Protocol> {
                number += 1;
                Box::new(Responds { number, unsent: Rc::clone(&unsent) })
            }
        };
        let config =
            Config { max_buffered_total: BUDGET, write_timeout: secs(150), ..Config::default() };
        let server = world.server(&[here()], config, responds);
        let ip: IpAddr = [192, 0, 2, 1].into();
        let not_reading = Script::new()
            .from(ip)
            .stop_reading()
            .send([b'?'; REQUESTS])
            .wait(secs(120))
            .read_all()
            .await_bytes(REQUESTS * RESPONSE)
            .finish();
        let peers: Vec<_> =
            (0..CONNECTIONS).map(|_| world.peer(&here(), not_reading.clone())).collect();
        world.run(secs(10));
        // Up to 40 KiB per connection are not charged, and a client whose share is used up still
        // gets one response on a connection without unsent output: less than two responses per
        // connection. Its share is four more.
        let held: u64 = unsent.borrow().values().sum();
        let max = CONNECTIONS * 2 + BUDGET / RESPONSE / 4;
        assert!(held <= (max * RESPONSE) as u64, "{held} of {}", max * RESPONSE);
        // Another client is served as usual.
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
        assert_eq!(world.worker(server).footprint().charged, 0);
        world.finish();
    });
}

//! Stopping: what is in production is finished, what doesn't end is cut, who waits is let in.

use sockeye_engine::Config;
use sockeye_proto::echo::Echo;
use sockeye_proto::{End, Event, Fault, Protocol, Time, Took, Turn};
use sockeye_sim::{Faults, Outcome, Rng, Script, World, seeds};

use crate::watched::{check, service};
use crate::{here, secs};

/// Answers each request (a byte) when the work on it is done elsewhere. Told to drain, it finishes
/// what is in production, and does nothing more.
#[derive(Default)]
struct Kitchen {
    cooking: bool,
    last_order: bool,
}

impl Protocol for Kitchen {
    fn on_bytes(&mut self, _: &[u8], turn: &mut Turn<'_>) -> Result<Took, Fault> {
        self.cooking = true;
        let _ = turn.run(|| ());
        Ok(Took::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Message(..) => {
                turn.out.write(b"a whole dish;");
                self.cooking = false;
                if self.last_order {
                    turn.end(End::Linger);
                } else {
                    turn.resume();
                }
            }
            Event::Drain if self.cooking => self.last_order = true,
            Event::Drain => turn.end(End::Linger),
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
fn what_is_in_production_is_finished_and_nothing_after_it() {
    seeds(0..300, |seed| {
        const DISH: &[u8] = b"a whole dish;";
        let mut rng = Rng::new(seed);
        // What stalls for as long as we linger may be lost; that is what lingering's end means.
        let faults = Faults { stall: 0, no_descriptor: 0, ..Faults::gentle(&mut rng) };
        let mut world = World::new(seed, faults);
        let (kitchens, logs) = service(|_| Kitchen::default());
        let server = world.server(&[here()], Config::default(), kitchens);
        let guests: Vec<_> =
            (0..5).map(|_| world.peer(&here(), Script::new().send("12345"))).collect();
        world.run(rng.duration(secs(1) / 5));
        world.drain(server);
        let done = world.run_until(secs(29), |world| world.shard(server).is_done());
        assert!(done, "it drains without a cut");
        world.settle();
        let tally = world.shard(server).tally().clone();
        assert_eq!(tally.cut, 0);
        assert_eq!(tally.closed_for("drained"), tally.closed_in_all());
        for guest in guests {
            let heard = world.heard(guest);
            if tally.accepted == 5 {
                assert!(DISH.repeat(5).starts_with(&heard.bytes));
                assert_eq!(heard.bytes.len() % DISH.len(), 0, "half a dish");
            }
            assert!(heard.outcome.is_some());
        }
        world.finish();
        check(&logs.borrow());
    });
}

/// Hears that it is to stop, and doesn't.
struct Deaf;

impl Protocol for Deaf {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Took, Fault> {
        Ok(Took::more(input.len()))
    }

    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn what_does_not_end_is_cut_at_the_deadline_and_counted() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::gentle(&mut rng));
        let (deaf, logs) = service(|_| Deaf);
        let server = world.server(&[here()], Config::default(), deaf);
        let count = rng.between(1, 5);
        (0..count).for_each(|_| {
            world.peer(&here(), Script::new().send("stop, please"));
        });
        world.run(secs(50));
        assert_eq!(world.shard(server).connections(), count);
        let start = world.now();
        world.drain(server);
        assert!(world.run_until(secs(60), |world| world.shard(server).is_done()));
        assert_eq!(world.now().since(start), secs(30));
        assert_eq!(world.shard(server).tally().cut, count as u64);
        assert_eq!(world.shard(server).tally().closed_for("cut"), count as u64);
        world.finish();
        check(&logs.borrow());
        assert!(logs.borrow().iter().all(|log| log.borrow().drains == 1));
    });
}

/// A shard that nothing has woken for a while has an old time. The drain deadline counts from the
/// call all the same.
#[test]
fn the_drain_deadline_counts_from_the_call_however_long_ago_the_last_turn_was() {
    seeds(0..50, |seed| {
        let mut world = World::new(seed, Faults::none());
        let (deaf, logs) = service(|_| Deaf);
        let server = world.server(&[here()], Config::default(), deaf);
        world.peer(&here(), Script::new().send("stop, please"));
        world.run(secs(1));
        let before = world.shard(server).tally().clone();
        world.run(secs(500));
        let start = world.now();
        world.drain_between_turns(server);
        assert!(world.run_until(secs(60), |world| world.shard(server).is_done()));
        assert_eq!(world.now().since(start), secs(30));
        assert_eq!((before.cut, world.shard(server).tally().cut), (0, 1));
        world.finish();
        check(&logs.borrow());
    });
}

#[test]
fn who_waits_in_the_queue_is_let_in_before_it_closes() {
    seeds(0..100, |seed| {
        let mut world = World::new(seed, Faults { no_descriptor: 1000, ..Faults::none() });
        let (echoes, logs) = service(|_| Echo::default());
        let server = world.server(&[here()], Config::default(), echoes);
        let peers: Vec<_> = (0..5).map(|_| world.peer(&here(), Script::new())).collect();
        world.run(secs(1) / 100);
        assert_eq!(world.shard(server).connections(), 0, "accepting rests");
        world.set_faults(Faults::none());
        world.drain(server);
        world.settle();
        assert_eq!(world.shard(server).tally().accepted, 5);
        for peer in peers {
            let outcome = world.heard(peer).outcome.map(|(outcome, _)| outcome);
            assert_eq!(outcome, Some(Outcome::Ended), "it was reset");
        }
        world.finish();
        check(&logs.borrow());
    });
}

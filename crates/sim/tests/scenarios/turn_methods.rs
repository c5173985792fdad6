//! What connections ask of the engine: answers from elsewhere, pauses, another protocol, room.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use sockeye_engine::Config;
use sockeye_proto::echo::Echo;
use sockeye_proto::{
    Client, Consumed, End, Event, Fault, Job, JobKind, Mark, Protocol, Remote, SendError, Ticket,
    Time, Turn,
};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{assert_no_violations, service};
use crate::here;

/// A world with one server and one peer that says `says` and ends its side.
fn one<P: Protocol + 'static>(
    seed: u64,
    config: Config,
    input: &[u8],
    make: impl FnMut(&sockeye_proto::Peer) -> P + 'static,
    dropped_jobs: u16,
) -> Vec<u8> {
    let mut world = World::new(seed, Faults::lossless(&mut Rng::new(seed)));
    world.drop_jobs(dropped_jobs);
    let (conversations, logs) = service(make);
    world.server(&[here()], config, conversations);
    let peer = world.peer(&here(), Script::new().send(input).finish());
    world.settle();
    let received = world.peer_state(peer).bytes;
    world.finish();
    assert_no_violations(&logs.borrow());
    received
}

/// Has each byte worked on elsewhere, and reads no further until it is done. A byte whose work was
/// lost is answered with `?`.
#[derive(Default)]
struct OneByOne {
    asked: Option<Ticket>,
    ended: bool,
}

impl Protocol for OneByOne {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let byte = input[0];
        self.asked = Some(turn.run(move || byte.to_ascii_uppercase()));
        Ok(Consumed::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Message(ticket, body) => {
                if self.asked.take() != Some(ticket) {
                    return Err(Fault::ours("ticket", "received what we had not asked"));
                }
                let answer = body.map(|body| *body.downcast::<u8>().expect("a byte"));
                turn.out.write(&[answer.unwrap_or(b'?')]);
                turn.resume();
            }
            Event::Eof { .. } => {
                self.ended = true;
                turn.end(End::Finish);
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn every_answer_comes_in_its_place_and_a_lost_one_is_told() {
    seeds(0..200, |seed| {
        let lost = if seed % 2 == 0 { 0 } else { 300 };
        let input = b"what is asked in small letters";
        let received = one(seed, Config::default(), input, |_| OneByOne::default(), lost);
        assert_eq!(received.len(), input.len());
        for (asked, answer) in input.iter().zip(received) {
            let right = asked.to_ascii_uppercase() == answer;
            assert!(right || (lost > 0 && answer == b'?'), "{answer}");
        }
    });
}

/// Looks at the first byte without using it, and leaves the connection to another.
struct Sniff;

impl Protocol for Sniff {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        match input[0] {
            b'1' => turn.switch_to(Box::<OneByOne>::default()),
            // Uses it, this time.
            b'>' => {
                turn.switch_to(Box::new(Echo::default()));
                return Ok(Consumed::more(1));
            }
            _ => turn.switch_to(Box::new(Echo::default())),
        }
        Ok(Consumed::more(0))
    }

    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn another_protocol_gets_every_byte_that_the_first_did_not_use() {
    seeds(0..200, |seed| {
        for (input, answer) in [("1b", "1B"), ("echo", "echo"), (">echo", "echo"), ("e", "e")] {
            let mut world = World::new(seed, Faults::lossless(&mut Rng::new(seed)));
            let sniffing = |_: &_| Box::new(Sniff) as Box<dyn Protocol>;
            world.server(&[here()], Config::default(), sniffing);
            let script = Script::new().send(input).await_bytes(answer.len()).finish();
            let peer = world.peer(&here(), script);
            world.settle();
            assert_eq!(world.peer_state(peer).bytes, answer.as_bytes());
            world.finish();
        }
    });
}

/// Writes for as long as there is room, and goes on when there is some again.
struct Flood {
    left: Vec<u8>,
    most_held: Rc<RefCell<usize>>,
    told: Rc<RefCell<Vec<Mark>>>,
}

const CHUNK: usize = 100;

impl Flood {
    fn pour(&mut self, turn: &mut Turn<'_>) {
        while !self.left.is_empty() && !turn.is_full() {
            let rest = self.left.split_off(CHUNK.min(self.left.len()));
            turn.out.write(&std::mem::replace(&mut self.left, rest));
        }
        let mut most = self.most_held.borrow_mut();
        *most = turn.out.held().max(*most);
        if self.left.is_empty() {
            turn.mark();
            turn.end(End::Finish);
        } else {
            turn.want_room();
        }
    }
}

impl Protocol for Flood {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) | Event::Room => self.pour(turn),
            Event::Sent(mark) => self.told.borrow_mut().push(mark),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn what_does_not_fit_is_written_when_there_is_room() {
    seeds(0..200, |seed| {
        const ROOM: usize = 1000;
        let bytes = Rng::new(seed).bytes(4000);
        let (most_held, told) = (Rc::<RefCell<usize>>::default(), Rc::default());
        let (left, most, marks) = (bytes.clone(), Rc::clone(&most_held), Rc::clone(&told));
        let flood = move |_: &_| Flood {
            left: left.clone(),
            most_held: Rc::clone(&most),
            told: Rc::clone(&marks),
        };
        let config = Config { max_buffered_output: ROOM, ..Config::default() };
        let received = one(seed, config, b"", flood, 0);
        assert!(received == bytes, "{} bytes", received.len());
        assert!(*most_held.borrow() < ROOM + CHUNK, "{most_held:?}");
        assert_eq!(told.borrow().last(), Some(&Mark(4000)), "{told:?}");
    });
}

/// Is sent numbers from elsewhere, as many at a time as there is credit for.
#[derive(Default)]
struct Fed {
    remote: Rc<RefCell<Option<Remote>>>,
    next: Arc<AtomicU8>,
}

const MESSAGES: u8 = 100;

impl Fed {
    /// From elsewhere come as many as may.
    fn feed(&self, turn: &mut Turn<'_>) {
        let (remote, next) = (turn.remote(), Arc::clone(&self.next));
        *self.remote.borrow_mut() = Some(remote.clone());
        let feed = Job::new(JobKind::Other, Client::Unix, move || {
            while next.load(Relaxed) < MESSAGES {
                match remote.try_send(Box::new(next.load(Relaxed))) {
                    Ok(()) => next.fetch_add(1, Relaxed),
                    Err(_) => return,
                };
            }
        });
        turn.spawn(feed).unwrap();
    }
}

impl Protocol for Fed {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            // When there is room, there is credit again.
            Event::Open(_) | Event::Room => self.feed(turn),
            Event::Message(Ticket::REMOTE, Ok(body)) => {
                let number = *body.downcast::<u8>().expect("a number");
                turn.out.write(&[number]);
                if number == MESSAGES - 1 {
                    turn.end(End::Finish);
                } else {
                    turn.want_room();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn messages_from_elsewhere_come_in_order_under_credit_and_stop_at_the_end() {
    seeds(0..200, |seed| {
        let remote = Rc::<RefCell<Option<Remote>>>::default();
        let ours = Rc::clone(&remote);
        // So little room that credit comes back late.
        let config = Config { max_buffered_output: 8, ..Config::default() };
        let fed = move |_: &_| Fed { remote: Rc::clone(&ours), ..Fed::default() };
        let received = one(seed, config, b"", fed, 0);
        assert_eq!(received, (0..MESSAGES).collect::<Vec<_>>());
        let remote = remote.borrow_mut().take().expect("it was opened");
        assert!(remote.is_gone());
        assert!(matches!(remote.try_send(Box::new(())), Err(SendError::Gone(_))));
    });
}

/// Reads what is said elsewhere, as far as its output has room.
struct Follows {
    said: Arc<Mutex<Vec<u8>>>,
    read: usize,
    /// How often it was woken.
    told: u32,
}

impl Protocol for Follows {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                let refused = turn.remote().send(Box::new(()));
                assert!(matches!(refused, Err(SendError::OnEventLoop(_))), "{refused:?}");
                // Many jobs, each of which takes its time, and says several things at once.
                for from in (0..MESSAGES).step_by(10) {
                    let (remote, said) = (turn.remote(), Arc::clone(&self.said));
                    let say = Job::new(JobKind::Other, Client::Unix, move || {
                        for number in from..from + 10 {
                            said.lock().unwrap().push(number);
                            remote.wake();
                        }
                    });
                    turn.spawn(say).unwrap();
                }
            }
            Event::Woken | Event::Room => {
                self.told += u32::from(matches!(event, Event::Woken));
                let said = self.said.lock().unwrap();
                while self.read < said.len() && !turn.is_full() {
                    turn.out.write(&said[self.read..=self.read]);
                    self.read += 1;
                }
                if self.read < said.len() {
                    turn.want_room();
                } else if said.len() == usize::from(MESSAGES) {
                    turn.end(End::Finish);
                }
                assert!(self.told <= u32::from(MESSAGES) / 10, "ten at once are one wake-up");
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_conversation_that_is_woken_reads_on_as_far_as_there_is_room() {
    seeds(0..200, |seed| {
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let ours = Arc::clone(&said);
        let config = Config { max_buffered_output: 8, ..Config::default() };
        let follows = move |_: &_| Follows { said: Arc::clone(&ours), read: 0, told: 0 };
        let received = one(seed, config, b"", follows, 0);
        assert_eq!(received, *said.lock().unwrap());
        assert_eq!(received.len(), usize::from(MESSAGES));
    });
}

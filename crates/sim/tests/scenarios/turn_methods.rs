//! Protocols that use the methods of `Turn`: jobs, pauses, `switch_to`, room and remotes.

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

/// Runs one server, and one peer that sends `input` and closes its sending side. Returns what the
/// peer received.
fn run_one_peer<P: Protocol + 'static>(
    seed: u64,
    config: Config,
    input: &[u8],
    make: impl FnMut(&sockeye_proto::Peer) -> P + 'static,
    dropped_jobs: u16,
) -> Vec<u8> {
    let mut world = World::new(seed, Faults::lossless(&mut Rng::new(seed)));
    world.drop_jobs(dropped_jobs);
    let (protocols, logs) = service(make);
    world.server(&[here()], config, protocols);
    let peer = world.peer(&here(), Script::new().send(input).finish());
    world.settle();
    let received = world.peer_state(peer).bytes;
    world.finish();
    assert_no_violations(&logs.borrow());
    received
}

/// Runs a job for each byte, and pauses until it has finished. A byte whose job was dropped is
/// answered with `?`.
#[derive(Default)]
struct JobPerByte {
    ticket: Option<Ticket>,
    ended: bool,
}

impl Protocol for JobPerByte {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let byte = input[0];
        self.ticket = Some(turn.run(move || byte.to_ascii_uppercase()));
        Ok(Consumed::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Message(ticket, body) => {
                if self.ticket.take() != Some(ticket) {
                    return Err(Fault::ours("ticket", "got an unexpected ticket"));
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
fn job_results_arrive_in_order_and_dropped_jobs_are_reported() {
    seeds(0..200, |seed| {
        let dropped = if seed % 2 == 0 { 0 } else { 300 };
        let input = b"lower case letters";
        let received =
            run_one_peer(seed, Config::default(), input, |_| JobPerByte::default(), dropped);
        assert_eq!(received.len(), input.len());
        for (byte, answer) in input.iter().zip(received) {
            let right = byte.to_ascii_uppercase() == answer;
            assert!(right || (dropped > 0 && answer == b'?'), "{answer}");
        }
    });
}

/// Switches to another protocol, depending on the first byte, which it doesn't consume.
struct Detect;

impl Protocol for Detect {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        match input[0] {
            b'1' => turn.switch_to(Box::<JobPerByte>::default()),
            // In this case, it consumes the byte.
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
fn switch_to_passes_every_unused_byte_to_the_next_protocol() {
    seeds(0..200, |seed| {
        for (input, answer) in [("1b", "1B"), ("echo", "echo"), (">echo", "echo"), ("e", "e")] {
            let mut world = World::new(seed, Faults::lossless(&mut Rng::new(seed)));
            let detect = |_: &_| Box::new(Detect) as Box<dyn Protocol>;
            world.server(&[here()], Config::default(), detect);
            let script = Script::new().send(input).await_bytes(answer.len()).finish();
            let peer = world.peer(&here(), script);
            world.settle();
            assert_eq!(world.peer_state(peer).bytes, answer.as_bytes());
            world.finish();
        }
    });
}

/// Writes as long as there is room, and continues at `Event::Room`.
struct Writer {
    unwritten: Vec<u8>,
    max_held: Rc<RefCell<usize>>,
    marks: Rc<RefCell<Vec<Mark>>>,
}

const CHUNK: usize = 100;

impl Writer {
    fn fill(&mut self, turn: &mut Turn<'_>) {
        while !self.unwritten.is_empty() && !turn.is_full() {
            let rest = self.unwritten.split_off(CHUNK.min(self.unwritten.len()));
            turn.out.write(&std::mem::replace(&mut self.unwritten, rest));
        }
        let mut max = self.max_held.borrow_mut();
        *max = turn.out.held().max(*max);
        if self.unwritten.is_empty() {
            turn.mark();
            turn.end(End::Finish);
        } else {
            turn.want_room();
        }
    }
}

impl Protocol for Writer {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) | Event::Room => self.fill(turn),
            Event::Sent(mark) => self.marks.borrow_mut().push(mark),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_protocol_continues_to_write_when_it_gets_room() {
    seeds(0..200, |seed| {
        const ROOM: usize = 1000;
        let bytes = Rng::new(seed).bytes(4000);
        let (max_held, marks) = (Rc::<RefCell<usize>>::default(), Rc::default());
        let (unwritten, max, writer_marks) =
            (bytes.clone(), Rc::clone(&max_held), Rc::clone(&marks));
        let writer = move |_: &_| Writer {
            unwritten: unwritten.clone(),
            max_held: Rc::clone(&max),
            marks: Rc::clone(&writer_marks),
        };
        let config = Config { max_buffered_output: ROOM, ..Config::default() };
        let received = run_one_peer(seed, config, b"", writer, 0);
        assert!(received == bytes, "{} bytes", received.len());
        assert!(*max_held.borrow() < ROOM + CHUNK, "{max_held:?}");
        assert_eq!(marks.borrow().last(), Some(&Mark(4000)), "{marks:?}");
    });
}

/// Receives numbers that a job sends by a remote, as many at a time as the remote allows.
#[derive(Default)]
struct RemoteReader {
    remote: Rc<RefCell<Option<Remote>>>,
    next: Arc<AtomicU8>,
}

const MESSAGES: u8 = 100;

impl RemoteReader {
    /// Starts a job that sends as many numbers as the remote accepts.
    fn spawn_sender(&self, turn: &mut Turn<'_>) {
        let (remote, next) = (turn.remote(), Arc::clone(&self.next));
        *self.remote.borrow_mut() = Some(remote.clone());
        let sender = Job::new(JobKind::Other, Client::Unix, move || {
            while next.load(Relaxed) < MESSAGES {
                match remote.try_send(Box::new(next.load(Relaxed))) {
                    Ok(()) => next.fetch_add(1, Relaxed),
                    Err(_) => return,
                };
            }
        });
        turn.spawn(sender).unwrap();
    }
}

impl Protocol for RemoteReader {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            // The messages so far were handled, so that the remote accepts more.
            Event::Open(_) | Event::Room => self.spawn_sender(turn),
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
fn remote_messages_arrive_in_order_within_their_limit_and_fail_after_the_end() {
    seeds(0..200, |seed| {
        let remote = Rc::<RefCell<Option<Remote>>>::default();
        let ours = Rc::clone(&remote);
        // A small output buffer, so that messages are handled slowly.
        let config = Config { max_buffered_output: 8, ..Config::default() };
        let reader =
            move |_: &_| RemoteReader { remote: Rc::clone(&ours), ..RemoteReader::default() };
        let received = run_one_peer(seed, config, b"", reader, 0);
        assert_eq!(received, (0..MESSAGES).collect::<Vec<_>>());
        let remote = remote.borrow_mut().take().expect("it was opened");
        assert!(remote.is_gone());
        assert!(matches!(remote.try_send(Box::new(())), Err(SendError::Gone(_))));
    });
}

/// Writes a log, which jobs append to, as far as there is room.
struct LogReader {
    log: Arc<Mutex<Vec<u8>>>,
    read: usize,
    /// Number of wake-ups.
    wakes: u32,
}

impl Protocol for LogReader {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                let refused = turn.remote().send(Box::new(()));
                assert!(matches!(refused, Err(SendError::OnEventLoop(_))), "{refused:?}");
                // Each job takes some time, then appends ten numbers and wakes the session ten
                // times.
                for from in (0..MESSAGES).step_by(10) {
                    let (remote, log) = (turn.remote(), Arc::clone(&self.log));
                    let say = Job::new(JobKind::Other, Client::Unix, move || {
                        for number in from..from + 10 {
                            log.lock().unwrap().push(number);
                            remote.wake();
                        }
                    });
                    turn.spawn(say).unwrap();
                }
            }
            Event::Woken | Event::Room => {
                self.wakes += u32::from(matches!(event, Event::Woken));
                let log = self.log.lock().unwrap();
                while self.read < log.len() && !turn.is_full() {
                    turn.out.write(&log[self.read..=self.read]);
                    self.read += 1;
                }
                if self.read < log.len() {
                    turn.want_room();
                } else if log.len() == usize::from(MESSAGES) {
                    turn.end(End::Finish);
                }
                assert!(self.wakes <= u32::from(MESSAGES) / 10, "ten at once are one wake-up");
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
fn a_woken_protocol_writes_as_far_as_it_has_room() {
    seeds(0..200, |seed| {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let ours = Arc::clone(&log);
        let config = Config { max_buffered_output: 8, ..Config::default() };
        let reader = move |_: &_| LogReader { log: Arc::clone(&ours), read: 0, wakes: 0 };
        let received = run_one_peer(seed, config, b"", reader, 0);
        assert_eq!(received, *log.lock().unwrap());
        assert_eq!(received.len(), usize::from(MESSAGES));
    });
}

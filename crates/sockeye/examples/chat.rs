//! A chat room over plain TCP, in one file: what one member says, all of them read.
//!
//! ```sh
//! cargo run --example chat 127.0.0.1:8080
//! nc 127.0.0.1 8080     # the first line is your name, every other one is said
//! ```
//!
//! Members are spread over the workers of the server. What is said goes into the room's log, which
//! all of them share, and wakes them ([`Remote::wake`]). Each member reads on from a cursor of its
//! own, as far as its output has room. So nobody waits for a slow member, and one costs no more than
//! its output: 256 KiB ([`Config::max_buffered_output`]). The log keeps 1 MiB. A member that falls
//! farther behind misses lines, and is told how many. One that reads nothing at all for a minute is
//! disconnected by the engine ([`Config::write_timeout`]).

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockeye::{
    Config, Consumed, End, Event, Fault, ListenAddr, Peer, Protocol, Remote, Serving, Time, Turn,
    usable_cores,
};

/// Bytes of a line, without its end.
const LONGEST_LINE: usize = 512;

/// Bytes of a name.
const LONGEST_NAME: usize = 32;

/// How long a newcomer may take to say its name.
const NAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of lines that the room keeps.
const LOG: usize = 1024 * 1024;

/// What a kept line takes beside its text, in bytes.
const PER_LINE: usize = 32;

/// Lines that a member may say in one turn of its worker. A flood of lines is so cut up that others
/// read in between.
const LINES_PER_TURN: usize = 128;

/// What all members share, on all workers.
#[derive(Default)]
struct Room(Mutex<State>);

#[derive(Default)]
struct State {
    /// The newest lines, each with its end.
    log: VecDeque<Box<[u8]>>,
    /// Bytes of the log, as [`LOG`] counts them.
    kept: usize,
    /// How many lines have left the log.
    dropped: u64,
    /// Whom to wake, by name.
    members: BTreeMap<String, Remote>,
}

impl State {
    /// Where the log ends: the number of the next line.
    fn end(&self) -> u64 {
        self.dropped + self.log.len() as u64
    }

    /// Says a line to everybody. What this costs doesn't depend on how fast they read.
    fn say(&mut self, line: &str) {
        let line = format!("{line}\n").into_bytes().into_boxed_slice();
        self.kept += line.len() + PER_LINE;
        self.log.push_back(line);
        while self.kept > LOG
            && let Some(oldest) = self.log.pop_front()
        {
            self.kept -= oldest.len() + PER_LINE;
            self.dropped += 1;
        }
        self.members.values().for_each(Remote::wake);
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a member in, unless its name is taken. Returns where it begins to read.
    fn join(&self, name: &str, remote: Remote) -> Option<u64> {
        let mut state = self.lock();
        if state.members.contains_key(name) {
            return None;
        }
        let begin = state.end();
        state.members.insert(name.to_owned(), remote);
        let count = state.members.len();
        state.say(&format!("* {name} has joined ({count} here)"));
        Some(begin)
    }

    fn leave(&self, name: &str) {
        let mut state = self.lock();
        if state.members.remove(name).is_some() {
            state.say(&format!("* {name} has left"));
        }
    }

    /// Writes what was said since `cursor`, as far as there is room. Returns whether that was all.
    fn read(&self, cursor: &mut u64, turn: &mut Turn<'_>) -> bool {
        let state = self.lock();
        let missed = state.dropped.saturating_sub(*cursor);
        if missed > 0 && !turn.is_full() {
            turn.out.write(format!("* you read too slowly: {missed} lines missed\n").as_bytes());
            *cursor = state.dropped;
        }
        while !turn.is_full() && *cursor < state.end() {
            turn.out.write(&state.log[(*cursor - state.dropped) as usize]);
            *cursor += 1;
        }
        *cursor == state.end()
    }
}

/// One connection.
struct Member {
    room: Arc<Room>,
    stage: Stage,
}

enum Stage {
    /// Its first line is its name, and comes in time.
    ExpectName { until: Time },
    /// It has read up to the cursor.
    Here { name: String, cursor: u64 },
    /// It has ended, or is about to.
    Gone,
}

impl Member {
    /// Takes a line, without its end.
    fn line(&mut self, line: &str, turn: &mut Turn<'_>) {
        match &self.stage {
            Stage::ExpectName { .. } => self.join(line, turn),
            Stage::Here { .. } if line.is_empty() => {}
            Stage::Here { name, .. } => {
                let line = format!("<{name}> {line}");
                self.room.lock().say(&line);
            }
            Stage::Gone => {}
        }
    }

    fn join(&mut self, name: &str, turn: &mut Turn<'_>) {
        let is_good = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_good) {
            turn.out
                .write(b"* a name has letters, digits, - and _, 32 bytes at most: another one?\n");
        } else if let Some(cursor) = self.room.join(name, turn.remote()) {
            self.stage = Stage::Here { name: name.to_owned(), cursor };
        } else {
            turn.out.write(format!("* {name} is here already: another name?\n").as_bytes());
        }
    }

    /// Reads on. What doesn't fit waits for room.
    fn read(&mut self, turn: &mut Turn<'_>) {
        if let Stage::Here { cursor, .. } = &mut self.stage
            && !self.room.read(cursor, turn)
        {
            turn.want_room();
        }
    }

    fn leave(&mut self) {
        if let Stage::Here { name, .. } = std::mem::replace(&mut self.stage, Stage::Gone) {
            self.room.leave(&name);
        }
    }
}

impl Protocol for Member {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        for _ in 0..LINES_PER_TURN {
            // Who doesn't read isn't read from.
            if turn.is_full() {
                turn.want_room();
                return Ok(Consumed::pause(used));
            }
            let rest = &input[used..];
            let end = rest.iter().take(LONGEST_LINE + 2).position(|byte| *byte == b'\n');
            let Some(end) = end else {
                if rest.len() > LONGEST_LINE + 1 {
                    turn.out.write(b"* a line has 512 bytes at most\n");
                    return Err(Fault::peer("line_too_long", "sent a line of more than 512 bytes"));
                }
                // It is offered again, with more behind it.
                return Ok(Consumed::more(used));
            };
            used += end + 1;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            // Nobody's terminal is to be steered by somebody else's line.
            let line = String::from_utf8_lossy(line).replace(char::is_control, "\u{fffd}");
            self.line(&line, turn);
        }
        // It goes on in its worker's next turn.
        turn.remote().wake();
        Ok(Consumed::pause(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                self.stage = Stage::ExpectName { until: turn.now() + NAME_TIMEOUT };
                turn.out.write(b"* your name?\n");
            }
            Event::Woken | Event::Room => {
                self.read(turn);
                turn.resume();
            }
            Event::Deadline => return Err(Fault::idle(NAME_TIMEOUT)),
            // What is written still goes out.
            Event::Eof { .. } => {
                self.read(turn);
                self.leave();
                turn.end(End::Finish);
            }
            Event::Drain { .. } => {
                turn.out.write(b"* the room closes\n");
                turn.end(End::Linger);
            }
            Event::Closed(_) => self.leave(),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::ExpectName { until } => Some(until),
            Stage::Here { .. } | Stage::Gone => None,
        }
    }
}

/// Opens a room at `address`, on so many threads, until the returned value's handle says to stop.
pub(crate) fn serve(
    address: ListenAddr,
    workers: NonZeroUsize,
    config: Config,
) -> Result<Serving, Box<dyn Error>> {
    let room = Arc::<Room>::default();
    let serving = Serving::start(&[address], workers, config, move |_worker, _bound| {
        let room = Arc::clone(&room);
        move |_: &Peer| {
            // The time is known when the connection opens.
            let stage = Stage::ExpectName { until: Time::NEVER };
            Box::new(Member { room: Arc::clone(&room), stage }) as Box<dyn Protocol>
        }
    })?;
    Ok(serving)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?, usable_cores(), Config::default())?;
    println!("{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}

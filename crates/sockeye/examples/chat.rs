//! A chat room over plain TCP, in one file.
//!
//! ```sh
//! cargo run --example chat 127.0.0.1:8080
//! nc 127.0.0.1 8080     # the first line is your name
//! ```
//!
//! Each connection is a member of the chat room, on any worker of the server. A line from a member
//! is appended to the room's log, and all members are woken ([`Remote::wake`]). Each member reads
//! the log from its own position, as far as its output buffer has space. So a slow member delays
//! nobody, and costs a buffer of up to 256 KiB ([`Config::max_buffered_output`]). The log keeps
//! 1 MiB. A member that is further behind misses lines, and is told how many. The engine
//! disconnects a member that reads nothing for a minute ([`Config::write_timeout`]).

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockeye::{
    Config, Consumed, End, Event, Fault, ListenAddr, Peer, Protocol, Remote, Serving, Time, Turn,
    usable_cores,
};

/// Maximum length of a line, in bytes, without the newline.
const MAX_LINE: usize = 512;

/// Maximum length of a name, in bytes.
const MAX_NAME: usize = 32;

/// Time for a new member to send its name.
const NAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of the log, in bytes.
const MAX_LOG: usize = 1024 * 1024;

/// Memory that a line of the log uses in addition to its text, in bytes.
const PER_LINE: usize = 32;

/// Maximum number of lines that are read from one member in one turn of its worker, so that one who
/// sends many doesn't delay the others.
const LINES_PER_TURN: usize = 128;

/// The chat room, which all members share.
#[derive(Default)]
struct ChatRoom(Mutex<State>);

#[derive(Default)]
struct State {
    /// The newest lines, each with its newline.
    log: VecDeque<Box<[u8]>>,
    /// Size of the log, in bytes.
    size: usize,
    /// Number of lines that were removed from the log.
    dropped: u64,
    /// The handle that wakes each member, by name.
    members: BTreeMap<String, Remote>,
}

impl State {
    /// The number of the next line.
    fn end(&self) -> u64 {
        self.dropped + self.log.len() as u64
    }

    /// Appends a line to the log, and wakes all members.
    fn announce(&mut self, line: &str) {
        let line = format!("{line}\n").into_bytes().into_boxed_slice();
        self.size += line.len() + PER_LINE;
        self.log.push_back(line);
        while self.size > MAX_LOG
            && let Some(oldest) = self.log.pop_front()
        {
            self.size -= oldest.len() + PER_LINE;
            self.dropped += 1;
        }
        self.members.values().for_each(Remote::wake);
    }
}

impl ChatRoom {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a member, unless its name is taken. Returns the position from which it reads.
    fn join(&self, name: &str, remote: Remote) -> Option<u64> {
        let mut state = self.lock();
        if state.members.contains_key(name) {
            return None;
        }
        let position = state.end();
        state.members.insert(name.to_owned(), remote);
        let count = state.members.len();
        state.announce(&format!("* {name} has joined ({count} here)"));
        Some(position)
    }

    fn leave(&self, name: &str) {
        let mut state = self.lock();
        if state.members.remove(name).is_some() {
            state.announce(&format!("* {name} has left"));
        }
    }

    /// Writes the lines from `position`, as far as the output has space. Returns whether all were
    /// written.
    fn read(&self, position: &mut u64, turn: &mut Turn<'_>) -> bool {
        let state = self.lock();
        let missed = state.dropped.saturating_sub(*position);
        if missed > 0 && !turn.is_full() {
            turn.out.write(format!("* you read too slowly: {missed} lines missed\n").as_bytes());
            *position = state.dropped;
        }
        while !turn.is_full() && *position < state.end() {
            turn.out.write(&state.log[(*position - state.dropped) as usize]);
            *position += 1;
        }
        *position == state.end()
    }
}

/// One connection.
struct Member {
    room: Arc<ChatRoom>,
    state: MemberState,
}

enum MemberState {
    /// Waits for its first line, which is its name.
    ExpectName {
        until: Time,
    },
    /// It has read the lines before `position`.
    Joined {
        name: String,
        position: u64,
    },
    Left,
}

impl Member {
    /// Handles a line, without its newline.
    fn line(&mut self, line: &str, turn: &mut Turn<'_>) {
        match &self.state {
            MemberState::ExpectName { .. } => self.join(line, turn),
            MemberState::Joined { .. } if line.is_empty() => {}
            MemberState::Joined { name, .. } => {
                let line = format!("<{name}> {line}");
                self.room.lock().announce(&line);
            }
            MemberState::Left => {}
        }
    }

    fn join(&mut self, name: &str, turn: &mut Turn<'_>) {
        let is_allowed = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_allowed) {
            turn.out
                .write(b"* a name has letters, digits, - and _, 32 bytes at most: another one?\n");
        } else if let Some(position) = self.room.join(name, turn.remote()) {
            self.state = MemberState::Joined { name: name.to_owned(), position };
        } else {
            turn.out.write(format!("* {name} is here already: another name?\n").as_bytes());
        }
    }

    /// Writes new lines of the log, and asks for [`Event::Room`] if there are more.
    fn read(&mut self, turn: &mut Turn<'_>) {
        if let MemberState::Joined { position, .. } = &mut self.state
            && !self.room.read(position, turn)
        {
            turn.want_room();
        }
    }

    fn leave(&mut self) {
        if let MemberState::Joined { name, .. } =
            std::mem::replace(&mut self.state, MemberState::Left)
        {
            self.room.leave(&name);
        }
    }
}

impl Protocol for Member {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut consumed = 0;
        for _ in 0..LINES_PER_TURN {
            // A member that doesn't read may not write.
            if turn.is_full() {
                turn.want_room();
                return Ok(Consumed::pause(consumed));
            }
            let rest = &input[consumed..];
            let end = rest.iter().take(MAX_LINE + 2).position(|byte| *byte == b'\n');
            let Some(end) = end else {
                if rest.len() > MAX_LINE + 1 {
                    turn.out.write(b"* a line has 512 bytes at most\n");
                    return Err(Fault::peer("line_too_long", "sent a line of more than 512 bytes"));
                }
                // The engine passes the incomplete line again, with the bytes that follow.
                return Ok(Consumed::more(consumed));
            };
            consumed += end + 1;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            // A line must not control the terminals of others.
            let line = String::from_utf8_lossy(line).replace(char::is_control, "\u{fffd}");
            self.line(&line, turn);
        }
        // Continue in the worker's next turn.
        turn.remote().wake();
        Ok(Consumed::pause(consumed))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                self.state = MemberState::ExpectName { until: turn.now() + NAME_TIMEOUT };
                turn.out.write(b"* your name?\n");
            }
            Event::Woken | Event::Room => {
                self.read(turn);
                turn.resume();
            }
            Event::Deadline => return Err(Fault::idle(NAME_TIMEOUT)),
            // The output is still sent.
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
        match self.state {
            MemberState::ExpectName { until } => Some(until),
            MemberState::Joined { .. } | MemberState::Left => None,
        }
    }
}

/// Opens a room at `address`.
pub(crate) fn serve(
    address: ListenAddr,
    workers: NonZeroUsize,
    config: Config,
) -> Result<Serving, Box<dyn Error>> {
    let room = Arc::<ChatRoom>::default();
    let serving = Serving::start(&[address], workers, config, move |_worker, _bound| {
        let room = Arc::clone(&room);
        move |_: &Peer| {
            // `Event::Open` sets the time, which isn't known here.
            let state = MemberState::ExpectName { until: Time::NEVER };
            Member { room: Arc::clone(&room), state }
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

//! A chat room over plain TCP: the connections of all workers share a log, and wake each other.
//!
//! ```console
//! $ cargo run --example chat 127.0.0.1:8080 &
//! $ nc 127.0.0.1 8080
//! * guest 1 has joined
//! ^C
//! ```
//!
//! Each member reads the log from its own position, as far as its output has room, so a slow member
//! delays nobody. A member that is more than [`MAX_LOG`] lines behind misses some lines.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use sockeye::{
    Config, Consumed, End, Event, Fault, ListenAddr, Peer, Protocol, Remote, ServeError, Serving,
    Time, Turn, usable_cores,
};

/// Maximum length of a line, in bytes.
const MAX_LINE: usize = 512;

/// Maximum number of lines in the log.
const MAX_LOG: u64 = 4096;

/// The chat room, which all connections share. (`Event::Room` is about room in the output.)
#[derive(Default)]
struct ChatRoom {
    log: VecDeque<String>,
    /// The number of the next line.
    end: u64,
    members: BTreeMap<u64, Remote>,
    /// The number of the newest member.
    newest: u64,
}

impl ChatRoom {
    /// The number of the first line in the log.
    fn start(&self) -> u64 {
        self.end - self.log.len() as u64
    }

    /// Adds a line to the log, and wakes all members.
    fn say(&mut self, line: String) {
        self.log.push_back(line);
        self.end += 1;
        if self.log.len() as u64 > MAX_LOG {
            self.log.pop_front();
        }
        // Each member gets `Event::Woken`. This never blocks.
        self.members.values().for_each(Remote::wake);
    }
}

/// One connection.
struct Member {
    room: Arc<Mutex<ChatRoom>>,
    number: u64,
    /// The number of the next line to write to this member's output.
    position: u64,
}

impl Member {
    /// Writes the lines from `position` on. If not all of them fit into the output, asks for
    /// `Event::Room`.
    fn read(&mut self, turn: &mut Turn<'_>) {
        let room = self.room.lock().unwrap();
        while self.position < room.end {
            if turn.is_full() {
                return turn.want_room();
            }
            if let Some(missed) = room.start().checked_sub(self.position).filter(|lines| *lines > 0)
            {
                turn.out.write(format!("* you missed {missed} lines\n").as_bytes());
                self.position += missed;
            }
            turn.out.write(room.log[(self.position - room.start()) as usize].as_bytes());
            self.position += 1;
        }
    }

    /// Removes this member from the room. Does nothing if it has already left.
    fn leave(&self) {
        let mut room = self.room.lock().unwrap();
        if room.members.remove(&self.number).is_some() {
            room.say(format!("* guest {} has left\n", self.number));
        }
    }
}

impl Protocol for Member {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        if input.split(|byte| *byte == b'\n').any(|line| line.len() > MAX_LINE) {
            return Err(Fault::peer("line_too_long", "sent a line of more than 512 bytes"));
        }
        let end = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in String::from_utf8_lossy(&input[..end]).lines() {
            // Control characters in a line must not reach the terminals of others.
            let line = line.replace(char::is_control, "\u{fffd}");
            self.room.lock().unwrap().say(format!("<guest {}> {line}\n", self.number));
        }
        Ok(Consumed::more(end))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                let mut room = self.room.lock().unwrap();
                room.newest += 1;
                (self.number, self.position) = (room.newest, room.end);
                room.members.insert(self.number, turn.remote());
                room.say(format!("* guest {} has joined\n", self.number));
            }
            Event::Woken | Event::Room => self.read(turn),
            Event::Eof { .. } => {
                self.leave();
                turn.end(End::Finish);
            }
            Event::Drain { .. } => turn.end(End::Linger),
            Event::Closed(_) => self.leave(),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

pub(crate) fn serve(
    address: ListenAddr,
    workers: NonZeroUsize,
    config: Config,
) -> Result<Serving, ServeError> {
    let room = Arc::<Mutex<ChatRoom>>::default();
    Serving::start(&[address], workers, config, move |_worker, _bound| {
        let room = Arc::clone(&room);
        move |_: &Peer| Member { room: Arc::clone(&room), number: 0, position: 0 }
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?, usable_cores(), Config::default())?;
    for address in serving.ip_addresses() {
        let (ip, port) = (address.ip(), address.port());
        println!("Listening at {address} - try, in two terminals: nc {ip} {port}");
    }
    serving.join()?;
    Ok(())
}

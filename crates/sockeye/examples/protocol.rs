//! A protocol of one's own, in one file: netstrings, each answered with the same backwards.
//!
//! ```sh
//! cargo run --example protocol 127.0.0.1:8080
//! printf '5:hello,' | nc -N 127.0.0.1 8080    # 5:olleh,
//! ```
//!
//! A netstring is a length in decimal digits, a colon, so many bytes, and a comma. The connection
//! below says what these bytes mean and how long it waits for them. Slow readers, the thousandth
//! connection and stopping in order are the engine's, and need no line here.

use std::error::Error;
use std::time::Duration;

use sockeye::{
    Config, Consumed, End, Event, Fault, ListenAddr, Protocol, Running, Server, Time, Turn,
    usable_cores,
};

/// Bytes of a string.
const LONGEST: usize = 4096;

/// How long a peer may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// One peer's strings.
#[derive(Default)]
pub(crate) struct Backwards {
    until: Option<Time>,
}

/// What stands at the beginning of the input.
enum Found<'a> {
    Whole { string: &'a [u8], len: usize },
    Part,
    Bad(&'static str),
}

fn find(input: &[u8]) -> Found<'_> {
    let digits = input.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 4 || (digits == 0 && !input.is_empty()) || input.starts_with(b"0") && digits > 1 {
        return Found::Bad("sent what is no length of a netstring");
    }
    let length = input[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    if length > LONGEST {
        return Found::Bad("sent a netstring of more than 4096 bytes");
    }
    match input.get(digits) {
        None => return Found::Part,
        Some(b':') => {}
        Some(_) => return Found::Bad("sent a length without a colon behind it"),
    }
    let (begin, end) = (digits + 1, digits + 1 + length);
    match input.get(end) {
        None => Found::Part,
        Some(b',') => Found::Whole { string: &input[begin..end], len: end + 1 },
        Some(_) => Found::Bad("sent a netstring without a comma behind it"),
    }
}

impl Protocol for Backwards {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.until = Some(turn.now() + SILENCE);
        let mut used = 0;
        // Strings that don't fit any more wait for room.
        while !turn.is_full() {
            match find(&input[used..]) {
                Found::Whole { string, len } => {
                    let backwards: Vec<u8> = string.iter().rev().copied().collect();
                    turn.out.write(format!("{}:", string.len()).as_bytes());
                    turn.out.write(&backwards);
                    turn.out.write(b",");
                    used += len;
                }
                // What was not used is offered again, with more behind it.
                Found::Part => return Ok(Consumed::more(used)),
                Found::Bad(what) => {
                    turn.out.write(b"1:?,");
                    return Err(Fault::peer("bad_netstring", what));
                }
            }
        }
        turn.want_room();
        Ok(Consumed::pause(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => self.until = Some(turn.now() + SILENCE),
            Event::Room => turn.resume(),
            // What is written still goes out.
            Event::Eof { clean: true } => turn.end(End::Finish),
            Event::Drain { .. } => turn.end(End::Linger),
            Event::Eof { clean: false } => {
                return Err(Fault::peer("eof_in_netstring", "left in the middle of a netstring"));
            }
            // One that is still reading is slow, not silent: the engine sees to it.
            Event::Deadline if turn.unsent() > 0 => self.until = Some(turn.now() + SILENCE),
            Event::Deadline => return Err(Fault::idle(SILENCE)),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.until
    }
}

/// Answers at `address`, until the returned value's handle says to stop.
pub(crate) fn serve(address: ListenAddr) -> Result<(Running, String), Box<dyn Error>> {
    let server = Server::bind(&[address], usable_cores(), Config::default())?;
    let bound = server.addresses()[0].to_string();
    let running = server.serve(|_peer| Backwards::default())?;
    Ok((running, bound))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let (running, bound) = serve(address.parse()?)?;
    println!("{bound}");
    running.join()?;
    Ok(())
}

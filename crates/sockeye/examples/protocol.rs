//! Your own protocol in one file: it sends netstrings back in reverse.
//!
//! ```sh
//! cargo run --example protocol 127.0.0.1:8080
//! printf '5:hello,' | nc -N 127.0.0.1 8080    # 5:olleh,
//! ```
//!
//! A netstring is a length in decimal digits, a colon, that number of bytes, and a comma. The
//! protocol parses them and has a deadline. The engine deals with slow readers, many connections
//! and shutdown.

use std::error::Error;
use std::time::Duration;

use sockeye::{
    Config, Consumed, End, Event, Fault, ListenAddr, Protocol, Running, Server, Time, Turn,
    usable_cores,
};

/// Maximum length of a string, in bytes.
const MAX_LENGTH: usize = 4096;

/// Maximum time without input.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One connection.
#[derive(Default)]
pub(crate) struct Reverse {
    deadline: Option<Time>,
}

/// What the input starts with.
enum Parsed<'a> {
    Complete { string: &'a [u8], len: usize },
    Incomplete,
    Invalid(&'static str),
}

fn parse(input: &[u8]) -> Parsed<'_> {
    let digits = input.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 4 || (digits == 0 && !input.is_empty()) || input.starts_with(b"0") && digits > 1 {
        return Parsed::Invalid("sent an invalid length of a netstring");
    }
    let length = input[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    if length > MAX_LENGTH {
        return Parsed::Invalid("sent a netstring of more than 4096 bytes");
    }
    match input.get(digits) {
        None => return Parsed::Incomplete,
        Some(b':') => {}
        Some(_) => return Parsed::Invalid("sent a length without a colon after it"),
    }
    let (begin, end) = (digits + 1, digits + 1 + length);
    match input.get(end) {
        None => Parsed::Incomplete,
        Some(b',') => Parsed::Complete { string: &input[begin..end], len: end + 1 },
        Some(_) => Parsed::Invalid("sent a netstring without a comma after it"),
    }
}

impl Protocol for Reverse {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.deadline = Some(turn.now() + IDLE_TIMEOUT);
        let mut consumed = 0;
        // When the output is full, the other strings wait for `Event::Room`.
        while !turn.is_full() {
            match parse(&input[consumed..]) {
                Parsed::Complete { string, len } => {
                    let reversed: Vec<u8> = string.iter().rev().copied().collect();
                    turn.out.write(format!("{}:", string.len()).as_bytes());
                    turn.out.write(&reversed);
                    turn.out.write(b",");
                    consumed += len;
                }
                // The engine offers the rest again, with the bytes that follow.
                Parsed::Incomplete => return Ok(Consumed::more(consumed)),
                Parsed::Invalid(what) => {
                    turn.out.write(b"1:?,");
                    return Err(Fault::peer("bad_netstring", what));
                }
            }
        }
        turn.want_room();
        Ok(Consumed::pause(consumed))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => self.deadline = Some(turn.now() + IDLE_TIMEOUT),
            Event::Room => turn.resume(),
            // The output is still sent.
            Event::Eof { clean: true } => turn.end(End::Finish),
            Event::Drain { .. } => turn.end(End::Linger),
            Event::Eof { clean: false } => {
                return Err(Fault::peer("eof_in_netstring", "left in the middle of a netstring"));
            }
            // The client still reads. The engine has a timeout for slow readers.
            Event::Deadline if turn.unsent() > 0 => self.deadline = Some(turn.now() + IDLE_TIMEOUT),
            Event::Deadline => return Err(Fault::idle(IDLE_TIMEOUT)),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

pub(crate) fn serve(address: ListenAddr) -> Result<(Running, String), Box<dyn Error>> {
    let server = Server::bind(&[address], usable_cores(), Config::default())?;
    let bound = server.addresses()[0].to_string();
    let running = server.serve(|_peer| Reverse::default())?;
    Ok((running, bound))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let (running, bound) = serve(address.parse()?)?;
    println!("{bound}");
    running.join()?;
    Ok(())
}

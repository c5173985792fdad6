//! A protocol of your own in one file: the sum of the numbers on each line.
//!
//! ```console
//! $ cargo run --example line_protocol 127.0.0.1:8080 &
//! $ printf '1 2 3\n4 5\n' | nc -N 127.0.0.1 8080
//! 6
//! 9
//! ```

use std::error::Error;
use std::time::Duration;

use sockeye::{
    Config, Consumed, End, Event, Fault, ListenAddr, Protocol, ServeError, Serving, Time, Turn,
};

const MAX_LINE: usize = 1024; // bytes
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One connection. The engine deals with slow readers, many connections and shutdown.
#[derive(Default)]
pub(crate) struct Sums {
    deadline: Option<Time>,
}

impl Protocol for Sums {
    // Runs on the event loop: don't block. Blocking work: `Turn::run`.
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(rest.len()) > MAX_LINE {
                return Err(Fault::peer("line_too_long", "sent a line of more than 1 KiB"));
            }
            // The engine offers an incomplete line again, with the bytes that follow.
            let Some(end) = end else { return Ok(Consumed::more(used)) };
            let line = String::from_utf8_lossy(&rest[..end]);
            let sum = line.split_whitespace().try_fold(0_i64, |sum, number| {
                number.parse().ok().and_then(|number| sum.checked_add(number))
            });
            match sum {
                Some(sum) => turn.out.write(format!("{sum}\n").as_bytes()),
                None => turn.out.write(b"error: not numbers, or too large\n"),
            }
            used += end + 1;
            self.deadline = Some(turn.now() + IDLE_TIMEOUT);
        }
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => self.deadline = Some(turn.now() + IDLE_TIMEOUT),
            Event::Eof { .. } => turn.end(End::Finish), // The output is still sent.
            Event::Drain { .. } => turn.end(End::Linger), // The peer may still be sending.
            Event::Deadline => return Err(Fault::idle(IDLE_TIMEOUT)),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    sockeye::serve(&[address], Config::default(), |_peer| Sums::default())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    for address in serving.ip_addresses() {
        let (ip, port) = (address.ip(), address.port());
        println!("Listening at {address} - try: printf '1 2 3\\n4 5\\n' | nc -N {ip} {port}");
    }
    serving.join()?;
    Ok(())
}

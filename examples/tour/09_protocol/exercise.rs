//! Step 9: a solution of the exercise. The answer to `ADD NAME COUNT` is the sum of all counts of
//! this name. The answer to `SUM` is the sum of the counts of all names. Each connection has counts
//! of its own.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::time::Duration;

use sockeye::{Config, Consumed, End, Event, Fault, Protocol, Time, Turn};

const MAX_LINE: usize = 1024; // bytes
const MAX_NAMES: usize = 100; // for each connection
const TIMEOUT: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Default)]
struct Connection {
    /// The sum of the counts of each name.
    counts: HashMap<String, u64>,
    deadline: Option<Time>,
}

impl Connection {
    /// Writes the answer to a line.
    fn answer(&mut self, line: &str, turn: &mut Turn<'_>) {
        let answer = match self.run(line) {
            Ok(count) => format!("{count}\n"),
            Err(error) => format!("ERROR {error}\n"),
        };
        turn.out.write(answer.as_bytes());
    }

    /// Runs the command in a line.
    fn run(&mut self, line: &str) -> Result<u64, &'static str> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["ADD", name, count] => {
                let count: u64 = count.parse().map_err(|_| "not a count")?;
                if self.counts.len() == MAX_NAMES && !self.counts.contains_key(name) {
                    return Err("too many names");
                }
                let sum = self.sum().checked_add(count);
                sum.ok_or("too much")?; // If the sum of all fits into a u64, so does each part.
                let total = self.counts.entry(name.into()).or_default();
                *total += count;
                Ok(*total)
            }
            ["SUM"] => Ok(self.sum()),
            _ => Err("ADD NAME COUNT, or SUM"),
        }
    }

    /// The sum of the counts of all names.
    fn sum(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl Protocol for Connection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(rest.len()) > MAX_LINE {
                turn.out.write(b"ERROR a line has at most 1024 bytes\n");
                return Err(Fault::peer("line_too_long", "sent a line of more than 1024 bytes"));
            }
            let Some(end) = end else { return Ok(Consumed::more(used)) };
            self.answer(&String::from_utf8_lossy(&rest[..end]), turn);
            self.deadline = Some(turn.now() + TIMEOUT);
            used += end + 1;
        }
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => self.deadline = Some(turn.now() + TIMEOUT),
            Event::Deadline => return Err(Fault::idle(TIMEOUT)),
            Event::Eof { .. } => turn.end(End::Finish),
            Event::Drain { .. } => turn.end(End::Linger),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let open = |_peer: &_| Connection::default();
    let serving = sockeye::serve(&[address.parse()?], Config::default(), open)?;
    let address = serving.ip_addresses().next().ok_or("not an IP address")?;
    println!("listening on port {}", address.port());
    serving.join()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye::proto::harness::Harness;

    #[test]
    fn counts_are_added_line_by_line_and_byte_by_byte() {
        let lines = b"ADD apples 3\nADD pears 4\r\nADD apples 5\nSUM\n";
        let mut client = Harness::new(Connection::default());
        client.input(lines);
        assert_eq!(client.output(), b"3\n4\n8\n12\n");
        let mut client = Harness::new(Connection::default());
        client.drip(lines);
        assert_eq!(client.output(), b"3\n4\n8\n12\n");
    }

    #[test]
    fn wrong_lines_are_errors_and_change_nothing() {
        let mut client = Harness::new(Connection::default());
        client.input(b"ADD apples 3\n");
        client.output();
        for (line, error) in [
            ("", "ADD NAME COUNT, or SUM"),
            ("SUM apples", "ADD NAME COUNT, or SUM"),
            ("ADD apples -1", "not a count"),
            ("ADD apples 18446744073709551615", "too much"),
        ] {
            client.input(format!("{line}\nSUM\n").as_bytes());
            assert_eq!(client.output(), format!("ERROR {error}\n3\n").as_bytes(), "{line}");
        }
    }

    #[test]
    fn a_connection_has_limits() {
        let mut client = Harness::new(Connection::default());
        for number in 0..MAX_NAMES {
            client.input(format!("ADD {number} 1\n").as_bytes());
        }
        client.output();
        client.input(b"ADD more 1\nADD 7 1\nSUM\n");
        assert_eq!(client.output(), b"ERROR too many names\n2\n101\n");
        client.input(&[b'x'; MAX_LINE + 1]);
        assert_eq!(client.output(), b"ERROR a line has at most 1024 bytes\n");
        assert_eq!(client.fault().unwrap().code, "line_too_long");

        let mut client = Harness::new(Connection::default());
        client.pass(TIMEOUT);
        assert_eq!(client.fault().unwrap().code, Fault::IDLE);
    }
}

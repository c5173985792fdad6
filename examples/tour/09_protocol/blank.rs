//! Step 9: a template for your own protocol. Answers each line with its length.

use std::{env, error::Error, time::Duration};

use sockeye::{Config, Consumed, End, Event, Fault, Protocol, Time, Turn};

const MAX_LINE: usize = 1024; // bytes
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Connection {
    deadline: Option<Time>, // Add what a connection has to remember.
}

impl Protocol for Connection {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(rest.len()) > MAX_LINE {
                return Err(Fault::peer("line_too_long", "sent a line of more than 1024 bytes"));
            }
            let Some(end) = end else { return Ok(Consumed::more(used)) };
            let line = &rest[..end]; // As text: `String::from_utf8_lossy(line)`.
            turn.out.write(format!("{} bytes\n", line.len()).as_bytes()); // Your answer.
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

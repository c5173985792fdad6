//! Step 10: an HTTP/1.0 server: one request and one response per connection.

mod page;

use std::env;
use std::error::Error;
use std::time::Duration;

use sockeye::{Config, Consumed, End, Event, Fault, Protocol, Time, Turn};

use page::page;

const MAX_HEAD: usize = 8192; // bytes
const TIMEOUT: Duration = Duration::from_secs(10);
const TEXT: &str = "text/plain; charset=utf-8";

/// The whole response to a request with this head.
fn response(head: &str) -> String {
    let line: Vec<&str> = head.lines().next().unwrap_or_default().split(' ').collect();
    let (status, (media_type, content)) = match line[..] {
        ["GET", path, "HTTP/1.0" | "HTTP/1.1"] => match page(path) {
            Some(page) => ("200 OK", page),
            None => ("404 Not Found", (TEXT, "no such page\n".into())),
        },
        [_, _, "HTTP/1.0" | "HTTP/1.1"] => ("501 Not Implemented", (TEXT, "only GET\n".into())),
        _ => ("400 Bad Request", (TEXT, "not HTTP/1\n".into())),
    };
    let length = content.len();
    format!(
        "HTTP/1.0 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n\
         {content}"
    )
}

/// One connection.
#[derive(Default)]
struct Http10 {
    deadline: Option<Time>,
}

impl Protocol for Http10 {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        // The head ends at the first blank line. It is so short that searching it from its start at
        // each call costs little.
        let start = &input[..input.len().min(MAX_HEAD)];
        let Some(end) = start.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            if start.len() == MAX_HEAD {
                return Err(Fault::peer("head_too_long", "sent a head of more than 8 KiB"));
            }
            return Ok(Consumed::more(0));
        };
        turn.out.write(response(&String::from_utf8_lossy(&input[..end])).as_bytes());
        self.deadline = None;
        turn.end(End::Linger);
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => self.deadline = Some(turn.now() + TIMEOUT),
            Event::Deadline => {
                return Err(Fault::peer("head_timeout", "sent no complete head in time"));
            }
            Event::Eof { .. } | Event::Drain { .. } => turn.end(End::Linger),
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
    let serving = sockeye::serve(&[address.parse()?], Config::default(), |peer| {
        println!("connection from {}", peer.address);
        Http10::default()
    })?;
    for address in serving.ip_addresses() {
        println!("listening on port {}", address.port());
    }
    serving.join()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sockeye::proto::harness::Harness;

    use super::*;

    #[test]
    fn a_request_in_any_pieces_gets_its_page_and_the_connection_ends() {
        let request = b"GET /square/12 HTTP/1.0\r\nAccept: */*\r\n\r\n";
        for piece in 1..=request.len() {
            let mut client = Harness::new(Http10::default());
            request.chunks(piece).for_each(|bytes| client.input(bytes));
            let response = String::from_utf8(client.output()).unwrap();
            assert!(response.starts_with("HTTP/1.0 200 OK\r\n"), "{response}");
            assert!(response.ends_with("\r\nContent-Length: 4\r\n\r\n144\n"), "{response}");
            assert!(client.finished());
        }
    }

    #[test]
    fn other_requests_get_errors() {
        for (line, status) in [
            ("GET / HTTP/1.1", "200 OK"),
            ("GET /square/4294967296 HTTP/1.0", "404 Not Found"),
            ("GET /square/twelve HTTP/1.0", "404 Not Found"),
            ("HEAD / HTTP/1.0", "501 Not Implemented"),
            ("GET /", "400 Bad Request"),
            ("GET / HTTP/2.0", "400 Bad Request"),
            ("\u{0}\u{12}{\"action\": \"search\"}", "400 Bad Request"),
        ] {
            let response = response(line);
            assert!(response.starts_with(&format!("HTTP/1.0 {status}\r\n")), "{line}: {response}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_or_takes_too_long_ends_the_connection() {
        let mut client = Harness::new(Http10::default());
        client.input(&[b'a'; MAX_HEAD - 1]);
        assert!(client.fault().is_none());
        client.input(b"a");
        assert_eq!(client.fault().map(|fault| fault.code), Some("head_too_long"));

        let mut client = Harness::new(Http10::default());
        client.input(&[&[b'a'; MAX_HEAD][..], b"\r\n\r\n"].concat());
        assert_eq!(client.fault().map(|fault| fault.code), Some("head_too_long"));

        let mut client = Harness::new(Http10::default());
        client.input(b"GET / HT");
        client.pass(TIMEOUT);
        assert_eq!(client.fault().map(|fault| fault.code), Some("head_timeout"));
    }
}
